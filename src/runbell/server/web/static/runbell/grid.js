/* The matrix with script: every line at once, search and filters in place, and while editing an ARIA grid with a bar that saves.
   The server's own rows are the pattern: <template>s hold one of each thing that is drawn here. */

import { drafts } from "./grid_drafts.js";
import { watchKeys } from "./grid_keys.js";
import { areKeysOn } from "./keys.js";
import { Model } from "./matrix_model.js";

const host = document.querySelector("[data-matrix]");
const facts = JSON.parse(document.getElementById("facts").textContent);
const { words } = facts;
const form = document.getElementById("cells-form");
const isEditing = Boolean(form);
const isConflict = Boolean(document.querySelector("[data-pick]"));
const model = new Model(facts);
const table = host.querySelector("table");
const body = table.tBodies[0];
const find = host.querySelector("[data-find] input[type=search]");
const plural = new Intl.PluralRules(document.documentElement.lang);
const say = (forms, n, more = {}) => {
  const text = typeof forms === "string" ? forms : forms[plural.select(n)];
  return Object.entries({ n, ...more }).reduce((said, [name, value]) => said.replaceAll(`%(${name})s`, value), text);
};
const place = { q: find.value, show: new URLSearchParams(location.search).get("show") === "set" ? "set" : "" };
const columns = [...model.outcomes.keys()];
let shown = model.lines;

/* ---------- drawing ---------- */
const pattern = (selector) => document.querySelector(selector).content.firstElementChild;
const lasts = new Map([...host.querySelectorAll("template[data-last]")].map((one) => [one.dataset.last, one.content]));
const drawn = isEditing ? null : Object.fromEntries(["on", "via", "off"].map((id) => [id, document.getElementById(id).content]));

function drawRow(line, row) {
  line.row = row;
  line.isHidden = false;
  line.cells = [...row.cells].slice(-model.outcomes.length);
  if (isEditing) line.boxes = line.cells.map((cell) => prepare(cell, line));
  model.outcomes.forEach((_, n) => drawCell(line, n));
  if (line.now !== line.own) row.classList.add("touched");
}

function prepare(cell, line) {
  const box = cell.querySelector("input");
  cell.setAttribute("role", "gridcell");
  box.removeAttribute("name");
  box.disabled = false;
  box.tabIndex = -1;
  box.line = line;
  return box;
}

function drawCell(line, n) {
  const cell = line.cells[n];
  const isOn = model.isOn(line, n), isVia = model.isLocked(line, n), isChanged = model.isChanged(line, n);
  if (!isEditing) return cell.firstElementChild.replaceChildren(drawn[isVia ? "via" : isOn ? "on" : "off"].cloneNode(true));
  const box = line.boxes[n];
  box.checked = isOn;
  if (isVia) box.setAttribute("aria-disabled", "true"); else box.removeAttribute("aria-disabled");
  box.nextElementSibling.hidden = !isVia;
  cell.classList.toggle("changed", isChanged);
  box.setAttribute("aria-label", `${line.name}: ${facts.labels[n]}${isVia ? `, ${words.all}` : ""}${isChanged ? `, ${words.changed}` : ""}`);
}

function build() {
  const blank = pattern("#row"), rows = document.createDocumentFragment();
  const allRow = body.querySelector(".all");
  drawRow(model.everything, allRow);
  for (const line of model.lines) {
    const row = blank.cloneNode(true);
    const link = row.querySelector("a");
    link.textContent = line.name;
    link.href = facts.job + line.id;
    if (isEditing) link.tabIndex = -1;
    row.querySelector(".last > .cell").replaceChildren(lasts.get(line.last).cloneNode(true));
    drawRow(line, row);
    rows.append(row);
  }
  body.replaceChildren(allRow, rows);
  host.querySelector("[data-pages]")?.remove();
}

/* ---------- search and filters: they hide rows, so that what is set in hidden ones stays ---------- */
function filter() {
  const needle = place.q.trim().toLocaleLowerCase();
  shown = model.lines.filter((line) => {
    const isSet = place.show === "set" ? model.isSet(line) : place.show !== "changed" || line.now !== line.own;
    const isHidden = !(isSet && line.key.includes(needle));
    if (isHidden !== line.isHidden) line.row.hidden = line.isHidden = isHidden;
    return !isHidden;
  });
  host.querySelector("[data-empty]").hidden = shown.length > 0;
  for (const link of host.querySelectorAll("[data-show] a")) {
    if (link.dataset.value === place.show) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
  }
  remember();
  count();
}

/* The address bar, the way into the form and the form's own way back follow. */
function remember() {
  const here = at(location.href), edit = host.querySelector("[data-edit]");
  if (!isConflict) history.replaceState(history.state, "", here);
  if (edit) edit.href = at(edit.href);
  if (form) form.action = at(form.action);
}

function at(url) {
  const found = new URL(url);
  for (const [name, value] of Object.entries({ q: place.q.trim(), show: place.show === "set" ? "set" : "", page: "" })) {
    if (value) found.searchParams.set(name, value); else found.searchParams.delete(name);
  }
  return found.href;
}

/* ---------- counts: the filters, the strip, the heads, the bar ---------- */
function count() {
  const touched = isEditing ? model.touched() : [];
  const [all, set, changed] = ["", "set", "changed"].map((value) => host.querySelector(`[data-show] a[data-value="${value}"]`));
  all.querySelector("b").textContent = model.lines.length;
  set.querySelector("b").textContent = model.lines.filter((line) => model.isSet(line)).length;
  const strip = host.querySelector("[data-strip]");
  strip.hidden = !place.q.trim() && !place.show;
  if (!strip.hidden) {
    const hidden = touched.filter((line) => line.isHidden).length;
    const said = [say(words.shown, shown.length, { all: model.lines.length })];
    if (isEditing && shown.length) said.push(say(words.heads, shown.length));
    if (hidden) said.push(say(words.hidden, hidden));
    strip.firstElementChild.textContent = said.join(" ");
  }
  if (!isEditing) return;
  changed.hidden = !touched.length && place.show !== "changed";
  changed.querySelector("b").textContent = touched.filter((line) => line.id).length;
  drawHeads();
  drawBar(touched);
}

function drawHeads() {
  heads.forEach((box, n) => {
    const on = shown.reduce((sum, line) => sum + model.isOn(line, n), 0);
    box.checked = shown.length > 0 && on === shown.length;
    box.indeterminate = on > 0 && !box.checked;
    if (!shown.length || model.isLocked(null, n)) box.setAttribute("aria-disabled", "true"); else box.removeAttribute("aria-disabled");
  });
}

function drawBar(touched) {
  const changes = model.cells().length, bar = form.querySelector(".savebar");
  bar.hidden = !changes && !isConflict;
  bar.querySelector("[data-changes]").textContent = `${say(words.changes, changes)} ${say(words.lines, touched.length)}`;
  bar.querySelector("[data-review]").hidden = !changes;
  draft.keep(changes);
}

/* ---------- setting boxes ---------- */
function redraw(lines, columns) {
  for (const line of lines) {
    for (const n of columns) drawCell(line, n);
    line.row.classList.toggle("touched", line.now !== line.own);
  }
  count();
}

function setBoxes(boxes, isOn) {
  const free = boxes.filter(({ line, n }) => line !== model.everything && !model.isLocked(line, n));
  for (const { line, n } of free) model.set(line, n, isOn);
  redraw(new Set(free.map(({ line }) => line)), columns);
}

function setEverything(n, isOn) {
  const column = () => redraw([model.everything, ...model.lines], [n]);
  if (isOn) { model.cover(n); return column(); }
  if (!((model.everything.own >> n) & 1) || !model.lines.length) { model.set(model.everything, n, false); return column(); }
  column();  // the box stays ticked until the question is answered
  const dialog = document.getElementById("clearing");
  dialog.querySelector("h2").textContent = say(words.clear, 0, { outcome: facts.labels[n] });
  dialog.querySelector("[data-keep]").textContent = say(words.keep, model.lines.length);
  dialog.returnValue = "";
  dialog.addEventListener("close", () => {
    if (dialog.returnValue) { model.release(n, dialog.returnValue === "keep"); column(); }
    model.everything.boxes[n].focus();
  }, { once: true });
  dialog.showModal();
}

function onBox(event) {
  const box = event.target;
  const n = heads.indexOf(box);
  if (n >= 0) return setBoxes(shown.map((line) => ({ line, n })), box.checked);
  if (!box.line) return;
  const column = box.line.boxes.indexOf(box);
  if (box.line === model.everything) return setEverything(column, box.checked);
  setBoxes([{ line: box.line, n: column }], box.checked);
}

/* ---------- editing ---------- */
const heads = [];
const draft = drafts(facts, model, words, say, isConflict);

function edit() {
  table.setAttribute("role", "grid");
  [...table.tHead.rows[0].cells].slice(-model.outcomes.length).forEach((cell, n) => {
    const label = document.createElement("label"), box = document.createElement("input");
    label.className = "head-cell";
    Object.assign(box, { type: "checkbox", className: "box", tabIndex: -1 });
    box.setAttribute("aria-label", say(words.head, 0, { outcome: facts.labels[n] }));
    label.append(box, cell.querySelector(".head-cell > span"));
    cell.replaceChildren(label);
    heads.push(box);
  });
  table.addEventListener("click", (event) => { if (event.target.matches("[aria-disabled=true]")) event.preventDefault(); });
  table.addEventListener("change", onBox);
  form.querySelector("[data-review]").addEventListener("click", () => show("changed"));
  form.addEventListener("submit", submit);
  for (const radio of document.querySelectorAll("[data-pick]")) radio.addEventListener("change", () => pick(radio));
}

function submit() {
  form.querySelector("input[name=was]")?.remove();
  let cells = form.querySelector("input[name=cells]");
  if (!cells) form.append(cells = Object.assign(document.createElement("input"), { type: "hidden", name: "cells" }));
  cells.value = JSON.stringify(model.cells());
  draft.leave();
}

/* Of boxes that differ the others' value stands, until the reader's own is chosen. */
function pick(radio) {
  const mine = new Map(facts.changes.map(([id, outcome, , to]) => [`${id}:${outcome}`, to === "on"]));
  const lines = new Set();
  for (const name of radio.dataset.pick.split(" ")) {
    const [id, outcome] = name.split(":"), line = model.byId.get(Number(id)), n = model.outcomes.indexOf(outcome);
    if (!line || !mine.has(name)) continue;
    model.set(line, n, radio.value === "mine" ? mine.get(name) : (line.own >> n) & 1);
    lines.add(line);
  }
  redraw(lines, columns);
}

function show(value) {
  place.show = value;
  filter();
}

/* ---------- start ---------- */
if (isEditing) edit();
build();
filter();
if (isEditing) {
  watchKeys({ table, heads, everything: model.everything, lines: () => shown, isOn: (line, n) => model.isOn(line, n), setBoxes });
  for (const radio of document.querySelectorAll("[data-pick]:checked")) pick(radio);
  if (!isConflict && !draft.offer(() => { redraw(model.touched(), columns); })) model.everything.boxes[0].focus({ preventScroll: true });
} else {
  draft.offer();
}

find.addEventListener("input", () => { place.q = find.value; filter(); });
find.form.addEventListener("submit", (event) => event.preventDefault());
host.querySelector("[data-show]").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  show(link.dataset.value);
});
host.querySelector("[data-show-all]").addEventListener("click", (event) => {
  event.preventDefault();
  find.value = place.q = "";
  show("");
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && areKeysOn() && !event.ctrlKey && !event.metaKey && !event.target.closest("input:not(.box), select, textarea, dialog")) {
    event.preventDefault();
    find.focus();
  } else if (event.key === "Escape" && event.target === find) {
    (isEditing ? table.querySelector("[tabindex='0']") : find)?.focus();
    if (!isEditing) find.blur();
  }
});
