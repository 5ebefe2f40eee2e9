"use strict";
// What people choose: a dataset, two systems, a query. Native controls, so that the keyboard works as everywhere.

const state = { dataset: data.datasets[0], first: 0, second: 0, listings: [], query: 0, queries: null };

// Single queries are compressed, and unpacked when what needs none of them is there.
async function unpackQueries() {
  const letters = atob(byId("queries").textContent);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at++) bytes[at] = letters.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  state.queries = JSON.parse(await new Response(stream).text());
}

const ofDataset = () => state.queries?.[data.datasets.indexOf(state.dataset)];

function fill(select, texts, chosen) {
  select.replaceChildren(...texts.map((text, value) => html("option", { value }, text)));
  select.selectedIndex = chosen;
}

function chooseDataset(number, systems = data.datasets[number].first) {
  state.dataset = data.datasets[number];
  [state.first, state.second] = systems;
  byId("dataset").selectedIndex = number;
  const names = state.dataset.systems.map((one) => one.name);
  fill(byId("first"), names, state.first);
  fill(byId("second"), names, state.second);
  document.querySelectorAll(".dataset-name").forEach((each) => each.replaceChildren(state.dataset.name));
  drawDataset();
  drawPair();
  drawPairs(byId("pairs-table"), state.dataset.pairs);
  byId("pairs").open = state.dataset.pairs.rows.length <= SHORT;
  listQueries();
}

function drawDataset() {
  const { charts, systems, ceiling } = state.dataset;
  byId("of-ceiling").hidden = ceiling === null;
  for (const name of ["intervals", "cost", "depth", "length", "ties", "truncation"]) {
    draw(name, charts[name] ? rowsOf(charts[name]) : []);
  }
  const reasons = new Map();
  for (const one of systems) if (one.no_curve) reasons.set(one.no_curve, [...(reasons.get(one.no_curve) ?? []), one.name]);
  byId("absent").replaceChildren(
    ...[...reasons].map(([reason, names]) => html("p", { class: "note" }, `No depth curve of ${names.join(", ")}: ${reason}.`)),
  );
}

function drawPair() {
  if (!state.queries) return;
  const { systems, pairs } = state.dataset;
  const [first, second] = [systems[state.first], systems[state.second]];
  const { ids, values } = ofDataset();
  const rows = ids.map((id, at) => ({ id, first: values[state.first][at] / 1e4, second: values[state.second][at] / 1e4 }));
  const titled = (specification) => {
    const dots = specification.layer[1].encoding;
    [dots.x.title, dots.y.title] = [first, second].map((one) => [`${data.measure} of`, ...linesOf(one.name)]);
    return specification;
  };
  const differ = systems.length > 1;
  draw("queries", differ ? rows : [], titled);
  draw("differences", differ ? rows : []);
  const bins = second.bins ? rowsOf(second.bins) : [];
  draw("scores", bins);
  draw("calibration", bins.some((bin) => bin.relevant + bin.other) ? bins : []);
  tellPair(rows, rowsOf(pairs), first.name, second.name);
}

function tellPair(rows, pairs, first, second) {
  const count = (test) => rows.filter(test).length;
  const [won, lost] = [count((row) => row.second > row.first), count((row) => row.second < row.first)];
  const pair = pairs.find((one) => [first, second].includes(one.better) && [first, second].includes(one.worse) && first !== second);
  const text = `${second} against ${first}: better on ${won} queries, equal on ${rows.length - won - lost}, worse on ${lost}.`;
  const sign = pair && pair.better === second ? 1 : -1;
  const verdict = pair ? ` Difference of the means ${signed(sign * pair.difference)}, ${pair.real ? "more than chance" : "which may be chance"}` +
    ` (p ${Number(pair.randomisation.toPrecision(3))}).` : "";
  byId("verdict").textContent = text + verdict;
}

// What a filter asks of a query, about the two chosen systems.
const FILTERS = {
  lost: (one) => one.values[state.second] < one.values[state.first],
  won: (one) => one.values[state.second] > one.values[state.first],
  unjudged: (one) => shownBy(one, state.second).some((at) => one.grades[at] === null),
  cut: (one) => shownBy(one, state.second).some((at) => one.cut[state.second].includes(at)),
};

// Places in the query's list of documents, by rank in a system.
function shownBy(one, system) {
  const ranks = one.ranks[system];
  const places = ranks.flatMap((rank, at) => (rank !== null && rank <= one.shown[system] ? [at] : []));
  return places.sort((left, right) => ranks[left] - ranks[right]);
}

// The listed queries that fit, the largest difference of the two systems first. Opens the one wanted, else the largest.
function listQueries(wanted = null) {
  const own = ofDataset()?.listings ?? [];
  const asked = [...document.querySelectorAll("[name=filter]:checked")].map((each) => FILTERS[each.value]);
  const change = (one) => one.values[state.second] - one.values[state.first];
  state.listings = own.filter((one) => asked.every((test) => test(one)))
    .sort((one, other) => Math.abs(change(other)) - Math.abs(change(one)));
  state.query = Math.max(state.listings.findIndex((one) => one.id === wanted), 0);
  fill(byId("query"), state.listings.map((one) => `${signed(change(one))}  ${one.id}: ${one.text ?? ""}`.slice(0, 110)), state.query);
  byId("matching").textContent = own.length ? `${state.listings.length} of ${own.length} listed queries` : "";
  showQuery();
}

function step(by) {
  state.query = Math.min(Math.max(state.query + by, 0), Math.max(state.listings.length - 1, 0));
  byId("query").selectedIndex = state.query;
  showQuery();
}

function showQuery() {
  const one = state.listings[state.query];
  for (const id of ["copy", "permalink", "previous", "next"]) byId(id).hidden = !one;
  if (!one) {
    byId("asked").textContent = state.queries ? "No listed query fits: all systems agree, or the filters leave none." : "";
    byId("rankings").replaceChildren();
    return;
  }
  const words = wordsOf(one.text ?? "");
  byId("asked").replaceChildren(html("code", {}, html("bdi", {}, one.id)), " ", html("bdi", {}, one.text ?? "(the text is not at hand)"));
  byId("rankings").replaceChildren(ranking(one, state.first, words), ranking(one, state.second, words));
  byId("permalink").href = permalink(one);
}

const permalink = (one) => `#query=${[state.dataset.name, state.dataset.systems[state.first].name,
  state.dataset.systems[state.second].name, one.id].map(encodeURIComponent).join("&")}`;

// Open the query that the address names, with its systems.
function followPermalink() {
  if (!location.hash.startsWith("#query=")) return false;
  const [dataset, first, second, id] = location.hash.slice(7).split("&").map(decodeURIComponent);
  const number = data.datasets.findIndex((one) => one.name === dataset);
  const systems = [first, second].map((name) => data.datasets[number]?.systems.findIndex((one) => one.name === name));
  if (number < 0 || systems.includes(-1)) return false;
  document.querySelectorAll("[name=filter]").forEach((each) => (each.checked = false)); // one may leave it out
  chooseDataset(number, systems);
  listQueries(id);
  byId("browser").scrollIntoView();
  return true;
}

function openQuery({ first, second }) {
  const place = state.listings.findIndex((one) => Math.abs(one.values[state.first] - first) < 1e-4 &&
    Math.abs(one.values[state.second] - second) < 1e-4);
  if (place < 0) return;
  state.query = place;
  step(0);
  byId("browser").scrollIntoView();
}

function ranking(one, place, words) {
  const { name } = state.dataset.systems[place];
  const items = shownBy(one, place).map((at) => placed(one, at, place, words));
  const title = html("h3", {}, mark(name), name, html("span", { class: "value" }, `${data.measure} ${fixed(one.values[place])}`));
  return html("div", {}, title, ...tokenStrip(one, place), html("ol", { class: "ranking" }, ...items));
}

// The move of a document from the first system to the second, on both sides.
function moveOf(one, at, place) {
  const [before, after] = [one.ranks[state.first][at], one.ranks[state.second][at]];
  const isFirst = place === state.first;
  if (before === null || after === null) return ["", isFirst ? "not in the second" : "not in the first"];
  if (before === after) return ["", "same place"];
  const where = isFirst ? `to ${after}` : `from ${before}`;
  return before > after ? ["up", `▲ ${before - after}, ${where}`] : ["down", `▼ ${after - before}, ${where}`];
}

function placed(one, at, place, words) {
  const { id, text } = ofDataset().documents[one.documents[at]];
  const grade = one.grades[at];
  const [way, moved] = moveOf(one, at, place);
  const judged = state.dataset.remark ? "" : grade === null ? "unjudged" : `grade ${grade}`;
  const head = html("div", { class: "head" }, html("b", {}, String(one.ranks[place][at])), html("code", {}, html("bdi", {}, id)));
  if (judged) head.append(html("span", { class: "grade" }, judged));
  if (one.cut[place].includes(at)) head.append(html("span", { class: "grade" }, "truncated"));
  head.append(html("span", { class: `move ${way}` }, moved));
  const kind = grade === null ? "unjudged" : `grade${Math.max(0, Math.min(grade, 3))}`;
  const matches = matchesOf(one, place, at);
  const shown = matches ? withTokens(text ?? "", one.tokens[place].query, matches) : marked(text ?? "", words);
  const item = html("li", { class: kind, "data-doc": at }, head, html("div", { class: "text", dir: "auto" }, ...shown));
  if (matches) item.append(matchLine(text ?? "", matches));
  for (const [event, on] of [["mouseenter", true], ["mouseleave", false]]) {
    item.addEventListener(event, () => {
      for (const twin of document.querySelectorAll(`[data-doc="${at}"]`)) twin.classList.toggle("same", on);
    });
  }
  return item;
}

const segmenter = new Intl.Segmenter(undefined, { granularity: "word" });
const COMMON = new Set(("a an the of in on at to for from by with and or is are was were be do does did what which who how " +
  "why when where it its that this as about than over some can not has have had does if into there their they we you i").split(" "));

function wordsOf(text) {
  const words = [...segmenter.segment(text.toLowerCase())].filter((one) => one.isWordLike).map((one) => one.segment);
  return new Set(words.filter((word) => !COMMON.has(word)));
}

// The text with the words of the query marked; their plurals, too.
function marked(text, words) {
  const known = (word) => words.has(word) ||
    (word.length > 2 && (words.has(`${word}s`) || (word.endsWith("s") && words.has(word.slice(0, -1)))));
  const parts = [];
  let plain = "";
  for (const { segment, isWordLike } of segmenter.segment(text)) {
    if (isWordLike && known(segment.toLowerCase())) {
      parts.push(plain, html("mark", {}, segment));
      plain = "";
    } else plain += segment;
  }
  return [...parts, plain];
}

// A text that Markdown shows as it is, on one line; as `escaped` of reports/grid.py.
function escaped(text) {
  const plain = text.replace(/[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g, " ")
    .replace(/[\x00-\x08\x0e-\x1b\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const entities = { "<": "&lt;", ">": "&gt;", "&": "&amp;" };
  return plain.replace(/[\\`<>*[\]~|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|&(?=[#A-Za-z])/g, (one) => entities[one] ?? `\\${one}`)
    .replace(/(?<![A-Za-z0-9])@(?=[\p{L}\p{N}_])|(?<!&)#(?=\d)|\bGH-(?=\d)/giu, "$&&#8203;");
}

function asMarkdown(one) {
  const names = [state.first, state.second].map((place) => state.dataset.systems[place].name);
  const told = (place, other) => shownBy(one, place).map((at) => {
    const grade = one.grades[at] === null ? "unjudged" : `grade ${one.grades[at]}`;
    const document_ = ofDataset().documents[one.documents[at]];
    return escaped(`${document_.id} (${grade}${one.ranks[other][at] === one.ranks[place][at] ? "" : `, there ${one.ranks[other][at] ?? "absent"}`})`);
  });
  const [left, right] = [told(state.first, state.second), told(state.second, state.first)];
  const rows = Array.from({ length: Math.max(left.length, right.length) }, (_, at) => `| ${at + 1} | ${left[at] ?? ""} | ${right[at] ?? ""} |`);
  const values = [state.first, state.second].map((place) => fixed(one.values[place]));
  return [`**${escaped(`${state.dataset.name}, ${one.id}`)}**: ${escaped(one.text ?? "")}`, "",
    `| # | ${names.map((name, at) => escaped(`${name} (${data.measure} ${values[at]})`)).join(" | ")} |`, "| ---: | --- | --- |", ...rows, ""].join("\n");
}

async function copyQuery() {
  const text = asMarkdown(state.listings[state.query]);
  try {
    await navigator.clipboard.writeText(text);
  } catch { // pages from a file may not write there in some browsers
    const area = html("textarea", {}, text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  byId("copy").textContent = "Copied";
  setTimeout(() => { byId("copy").textContent = "Copy as Markdown"; }, 1500);
}
