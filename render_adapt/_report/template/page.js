
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const NO_FIDELITY = 65535;
const DOUBTFUL = 0.01;

// Text is only ever set as text: names come from files.
function make(tag, properties = {}, ...children) {
  const svg = ["svg", "path", "rect", "text", "title"].includes(tag);
  const element = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

function column(name, bytes = 1) {
  const text = atob(data.points.columns[name]);
  const values = new (bytes === 2 ? Uint16Array : Uint8Array)(text.length / bytes);
  for (let i = 0; i < values.length; i++) {
    values[i] = text.charCodeAt(i * bytes) | (bytes === 2 ? text.charCodeAt(i * 2 + 1) << 8 : 0);
  }
  return values;
}

const points = {
  object: column("object", 2),
  cell: column("cell", 2),
  turn: column("turn"),
  distance: column("distance"),
  visible: column("visible"),
  fidelity: data.fidelity ? column("fidelity", 2) : null,
};
const STEPS = data.points.steps;
const number = (value) => value.toLocaleString("en-US");
function share(value) {
  if (value > 0 && value < 0.0005) return "<0.001";
  return value.toFixed(value > 0 && value < 0.0995 ? 3 : 2);
}
const percent = (part, whole) => `${whole ? Math.round((100 * part) / whole) : 0} %`;

const state = { objects: new Set(), low: 0, high: STEPS, order: "number", by: "crops" };
const isAll = () => !state.objects.size && state.low === 0 && state.high === STEPS;

const isChosen = (object) => !state.objects.size || state.objects.has(object);
function isInRange(fidelity) {
  if (state.low === 0 && state.high === STEPS) return true;
  return fidelity !== NO_FIDELITY && fidelity >= state.low && fidelity <= state.high;
}

// Head and figures

byId("name").textContent = data.name;
document.title = `${data.name} – render-adapt report`;
const noun = `${data.what}s`;
const first = data.shown[0];
byId("line").textContent = [
  `${number(data.crops)} ${noun} of ${number(data.objects.length)} object${data.objects.length === 1 ? "" : "s"}`,
  first && `${first.size[0]} × ${first.size[1]} px`,
  data.isAdapted ? `adapted${data.adapter.name ? ` by ${data.adapter.name}` : ""}` : "plain renders",
  `seed ${data.seed}`,
].filter(Boolean).join("  ·  ");

function figure(name, value, more = "") {
  return make("div", {}, make("dt", {}, name), make("dd", {}, value, make("small", {}, more)));
}

function drawFigures() {
  const megabytes = data.bytes / 1e6;
  const size = megabytes < 1000 ? `${megabytes.toFixed(1)}` : `${(megabytes / 1000).toFixed(1)}`;
  const list = make("dl", {},
    figure(noun[0].toUpperCase() + noun.slice(1), number(data.crops), data.complete ? "" : ` of ${number(data.planned)}`),
    figure("Objects", number(data.objects.length)),
    figure("On disk", size, megabytes < 1000 ? " MB" : " GB"),
    figure("Visible, median", `${Math.round(100 * data.visible)}`, " %"));
  if (data.fidelity) {
    list.append(
      figure("Fidelity, median", share(data.fidelity.median)),
      figure(`Below ${DOUBTFUL}`, (100 * data.fidelity.doubtful / data.fidelity.scored).toFixed(1), " %"));
  }
  byId("figures").append(list);
  const verdict = data.isAdapted && data.adapter.rows.find(([name]) => name === "verdict");
  if (verdict) byId("figures").append(make("p", { class: "note" }, `The adapter is ${verdict[1]}.`));
  if (!data.complete) {
    byId("figures").append(make("p", { class: "note" },
      "This run has not finished: the same command continues it, and a new report will show the rest."));
  }
}

// Charts

function bars(title, ends, bins) {
  const svg = make("svg", { viewBox: `0 0 ${bins} 1`, preserveAspectRatio: "none", role: "img" });
  const rows = [];
  for (let bin = 0; bin < bins; bin++) {
    const all = make("rect", { class: "all", x: bin + 0.06, width: 0.88 });
    const some = make("rect", { class: "some", x: bin + 0.06, width: 0.88 });
    svg.append(all, some);
    rows.push([all, some]);
  }
  const element = make("figure", { class: "chart" },
    title && make("figcaption", { class: "title" }, title), svg,
    make("div", { class: "ends" }, ...ends.map((end) => make("span", {}, end))));
  const height = (rect, value) => {
    rect.setAttribute("height", value);
    rect.setAttribute("y", 1 - value);
  };
  return { element, draw(all, some) {
    const most = Math.max(...all, 1);
    rows.forEach(([behind, before], bin) => {
      height(behind, all[bin] / most);
      height(before, some[bin] / most);
    });
    const total = some.reduce((sum, value) => sum + value, 0);
    svg.setAttribute("aria-label", `${title || "Fidelity"}: ${ends[0]} to ${ends[ends.length - 1]}, ${number(total)} ${noun}`);
  } };
}

function counts(values, bins, kept, scale = 1) {
  const result = new Array(bins).fill(0);
  for (let i = 0; i < values.length; i++) {
    if (!kept || kept[i]) result[Math.min(Math.floor(values[i] * scale), bins - 1)]++;
  }
  return result;
}

const [near, far] = data.points.distances;
const charts = [
  ["distance", bars("Distance", [`${Math.round(near)} mm`, `${Math.round(far)} mm`], 36)],
  ["turn", bars("Turn in the image", ["−180°", "upright", "180°"], 36)],
  ["visible", bars("Visible share", ["0 %", "100 %"], 36)],
];
const FIDELITY_BINS = 40;
const fidelityChart = bars("", ["0", "0.5", "1"], FIDELITY_BINS);
const everything = Object.fromEntries(charts.map(([name]) => [name, counts(points[name], 36)]));

function fidelityCounts(kept) {
  const result = new Array(FIDELITY_BINS).fill(0);
  points.fidelity.forEach((value, i) => {
    if (value !== NO_FIDELITY && (!kept || kept[i])) {
      result[Math.min(Math.floor((value * FIDELITY_BINS) / STEPS), FIDELITY_BINS - 1)]++;
    }
  });
  return result;
}
const allFidelity = points.fidelity && fidelityCounts(null);

// The view sphere: two halves in Lambert's equal-area projection, cells of the same solid angle

const HALF = 4 * data.rings * data.rings;
const discs = [];

function sector(ring, place) {
  const [inner, outer] = [ring / data.rings, (ring + 1) / data.rings];
  const step = (2 * Math.PI) / (4 * (2 * ring + 1));
  const [from, to] = [place * step, (place + 1) * step];
  const at = (radius, angle) => `${(radius * Math.cos(angle)).toFixed(4)} ${(-radius * Math.sin(angle)).toFixed(4)}`;
  const back = inner ? `L${at(inner, to)}A${inner} ${inner} 0 0 1 ${at(inner, from)}` : "L0 0";
  return `M${at(outer, from)}A${outer} ${outer} 0 0 0 ${at(outer, to)}${back}Z`;
}

function cellName(ring, place, below) {
  const degrees = (radius) => Math.round((Math.asin(1 - radius * radius) * 180) / Math.PI) * (below ? -1 : 1);
  const step = 360 / (4 * (2 * ring + 1));
  return `elevation ${degrees((ring + 1) / data.rings)}° to ${degrees(ring / data.rings)}°, azimuth ${Math.round(place * step)}° to ${Math.round((place + 1) * step)}°`;
}

function disc(below) {
  const svg = make("svg", { class: "disc", viewBox: "-1.14 -1.14 2.28 2.28", role: "img" });
  const cells = [];
  for (let ring = 0; ring < data.rings; ring++) {
    for (let place = 0; place < 4 * (2 * ring + 1); place++) {
      const title = make("title");
      const path = make("path", { d: sector(ring, place) }, title);
      svg.append(path);
      cells.push({ path, title, name: cellName(ring, place, below) });
    }
  }
  for (const [x, y, text] of [[1.08, 0.03, "x"], [0, -1.05, "y"]]) {
    svg.append(make("text", { x, y }, text));
  }
  const caption = make("figcaption");
  discs.push({ svg, cells, caption, below });
  return make("figure", {}, svg, caption);
}

function drawDiscs(kept) {
  const crops = new Array(2 * HALF).fill(0);
  const sums = new Array(2 * HALF).fill(0);
  const scored = new Array(2 * HALF).fill(0);
  for (let i = 0; i < points.cell.length; i++) {
    if (!kept[i]) continue;
    const cell = points.cell[i];
    crops[cell]++;
    if (points.fidelity && points.fidelity[i] !== NO_FIDELITY) {
      scored[cell]++;
      sums[cell] += points.fidelity[i] / STEPS;
    }
  }
  // One crowded cell must not pale the others.
  const filled = crops.filter((count) => count).sort((a, b) => a - b);
  const most = filled[Math.floor(0.98 * (filled.length - 1))] ?? 1;
  const byFidelity = state.by === "fidelity";
  for (const half of discs) {
    const start = half.below ? HALF : 0;
    let seen = 0;
    half.svg.classList.toggle("by-fidelity", byFidelity);
    half.cells.forEach(({ path, title, name }, place) => {
      const cell = start + place;
      const count = crops[cell];
      const mean = scored[cell] ? sums[cell] / scored[cell] : null;
      seen += count > 0;
      const blank = byFidelity ? mean === null : count === 0;
      path.classList.toggle("empty", blank);
      const value = byFidelity ? mean : 0.12 + 0.88 * Math.min(count / most, 1);
      path.style.setProperty("--p", blank ? "0%" : `${(100 * value).toFixed(1)}%`);
      title.textContent = `${name}: ${number(count)} ${noun}${mean === null ? "" : `, fidelity ${share(mean)}`}`;
    });
    const side = half.below ? "below" : "above";
    half.caption.textContent = `From ${side}: ${percent(seen, HALF)} of the directions`;
    half.svg.setAttribute("aria-label", half.caption.textContent);
  }
  byId("ramp").classList.toggle("by-fidelity", byFidelity);
  byId("ramp").replaceChildren(
    byFidelity ? "fidelity 0" : "0", make("i"), byFidelity ? "1" : `${number(most)} or more in a cell`);
}

function segments(name, choices, onChange) {
  const boxes = choices.map(([value, text], place) => make("label", {},
    make("input", { type: "radio", name, value, checked: place === 0, onchange: () => onChange(value) }), text));
  return make("span", { class: "segments", role: "radiogroup", "aria-label": name }, ...boxes);
}

function drawViews() {
  const section = byId("views");
  const hasBelow = points.cell.some((cell) => cell >= HALF);
  const body = make("div", { class: "views" }, disc(false), hasBelow ? disc(true) : null,
    make("div", { class: "charts" }, ...charts.map(([, chart]) => chart.element)));
  body.style.setProperty("--discs", hasBelow ? 2 : 1);
  const head = make("div", { class: "head" }, section.firstElementChild,
    make("small", {}, "from where the objects are seen, in their own axes"),
    make("span", { class: "push ramp", id: "ramp" }),
    points.fidelity && segments("Colour of the cells", [["crops", "count"], ["fidelity", "fidelity"]], (value) => {
      state.by = value;
      update();
    }));
  section.append(head, body);
  if (data.objects.some((object) => object.symmetric)) {
    section.append(make("small", {}, "Symmetric objects have canonical poses, which fill only a part of the sphere."));
  }
}

// Crops

const LABELS = {
  render: "render",
  adapted: "adapted",
  picture: "picture",
  depth: "depth",
  nearest: "nearest real crop",
};
const outlined = data.isAdapted ? "adapted" : "picture";
const cards = [];

function picture(crop, name) {
  const image = make("img", {
    src: crop.pictures[name], alt: LABELS[name], width: crop.size[0], height: crop.size[1], decoding: "async",
  });
  const element = make("span", { class: "picture" }, image);
  if (name === outlined) {
    element.append(make("svg", { viewBox: `0 0 ${crop.size[0]} ${crop.size[1]}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      ...crop.outlines.map((d, place) => make("path", { d, class: place ? null : "target" })).reverse()));
  }
  return element;
}

function score(crop) {
  if (crop.fidelity === null) return null;
  return make("span", { class: crop.fidelity < DOUBTFUL ? "score low" : "score" }, share(crop.fidelity));
}

const nameOf = (crop) => data.objects[crop.object].name;

function card(crop, short) {
  const names = short ? [outlined] : Object.keys(crop.pictures);
  const caption = short
    ? make("span", { class: "caption" }, score(crop))
    : make("span", { class: "caption" }, make("span", { class: "soft" }, `#${crop.number}`), nameOf(crop), score(crop));
  const label = `${nameOf(crop)}, crop ${crop.number}${crop.fidelity === null ? "" : `, fidelity ${share(crop.fidelity)}`}`;
  return make("button", { type: "button", class: "card", "aria-label": label, title: label, onclick: () => open(crop, short) },
    make("span", { class: "pictures" }, ...names.map((name) => picture(crop, name))), caption);
}

function drawCrops() {
  const section = byId("crops");
  const orders = [["number", "by number"], ["low", "lowest fidelity first"], ["high", "highest fidelity first"]];
  const select = make("select", { id: "order", "aria-label": "Order of the crops", onchange: (event) => {
    state.order = event.target.value;
    update();
  } }, ...orders.map(([value, text]) => make("option", { value }, text)));
  const reach = data.depthReach;
  const names = Object.keys(first.pictures);
  section.append(
    make("div", { class: "head" }, section.firstElementChild, make("small", { id: "shown" }),
      data.fidelity && make("span", { class: "push" }, select)),
    make("div", { class: "legend" },
      make("span", {}, "left to right: ", make("b", {}, names.map((name) => LABELS[name]).join(", "))),
      make("span", {}, make("span", { class: "swatch target" }), "label's outline"),
      data.shown.some((crop) => crop.others) ? make("span", {}, make("span", { class: "swatch others" }), "other objects") : null,
      make("span", { class: "ramp turbo" }, `depth −${reach}`, make("i"), `+${reach} mm from the centre`),
      make("span", {}, make("kbd", {}, "O"), " outlines")),
    ...data.notes.map((note) => make("p", { class: "note" }, note)),
    make("div", { class: "gallery", id: "gallery" }));
  byId("gallery").style.setProperty("--pictures", names.length);
  byId("gallery").style.setProperty("--least", data.what === "frame" ? "190px" : "92px");
  for (const crop of data.shown) cards.push({ crop, element: card(crop, false) });
}

const stepsOf = (crop) => (crop.fidelity === null ? NO_FIDELITY : Math.round(crop.fidelity * STEPS));
const sorters = {
  number: (a, b) => a.number - b.number,
  low: (a, b) => (a.fidelity ?? 2) - (b.fidelity ?? 2) || a.number - b.number,
  high: (a, b) => (b.fidelity ?? -1) - (a.fidelity ?? -1) || a.number - b.number,
};

function visibleCrops(order = state.order) {
  return data.shown.filter((crop) => isChosen(crop.object) && isInRange(stepsOf(crop))).sort(sorters[order]);
}

function drawFidelity() {
  const section = byId("fidelity");
  if (!data.fidelity) {
    section.hidden = true;
    byId("fidelity-filter").hidden = true;
    return;
  }
  const unscored = data.crops - data.fidelity.scored;
  section.append(
    make("div", { class: "head" }, section.firstElementChild,
      make("small", {}, "the share of faithful crops that agree with their label no better: 99 % of them are above 0.01",
        unscored ? `; ${number(unscored)} ${noun} have no score` : "")),
    make("div", { class: "strips" },
      make("div", {}, make("div", { class: "soft" }, "Lowest"), make("div", { class: "strip", id: "lowest" })),
      make("div", {}, make("div", { class: "soft" }, "Highest"), make("div", { class: "strip", id: "highest" }))));
}

// The crop in full

const dialog = byId("crop");
let sequence = [];
let position = 0;

function open(crop, short) {
  sequence = short && state.order === "number" ? visibleCrops("low") : visibleCrops();
  position = sequence.indexOf(crop);
  fill();
  if (!dialog.open) dialog.showModal();
}

function step(by) {
  position = (position + by + sequence.length) % sequence.length;
  fill();
}

function fill() {
  const crop = sequence[position];
  const facts = [
    ["fidelity", crop.fidelity === null ? null : share(crop.fidelity)],
    ...Object.entries(crop.parts).map(([name, value]) => [`fidelity, ${name}`, share(value)]),
    ["visible", `${Math.round(100 * crop.visible)} %`],
    ["quaternion w, x, y, z", crop.quaternion.join(", ")],
    ["translation, mm", crop.translation.join(", ")],
    ["scene, image", `${crop.scene}, ${crop.image}`],
    ["other objects", crop.others || null],
    ["nearest real crop", crop.nearest ? `${crop.nearest.file}, ${crop.nearest.apart} grey levels RMS away` : null],
  ].filter(([, value]) => value !== null);
  const before = document.activeElement?.id;
  dialog.replaceChildren(
    make("div", { class: "dialog-head" },
      make("h2", { id: "crop-title" }, `${nameOf(crop)} `, make("span", { class: "soft" }, `#${crop.number}`)),
      make("small", {}, `${position + 1} of ${sequence.length}`),
      make("button", { type: "button", id: "previous", "aria-label": "Previous crop", onclick: () => step(-1) }, "←"),
      make("button", { type: "button", id: "next", "aria-label": "Next crop", onclick: () => step(1) }, "→"),
      make("button", { type: "button", id: "close", onclick: () => dialog.close() }, "Close")),
    make("div", { class: "large" }, ...Object.keys(crop.pictures).map((name) =>
      make("figure", {}, picture(crop, name), make("figcaption", {}, LABELS[name])))),
    rows(facts));
  byId(["previous", "next"].includes(before) ? before : "close").focus();
}

dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  else if (event.key === "ArrowRight") step(1);
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

// Adapter and settings

function rows(entries) {
  return make("dl", { class: "rows" }, ...entries.map(([name, value]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

function drawTables() {
  const section = byId("adapter");
  if (!data.adapter) section.hidden = true;
  else {
    const { name, rows: entries, html } = data.adapter;
    const note = name ? null : "Not the adapter of this package; --adapter FOLDER shows its card";
    section.append(make("div", { class: "head" }, section.firstElementChild,
      make("small", {}, name ?? note)), rows(entries));
    if (html) {
      const text = make("div");
      text.innerHTML = html;
      section.append(make("details", { class: "card-text" }, make("summary", {}, "Model card"), text));
    }
  }
  const settings = byId("settings");
  settings.append(make("div", { class: "head" }, settings.firstElementChild), rows(data.settings));
}

// Filters

const objectRows = [];

function drawFilters() {
  const list = make("div", { class: "scroll" });
  data.objects.forEach((object, place) => {
    const box = make("input", { type: "checkbox", onchange: () => {
      if (box.checked) state.objects.add(place);
      else state.objects.delete(place);
      update();
    } });
    const bar = make("i");
    const count = make("span", { class: "soft" });
    const title = `${object.name}, ${object.diameter} mm across${object.fidelity === null ? "" : `, mean fidelity ${share(object.fidelity)}`}`;
    list.append(make("label", { class: "object", title }, box,
      make("span", { class: "name" }, object.name), count, make("span", { class: "bar" }, bar)));
    objectRows.push({ box, bar, count });
  });
  byId("objects").append(list);
  if (!data.fidelity) return;
  const ends = [["low", 0, "Lowest fidelity"], ["high", STEPS, "Highest fidelity"]].map(([end, value, name]) =>
    make("input", { type: "range", id: `fidelity-${end}`, min: 0, max: STEPS, step: STEPS / 100, value, "aria-label": name, oninput: (event) => {
      const given = Number(event.target.value);
      state[end] = end === "low" ? Math.min(given, state.high) : Math.max(given, state.low);
      event.target.value = state[end];
      update();
    } }));
  byId("fidelity-filter").append(fidelityChart.element, make("div", { class: "range" }, ...ends),
    make("div", { class: "ends" }, make("output", { id: "low" }), make("output", { id: "high" })));
}

byId("reset").addEventListener("click", () => {
  state.objects.clear();
  [state.low, state.high] = [0, STEPS];
  for (const { box } of objectRows) box.checked = false;
  if (data.fidelity) [byId("fidelity-low").value, byId("fidelity-high").value] = [0, STEPS];
  update();
});

function shownText(shown, count) {
  if (!shown) return "none of those that are shown fit the filter";
  if (shown >= count) return "all of them shown";
  const which = data.fidelity ? "the worst and best of each object, and others evenly spread" : "evenly spread";
  return `${number(shown)} of them shown: ${which}`;
}

function update() {
  const kept = new Uint8Array(points.object.length);
  // Of every object as many as the fidelity lets through, also of those that are not chosen.
  const ofObject = new Array(data.objects.length).fill(0);
  let count = 0;
  for (let i = 0; i < kept.length; i++) {
    const object = points.object[i];
    if (points.fidelity && !isInRange(points.fidelity[i])) continue;
    ofObject[object]++;
    kept[i] = isChosen(object);
    count += kept[i];
  }
  const most = Math.max(...data.objects.map((object) => object.crops), 1);
  const scale = data.crops / points.object.length;
  objectRows.forEach((row, place) => {
    const about = Math.round(ofObject[place] * scale);
    row.bar.style.width = `${(100 * about) / most}%`;
    row.count.textContent = number(about);
  });
  for (const [name, chart] of charts) chart.draw(everything[name], counts(points[name], 36, kept));
  drawDiscs(kept);
  const shown = visibleCrops();
  if (data.fidelity) {
    fidelityChart.draw(allFidelity, fidelityCounts(kept));
    byId("low").textContent = `from ${share(state.low / STEPS)}`;
    byId("high").textContent = `to ${share(state.high / STEPS)}`;
    const scored = visibleCrops("low").filter((crop) => crop.fidelity !== null);
    byId("lowest").replaceChildren(...scored.slice(0, 8).map((crop) => card(crop, true)));
    byId("highest").replaceChildren(...scored.slice(-8).reverse().map((crop) => card(crop, true)));
  }
  const element = new Map(cards.map((entry) => [entry.crop, entry.element]));
  byId("gallery").replaceChildren(...shown.map((crop) => element.get(crop)));
  const text = `${scale > 1 ? "about " : ""}${number(Math.round(count * scale))} of ${number(data.crops)} ${noun}`;
  byId("count").textContent = text;
  byId("filter-summary").textContent = isAll() ? "" : text;
  byId("reset").disabled = isAll();
  byId("shown").textContent = shownText(shown.length, count * scale);
}

// Keys, theme, widths

byId("outlines").addEventListener("click", () => {
  const on = !document.body.classList.toggle("no-outlines");
  byId("outlines").setAttribute("aria-pressed", on);
});
document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "o" && !event.ctrlKey && !event.metaKey && !event.altKey && event.target.tagName !== "SELECT") byId("outlines").click();
});
byId("theme").addEventListener("click", () => {
  const themes = ["auto", "light", "dark"];
  const next = themes[(themes.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % 3];
  if (next === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  byId("theme").textContent = `Theme: ${next}`;
});
const wide = matchMedia("(min-width: 901px)");
const fit = () => { byId("filter").open = wide.matches; };
wide.addEventListener("change", fit);
fit();

drawFigures();
drawViews();
drawFidelity();
drawCrops();
drawTables();
drawFilters();
update();
