"use strict";
// The data of the report, and charts drawn as SVG at the width that there is, so that text stays legible on a phone.

const data = JSON.parse(document.getElementById("data").textContent);
const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#3d9bd9", "#8c6d31", "#7f7f7f", "#b22222",
  "#7a5bb5", "#17807e", "#8a8a00", "#c2458a", "#5a7d2a", "#a0522d", "#4a6fa5"];
const SYSTEMS = [...new Set(data.datasets.flatMap((dataset) => dataset.systems.map((system) => system.name)))];
const colour = (name) => PALETTE[SYSTEMS.indexOf(name) % PALETTE.length];
const fixed = (value) => value.toFixed(4);
const byId = (id) => document.getElementById(id);

function html(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function label(x, y, text, attributes = {}) {
  return svg("text", { x, y, ...attributes }, text);
}

// An empty drawing in a figure, as wide as the figure.
function canvasOf(id, height, description) {
  const figure = byId(id);
  const width = Math.max(280, Math.min(figure.clientWidth || 720, 900));
  const drawing = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": description });
  figure.replaceChildren(drawing);
  return { figure, drawing, width };
}

function say(id, text) {
  byId(id).replaceChildren(html("p", { class: "note" }, text));
}

// Round numbers from low to high, about `count` of them.
function ticks(low, high, count) {
  const raw = (high - low || 1) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((times) => times * power).find((each) => each >= raw);
  const found = [];
  for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + step * 1e-9; tick += step) {
    found.push(Number(tick.toPrecision(12)));
  }
  return found;
}

function spread(values, margin = 0.06) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const room = (high - low || Math.abs(high) || 1) * margin;
  return [low - room, high + room];
}

const scale = ([low, high], from, to) => (value) => from + ((value - low) / (high - low || 1)) * (to - from);

function xAxis(drawing, at, bounds, x, width, format = (tick) => String(tick)) {
  for (const tick of ticks(...bounds, Math.max(4, Math.floor(width / 110)))) {
    drawing.append(svg("line", { class: "axis", x1: x(tick), x2: x(tick), y1: 0, y2: at }));
    drawing.append(label(x(tick), at + 16, format(tick), { class: "tick", "text-anchor": "middle" }));
  }
}

function yAxis(drawing, left, right, bounds, y) {
  for (const tick of ticks(...bounds, 5)) {
    drawing.append(svg("line", { class: "axis", x1: left, x2: right, y1: y(tick), y2: y(tick) }));
    drawing.append(label(left - 6, y(tick) + 4, String(tick), { class: "tick", "text-anchor": "end" }));
  }
}

// Rows of names beside a place for marks; on a phone a name stands above its marks.
function rows(id, names, description, extra = 0) {
  const figure = byId(id);
  const narrow = (figure.clientWidth || 720) < 560;
  const height = narrow ? 42 : 26;
  const { drawing, width } = canvasOf(id, names.length * height + 28, description);
  const left = narrow ? 10 : Math.min(width * 0.45, 16 + 7.5 * Math.max(...names.map((name) => name.length)));
  const middle = (row) => row * height + (narrow ? 28 : 13);
  names.forEach((name, row) => {
    const [x, y, anchor] = narrow ? [0, row * height + 14, "start"] : [left - 10, middle(row) + 4, "end"];
    drawing.append(label(x, y, name, { "text-anchor": anchor }));
  });
  return { drawing, left, right: width - 12 - extra, bottom: names.length * height, middle };
}

function drawIntervals(dataset) {
  const systems = dataset.systems;
  const place = rows("intervals", systems.map((one) => one.name), `${data.measure} of every system with its interval`, 46);
  const ceiling = dataset.ceiling === null ? [] : [dataset.ceiling];
  const bounds = spread([...systems.flatMap((one) => [one.low, one.high]), ...ceiling]);
  const x = scale(bounds, place.left, place.right);
  xAxis(place.drawing, place.bottom, bounds, x, place.right - place.left);
  if (ceiling.length) {
    const line = { class: "front", x1: x(dataset.ceiling), x2: x(dataset.ceiling), y1: 0, y2: place.bottom };
    place.drawing.append(svg("line", line, svg("title", {}, `ceiling ${fixed(dataset.ceiling)}`)));
  }
  systems.forEach((one, row) => {
    const y = place.middle(row);
    const told = `${one.name}: ${fixed(one.mean)} [${fixed(one.low)}, ${fixed(one.high)}]`;
    place.drawing.append(
      svg("line", { x1: x(one.low), x2: x(one.high), y1: y, y2: y, stroke: colour(one.name), "stroke-width": 2 }),
      svg("circle", { cx: x(one.mean), cy: y, r: 5, fill: colour(one.name) }, svg("title", {}, told)),
      label(place.right + 8, y + 4, one.groups),
    );
  });
}

function drawRanks() {
  const systems = data.overall.systems;
  const groups = data.overall.groups.filter((group) => group.length > 1);
  const names = systems.map((one) => one.name);
  const place = rows("ranks", names, "mean rank of every system over the datasets", 14 * groups.length);
  const bounds = [1, Math.max(systems.length, 2)];
  const x = scale(bounds, place.left + 6, place.right - 6);
  xAxis(place.drawing, place.bottom, bounds, x, place.right - place.left);
  systems.forEach((one, row) => {
    const mark = { cx: x(one.rank), cy: place.middle(row), r: 5, fill: colour(one.name) };
    place.drawing.append(svg("circle", mark, svg("title", {}, `${one.name}: mean rank ${one.rank.toFixed(2)}`)));
  });
  groups.forEach((group, number) => {
    const at = place.right + 8 + 14 * number;
    const places = group.map((name) => names.indexOf(name));
    const ends = [Math.min(...places), Math.max(...places)].map(place.middle);
    const line = { x1: at, x2: at, y1: ends[0], y2: ends[1], stroke: "currentColor", "stroke-width": 1.5 };
    place.drawing.append(svg("line", line, svg("title", {}, `cannot be told apart: ${group.join(", ")}`)));
    for (const one of places) place.drawing.append(svg("circle", { cx: at, cy: place.middle(one), r: 4, fill: "currentColor" }));
  });
}

// Names beside points, moved down where they would stand on one another.
function nameAll(drawing, points, width) {
  const placed = [];
  for (const { x, y, name } of [...points].sort((one, other) => one.y - other.y)) {
    const long = 7.5 * name.length;
    const flip = x + 10 + long > width;
    const box = { from: flip ? x - 10 - long : x + 10, to: flip ? x - 10 : x + 10 + long, y: y + 4 };
    while (placed.some((each) => each.from < box.to && box.from < each.to && Math.abs(each.y - box.y) < 15)) box.y += 3;
    placed.push(box);
    drawing.append(label(flip ? box.to : box.from, box.y, name, { "text-anchor": flip ? "end" : "start" }));
  }
}

function drawSpeed(dataset) {
  const timed = dataset.systems.filter((one) => one.speed !== null);
  if (!timed.length) return say("speed", "No system here was timed: first stages and replayed scores have no speed.");
  const height = Math.max(300, 60 + 20 * timed.length);
  const { drawing, width } = canvasOf("speed", height, `${data.measure} against pairs per second`);
  const bounds = spread(timed.map((one) => one.mean), 0.15);
  const speeds = spread(timed.map((one) => Math.log10(one.speed)), 0.15);
  const x = scale(speeds, 56, width - 20);
  const y = scale(bounds, height - 46, 12);
  yAxis(drawing, 56, width - 12, bounds, y);
  const format = (tick) => Number((10 ** tick).toPrecision(2)).toLocaleString("en");
  xAxis(drawing, height - 46, speeds, x, width, format);
  drawing.append(label(width - 12, height - 8, "pairs/s, logarithmic", { class: "tick", "text-anchor": "end" }));
  const sorted = [...timed].sort((one, other) => other.speed - one.speed || other.mean - one.mean);
  const front = sorted.filter((one, place) => sorted.slice(0, place).every((faster) => faster.mean < one.mean));
  const points = (systems) => systems.map((one) => ({ x: x(Math.log10(one.speed)), y: y(one.mean), name: one.name }));
  drawing.append(svg("polyline", { class: "front", points: points(front).map((one) => `${one.x},${one.y}`).join(" ") }));
  timed.forEach((one, number) => {
    const at = points(timed)[number];
    const speed = one.speed < 10 ? Number(one.speed.toPrecision(2)) : Math.round(one.speed);
    const told = `${one.name}: ${fixed(one.mean)}, ${speed.toLocaleString("en")} pairs/s`;
    drawing.append(svg("circle", { cx: at.x, cy: at.y, r: 6, fill: colour(one.name) }, svg("title", {}, told)));
  });
  nameAll(drawing, points(timed), width);
}

function drawDepth(dataset) {
  const curved = dataset.systems.filter((one) => one.curve.length);
  const without = dataset.systems.filter((one) => one.no_curve).map((one) => `${one.name}: ${one.no_curve}.`);
  if (!curved.length) return say("depth", dataset.remark || `No curve. ${without.join(" ") || "There is no reranker here."}`);
  const { figure, drawing, width } = canvasOf("depth", 320, `${data.measure} by number of candidates reranked`);
  const depths = [...new Set(curved.flatMap((one) => one.curve.map((point) => point[0])))].sort((a, b) => a - b);
  const ceilings = data.one_stage ? curved[0].curve.map((point) => [point[0], point[2]]) : [];
  const shown = curved.flatMap((one) => one.curve.map((point) => point[1]));
  const bounds = spread([...shown, ...ceilings.map((point) => point[1])]);
  const x = (depth) => 56 + ((depths.indexOf(depth) + 0.5) / depths.length) * (width - 76);
  const y = scale(bounds, 274, 10);
  yAxis(drawing, 56, width - 12, bounds, y);
  for (const depth of depths) drawing.append(label(x(depth), 292, depth, { class: "tick", "text-anchor": "middle" }));
  drawing.append(label(width - 12, 312, "depth", { class: "tick", "text-anchor": "end" }));
  const line = (points, attributes) =>
    drawing.append(svg("polyline", { fill: "none", points: points.map(([a, b]) => `${x(a)},${y(b)}`).join(" "), ...attributes }));
  if (ceilings.length) line(ceilings, { stroke: "currentColor", class: "dashed" });
  for (const one of curved) {
    line(one.curve, { stroke: colour(one.name), "stroke-width": 2 });
    for (const [depth, value] of one.curve) {
      const told = `${one.name} at depth ${depth}: ${fixed(value)}`;
      drawing.append(svg("circle", { cx: x(depth), cy: y(value), r: 4, fill: colour(one.name) }, svg("title", {}, told)));
    }
  }
  figure.append(legend(curved.map((one) => one.name), ceilings.length ? ["dashed: ceiling of the candidates"] : []));
  if (without.length) figure.append(html("p", { class: "note" }, `No curve: ${without.join(" ")}`));
}

function legend(names, others) {
  const list = html("p", { class: "note" });
  for (const name of names) {
    const key = html("span", { class: "key" });
    key.style.background = colour(name);
    list.append(key, `${name}  `);
  }
  list.append(...others);
  return list;
}
