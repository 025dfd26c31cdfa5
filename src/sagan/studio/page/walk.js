// Walks: between two samples, between two classes with the same noise, along a direction of the noise.

import { $, complain, drawn, el, paint, picture, tellCommand } from "./dom.js";
import { postArrays, Stale } from "./wire.js";

const FRAMES = 25;
const FILM = 9;
const FRAME_MS = 80;

export class WalkView {
  /** scene: { samples(): { ask, images, names, source } or null, show(picture, ask, item) } */
  constructor(scene) {
    this.scene = scene;
    this.timer = 0;
    this.frames = null;
    for (const radio of document.querySelectorAll("[name=mode]")) radio.addEventListener("change", () => this.refresh());
    for (const id of ["from", "to", "to-class", "direction"]) $(id).addEventListener("input", () => this.refresh());
    $("step").addEventListener("input", () => { this.stop(); this.draw(); });
    $("play").addEventListener("click", () => (this.timer ? this.stop() : this.play()));
  }

  get mode() {
    return document.querySelector("[name=mode]:checked").value;
  }

  /** Offer the samples that are there now as ends, from the one that is chosen; keep: the ends stay while the classes do. */
  open(chosen, keep = false) {
    const { images, names, source } = this.scene.samples();
    const count = images.shape[0];
    const before = ["from", "to", "to-class"].map((id) => [id, $(id).value]);
    const same = this.names?.join("\n") === names.join("\n");
    this.names = names;
    const options = () => names.map((name, i) => el("option", { value: i, textContent: `${i}: ${name}` }));
    $("from").replaceChildren(...options());
    $("to").replaceChildren(...options());
    $("from").value = chosen;
    const other = names.findIndex((name, i) => i > chosen && name !== names[chosen]);
    $("to").value = other >= 0 ? other : (chosen + 1) % count;
    $("to-class").replaceChildren(...source.classes.map((name, i) => el("option", { value: i, textContent: name })));
    $("to-class").value = source.classes.findIndex((name) => name !== names[chosen]);
    if (keep && same) for (const [id, value] of before) $(id).value = value;
    document.querySelector("[name=mode][value=classes]").disabled = source.classes.length < 2;
    $("direction").max = source.directions;
    return this.refresh();
  }

  ask() {
    const { ask, labels } = this.scene.samples();
    const from = +$("from").value, to = +$("to").value;
    const own = { source: ask.source, seed: ask.seed, truncation: ask.truncation, page: ask.page, interpolate: FRAMES, index: from };
    const at = (i) => (labels ? labels[i] : null);
    const classes = (...some) => (labels ? some : []);
    if (this.mode === "direction") return { ...own, classes: classes(at(from)), direction: +$("direction").value };
    if (this.mode === "classes") return { ...own, classes: [at(from), +$("to-class").value], end_seed: ask.seed, end_index: from };
    return { ...own, classes: classes(at(from), at(to)), end_seed: ask.seed, end_index: to };
  }

  async refresh() {
    for (const end of document.querySelectorAll(".end[data-for]")) end.hidden = end.dataset.for !== this.mode;
    $("direction-out").textContent = $("direction").value;
    const { images } = this.scene.samples();
    for (const id of ["from", "to"]) paint($(`${id}-picture`), ...picture(images, +$(id).value));
    const ask = this.ask();
    const still = this.mode === "classes" ? ask.classes[0] === ask.classes[1] : this.mode === "samples" && ask.index === ask.end_index;
    $("walk-hint").textContent = still ? "Both ends are the same picture, so nothing moves: choose another end, or more samples." : "";
    try {
      const message = await postArrays("/api/pictures", ask, "walk");
      this.frames = message.arrays.images;
      this.asked = ask;
      tellCommand($("walk-command"), message.command.replace("samples.png", "walk.gif"));
      complain(null);
      this.film();
      this.draw();
      drawn("walk");
    } catch (error) {
      if (!(error instanceof Stale)) complain(error);
    }
  }

  film() {
    $("film").replaceChildren(...Array.from({ length: FILM }, (_, k) => {
      const canvas = el("canvas");
      paint(canvas, ...picture(this.frames, Math.round((k * (FRAMES - 1)) / (FILM - 1))));
      return canvas;
    }));
  }

  draw() {
    if (!this.frames) return;
    const item = +$("step").value;
    const shown = picture(this.frames, item);
    paint($("frame"), ...shown);
    $("frame").style.setProperty("--narrow", Math.min(1, shown[2] / shown[1]));
    $("step").setAttribute("aria-valuetext", `picture ${item + 1} of ${FRAMES}`);
    this.scene.show(shown, this.asked, item);
  }

  play() {
    let step = 1;
    $("play").textContent = "Stop";
    $("play").setAttribute("aria-pressed", "true");
    this.timer = setInterval(() => {
      const at = +$("step").value;
      if (at + step < 0 || at + step >= FRAMES) step = -step;
      $("step").value = at + step;
      this.draw();
    }, FRAME_MS);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    $("play").textContent = "Play";
    $("play").setAttribute("aria-pressed", "false");
  }
}
