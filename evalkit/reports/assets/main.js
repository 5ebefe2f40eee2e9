"use strict";
// Tables that sort, light and dark, and what starts the page.

function sortable(table) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = html("button", { type: "button" }, head.textContent);
    head.replaceChildren(button);
    button.addEventListener("click", () => sortBy(table, head, column));
  });
}

// Largest first for numbers, as people look for the best; a ceiling stays below.
function sortBy(table, head, column) {
  const body = table.tBodies[0];
  const number = head.classList.contains("number");
  const before = head.getAttribute("aria-sort");
  const ascending = before ? before === "descending" : !number;
  table.querySelectorAll("th[aria-sort]").forEach((each) => each.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const compare = (one, other) => {
    if (value(one) === "" || value(other) === "") return (value(one) === "") - (value(other) === "");
    const found = number ? value(one) - value(other) : value(one).localeCompare(value(other), undefined, { numeric: true });
    return ascending ? found : -found;
  };
  const order = [...body.rows].sort((one, other) => {
    const fixedRows = one.classList.contains("ceiling") - other.classList.contains("ceiling");
    return fixedRows || compare(one, other);
  });
  body.append(...order);
}

function switchTheme() {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.dataset.theme ?? (dark ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  drawScatter();
}

document.querySelectorAll("table").forEach(sortable);
byId("theme").addEventListener("click", switchTheme);
fill(byId("dataset"), data.datasets.map((one) => `${one.name} (${one.ids.length} queries)`), 0);
byId("dataset").addEventListener("change", (event) => chooseDataset(event.target.selectedIndex));
for (const side of ["first", "second"]) {
  byId(side).addEventListener("change", (event) => {
    state[side] = event.target.selectedIndex;
    drawScatter();
    showQuery();
  });
}
byId("query").addEventListener("change", showQuery);
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("scatter").addEventListener("mousemove", tellPoint);
byId("scatter").addEventListener("click", openPoint);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawScatter);
let waiting = 0;
let drawn = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === drawn) return;
  drawn = window.innerWidth;
  clearTimeout(waiting);
  waiting = setTimeout(drawAll, 100);
});

function drawAll() {
  if (data.overall) drawRanks();
  drawDataset();
}

chooseDataset(0);
if (data.overall) drawRanks();
document.documentElement.dataset.ready = "true";
