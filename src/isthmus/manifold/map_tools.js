// What the page does beside showing samples: pictures over the points, selections, colours, search, legend and keys.

const over = map.querySelector(".over"), nothing = element("nothing"), picked = element("picked");
const SMALL = 40, MOST_SMALL = 1500; // pixels of a thumbnail, and samples in the view up to which there are some

function paintOver() {
  const context = over.getContext("2d"), found = inView(MOST_SMALL);
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  context.clearRect(0, 0, width, height);
  nothing.hidden = found.length > 0;
  if (content.form !== "values" && found.length <= MOST_SMALL && view.scale > 1.9 * fit) drawThumbnails(context, found);
  if (!lasso) return;
  context.beginPath();
  for (const place of lasso) context.lineTo(...toScreen(...place));
  context.closePath();
  Object.assign(context, { fillStyle: color("--ink"), strokeStyle: color("--ink"), lineWidth: 1.5, globalAlpha: 0.08 });
  context.fill("evenodd");
  context.globalAlpha = 1;
  context.stroke();
}

// The first come keep their places; the samples that one would cover stay points
function drawThumbnails(context, found) {
  const taken = new Map(), lines = content.form === "lines", { width: w, height: h } = content.sheets ?? {};
  const [wide, high] = lines ? [SMALL, SMALL / 2] : [w, h].map((side) => (SMALL * side) / Math.max(w, h));
  context.lineWidth = 2;
  for (const i of found) {
    const [x, y] = toScreen(points[2 * i], points[2 * i + 1]), column = Math.floor(x / SMALL), line = Math.floor(y / SMALL);
    let free = true;
    for (let c = column - 1; c <= column + 1; c++) {
      for (let l = line - 1; l <= line + 1; l++) {
        const [a, b] = taken.get(`${c} ${l}`) ?? [Infinity, 0];
        if (Math.abs(a - x) < wide + 4 && Math.abs(b - y) < high + 4) free = false;
      }
    }
    if (!free) continue;
    taken.set(`${column} ${line}`, [x, y]);
    const [left, top] = [x - wide / 2, y - high / 2];
    context.globalAlpha = selected && !selected[i] ? 0.25 : 1;
    if (lines) {
      context.fillStyle = color("--paper");
      context.fillRect(left, top, wide, high);
      context.save();
      context.translate(left, top);
      drawLines(context, i, wide, high, 0.7);
      context.restore();
    } else if (!drawPicture(context, i, left, top, wide, high)) {
      sheet(i).decode().then(redraw, () => {});
    }
    const ink = scale ? ramp()[scale.of[i]] : rgb(hue(classes ? classes.of[i] : 0));
    context.strokeStyle = `rgb(${ink.join(" ")})`;
    context.lineWidth = 2;
    context.strokeRect(left, top, wide, high);
  }
  context.globalAlpha = 1;
}

// Selections

function select(chosen) {
  selected = chosen;
  const some = chosen ? chosen.reduce((sum, one) => sum + one, 0) : 0;
  if (!some) selected = null;
  picked.hidden = !some;
  element("howmany").textContent = `${some.toLocaleString("en")} selected`;
  recolor();
}

function selectWithin(polygon) {
  select(Uint8Array.from({ length: count }, (_, i) => visible(i) && within(points[2 * i], points[2 * i + 1], polygon)));
}

// Whether a ray from the place crosses the outline an odd number of times
function within(x, y, polygon) {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [ax, ay] = polygon[i], [bx, by] = polygon[j];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

// A text that a spreadsheet would take for a formula gets a quote before it
function csvField(value) {
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function csv() {
  const chosen = [...indices.keys()].filter((i) => selected[i]).sort((a, b) => indices[a] - indices[b]);
  const place = (i, axis) => content.low[axis] + content.side * points[2 * i + axis];
  const columns = { sample: (i) => indices[i], x: (i) => place(i, 0), y: (i) => place(i, 1) };
  if (classes) columns.label = (i) => classes.names[classes.of[i]];
  if (content.files.length) columns.file = (i) => content.files[i];
  const lines = [Object.keys(columns), ...chosen.map((i) => Object.values(columns).map((of) => of(i)))];
  return lines.map((line) => `${line.map(csvField).join(",")}\r\n`).join("");
}

element("export").onclick = () => {
  const url = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  Object.assign(document.createElement("a"), { href: url, download: "selection.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
};
element("drop").onclick = () => select(null);
element("lasso").onclick = () => {
  lassoing = !lassoing;
  element("lasso").setAttribute("aria-pressed", String(lassoing));
  map.classList.toggle("lassoing", lassoing);
};

// Search: the number of a sample, else all whose label or file holds the text

const finder = element("find"), input = finder.querySelector("input");
input.placeholder = `Find a number${classes ? ", label" : ""}${content.files.length ? ", file" : ""}`;
finder.onsubmit = (event) => {
  event.preventDefault();
  const text = input.value.trim(), said = element("said");
  said.textContent = "";
  if (!text) return;
  const found = search(text);
  if (!found.length) return void (said.textContent = `no sample ${text} on this map`);
  for (const i of found) if (classes) hidden.delete(classes.of[i]);
  if (classes) press();
  if (found.length === 1) {
    const [i] = found;
    show(i, true);
    return glide(points[2 * i], points[2 * i + 1], Math.max(view.scale, 6 * fit));
  }
  const chosen = new Uint8Array(count);
  for (const i of found) chosen[i] = 1;
  select(chosen);
  everything();
};

// A label of just that text goes before the number of a sample, and that before parts of names
function search(text) {
  const all = Array.from({ length: count }, (_, i) => i), sought = text.toLowerCase();
  const number = /^#?[\d,]+$/.test(text) ? indices.indexOf(Number(text.replace("#", "").replaceAll(",", ""))) : -1;
  const label = (i) => (classes ? classes.names[classes.of[i]].toLowerCase() : "");
  if (number < 0 || !text.startsWith("#")) {
    const called = all.filter((i) => classes && label(i) === sought);
    if (called.length) return called;
  }
  if (number >= 0) return [number];
  return all.filter((i) => label(i).includes(sought) || (content.files[i] ?? "").toLowerCase().includes(sought));
}

// What points are coloured by

function colorBy(number) {
  scale = number < 0 ? null : scales[number];
  element("ramp").hidden = !scale;
  if (scale) [element("low").textContent, element("high").textContent] = [scale.low, scale.high];
  legend.classList.toggle("plain", scale !== null);
  recolor();
}

const chooser = element("by");
if (scales.length) {
  const first = classes && classes.hues.length ? "label" : "one colour";
  [first, ...scales.map((one) => one.name)].forEach((name, at) => chooser.append(new Option(name, String(at - 1))));
  chooser.onchange = () => colorBy(Number(chooser.value));
  chooser.parentElement.hidden = false;
}

// Keys and buttons

const everything = () => glide(0.5, 0.5, fit);
const keys = {
  ArrowLeft: () => look(view.x - (0.1 * width) / view.scale, view.y, view.scale),
  ArrowRight: () => look(view.x + (0.1 * width) / view.scale, view.y, view.scale),
  ArrowUp: () => look(view.x, view.y + (0.1 * height) / view.scale, view.scale),
  ArrowDown: () => look(view.x, view.y - (0.1 * height) / view.scale, view.scale),
  "+": () => zoom(1.4),
  "=": () => zoom(1.4),
  "-": () => zoom(1 / 1.4),
  0: everything,
  Enter: () => show(nearest(view.x, view.y, (0.5 * Math.min(width, height)) / view.scale), true),
  Escape: () => (show(-1, true), select(null)),
};
// On the whole page, but for where a key has a meaning of its own: in fields, and Enter on buttons
document.addEventListener("keydown", (event) => {
  const own = event.target.closest("input, select") || (event.key === "Enter" && event.target.closest("button"));
  if (own || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});
element("in").onclick = () => glide(view.x, view.y, 2 * view.scale);
element("out").onclick = () => glide(view.x, view.y, view.scale / 2);
element("reset").onclick = everything;
element("back").onclick = () => {
  hidden.clear();
  if (classes) press();
  everything();
};

// The legend

function press() {
  for (const key of legend.querySelectorAll("[data-class]")) {
    key.setAttribute("aria-pressed", String(!hidden.has(Number(key.dataset.class))));
  }
  if (element("all")) element("all").hidden = !hidden.size;
  if (kept >= 0 && !visible(kept)) kept = -1;
  if (shown >= 0 && !visible(shown)) show(kept);
  recolor();
}
if (classes && classes.names.length <= MOST_CLASSES) {
  const sizes = new Uint32Array(classes.names.length);
  for (const k of classes.of) sizes[k]++;
  classes.names.forEach((text, k) => {
    const [key, dot, name, size] = ["button", "i", "span", "small"].map((tag) => document.createElement(tag));
    Object.assign(key, { className: "class", title: "Click: show or hide. Double click: show alone." });
    key.dataset.class = k;
    [name.textContent, size.textContent] = [text, sizes[k].toLocaleString("en")];
    key.append(dot, name, size);
    key.onclick = () => (hidden.delete(k) || hidden.add(k), press());
    key.ondblclick = () => {
      const alone = hidden.size === classes.names.length - 1 && !hidden.has(k);
      hidden.clear();
      if (!alone) classes.names.forEach((_, other) => other !== k && hidden.add(other));
      press();
    };
    legend.append(key);
  });
  const all = Object.assign(document.createElement("button"), { id: "all", textContent: "show all" });
  all.onclick = () => (hidden.clear(), press());
  legend.append(all);
  legend.hidden = false;
}
if (content.land) {
  const box = element("switch");
  box.hidden = false;
  box.firstElementChild.onchange = (event) => {
    land.src ||= content.land;
    land.hidden = !event.target.checked;
    land.decode().then(redraw, () => {});
  };
}

// Begin

canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
canvas.addEventListener("webglcontextrestored", () => ((painter = graphicsPainter(canvas, points)), recolor()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolor);
new ResizeObserver(resize).observe(map);
resize();
if (classes && classes.names.length <= MOST_CLASSES) press();
else recolor();
