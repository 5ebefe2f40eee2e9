"use strict";
// Light and dark, what the controls do, and what starts the page.

function switchTheme() {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.dataset.theme ?? (dark ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
}

document.querySelectorAll("table").forEach((table) => table.tHead && sortable(table));
byId("theme").addEventListener("click", switchTheme);
byId("dataset").addEventListener("change", (event) => {
  chooseDataset(event.target.selectedIndex);
  drawWaiting();
});
for (const side of ["first", "second"]) {
  byId(side).addEventListener("change", (event) => {
    state[side] = event.target.selectedIndex;
    drawPair();
    drawWaiting();
    listQueries();
  });
}
document.querySelectorAll("[name=filter]").forEach((each) => each.addEventListener("change", () => listQueries(state.listings[state.query]?.id)));
byId("query").addEventListener("change", (event) => {
  state.query = event.target.selectedIndex;
  showQuery();
});
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("copy").addEventListener("click", copyQuery);
// Long tables and lists are printed where a reader opened them.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => {
  if (each.querySelectorAll("tbody tr, li").length <= SHORT) each.open = true;
}));
addEventListener("hashchange", () => state.queries && followPermalink() && drawWaiting());

// The page is ready with its findings, tables and first charts; single queries and the other charts follow.
async function start() {
  systemsLegend();
  chooseBaselines();
  fill(byId("dataset"), data.datasets.map((one) => `${one.name} (${one.queries} queries)`), 0);
  if (data.overall) draw("ranks", rowsOf(data.overall.rows));
  chooseDataset(0);
  drawPairsOver();
  await drawFirst();
  document.documentElement.dataset.ready = "true";
  await unpackQueries();
  if (!followPermalink()) {
    drawPair();
    listQueries();
  }
  document.documentElement.dataset.queries = "true";
  await drawWaiting();
  document.documentElement.dataset.complete = "true";
}

// The charts that a reader sees without scrolling.
async function drawFirst() {
  for (const name of ["ranks", "intervals"]) {
    const one = waiting.get(name);
    waiting.delete(name);
    if (one) await drawNow(name, one.figure, one.rows, one.change);
  }
}

start();
