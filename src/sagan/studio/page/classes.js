// The list of classes: found by name, several of which can be chosen.

import { $, el } from "./dom.js";

export const MOST = 16;

export class Classes {
  constructor(changed) {
    this.changed = changed;
    this.names = [];
    $("class-search").addEventListener("input", () => this.filter());
    $("class-search").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      const first = this.items.find((item) => !item.row.hidden);
      if (first) { first.box.checked = !first.box.checked; this.tell(); this.changed(); }
    });
    $("class-none").addEventListener("click", () => {
      this.items.forEach((item) => { item.box.checked = false; });
      $("class-search").value = "";
      this.filter();
      this.changed();
    });
  }

  /** Offer these names; those of before that are among them stay chosen. */
  offer(names) {
    if (this.items && names.join("\n") === this.names.join("\n")) return;
    const chosen = new Set(this.chosen().map((i) => this.names[i]));
    this.names = names;
    this.items = names.map((name, i) => {
      const box = el("input", { type: "checkbox", checked: chosen.has(name), value: i });
      box.addEventListener("change", () => { this.tell(); this.changed(); });
      return { name: name.toLowerCase(), box, row: el("li", {}, el("label", {}, box, el("span", { textContent: name }))) };
    });
    $("classes").replaceChildren(...this.items.map((item) => item.row));
    $("class-field").hidden = !names.length;
    this.filter();
  }

  chosen() {
    return (this.items ?? []).flatMap((item, i) => (item.box.checked ? [i] : []));
  }

  /** The classes to draw: those chosen, else the first. */
  wanted() {
    const chosen = this.chosen();
    return chosen.length ? chosen : this.names.slice(0, MOST).map((_, i) => i);
  }

  filter() {
    const text = $("class-search").value.trim().toLowerCase();
    for (const item of this.items) item.row.hidden = !item.name.includes(text);
    this.tell();
  }

  tell() {
    const shown = this.items.filter((item) => !item.row.hidden).length;
    const chosen = this.chosen().length;
    const total = this.names.length;
    const which = chosen ? `${chosen} of ${total.toLocaleString("en")} chosen` : total > MOST ? `none chosen: the first ${MOST} of ${total.toLocaleString("en")}` : `none chosen: all ${total}`;
    $("class-hint").textContent = shown ? which : "no class has this in its name";
    $("class-none").hidden = !chosen;
  }
}
