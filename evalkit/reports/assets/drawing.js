"use strict";
// The data of the report, and its charts: specifications of Vega-Lite that come with the page, drawn as SVG.

const data = JSON.parse(document.getElementById("data").textContent);
const LOOKS = new Map(data.systems.map((one) => [one.name, one]));
const SYMBOLS = {
  circle: "M5 0A5 5 0 1 0-5 0 5 5 0 1 0 5 0Z", square: "M-4.5-4.5H4.5V4.5H-4.5Z", "triangle-up": "M0-5.5 5.5 4.5H-5.5Z",
  diamond: "M0-6 6 0 0 6-6 0Z", cross: "M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
};
const fixed = (value) => value.toFixed(4);
const signed = (value, digits = 4) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;
const byId = (id) => document.getElementById(id);
const views = new Map();
const waiting = new Map();

function html(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// The mark of a system, as charts have it.
function mark(name) {
  const { colour, shape } = LOOKS.get(name);
  const make = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const drawing = make("svg", { class: "mark", viewBox: "-7 -7 14 14", width: 14, height: 14, "aria-hidden": "true" });
  drawing.append(make("path", { d: SYMBOLS[shape], fill: colour }));
  return drawing;
}

// Rows that came as lists; a field that is null is not there.
function rowsOf({ fields, rows }) {
  return rows.map((row) => Object.fromEntries(fields.flatMap((name, at) => (row[at] === null ? [] : [[name, row[at]]]))));
}

// Draw a chart soon, or hide it where it has no rows. Charts that were asked for are drawn one after the other; until
// then each has about its height, so that nothing below them moves.
function draw(name, rows, change = (specification) => specification) {
  const figure = byId(`chart-${name}`);
  if (!figure) return;
  figure.hidden = !rows.length;
  const place = figure.querySelector(".drawing");
  if (!place.firstChild) place.style.minHeight = `${heightOf(data.specifications[name], rows, isNarrow(place)) + AXIS}px`;
  if (rows.length) waiting.set(name, { figure, rows, change });
  else waiting.delete(name);
}

async function drawWaiting() {
  while (waiting.size) {
    const [name, { figure, rows, change }] = waiting.entries().next().value;
    waiting.delete(name);
    await drawNow(name, figure, rows, change);
    if (document.documentElement.dataset.ready) await new Promise((done) => setTimeout(done));
  }
}

async function drawNow(name, figure, rows, change) {
  const place = figure.querySelector(".drawing");
  const narrow = isNarrow(place);
  const specification = change(withRows(structuredClone(data.specifications[name]), rows, narrow));
  const config = structuredClone(data.theme);
  if (narrow) config.axis.labelLimit = Math.max(90, place.clientWidth * 0.42);
  config.axisY = { titleLimit: specification.height * 0.9 };
  const own = figure.querySelector(".legend");
  if (own) own.replaceChildren(...keys([...new Set(rows.filter((row) => !("end" in row) && (row.kind ?? "reranked") === "reranked").map((row) => row.system))]));
  const options = {
    mode: "vega-lite", renderer: "svg", ast: true, actions: false, defaultStyle: false, config,
    logLevel: 1, // errors alone: a warning tells of an empty layer, such as a ceiling that there is not
    tooltip: { disableDefaultStyle: true, theme: "report" },
  };
  views.get(name)?.finalize();
  const { view } = await vegaEmbed(place, specification, options);
  views.set(name, view);
  place.style.minHeight = "";
  if (name === "queries") view.addEventListener("click", (_, item) => item?.datum?.such && openQuery(item.datum));
}

function systemsLegend() {
  byId("legend").replaceChildren(...keys(data.systems.map(({ name }) => name)));
}

const keys = (names) => names.map((name) => html("span", { class: "key", role: "listitem" }, mark(name), name));

// Lines of a name on an axis; charts.py breaks labels in the same places.
const linesOf = (name, narrow) => narrow ? name.replace(" + ", " +\u00a0").split(" ") : name.replace(" + ", "\n+ ").split("\n");

const AXIS = 50; // pixels of an axis with its title, about
const isNarrow = (place) => place.clientWidth < 400;

// Pixels of a chart without its axes: a row of them for each system.
function heightOf({ height }, rows, narrow) {
  const systems = new Set(rows.map((row) => row.system));
  const lines = Math.max(...[...systems].map((name) => linesOf(name ?? "", narrow).length));
  return height.step ? Math.max(height.step, 14 * lines + 6) * systems.size : height;
}

// A specification with rows, and room at the right for bars of groups.
function withRows(specification, rows, narrow) {
  const bars = new Set(rows.flatMap((row) => row.group ?? [])).size;
  return {
    ...specification,
    datasets: { ...specification.datasets, rows },
    params: [{ name: "narrow", value: narrow }],
    height: heightOf(specification, rows, narrow),
    ...(bars ? { padding: { left: 4, top: 4, bottom: 4, right: 14 + 12 * bars } } : {}),
  };
}
