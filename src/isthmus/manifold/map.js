"use strict";
// The map of a data set. Places are in shares of the frame, x to the right and y up; a view is the place in the middle
// of the screen and the pixels of one share.

const element = (id) => document.getElementById(id);
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const content = JSON.parse(element("content").textContent);
element("content").remove();
const points = new Float32Array(bytes(content.points).buffer);
const indices = new Uint32Array(bytes(content.indices).buffer);
const classes = content.classes && { ...content.classes, of: new Uint32Array(bytes(content.classes.of).buffer) };
const count = indices.length;
const hidden = new Set(); // classes that are not shown
const scales = content.scales.map((scale) => ({ ...scale, of: bytes(scale.of) })); // 255 levels, and 255 where missing
let scale = null; // what points are coloured by, where that is not their class
let selected = null; // 1 for each sample that is selected
let lassoing = false, lasso = null; // whether a drag selects, and the places it has gone through
const map = element("map"), canvas = map.querySelector("canvas"), card = element("card"), ring = element("ring");
const legend = document.querySelector(".legend");
const FAR = 14; // pixels from the pointer within which a sample is found
const QUICK = 8; // milliseconds that painting may take while the view moves
const MOST_ZOOM = 400, MOST_CLASSES = 200;

// Colours

const style = getComputedStyle(document.documentElement);
const color = (name) => style.getPropertyValue(name).trim();
const rgb = (name) => [1, 3, 5].map((at) => parseInt(color(name).slice(at, at + 2), 16));
const hue = (k) => (classes && classes.hues.length ? `--class-${classes.hues[k]}` : "--cool");

function colors() {
  const all = new Uint8Array(4 * count);
  const crowd = Math.min(1, Math.max(0, Math.log10(count / 1000) / 2)); // 0 up to 1,000 points, 1 from 100,000
  const alpha = 255 * (classes && classes.hues.length ? 0.85 - 0.3 * crowd : 0.75 - 0.35 * crowd);
  const palette = scale ? ramp() : (classes ? classes.names : [""]).map((_, k) => rgb(hue(k)));
  for (let i = 0; i < count; i++) {
    const ink = palette[scale ? scale.of[i] : classes ? classes.of[i] : 0];
    if (visible(i)) all.set([...ink, selected && !selected[i] ? 0.12 * alpha : alpha], 4 * i);
  }
  return all;
}

const visible = (i) => !(classes && hidden.has(classes.of[i]));

// By way of a brighter colour: straight on, all between would be mud
function ramp() {
  const [low, middle, high, missing] = ["--cool", "--class-1", "--warm", "--faint"].map(rgb);
  const mixed = (a, b, share) => a.map((part, axis) => part + (b[axis] - part) * share);
  const level = (l) => (l < 127 ? mixed(low, middle, l / 127) : mixed(middle, high, (l - 127) / 127));
  return [...Array.from({ length: 255 }, (_, l) => level(l)), missing];
}

// The view

let painter = graphicsPainter(canvas, points) || plainPainter(canvas, points);
let width = 0, height = 0, fit = 1, waiting = false, gliding = 0;
let moved = -1e9, thin = 1, rest = 0; // when the view changed; one point in so many is painted then; the whole later
const view = { x: 0.5, y: 0.5, scale: 0 };
const land = element("land");
const labels = classes && classes.hues.length ? classes.names.map(label) : [];

function label(text, k) {
  const made = document.createElement("div");
  made.className = "name";
  made.textContent = text.length > 24 ? `${text.slice(0, 22)}…` : text;
  element("names").append(made);
  return { made, k, width: made.offsetWidth, height: made.offsetHeight };
}

const toScreen = (x, y) => [width / 2 + (x - view.x) * view.scale, height / 2 - (y - view.y) * view.scale];
const toPlace = (x, y) => [view.x + (x - width / 2) / view.scale, view.y - (y - height / 2) / view.scale];

function redraw() {
  if (!waiting) requestAnimationFrame(paint);
  waiting = true;
}

function paint() {
  waiting = false;
  const zoom = view.scale / fit;
  const dot = Math.min(14, Math.min(6, Math.max(2, (0.62 * fit) / Math.sqrt(count))) * Math.max(1, zoom) ** 0.45);
  const before = performance.now(), moving = before - moved < 150;
  painter.paint(view, land.hidden ? dot : 0.7 * dot, painter.ratio(), moving ? thin : 1);
  if (moving) {
    // Neighbours follow each other in the data, so that one point in a few shows the same shapes, for a moment
    thin = Math.min(16, Math.max(1, Math.round((thin * (performance.now() - before)) / QUICK)));
    clearTimeout(rest);
    rest = setTimeout(redraw, 200);
  }
  placeNames();
  const [x, y] = toScreen(0, 1);
  if (!land.hidden) land.style.transform = `translate(${x}px, ${y}px) scale(${view.scale / land.naturalWidth})`;
  paintOver();
  if (shown >= 0) placeCard();
}

function placeNames() {
  const taken = [];
  for (const { made, k, width: w, height: h } of labels) {
    const [x, y] = toScreen(...classes.anchors[k]);
    const box = [x - w / 2, y - h / 2, x + w / 2, y + h / 2];
    const apart = (b) => box[0] > b[2] || box[2] < b[0] || box[1] > b[3] || box[3] < b[1];
    const free = !hidden.has(k) && taken.every(apart);
    made.style.visibility = free ? "" : "hidden";
    if (free) taken.push(box), (made.style.transform = `translate(${box[0]}px, ${box[1]}px)`);
  }
}

function look(x, y, scale) {
  view.scale = Math.min(Math.max(scale, 0.5 * fit), MOST_ZOOM * fit);
  view.x = Math.min(Math.max(x, -0.5), 1.5);
  view.y = Math.min(Math.max(y, -0.5), 1.5);
  moved = performance.now();
  redraw();
}

function zoom(factor, x = width / 2, y = height / 2) {
  const [px, py] = toPlace(x, y), scale = Math.min(Math.max(view.scale * factor, 0.5 * fit), MOST_ZOOM * fit);
  look(px - (x - width / 2) / scale, py + (y - height / 2) / scale, scale);
}

function glide(x, y, scale) {
  const from = { ...view }, start = performance.now(), turn = ++gliding;
  const length = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1 : 320;
  const step = (now) => {
    if (turn !== gliding) return;
    const t = Math.min(1, Math.max(0, (now - start) / length)), s = t * t * (3 - 2 * t);
    look(from.x + (x - from.x) * s, from.y + (y - from.y) * s, from.scale * (scale / from.scale) ** s);
    if (t < 1) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

function resize() {
  const before = fit;
  [width, height] = [map.clientWidth, map.clientHeight];
  fit = 0.97 * Math.max(1, Math.min(width, height));
  [canvas.width, canvas.height] = [width, height].map((side) => Math.max(1, Math.round(side * painter.ratio())));
  [over.width, over.height] = [width, height].map((side) => Math.max(1, Math.round(side * devicePixelRatio)));
  look(view.x, view.y, view.scale ? (view.scale * fit) / before : fit);
}

function recolor() {
  painter.recolor(colors(), rgb("--paper"));
  for (const key of legend.querySelectorAll("[data-class]")) {
    key.firstChild.style.background = color(hue(key.dataset.class));
  }
  redraw();
}

// The sample at a place: cells of a grid hold their samples one after another

const CELLS = 128;
const cell = (share) => Math.min(CELLS - 1, Math.max(0, Math.floor(share * CELLS)));
const starts = new Uint32Array(CELLS * CELLS + 1), members = new Uint32Array(count);
for (let i = 0; i < count; i++) starts[cell(points[2 * i + 1]) * CELLS + cell(points[2 * i]) + 1]++;
for (let c = 0; c < CELLS * CELLS; c++) starts[c + 1] += starts[c];
const next = starts.slice();
for (let i = 0; i < count; i++) members[next[cell(points[2 * i + 1]) * CELLS + cell(points[2 * i])]++] = i;

function nearest(x, y, reach) {
  let best = -1, least = reach * reach;
  for (let row = cell(y - reach); row <= cell(y + reach); row++) {
    for (let m = starts[row * CELLS + cell(x - reach)]; m < starts[row * CELLS + cell(x + reach) + 1]; m++) {
      const i = members[m], away = (points[2 * i] - x) ** 2 + (points[2 * i + 1] - y) ** 2;
      if (away <= least && visible(i)) [best, least] = [i, away];
    }
  }
  return best;
}

// Samples that can be seen in the view, at most so many and one more
function inView(most) {
  const found = [], [left, top] = toPlace(0, 0), [right, bottom] = toPlace(width, height);
  for (let row = cell(bottom); row <= cell(top); row++) {
    for (let m = starts[row * CELLS + cell(left)]; m < starts[row * CELLS + cell(right) + 1]; m++) {
      const i = members[m], x = points[2 * i], y = points[2 * i + 1];
      if (x < left || x > right || y < bottom || y > top || !visible(i)) continue;
      if (found.push(i) > most) return found;
    }
  }
  return found;
}

// The card of a sample

let shown = -1, kept = -1; // the sample of the card, and the one that a click has kept
const sheets = []; // unpacked when they are first needed

function show(i, keep = false) {
  if (i !== shown && i >= 0) {
    const title = document.createElement("strong"), name = document.createElement("span");
    title.textContent = classes ? classes.names[classes.of[i]] : content.files[i] || `sample ${indices[i]}`;
    name.textContent = [classes && content.files[i], `sample ${indices[i]}`].filter(Boolean).join(" · ");
    card.replaceChildren(preview(i), title, ...(classes || content.files[i] ? [name] : []));
    card.dataset.index = indices[i];
  }
  if (keep) kept = i;
  shown = i;
  card.hidden = ring.hidden = i < 0;
  if (i >= 0) placeCard();
}

function placeCard() {
  const [x, y] = toScreen(points[2 * shown], points[2 * shown + 1]);
  const left = x + 18 + card.offsetWidth > width ? x - 18 - card.offsetWidth : x + 18;
  const top = Math.min(Math.max(8, y - card.offsetHeight / 2), height - card.offsetHeight - 8);
  card.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  ring.style.transform = `translate(${x}px, ${y}px)`;
}

function preview(i) {
  if (content.form === "values") return row(i);
  const made = document.createElement("canvas"), ratio = Math.ceil(devicePixelRatio);
  const lines = content.form === "lines";
  const { width: w, height: h } = lines ? { width: 220, height: 96 } : content.sheets;
  const times = lines ? 1 : Math.max(1, 128 / Math.max(w, h));
  [made.width, made.height] = [w, h].map((side) => Math.round(side * times * ratio));
  made.style.width = `${made.width / ratio}px`;
  const context = made.getContext("2d");
  if (lines) {
    drawLines(context, i, made.width, made.height, ratio);
    return made;
  }
  context.imageSmoothingEnabled = Math.max(w, h) >= 48;
  const draw = () => drawPicture(context, i, 0, 0, made.width, made.height) || sheet(i).decode().then(draw, () => {});
  draw();
  return made;
}

function sheet(i) {
  const n = Math.floor(i / content.sheets.across ** 2);
  return (sheets[n] ??= Object.assign(new Image(), { src: content.sheets.uris[n] }));
}

// Whether the sample's picture was there to be drawn
function drawPicture(context, i, x, y, wide, high) {
  const { across, width: w, height: h } = content.sheets, k = i % (across * across);
  if (!sheet(i).complete) return false;
  context.drawImage(sheet(i), (k % across) * w, Math.floor(k / across) * h, w, h, x, y, wide, high);
  return true;
}

function drawLines(context, i, w, h, ratio) {
  const [channels, steps] = content.lines.shape, of = (content.lines.array ??= bytes(content.lines.of));
  context.strokeStyle = color("--ink");
  context.lineWidth = 1.4 * ratio;
  context.lineJoin = "round";
  for (let c = 0; c < channels; c++) {
    context.beginPath();
    for (let s = 0; s < steps; s++) {
      const level = of[(i * channels + c) * steps + s] / 255;
      context.lineTo(((s + 0.5) / steps) * w, ((c + 0.95 - 0.9 * level) / channels) * h);
    }
    context.stroke();
  }
}

function row(i) {
  const columns = content.values.columns;
  const of = (content.values.array ??= new Float32Array(bytes(content.values.of).buffer));
  const list = document.createElement("dl");
  columns.forEach((name, k) => {
    const [term, value] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    value.textContent = String(Number(of[i * columns.length + k].toPrecision(5)));
    list.append(term, value);
  });
  return list;
}

// Pointers: one drags, two pinch, a still one finds; a click keeps what was found

const pointers = new Map();
let travelled = 0;

const at = (event) => {
  const box = map.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

// What the pointer is at; where that is nothing, the sample that a click has kept, which a click into nothing lets go
function find(x, y, keep) {
  const found = nearest(...toPlace(x, y), FAR / view.scale);
  show(found < 0 && !keep ? kept : found, keep);
}

map.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  if (!pointers.size) travelled = 0;
  pointers.set(event.pointerId, at(event));
  map.setPointerCapture(event.pointerId);
  gliding++;
  if ((lassoing || event.shiftKey) && pointers.size === 1) lasso = [toPlace(...at(event))];
});
map.addEventListener("pointermove", (event) => {
  const now = at(event), before = pointers.get(event.pointerId);
  if (!before) return find(...now, false);
  travelled += Math.hypot(now[0] - before[0], now[1] - before[1]);
  pointers.set(event.pointerId, now);
  if (travelled < 4) return;
  if (lasso) return lasso.push(toPlace(...now)), redraw();
  map.classList.add("dragged");
  show(kept);
  if (pointers.size === 1) {
    const [x, y] = [0, 1].map((axis) => (now[axis] - before[axis]) / view.scale);
    return look(view.x - x, view.y + y, view.scale);
  }
  const other = [...pointers.entries()].find(([id]) => id !== event.pointerId)[1];
  const apart = (p) => Math.max(10, Math.hypot(p[0] - other[0], p[1] - other[1]));
  zoom(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
});
for (const kind of ["pointerup", "pointercancel"]) {
  map.addEventListener(kind, (event) => {
    if (!pointers.delete(event.pointerId)) return;
    if (!pointers.size) map.classList.remove("dragged");
    if (kind === "pointerup" && travelled < 4) find(...at(event), true);
    else if (kind === "pointerup" && lasso) selectWithin(lasso);
    lasso = null;
    redraw();
  });
}
map.addEventListener("pointerleave", () => show(kept));
map.addEventListener("wheel", (event) => {
  event.preventDefault();
  gliding++;
  const pixels = event.deltaY * (event.deltaMode ? 18 : 1);
  zoom(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.002)), ...at(event));
  find(...at(event), false);
}, { passive: false });
