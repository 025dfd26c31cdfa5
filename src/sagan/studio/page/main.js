// The page: what is asked for, what is chosen, which view is open.

import { Classes, MOST } from "./classes.js";
import { $, complain, drawn, el, paint, picture, say, tellCommand } from "./dom.js";
import { Grid } from "./grid.js";
import { LooksPanel } from "./looks.js";
import { RunView } from "./run.js";
import { WalkView } from "./walk.js";
import { download, get, PAGE, post, postArrays, sendPicture, Stale, unpack } from "./wire.js";

const EVERY_MS = 2000;
const FIRST_MS = 250;
const SCREENFUL = 16;
const MOST_PICTURES = 100;
const KEPT_LOOKS = 60;

let sources = [];
let chosen = 0;
let view = "samples";
let shown = []; // of each source that is shown: { source, ask, images, labels, names, command, grid }
let own = null; // the picture of one's own for the current source: { file, source, subject, hint }
let lookedAt = null; // what the panel shows: { kind, ask, item }, or { kind: "own", file, source }
let drawTurn = 0; // which ask for samples is the newest, whatever its sources
let lookTurn = 0; // which ask for what the panel shows is the newest: what an older one gives comes too late
const seenLooks = new Map();

const panel = new LooksPanel();
const classes = new Classes(() => refresh());
const runs = new RunView();
const walk = new WalkView({ samples: () => main(), show: showFrame });
const current = () => sources.find((source) => source.key === $("source").value) ?? sources[0];
const main = () => shown.find((one) => one.source.key === current().key) ?? shown[0];
const failed = (error) => { if (!(error instanceof Stale)) complain(error); };

// -------------------------------------------------------------------------------------------------- what is asked for

function askFor(source) {
  const truncation = +$("truncation").value;
  const names = classes.chosen().map((i) => classes.names[i]);
  const wanted = (names.length ? names : source.classes.slice(0, MOST)).map((name) => source.classes.indexOf(name)).filter((c) => c >= 0);
  if (names.length && !wanted.length) return null;
  return {
    source: source.key,
    classes: wanted,
    num: Math.min(+$("num").value, mostOfEach(wanted.length)),
    seed: seed(),
    truncation: truncation > 3 ? null : truncation,
    page: PAGE,
  };
}

/** The seed that is drawn with: a whole number from 0, whatever was typed. */
const seed = () => Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, Math.floor(+$("seed").value || 0)));

/** As many of each class are drawn at most. */
const mostOfEach = (count) => Math.floor(MOST_PICTURES / Math.max(1, count));

function tellControls() {
  $("num-out").textContent = $("num").value;
  $("truncation-out").textContent = +$("truncation").value > 3 ? "off" : (+$("truncation").value).toFixed(1);
  $("truncation").setAttribute("aria-valuetext", $("truncation-out").textContent);
}

/** Draw the samples of all sources that are shown, then look at the chosen one. */
async function refresh() {
  tellControls();
  const wanted = $("beside").checked ? sources.filter((source) => source.status === "ready") : [current()];
  const turn = ++drawTurn;
  if (current()?.status !== "ready") return;
  prepareGrids(wanted);
  $("grids").setAttribute("aria-busy", "true");
  try {
    const before = performance.now();
    await Promise.all(shown.map(async (one) => {
      const ask = askFor(one.source);
      const fewer = ask && ask.num < +$("num").value ? `${ask.num} of each: at most ${MOST_PICTURES} samples are drawn at a time.` : "";
      one.note.textContent = ask ? fewer : `${one.source.name} has none of the classes that are chosen.`;
      if (!ask) { Object.assign(one, { ask: null, names: [] }); one.grid.list.replaceChildren(); one.grid.tiles = []; return; }
      const { arrays, labels, command } = await postArrays("/api/pictures", ask, `pictures ${one.source.key}`);
      if (turn !== drawTurn) return;
      const names = labels ? labels.map((c) => one.source.classes[c]) : Array.from({ length: arrays.images.shape[0] }, (_, i) => `sample ${i}`);
      Object.assign(one, { ask, images: arrays.images, labels, names, command });
      one.grid.chosen = Math.min(chosen, names.length - 1);
      one.grid.show(arrays.images, names);
      if (one.source.key === current().key) tellCommand($("command"), command);
    }));
    if (turn !== drawTurn) return;
    $("grids").setAttribute("aria-busy", "false");
    $("save-name").textContent = shown.length > 1 ? `Save those of ${current().name}` : "Save";
    complain(null);
    drawn("samples", { ms: performance.now() - before });
    choose(Math.min(chosen, main().names.length - 1));
    if (view === "walk") await walk.open(chosen, true);
  } catch (error) {
    if (turn !== drawTurn) return;
    if (!(error instanceof Stale)) $("grids").setAttribute("aria-busy", "false");
    failed(error);
  }
}

function prepareGrids(wanted) {
  if (shown.length === wanted.length && shown.every((one, i) => one.source.key === wanted[i].key)) {
    shown.forEach((one, i) => { one.source = wanted[i]; });
    return;
  }
  lookTurn += 1; // a map of what was shown until now comes too late
  $("grids").replaceChildren();
  shown = wanted.map((source) => {
    const box = el("section", {}, ...(wanted.length > 1 ? [el("h2", { className: "grid-title", textContent: source.name })] : []));
    const note = el("p", { className: "hint" });
    box.append(note);
    $("grids").append(box);
    const point = (surface, item) => panel.follow(surface, () => item === chosen && view === "samples");
    return { source, note, grid: new Grid(box, `Samples of ${source.name}`, { choose: (i) => choose(i), point }) };
  });
}

// -------------------------------------------------------------------------------------------------- where it looks

async function looksAt(source, ask, item) {
  const { page, ...asked } = ask;
  const key = JSON.stringify([source.version, asked, item]);
  if (!seenLooks.has(key)) {
    const message = await postArrays("/api/looks", { pictures: ask, item }, `looks ${source.key}`);
    seenLooks.set(key, message);
    if (seenLooks.size > KEPT_LOOKS) seenLooks.delete(seenLooks.keys().next().value);
  }
  return seenLooks.get(key);
}

async function choose(item) {
  const turn = ++lookTurn;
  chosen = item;
  const present = shown.filter((one) => one.ask);
  present.forEach((one) => one.grid.mark(Math.min(item, one.names.length - 1)));
  clearNearest();
  if (view !== "samples") return;
  try {
    const subjects = await Promise.all(present.map(async ({ source, ask, images, names }) => {
      const at = Math.min(item, names.length - 1);
      return { name: source.name, picture: picture(images, at), message: await looksAt(source, ask, at) };
    }));
    if (turn !== lookTurn) return;
    lookedAt = { kind: "samples", ask: main().ask, item };
    clearNearest();
    panel.show(subjects, main().labels ? `${main().names[item]}, sample ${item}` : `sample ${item}`);
    $("looks-actions").hidden = !subjects.some((subject) => subject.message.blocks.length);
    $("near-box").hidden = !main().source.data;
  } catch (error) {
    if (turn === lookTurn) failed(error);
  }
}

async function showFrame(frame, ask, item) {
  if (view !== "walk") return;
  const turn = ++lookTurn;
  const source = sources.find((one) => one.key === ask.source);
  $("looks-actions").hidden = true;
  $("near-box").hidden = true;
  try {
    const message = await looksAt(source, ask, item);
    if (turn !== lookTurn) return;
    lookedAt = { kind: "walk", ask, item };
    panel.show([{ name: source.name, picture: frame, message }], `picture ${item + 1} of the walk`);
  } catch (error) {
    if (turn === lookTurn) failed(error);
  }
}

function clearNearest() {
  $("near-pictures").replaceChildren();
  $("near-actions").hidden = true;
  $("near-hint").textContent = "";
}

async function nearest() {
  const of = lookedAt;
  $("near").disabled = true;
  $("near-hint").textContent = "reading the training pictures …";
  try {
    const { arrays, classes: names, count, data, others } = await postArrays("/api/nearest", { pictures: of.ask, item: of.item }, "near");
    if (of !== lookedAt) return;
    $("near-pictures").replaceChildren(...Array.from({ length: arrays.images.shape[0] }, (_, i) => {
      const canvas = el("canvas", { role: "img", "aria-label": `training picture, ${names[i] ?? ""}, distance ${arrays.distances.data[i].toFixed(2)}` });
      paint(canvas, ...picture(arrays.images, i));
      return el("figure", {}, canvas, el("figcaption", { className: "caption", textContent: `${names[i] ?? ""} ${arrays.distances.data[i].toFixed(2)}` }));
    }));
    $("near-hint").textContent = `The nearest of ${count.toLocaleString("en")} pictures of ${data} (those held out from training as well), by the colours of 8x8 cells (0 is equal).${others ? " These are not the pictures that it was trained on." : ""}`;
    $("near-actions").hidden = false;
    drawn("near");
  } catch (error) {
    $("near-hint").textContent = "";
    failed(error);
  } finally {
    $("near").disabled = false;
  }
}

async function saveNearest() {
  try {
    const done = await download("/api/nearest/save", { pictures: lookedAt.ask, item: lookedAt.item });
    say(`saved ${done.name}`);
    complain(null);
  } catch (error) {
    failed(error);
  }
}

// -------------------------------------------------------------------------------------------------- a picture of one's own

async function openOwn(file) {
  if (!file) return;
  const source = current();
  try {
    const { arrays } = await sendPicture(`/api/own/${source.key}?page=${PAGE}`, file);
    if (source.key !== current().key) return;
    const { data, shape: [height, width] } = arrays.image;
    const subject = { name: "discriminator", picture: [data, height, width], message: unpack(arrays.looks.data.slice().buffer) };
    const hint = `${file.name}: cut to ${height === width ? height : `${height}x${width}`} px as in training. Point at it in the panel.`;
    own = { file, source, subject, hint };
    if (view === "own") showOwn();
    complain(null);
  } catch (error) {
    failed(error);
  }
}

function showOwn() {
  lookedAt = { kind: "own", file: own.file, source: own.source };
  panel.show([own.subject], "your picture, seen by the discriminator");
  $("looks-actions").hidden = false;
  $("near-box").hidden = true;
  $("own-hint").textContent = own.hint;
  drawn("own");
}

function tellOwn() {
  const able = current()?.discriminator;
  $("drop").hidden = !able;
  $("own-hint").className = able || own ? "hint" : "empty";
  if (!own) $("own-hint").textContent = able ? "" : `${current()?.name} holds the generator only. Open the studio with the folder of a run, or a checkpoint: the discriminator is there.`;
}

// -------------------------------------------------------------------------------------------------- saving

function ownQuery(kind) {
  const [row, column] = panel.query();
  return `row=${row}&column=${column}&position=${panel.position()}&kind=${kind}`;
}

function saveBody(kind, attention) {
  const { ask, item } = lookedAt;
  if (!attention) return { pictures: view === "walk" ? walk.asked : main().ask, kind };
  return { pictures: ask, kind, looks: { pictures: ask, item }, query: panel.query(), position: panel.position() };
}

async function save(kind, attention) {
  try {
    let done;
    if (attention && lookedAt.kind === "own") {
      done = await download(`/api/own/${lookedAt.source.key}/save?${ownQuery(kind)}`, lookedAt.file);
    } else {
      done = await download("/api/save", saveBody(kind, attention));
    }
    say(`saved ${done.name}`);
    complain(null);
  } catch (error) {
    failed(error);
  }
}

async function copy(button, body) {
  try {
    const { command } = body.pictures ? await post("/api/command", body) : await get(`/api/own/${lookedAt.source.key}/command?${ownQuery("png")}`);
    await navigator.clipboard.writeText(command);
    const text = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = text; }, 1500);
    say("the command was copied");
  } catch (error) {
    failed(error);
  }
}

// -------------------------------------------------------------------------------------------------- views

function open(name) {
  lookTurn += 1;
  view = name;
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const on = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(on));
    tab.tabIndex = on ? 0 : -1;
    $(`view-${tab.id.slice(4)}`).hidden = !on;
  }
  const alone = name === "run";
  $("looks").hidden = alone;
  $("controls").hidden = alone;
  $("room").classList.toggle("solo", alone);
  if (name !== "walk") walk.stop();
  if (name === "run") runs.open(sources, (source) => source.classes ?? []);
  else runs.close();
  for (const id of ["class-field", "seed-field", "num-field", "truncation-field"]) $(id).hidden = name === "own";
  $("class-field").hidden ||= !classes.names.length;
  $("looks").hidden ||= name === "own" && !current()?.discriminator;
  if (name === "samples" && main()?.names) choose(chosen);
  if (name === "walk" && main()?.names) walk.open(chosen);
  if (name === "own") {
    tellOwn();
    if (own) {
      showOwn();
    } else {
      panel.clear(current()?.discriminator ? "Open a picture first." : "");
      $("looks-actions").hidden = true;
      $("near-box").hidden = true;
    }
  }
}

function theme(wanted) {
  document.documentElement.dataset.theme = wanted;
  $("theme").textContent = wanted === "dark" ? "Light" : "Dark";
  $("theme").setAttribute("aria-label", `Change to ${wanted === "dark" ? "light" : "dark"} colours`);
}

function listen() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  theme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => theme(dark.matches ? "dark" : "light"));
  $("theme").addEventListener("click", () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  const tabs = [...document.querySelectorAll("[role=tab]")];
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => open(tab.id.slice(4)));
    tab.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!move) return;
      const next = tabs[(i + move + tabs.length) % tabs.length];
      next.focus();
      open(next.id.slice(4));
    });
  });
  for (const id of ["seed", "num", "truncation"]) $(id).addEventListener("input", refresh);
  $("seed").addEventListener("change", () => { $("seed").value = seed(); });
  $("beside").addEventListener("change", refresh);
  $("source").addEventListener("change", () => { own = null; screenful(current()); useSource(); });
  for (const id of ["reroll", "reroll-thumb"]) $(id).addEventListener("click", () => { $("seed").value = Math.floor(Math.random() * 100000); refresh(); });
  $("near").addEventListener("click", nearest);
  $("near-save").addEventListener("click", saveNearest);
  $("file").addEventListener("change", () => {
    openOwn($("file").files[0]);
    $("file").value = ""; // so that the same one can be chosen again
  });
  const drop = $("drop");
  for (const kind of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop") openOwn(event.dataTransfer.files[0]);
    });
  }
  for (const button of document.querySelectorAll("[data-save]")) button.addEventListener("click", () => save(button.dataset.save, false));
  for (const button of document.querySelectorAll("[data-look]")) button.addEventListener("click", () => save(button.dataset.look, true));
  $("copy-samples").addEventListener("click", (event) => copy(event.target, saveBody("png", false)));
  $("copy-walk").addEventListener("click", (event) => copy(event.target, saveBody("gif", false)));
  $("copy-looks").addEventListener("click", (event) => copy(event.target, saveBody("png", true)));
}

// -------------------------------------------------------------------------------------------------- sources

function useSource() {
  const source = current();
  $("facts").textContent = factsOf(source);
  if (source.status === "ready") {
    classes.offer(source.classes);
    $("num-label").textContent = source.classes.length ? "Samples of each class" : "Samples";
  }
  refresh();
  if (view === "own") open("own");
}

/** Choose how many of each class make about a screenful. */
function screenful(source) {
  if (source.classes) $("num").value = Math.ceil(SCREENFUL / Math.max(1, Math.min(source.classes.length, SCREENFUL)));
}

function factsOf(source) {
  if (source.status === "waiting") return source.error ?? "loading …";
  if (source.status === "failed") return source.error;
  const step = source.step === undefined || source.step === null ? "" : `step ${source.step.toLocaleString("en")}`;
  const gone = source.gone ? "its folder is gone: shown is what was loaded before" : "";
  const old = source.error ? `shown is what was loaded before, for the newest could not be: ${source.error}` : "";
  const rough = source.rough ? "a first look: better statistics follow in a moment" : "";
  return [step, `${source.size} px`, source.weights, source.batch_norm, rough, gone || old].filter(Boolean).join("; ");
}

async function follow() {
  let pause = EVERY_MS;
  try {
    const told = await get("/api/state", "state");
    const before = new Map(sources.map((source) => [source.key, source]));
    sources = told.sources;
    if (!before.size) $("source").replaceChildren(...sources.map((source) => el("option", { value: source.key, textContent: source.name })));
    $("beside-box").hidden = sources.length < 2;
    const source = current();
    const was = before.get(source.key);
    const others = $("beside").checked && sources.some((one) => before.get(one.key)?.version !== one.version);
    $("facts").textContent = factsOf(source);
    if (was?.version !== source.version || others) {
      if (!was?.version) screenful(source);
      useSource();
      if (view === "run" && !was?.version) open("run");
    }
    if (sources.some((one) => one.status === "waiting" || one.rough)) pause = FIRST_MS;
    if (source.status === "failed") complain(new Error(source.error));
  } catch (error) {
    failed(error);
  }
  setTimeout(follow, pause);
}

listen();
tellControls();
follow();
