// A grid of pictures, one of which is chosen: with the mouse, or with the arrow keys.

import { el, paint, picture } from "./dom.js";

const TILE = { few: 118, some: 92, many: 78 };

export class Grid {
  /** choose(item) is called when another picture is chosen, point(surface, item) for each, to let it be pointed at. */
  constructor(box, label, { choose, point }) {
    this.list = el("div", { className: "grid", role: "listbox", "aria-label": label });
    this.choose = choose;
    this.point = point;
    this.tiles = [];
    this.chosen = 0;
    box.append(this.list);
    this.list.addEventListener("keydown", (event) => this.key(event));
  }

  /** images: uint8 (N, H, W, 3) as { data, shape }; names: one for each. */
  show(images, names) {
    const [count, height, width] = images.shape;
    if (this.tiles.length !== count || this.shape !== width / height) this.build(count, width / height);
    this.tiles.forEach((tile, i) => {
      paint(tile.canvas, ...picture(images, i));
      tile.caption.textContent = names[i];
      tile.box.title = names[i];
      tile.box.setAttribute("aria-label", `${names[i]}, sample ${i}`);
    });
    this.mark(Math.min(this.chosen, count - 1));
  }

  /** shape: width over height; tiles of all shapes have about the same area. */
  build(count, shape) {
    const tile = count > 48 ? TILE.many : count > 12 ? TILE.some : TILE.few;
    this.shape = shape;
    this.list.style.setProperty("--shape", Math.sqrt(shape));
    this.list.style.setProperty("--tile", `${tile}px`);
    this.tiles = Array.from({ length: count }, (_, i) => {
      const canvas = el("canvas", { "aria-hidden": "true" });
      const caption = el("span", { className: "caption", "aria-hidden": "true" });
      const box = el("div", { className: "tile", role: "option" }, canvas, caption);
      box.addEventListener("click", () => this.pick(i));
      this.point(canvas, i);
      return { box, canvas, caption };
    });
    this.list.replaceChildren(...this.tiles.map((tile) => tile.box));
  }

  pick(i) {
    this.mark(i);
    this.choose(i);
  }

  mark(chosen) {
    this.chosen = chosen;
    this.tiles.forEach(({ box }, i) => {
      box.setAttribute("aria-selected", String(i === chosen));
      box.tabIndex = i === chosen ? 0 : -1;
    });
  }

  key(event) {
    const columns = getComputedStyle(this.list).gridTemplateColumns.split(" ").length;
    const last = this.tiles.length - 1;
    const move = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -this.chosen, End: last - this.chosen }[event.key];
    if (move === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const to = this.chosen + move;
    if (to < 0 || to > last || to === this.chosen) return;
    this.pick(to);
    this.tiles[to].box.focus();
  }
}
