// The panel that shows where a network looks from the place that is pointed at.

import { $, drawn, el, say } from "./dom.js";
import { drawLegend } from "./colours.js";
import { blocksOf, drawLook, drawPicture, Ground, lookFrom, mostAt } from "./maps.js";

const NEARLY_SHUT = 0.02;
// Height over width of a figure at most: taller pictures are drawn narrower.
const TALLEST = 1.35;
const percent = (share) => `${(100 * share).toPrecision(share < 0.1 ? 2 : 3)} %`;

export class LooksPanel {
  constructor() {
    this.place = { u: 0.5, v: 0.5 };
    this.subjects = [];
    this.pending = 0;
    drawLegend($("legend-bar"));
  }

  /** Show pictures beside each other: [{ name, picture: [bytes, height, width], message }]; a message that is null has no maps yet. */
  show(subjects, of) {
    const kept = this.subjects.length === subjects.length && this.subjects.every((s, i) => s.shape === shapeOf(subjects[i]));
    this.subjects = subjects.map((subject, i) => ({
      ...subject,
      shape: shapeOf(subject),
      ground: new Ground(...subject.picture),
      blocks: subject.message ? blocksOf(subject.message) : [],
      places: kept ? this.subjects[i].places : null,
    }));
    $("looks-of").textContent = of;
    if (!kept) $("subjects").replaceChildren(...this.subjects.map((subject) => this.build(subject, subjects.length > 1)));
    else this.subjects.forEach(caption);
    this.draw();
    drawn("looks");
  }

  clear(text) {
    this.subjects = [];
    $("subjects").replaceChildren(el("p", { className: "hint", textContent: text }));
    $("looks-of").textContent = "";
    $("legend").hidden = true;
    $("readout").textContent = "";
  }

  build(subject, named) {
    const figures = el("div", { className: "figures" });
    figures.style.setProperty("--narrow", Math.min(1, TALLEST / subject.ground.height * subject.ground.width));
    const point = el("div", { className: "point", tabIndex: 0, role: "application", "aria-label": "Point at a place of the picture; the arrow keys move it", "aria-describedby": "readout" });
    const picture = el("canvas", { role: "img", "aria-label": "The picture, with the place that is pointed at" });
    point.append(picture);
    figures.append(el("figure", {}, point, el("figcaption", {}, el("b", { textContent: "picture" }), el("span", { textContent: "point anywhere" }))));
    this.follow(point);
    const maps = subject.blocks.map((block) => {
      const canvas = el("canvas", { role: "img" });
      const frame = el("div", { className: "point" }, canvas);
      this.follow(frame);
      const gamma = el("span");
      const range = el("span", { className: "range" });
      figures.append(el("figure", {}, frame, el("figcaption", {}, el("b", { textContent: `feat${block.position}`, title: `the attention block whose grid of places has ${block.position} rows` }), gamma, range)));
      return { canvas, gamma, range };
    });
    subject.places = { picture, maps };
    caption(subject);
    const none = subject.message && !subject.blocks.length ? [el("p", { className: "hint", textContent: "This network has no attention: it was configured without." })] : [];
    return el("div", { className: "subject" }, ...(named ? [el("h3", { textContent: subject.name })] : []), figures, ...none);
  }

  /** Let a surface set the place: by mouse, by touch, and by keys where it can have the focus. */
  follow(surface, wanted = () => true) {
    const at = (event) => {
      if (!wanted()) return;
      const box = surface.getBoundingClientRect();
      this.pointAt((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    };
    surface.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse" || event.buttons) at(event); });
    surface.addEventListener("pointerdown", at);
    surface.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!move) return;
      event.preventDefault();
      const step = (axis) => (event.shiftKey ? 4 : 1) / Math.max(8, ...this.subjects.flatMap((s) => s.blocks.map((b) => b.queries[axis])));
      this.pointAt(this.place.u + move[0] * step(1), this.place.v + move[1] * step(0));
    });
  }

  pointAt(u, v) {
    const inside = (x) => Math.min(0.999, Math.max(0, x));
    this.place = { u: inside(u), v: inside(v) };
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = 0;
      this.draw();
      document.dispatchEvent(new CustomEvent("studio:drawn", { detail: { what: "place" } }));
    });
  }

  draw() {
    for (const { places, ground, blocks } of this.subjects) {
      drawPicture(places.picture, ground, this.place);
      blocks.forEach((block, i) => {
        drawLook(places.maps[i].canvas, ground, block, this.place);
        const look = lookFrom(block, this.place);
        places.maps[i].range.textContent = `${percent(look.from)} to ${percent(look.to)}, even: ${percent(look.uniform)}`;
      });
    }
    this.tell();
  }

  /** Tell of the block that is shown last, which is closest to the pixels. */
  tell() {
    const subject = this.subjects[0];
    const block = subject?.blocks.at(-1);
    $("legend").hidden = !block;
    if (!block) { $("readout").textContent = subject ? "" : $("readout").textContent; return; }
    const look = lookFrom(block, this.place);
    const most = mostAt(block, look);
    const { height, width } = subject.ground;
    const at = ({ u, v }) => `row ${Math.floor(v * height)}, column ${Math.floor(u * width)}`;
    const text = `From ${at(this.place)} feat${block.position} looks most at ${at(most)}.`;
    $("readout").textContent = text;
    clearTimeout(this.telling);
    this.telling = setTimeout(() => say(text), 700);
  }

  /** The place in pixels of the first picture: [row, column]. */
  query() {
    const { height, width } = this.subjects[0].ground;
    return [Math.floor(this.place.v * height), Math.floor(this.place.u * width)];
  }

  position() {
    return this.subjects[0]?.blocks.at(-1)?.position ?? null;
  }
}

const shapeOf = (subject) => `${subject.name} ${subject.picture.slice(1)} ${(subject.message?.blocks ?? ["none"]).map((b) => b.position ?? b)}`;

function caption(subject) {
  subject.blocks.forEach((block, i) => {
    const { canvas, gamma } = subject.places.maps[i];
    const value = (block.gamma < 0 ? "−" : "+") + Math.abs(block.gamma).toFixed(3);
    gamma.textContent = `γ ${value}${Math.abs(block.gamma) < NEARLY_SHUT ? ", hardly counts" : ""}`;
    canvas.setAttribute("aria-label", `Where feat${block.position} looks from there; gamma ${value}`);
  });
}
