// Curves as SVG: line charts that share the axis of steps.

import { el } from "./dom.js";

// Lines beyond the sixth have the colours of the first six again, and are dashed.
const DASHES = ["none", "6 3", "2 3"];
const W = 360, H = 190, LEFT = 46, RIGHT = 18, TOP = 10, BOTTOM = 24;

function svg(tag, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const short = (x) => (Math.abs(x) >= 1e6 ? `${+(x / 1e6).toPrecision(3)}M` : Math.abs(x) >= 1e4 ? `${+(x / 1e3).toPrecision(3)}k` : String(+x.toPrecision(3)));

function ticks(low, high, wanted = 4) {
  const raw = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const first = Math.ceil(low / step);
  const places = Array.from({ length: wanted + 1 }, (_, i) => (first + i) * step);
  return places.filter((t) => t <= high + 1e-9 * step).map((t) => +t.toPrecision(12));
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** Make a figure of a panel: see live.py. A series is [steps, values, lows, highs]; null is not finite. */
export function chart(panel) {
  const names = Object.keys(panel.series);
  const all = Object.values(panel.series);
  const steps = all.flatMap((s) => s[0]);
  const values = all.flatMap((s) => s[1]).filter((v) => v !== null).sort((a, b) => a - b);
  const most = Math.max(...steps, ...panel.marks, 1);
  // A few wild values at the start must not press the rest flat.
  const cut = values.length > 40 ? [values[Math.floor(0.04 * values.length)], values[Math.ceil(0.96 * values.length) - 1]] : [values[0] ?? 0, values.at(-1) ?? 1];
  let [low, high] = panel.from_zero ? [Math.min(0, cut[0]), cut[1]] : cut;
  const size = Math.max(Math.abs(low), Math.abs(high));
  if (high - low < Math.max(1e-9, 1e-12 * size)) { const half = Math.max(0.5, 1e-6 * size); low -= half; high += half; }
  const pad = 0.06 * (high - low);
  high += pad;
  if (!panel.from_zero) low -= pad;
  const x = (s) => LEFT + (s / most) * (W - LEFT - RIGHT);
  const y = (v) => Math.min(H - BOTTOM, Math.max(TOP, H - BOTTOM - ((v - low) / (high - low)) * (H - TOP - BOTTOM)));
  const latest = names.map((name) => `${name} ${short(panel.series[name][1].findLast((v) => v !== null) ?? NaN)}`).join(", ");
  const box = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${panel.title}; latest: ${latest}` });
  for (const t of ticks(low, high)) {
    box.append(svg("line", { class: "axis", x1: LEFT, x2: W - RIGHT, y1: y(t), y2: y(t) }), svg("text", { x: LEFT - 6, y: y(t) + 4, "text-anchor": "end" }, short(t)));
  }
  for (const t of ticks(0, most, 4)) box.append(svg("text", { x: x(t), y: H - 6, "text-anchor": "middle" }, short(t)));
  for (const mark of panel.marks) box.append(svg("line", { class: "mark", x1: x(mark), x2: x(mark), y1: TOP, y2: H - BOTTOM }));
  names.forEach((name, i) => draw(box, panel.series[name], `var(--s${i % 6})`, x, y, DASHES[Math.floor(i / 6) % DASHES.length]));
  const key = el("div", { className: "key" }, ...names.map((name, i) => {
    const item = el("span", { textContent: name });
    item.style.setProperty("--c", `var(--s${i % 6})`);
    item.style.setProperty("--dash", i < 6 ? "solid" : i < 12 ? "dashed" : "dotted");
    return item;
  }));
  return el("figure", { className: "chart" }, el("h3", { textContent: panel.title }), box, ...(names.length > 1 ? [key] : []));
}

function draw(box, [steps, values, lows, highs], colour, x, y, dashes) {
  const noisy = values.length > 60;
  const points = steps.map((s, i) => [s, values[i], i]).filter(([, v]) => v !== null);
  if (noisy) {
    const edge = points.map(([s, , i]) => [x(s), y(lows[i] ?? values[i]), y(highs[i] ?? values[i])]);
    const raw = svg("path", { class: "curve", d: path(edge.flatMap(([px, a, b]) => (a === b ? [[px, a]] : [[px, a], [px, b]]))) });
    raw.style.stroke = colour;
    raw.style.opacity = 0.28;
    raw.style.strokeWidth = 1;
    box.append(raw);
  }
  const half = noisy ? Math.max(2, Math.round(points.length / 40)) : 0;
  const shown = points.map(([s, v], i) => [x(s), y(half ? median(points.slice(Math.max(0, i - half), i + half + 1).map((p) => p[1])) : v)]);
  const line = svg("path", { class: "curve", d: path(shown) });
  line.style.stroke = colour;
  line.style.strokeDasharray = dashes;
  box.append(line);
  if (shown.length === 1) {
    const dot = svg("circle", { cx: shown[0][0], cy: shown[0][1], r: 3 });
    dot.style.fill = colour;
    box.append(dot);
  }
}

const path = (points) => points.map(([px, py], i) => `${i ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
