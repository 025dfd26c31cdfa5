// A run as it goes on: how far it is, warnings, samples over time, curves. Several runs stand below each other.

import { chart } from "./chart.js";
import { $, complain, drawn, el, paint, picture } from "./dom.js";
import { download, get, getArrays, Stale } from "./wire.js";

const EVERY_MS = 3000;

export class RunView {
  constructor() {
    this.cards = new Map();
    this.timer = 0;
    this.round = 0; // which opening of the view is followed
  }

  /** Show these sources, { key, name, run }, and follow them while the view is open. */
  open(sources, classes) {
    this.close();
    const runs = sources.filter((source) => source.run);
    $("run").replaceChildren();
    this.cards.clear();
    if (!runs.length) {
      $("run").append(el("p", { className: "empty", textContent: "This is a file of weights, or a folder of them alone. Open the studio with the folder of a run to see its curves, its samples over time and its warnings." }));
      return;
    }
    for (const source of runs) this.cards.set(source.key, new Card(source, classes(source), runs.length > 1));
    this.together = el("div", { className: "charts" });
    const all = el("section", { className: "view" }, el("h2", { textContent: "All runs together" }), this.together);
    $("run").append(...(runs.length > 1 ? [all] : []), ...[...this.cards.values()].map((card) => card.box));
    this.follow();
  }

  async follow() {
    const round = this.round;
    let failed = null;
    for (const card of this.cards.values()) {
      try {
        await card.read();
      } catch (error) {
        if (!(error instanceof Stale)) failed = error;
      }
      if (round !== this.round) return;
    }
    if (failed || this.failed) complain(failed);
    this.failed = failed;
    if (this.cards.size > 1) this.together.replaceChildren(...joined([...this.cards.values()]).map(chart));
    if (this.cards.size) this.timer = setTimeout(() => this.follow(), EVERY_MS);
  }

  close() {
    this.round += 1;
    clearTimeout(this.timer);
    this.cards.clear();
  }
}

/** Put the curves of several runs that show the same into one panel each. */
function joined(cards) {
  const titles = [...new Set(cards.flatMap((card) => (card.panels ?? []).map((panel) => panel.title)))];
  return titles.flatMap((title) => {
    const found = cards.flatMap((card) => (card.panels ?? []).filter((panel) => panel.title === title).map((panel) => [card.source.name, panel]));
    if (found.length < 2) return [];
    const series = Object.fromEntries(found.flatMap(([run, panel]) => Object.entries(panel.series).map(([name, values]) => [name === title ? run : `${run}: ${name}`, values])));
    return [{ title, from_zero: found[0][1].from_zero, marks: [], series }];
  });
}

class Card {
  constructor(source, classes, named) {
    this.source = source;
    this.classes = classes;
    this.cache = new Map();
    this.latest = true;
    this.head = el("div", { className: "run-head" });
    this.bar = el("progress", { max: 1, "aria-label": `Progress of ${source.name}` });
    this.health = el("ul", { className: "health", "aria-label": "Warnings" });
    this.slider = el("input", { type: "range", min: 0, step: 1, "aria-label": `Step of the samples of ${source.name}` });
    this.when = el("output");
    this.grid = el("div", { className: "grid" });
    this.time = el("section", { className: "view" }, el("div", { className: "row" }, el("h3", { textContent: "Samples over time" }), this.when), this.slider, this.grid);
    this.charts = el("div", { className: "charts" });
    this.saved = el("button", { type: "button", textContent: "Curves PNG", "aria-label": `Save the curves of ${source.name} as PNG`, hidden: true });
    this.saved.addEventListener("click", () => this.save());
    this.box = el("section", { className: "view" }, ...(named ? [el("h2", { textContent: source.name })] : []), this.head, this.bar, this.health, this.time, this.charts, el("div", { className: "actions" }, this.saved));
    this.time.hidden = true;
    this.slider.addEventListener("input", () => {
      this.latest = +this.slider.value === +this.slider.max;
      this.samples();
    });
  }

  async save() {
    try {
      await download(`/api/runs/${this.source.key}/curves.png`);
      complain(null);
    } catch (error) {
      if (!(error instanceof Stale)) complain(error);
    }
  }

  async read() {
    const told = await get(`/api/runs/${this.source.key}`, `run ${this.source.key}`);
    this.steps = told.samples;
    const gone = told.health.filter((line) => line.health === "rolled back").length;
    if (gone !== this.gone || told.step < this.step) this.cache.clear(); // steps that are done again have other samples
    Object.assign(this, { gone, step: told.step });
    if (told.rows.length) this.classes = told.rows;
    this.panels = told.panels;
    this.heading(told);
    this.health.replaceChildren(...told.health.toReversed().map(warning));
    this.charts.replaceChildren(...(told.panels.length ? told.panels.map(chart) : [el("p", { className: "hint", textContent: "No curves yet: its log has no values." })]));
    this.saved.hidden = !told.panels.length;
    this.time.hidden = !told.samples.length;
    if (told.samples.length) {
      this.slider.max = told.samples.length - 1;
      if (this.latest) this.slider.value = this.slider.max;
      await this.samples();
    }
    drawn("run");
  }

  heading(told) {
    const facts = [el("b", { textContent: `step ${told.step.toLocaleString("en")}${told.total ? ` of ${told.total.toLocaleString("en")}` : ""}` })];
    const state = told.training ? `training, last line ${Math.round(told.silent_s)} s ago` : told.total && told.step >= told.total ? "finished" : told.silent_s === null ? "has not logged anything" : "not training now";
    facts.push(el("span", { className: "badge", textContent: state }));
    if (told.stand) facts.push(el("span", { className: "hint", textContent: told.stand }));
    if (told.images_per_s) facts.push(el("span", { className: "hint", textContent: `${told.images_per_s.toFixed(told.images_per_s < 10 ? 1 : 0)} images/s` }));
    if (told.left_s) facts.push(el("span", { className: "hint", textContent: `about ${duration(told.left_s)} left` }));
    this.head.replaceChildren(...facts);
    this.bar.hidden = !told.total;
    this.bar.value = told.total ? told.step / told.total : 0;
  }

  async samples() {
    const step = this.steps[+this.slider.value];
    this.when.textContent = `step ${step.toLocaleString("en")}`;
    this.slider.setAttribute("aria-valuetext", `step ${step}`);
    if (!this.cache.has(step)) {
      try {
        const { arrays } = await getArrays(`/api/runs/${this.source.key}/samples/${step}`, `time ${this.source.key}`);
        this.cache.set(step, arrays.images);
      } catch (error) {
        if (!(error instanceof Stale)) complain(error);
        return;
      }
      if (step !== this.steps[+this.slider.value]) return; // another is looked at meanwhile
    }
    const images = this.cache.get(step);
    this.grid.style.setProperty("--shape", Math.sqrt(images.shape[2] / images.shape[1]));
    this.grid.replaceChildren(...Array.from({ length: images.shape[0] }, (_, i) => {
      const name = this.classes[i] ?? `sample ${i}`;
      const canvas = el("canvas", { role: "img", "aria-label": `${name} at step ${step}` });
      paint(canvas, ...picture(images, i));
      return el("div", { className: "tile" }, canvas, el("span", { className: "caption", textContent: name }));
    }));
  }
}

function warning(line) {
  if (line.health === "rolled back") return el("li", { textContent: `Rolled back from step ${line.from_step} to ${line.step}: ${line.because}.` });
  const what = `${line.health} ${line.over ? "is over " : ""}at step ${line.step.toLocaleString("en")}: ${line.quantity} ${(+line.value).toPrecision(3)}`;
  const limit = line.limit === null || line.limit === undefined ? "" : ` (limit ${line.limit})`;
  return el("li", { className: line.over ? "over" : "", textContent: `${what}${limit}.${line.over || !line.helps ? "" : ` What usually helps: ${line.helps}.`}` });
}

function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
