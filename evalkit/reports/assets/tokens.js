"use strict";
// Late interaction: the tokens that a query's tokens match, in the documents of a system; only where a report has them.

// Of a document the tokens of the query with [product, start, stop], or [product, special token].
const matchesOf = (one, place, at) => one.tokens?.[place]?.documents[at];

// The tokens of the query as buttons: a pointer or the focus shows what each matches, a click keeps it.
function tokenStrip(one, place) {
  const found = one.tokens?.[place];
  if (!found) return [];
  const strip = html("div", { class: "strip", role: "group", "aria-label": "Tokens of the query: show what each matches" });
  let kept = null;
  found.query.forEach((token, number) => {
    const button = html("button", { type: "button", "aria-pressed": false }, html("bdi", {}, token));
    const show = (shown) => showMatch(strip.parentElement, found.query, shown);
    button.addEventListener("mouseenter", () => show(number));
    button.addEventListener("focus", () => show(number));
    for (const event of ["mouseleave", "blur"]) button.addEventListener(event, () => show(kept));
    button.addEventListener("click", () => {
      kept = kept === number ? null : number;
      strip.querySelectorAll("button").forEach((each, at) => each.setAttribute("aria-pressed", at === kept));
      show(kept);
    });
    strip.append(button);
  });
  return [strip];
}

// In all documents of a ranking the match of one token, and in words what it is.
function showMatch(side, query, number) {
  side.querySelectorAll("mark.token").forEach((each) =>
    each.classList.toggle("chosen", each.dataset.tokens.split(" ").includes(String(number))));
  for (const line of side.querySelectorAll(".match")) {
    line.replaceChildren(...(number === null ? [line.dataset.all] : [html("bdi", {}, query[number]), " → ", ...matchText(line, number)]));
  }
}

function matchText(line, number) {
  const [value, word] = JSON.parse(line.dataset.matches)[number];
  return [html("bdi", {}, word), ` ${value.toFixed(4)}`];
}

// The text with its matched tokens marked, the stronger the darker, and the line that says what they add up to.
function withTokens(text, query, matches) {
  const places = new Map();
  matches.forEach(([value, start, stop], number) => {
    if (stop === undefined || stop > text.length) return;
    const own = places.get(start) ?? { start, stop, value, numbers: [] };
    places.set(start, { ...own, stop: Math.max(own.stop, stop), value: Math.max(own.value, value), numbers: [...own.numbers, number] });
  });
  const most = Math.max(...matches.map(([value]) => value), 1e-9);
  const parts = [];
  let end = 0;
  for (const { start, stop, value, numbers } of [...places.values()].sort((one, other) => one.start - other.start)) {
    if (start < end) continue;
    const said = numbers.map((number) => `${query[number]} ${matches[number][0].toFixed(4)}`).join(", ");
    const made = html("mark", { class: "token", "data-tokens": numbers.join(" "), title: `matched by ${said}` }, text.slice(start, stop));
    made.style.setProperty("--strength", `${Math.max(value / most, 0) ** 2 * 75 + 10}%`);
    parts.push(text.slice(end, start), made);
    end = stop;
  }
  return [...parts, text.slice(end)];
}

function matchLine(text, matches) {
  const words = matches.map(([value, start, stop]) =>
    [value, stop === undefined ? start : stop > text.length ? "a token behind the text shown" : text.slice(start, stop)]);
  const sum = matches.reduce((total, [value]) => total + value, 0);
  const all = `${matches.length} tokens of the query: sum of the products ${sum.toFixed(4)}, mean ${(sum / matches.length).toFixed(4)}`;
  return html("div", { class: "match", "data-all": all, "data-matches": JSON.stringify(words) }, all);
}
