// The report of a run: everything that it shows lies in this file.

import { chart } from "./chart.js";
import { $, el, paint, picture, tellCommand } from "./dom.js";
import { Grid } from "./grid.js";
import { LooksPanel } from "./looks.js";
import { unpack } from "./wire.js";

const bytesOf = (id) => Uint8Array.from(atob($(id).textContent), (c) => c.charCodeAt(0)).buffer;
const told = JSON.parse(new TextDecoder().decode(bytesOf("told")));
const number = (value) => value.toLocaleString("en");

function tellState() {
  document.title = `${told.name}: sagan report`;
  $("name").textContent = told.name;
  const done = told.total && told.step >= told.total;
  $("state").append(
    el("b", { textContent: `step ${number(told.step)}${told.total ? ` of ${number(told.total)}` : ""}` }),
    el("span", { className: "badge", textContent: done ? "finished" : told.training ? "was training when this was written" : "not finished" }),
    ...(told.stand ? [el("span", { className: "hint", textContent: told.stand })] : []),
    ...(told.images_per_s ? [el("span", { className: "hint", textContent: `${told.images_per_s.toFixed(0)} images/s at the end` })] : []),
  );
  $("bar").value = told.total ? told.step / told.total : 0;
  $("bar").hidden = !told.total;
  const facts = told.provenance ?? {};
  const data = facts.data?.source ? `trained on ${facts.data.source}` : "";
  const gates = told.gammas ? Object.entries(told.gammas).map(([k, v]) => `γ of feat${k} ${v.toFixed(3)}`).join(", ") : "";
  $("facts").textContent = [facts.step === undefined || facts.step === null ? "" : `samples and attention of step ${number(facts.step)}`, told.size ? `${told.size} px` : "", `${told.classes.length || "no"} classes`, data, facts.weights, facts.batch_norm, gates, $("samples") ? "" : told.no_generator].filter(Boolean).join("; ");
  const found = told.health.map((line) => {
    if (line.health === "rolled back") return el("li", { textContent: `Rolled back from step ${line.from_step} to ${line.step}: ${line.because}.` });
    const what = `${line.health} ${line.over ? "was over " : ""}at step ${number(line.step)}: ${line.quantity} ${(+line.value).toPrecision(3)}`;
    return el("li", { className: line.over ? "over" : "", textContent: `${what}.${line.over || !line.helps ? "" : ` What usually helps: ${line.helps}.`}` });
  });
  const fine = told.panels.length
    ? "Nothing, as far as its log goes: no losses that diverge, no discriminator that wins or is fooled, no samples that grow alike."
    : "Not known: its log has no values yet.";
  $("health").replaceChildren(...(found.length ? found : [el("li", { className: "fine", textContent: fine })]));
}

function showSamples() {
  if (!$("samples")) { $("samples-box").append(el("p", { className: "hint", textContent: told.no_generator })); $("looks-section").hidden = true; return; }
  const { images } = unpack(bytesOf("samples")).arrays;
  const names = Array.from({ length: images.shape[0] }, (_, i) => (told.labels ? told.classes[told.labels[i]] : `sample ${i}`));
  const panel = new LooksPanel();
  const choose = (item) => {
    const kept = told.looked_at.includes(item);
    const message = kept ? unpack(bytesOf(`looks-${item}`)) : null;
    const subject = { name: told.name, picture: picture(images, item), message };
    panel.show([subject], `${names[item]}, sample ${item}${kept ? "" : ": its map is not in this file"}`);
  };
  const grid = new Grid($("samples-box"), "Samples by class", { choose, point: () => {} });
  grid.show(images, names);
  for (const item of told.looked_at) grid.tiles[item].box.classList.add("has-map");
  tellCommand($("command"), told.command);
  choose(told.looked_at[0]);
}

function showTime() {
  const { steps, arrays } = unpack(bytesOf("over-time"));
  $("time-section").hidden = !steps.length;
  if (!steps.length) return;
  const [, rows, height, width] = arrays.images.shape;
  const all = { data: arrays.images.data, shape: [steps.length * rows, height, width, 3] };
  $("time-grid").style.setProperty("--shape", Math.sqrt(width / height));
  const tiles = Array.from({ length: rows }, (_, row) => {
    const canvas = el("canvas", { role: "img" });
    $("time-grid").append(el("div", { className: "tile plain" }, canvas, el("span", { className: "caption", textContent: told.classes[row] ?? `sample ${row}` })));
    return canvas;
  });
  const show = () => {
    const at = +$("time").value;
    $("when").textContent = `step ${number(steps[at])}`;
    tiles.forEach((canvas, row) => {
      paint(canvas, ...picture(all, at * rows + row));
      canvas.setAttribute("aria-label", `${told.classes[row] ?? `sample ${row}`} at step ${steps[at]}`);
    });
  };
  $("time").max = steps.length - 1;
  $("time").value = steps.length - 1;
  $("time").addEventListener("input", show);
  show();
}

function list(entries) {
  return el("dl", {}, ...entries.flatMap(([key, value]) => [el("dt", { textContent: key }), el("dd", { textContent: typeof value === "object" && value !== null ? JSON.stringify(value) : String(value) })]));
}

function showValues() {
  const parts = told.values.flatMap(({ file, subject, values }) => {
    const rows = values.map((value) => el("tr", {},
      el("td", {}, value.metric, ...value.warnings.map((text) => el("p", { className: "hint", textContent: text })), el("details", {}, el("summary", { textContent: "how it was made" }), list(Object.entries(value.protocol)))),
      el("td", { className: "number", textContent: `${+(+value.value).toPrecision(4)}${value.spread ? ` ± ${+(+value.spread).toPrecision(2)}` : ""}` }),
      el("td", { textContent: value.higher_is_better ? "higher" : "lower" })));
    const step = subject.step === undefined ? "" : `, step ${number(subject.step)}`;
    return [el("h3", { textContent: `${file}${step}` }), el("div", { className: "table" }, el("table", {}, el("thead", {}, el("tr", {}, ...["measure", "value", "better"].map((text) => el("th", { scope: "col", textContent: text })))), el("tbody", {}, ...rows)))];
  });
  $("values").replaceChildren(...(parts.length ? parts : [el("p", { className: "hint", textContent: "Nothing was measured. `sagan evaluate RUN --data PICTURES --out RUN/evaluation.json` measures, and the next report has its values." })]));
}

function showConfiguration() {
  $("config").className = "settings";
  const groups = Object.entries(told.configuration);
  const nested = groups.filter(([, value]) => typeof value === "object" && value !== null && !Array.isArray(value));
  const plain = groups.filter((entry) => !nested.includes(entry));
  $("config").replaceChildren(
    ...nested.map(([name, fields]) => el("details", {}, el("summary", { textContent: name }), list(Object.entries(fields)))),
    ...(plain.length ? [list(plain)] : []),
    ...(told.provenance?.versions ? [el("details", {}, el("summary", { textContent: "versions" }), list(Object.entries(told.provenance.versions)))] : []),
  );
}

tellState();
showSamples();
showTime();
$("charts").replaceChildren(...(told.panels.length ? told.panels.map(chart) : [el("p", { className: "hint", textContent: "Its log has no values yet." })]));
showValues();
showConfiguration();
