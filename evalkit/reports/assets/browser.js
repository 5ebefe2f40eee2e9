"use strict";
// What people choose: a dataset, two systems, a query. Native controls, so that the keyboard works as everywhere.

const state = { dataset: data.datasets[0], first: 0, second: 0, points: [] };

function fill(select, texts, chosen) {
  select.replaceChildren(...texts.map((text, value) => html("option", { value }, text)));
  select.selectedIndex = chosen;
}

function chooseDataset(number) {
  state.dataset = data.datasets[number];
  const systems = state.dataset.systems;
  const names = systems.map((one) => one.name);
  // At first the best reranker, against the first stage that it started from.
  state.second = Math.max(systems.findIndex((one) => !one.first_stage), 0);
  const stage = systems.findIndex((one) => one.first_stage && one.stage === systems[state.second].stage);
  state.first = stage >= 0 && stage !== state.second ? stage : Number(state.second === 0);
  fill(byId("first"), names, state.first);
  fill(byId("second"), names, state.second);
  drawDataset();
  listQueries();
}

function drawDataset() {
  drawIntervals(state.dataset);
  drawSpeed(state.dataset);
  drawDepth(state.dataset);
  drawScatter();
}

// Queries with the same two values are one point, larger the more they are: 7,000 queries stay quick and visible.
function gatherPoints() {
  const found = new Map();
  state.dataset.values.forEach((row, query) => {
    const key = `${row[state.first]} ${row[state.second]}`;
    if (!found.has(key)) found.set(key, { x: row[state.first] / 1e4, y: row[state.second] / 1e4, queries: [] });
    found.get(key).queries.push(query);
  });
  return [...found.values()].sort((one, other) => other.queries.length - one.queries.length);
}

function drawScatter() {
  const canvas = byId("scatter");
  const size = Math.max(260, Math.min(canvas.parentElement.clientWidth, 544));
  const ratio = window.devicePixelRatio || 1;
  canvas.width = size * ratio;
  canvas.height = size * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const style = getComputedStyle(document.documentElement);
  state.points = gatherPoints();
  const high = Math.max(1, ...state.points.flatMap((one) => [one.x, one.y]));
  const at = scale([0, high], 40, size - 16);
  pen.strokeStyle = style.getPropertyValue("--line");
  pen.fillStyle = style.getPropertyValue("--faint");
  pen.font = "12px system-ui, sans-serif";
  pen.beginPath();
  pen.moveTo(at(0), size - at(0));
  pen.lineTo(at(high), size - at(high));
  pen.stroke();
  for (const tick of ticks(0, high, 4)) {
    pen.fillText(String(tick), at(tick) - 8, size - 8);
    pen.fillText(String(tick), 4, size - at(tick) + 4);
  }
  for (const one of state.points) {
    one.left = at(one.x);
    one.top = size - at(one.y);
    one.radius = Math.min(2.5 + Math.sqrt(one.queries.length), 18);
    pen.globalAlpha = 0.55;
    pen.fillStyle = style.getPropertyValue(one.y > one.x ? "--good" : one.y < one.x ? "--bad" : "--faint");
    pen.beginPath();
    pen.arc(one.left, one.top, one.radius, 0, 2 * Math.PI);
    pen.fill();
  }
  pen.globalAlpha = 1;
  tellCounts();
}

function tellCounts() {
  const count = (test) => state.points.filter(test).reduce((sum, one) => sum + one.queries.length, 0);
  const [wins, losses] = [count((one) => one.y > one.x), count((one) => one.y < one.x)];
  const names = [state.first, state.second].map((place) => state.dataset.systems[place].name);
  byId("counts").textContent = `Across: ${names[0]}. Up: ${names[1]}. Up is better on ${wins} queries, equal on ` +
    `${state.dataset.values.length - wins - losses}, worse on ${losses}.`;
}

function nearest(event) {
  const box = byId("scatter").getBoundingClientRect();
  const [left, top] = [event.clientX - box.left, event.clientY - box.top];
  const away = (one) => Math.hypot(one.left - left, one.top - top) - one.radius;
  const best = state.points.reduce((found, one) => (away(one) < away(found) ? one : found), state.points[0]);
  return best && away(best) < 12 ? best : null;
}

function tellPoint(event) {
  const point = nearest(event);
  if (!point) return;
  const ids = point.queries.slice(0, 5).map((query) => state.dataset.ids[query]).join(", ");
  const more = point.queries.length > 5 ? ` and ${point.queries.length - 5} more` : "";
  byId("point").textContent = `${fixed(point.x)} to ${fixed(point.y)}: ${ids}${more}`;
}

function openPoint(event) {
  const point = nearest(event);
  if (!point) return;
  const ids = new Set(point.queries.map((query) => state.dataset.ids[query]));
  const place = state.dataset.listings.findIndex((one) => ids.has(one.id));
  if (place < 0) return;
  byId("query").selectedIndex = place;
  showQuery();
  byId("browser").scrollIntoView();
}

function listQueries() {
  const texts = state.dataset.listings.map((one) => `${one.id}: ${one.text ?? ""}`.slice(0, 120));
  fill(byId("query"), texts, 0);
  byId("query").size = Math.min(8, Math.max(2, texts.length));
  showQuery();
}

function step(by) {
  const select = byId("query");
  select.selectedIndex = Math.min(Math.max(select.selectedIndex + by, 0), select.options.length - 1);
  showQuery();
}

function showQuery() {
  const one = state.dataset.listings[byId("query").selectedIndex];
  if (!one) {
    byId("asked").textContent = "All systems agree on every query.";
    byId("rankings").replaceChildren();
    return;
  }
  byId("asked").textContent = `${one.id}: ${one.text ?? "(the text is not at hand)"}`;
  const places = [state.first, state.second];
  byId("rankings").replaceChildren(...places.map((place, side) => ranking(one, place, places[1 - side])));
}

function ranking(one, place, other) {
  const items = one.rankings[place].map((doc, rank) => document_(one, doc, rank, one.rankings[other].indexOf(doc)));
  const title = `${state.dataset.systems[place].name}: ${data.measure} ${fixed(one.values[place])}`;
  return html("div", {}, html("h3", {}, title), html("ol", { class: "ranking" }, ...items));
}

function document_(one, doc, rank, there) {
  const { id, text } = state.dataset.documents[doc];
  const grade = one.grades[doc];
  const moved = there < 0 ? "not in the other's first places" : there === rank ? "same place" : `${Math.abs(there - rank)}`;
  const way = there < 0 || there > rank ? "up" : there < rank ? "down" : "";
  const arrow = there < 0 || there === rank ? "" : way === "up" ? "▲ " : "▼ ";
  const judged = state.dataset.remark ? "" : grade === undefined ? "unjudged, " : `grade ${grade}, `;
  const head = html("div", { class: "head" }, `${rank + 1}. ${id} — ${judged}`,
    html("span", { class: way }, arrow + moved));
  const kinds = [grade > 0 ? "relevant" : "", there === rank ? "" : "moved"].join(" ").trim();
  const item = html("li", { class: kinds, "data-doc": doc }, head, html("div", {}, text ?? ""));
  for (const [event, on] of [["mouseenter", true], ["mouseleave", false]]) {
    item.addEventListener(event, () => {
      for (const twin of document.querySelectorAll(`[data-doc="${doc}"]`)) twin.classList.toggle("same", on);
    });
  }
  return item;
}
