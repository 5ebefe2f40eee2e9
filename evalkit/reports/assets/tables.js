"use strict";
// Tables that sort, the heat map of differences, and pairs of systems.

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

// A table of columns [name, is a number] and rows of cells.
function fillTable(table, columns, rows) {
  const heads = columns.map(([name, number]) => html("th", { scope: "col", ...(number ? { class: "number" } : {}) }, name));
  table.replaceChildren(html("thead", {}, html("tr", {}, ...heads)), html("tbody", {}, ...rows.map((cells) => html("tr", {}, ...cells))));
  sortable(table);
}

// Blue for better and orange for worse, the stronger the greater; a star and bold type where it is more than chance.
function drawHeat(baseline) {
  const heat = data.heat[baseline];
  const sizes = heat.rows.flatMap((row) => row.slice(1)).filter((value) => value !== null).map(Math.abs);
  const most = Math.max(...sizes, 1e-9);
  const real = new Set(heat.real.map(([row, column]) => `${row} ${column}`));
  const rows = heat.rows.map((row, at) => row.map((value, column) => {
    if (column === 0) return systemHead(value);
    if (value === null) return html("td", { class: "number", "data-value": "" }, "");
    const sure = real.has(`${at} ${column}`);
    const text = `${signed(value, heat.columns.length > 9 ? 3 : 4)}${sure ? "*" : ""}`;
    const said = `${value > 0 ? "better" : value < 0 ? "worse" : "equal"}${sure ? ", more than chance" : ", may be chance"}`;
    const cell = html("td", { class: `number heat ${value < 0 ? "worse" : "better"}${sure ? " real" : ""}`, "data-value": value,
      title: `${row[0]}, ${heat.columns[column]}: ${text}, ${said}` }, text);
    cell.style.setProperty("--strength", `${(Math.abs(value) / most) * (sure ? 62 : 30)}%`);
    return cell;
  }));
  fillHeat(heat.columns, rows, heat.notes);
}

const systemHead = (name) => html("th", { scope: "row", ...(name.length > LONG ? { class: "long" } : {}) }, mark(name), name);

function fillHeat(columns, rows, notes) {
  byId("heat-table").classList.toggle("dense", columns.length > 9);
  fillTable(byId("heat-table"), columns.map((name, column) => [name, column > 0]), rows);
  byId("heat-notes").replaceChildren(...notes.filter(Boolean).map((note) => html("p", { class: "note" }, note)));
}

// The values themselves: the best of each column bold, and the stronger the better within it.
function drawValues() {
  const average = data.overall ? [{ name: "average", systems: data.overall.systems }] : [];
  const parts = [...average, ...data.datasets].map(({ name, systems }) => [name, new Map(systems.map((one) => [one.name, one.mean]))]);
  const names = data.systems.map(({ name }) => name);
  names.sort((one, other) => (parts[0][1].get(other) ?? -1) - (parts[0][1].get(one) ?? -1));
  const cells = (name) => parts.map(([, means]) => {
    const value = means.get(name);
    if (value === undefined) return html("td", { class: "number", "data-value": "" }, "");
    const all = [...means.values()];
    const [least, most] = [Math.min(...all), Math.max(...all)];
    const cell = html("td", { class: `number heat better${value === most ? " real" : ""}`, "data-value": value }, value.toFixed(parts.length > 8 ? 3 : 4));
    cell.style.setProperty("--strength", `${((value - least) / Math.max(most - least, 1e-9)) * 45}%`);
    return cell;
  });
  const notes = [`${data.measure}; bold: the best of a column; the stronger the colour, the better within it`];
  fillHeat(["system", ...parts.map(([name]) => name)], names.map((name) => [systemHead(name), ...cells(name)]), notes);
}

function chooseBaselines() {
  const names = Object.keys(data.heat);
  byId("heat").hidden = !names.length;
  if (!names.length) return;
  const chosen = Math.max(names.indexOf(data.baseline), 0);
  fill(byId("baseline"), [...names.map((name) => name || "its first stage"), "nothing: the values"], chosen);
  const told = () => { byId("baseline-printed").textContent = `Difference to: ${byId("baseline").selectedOptions[0].text}`; };
  told();
  byId("baseline").addEventListener("change", ({ target }) => {
    told();
    if (target.selectedIndex < names.length) drawHeat(names[target.selectedIndex]);
    else drawValues();
  });
  drawHeat(names[chosen]);
}

const LONG = 20; // characters of a name that a phone breaks
const SHORT = 15; // rows of a table that is open from the start, and printed
const probability = (value) => (value < 1e-4 ? "< 0.0001" : fixed(value));

const PAIRS = [
  ["better", "better"], ["worse", "worse"], ["difference", "difference", signed], ["low", "95 % from", signed],
  ["high", "to", signed], ["randomisation", "p randomisation", probability], ["t", "p t-test", probability], ["wins", "won"], ["ties", "tied"],
  ["losses", "lost"], ["smallest", "smallest visible", fixed],
];

function drawPairs(table, pairs) {
  const rows = rowsOf(pairs).map((pair) => PAIRS.map(([field, , write], at) => {
    const value = pair[field];
    if (at < 2) return html(at ? "td" : "th", at ? {} : { scope: "row" }, `${value}${pair.equal ? " (equal)" : ""}`);
    const text = value === undefined ? "" : write ? write(value) : Number(value.toPrecision(3)).toString();
    return html("td", { class: field === "randomisation" && pair.real ? "number best" : "number", "data-value": value ?? "" }, text);
  }));
  const alone = "There is one system only: nothing to compare it with.";
  if (rows.length) fillTable(table, PAIRS.map(([, name], at) => [name, at > 1]), rows);
  else table.replaceChildren(html("tbody", {}, html("tr", {}, html("td", {}, alone))));
}

function drawPairsOver() {
  if (!data.overall) return;
  const table = html("table", { class: "pairings" });
  const inside = html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Pairs over datasets" }, table);
  byId("pairs-over").append(html("details", {}, html("summary", {}, "All pairs over datasets"), inside));
  drawPairs(table, data.overall.pairs);
}
