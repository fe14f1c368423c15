// The tables of a leaderboard: all models, and two against each other.

// Elements

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

const tag = (text) => element("span", {class: "tag"}, text);
const scroller = (label, table) => element("div", {class: "scroll", role: "region", tabindex: "0", "aria-label": label}, table);
const percent = (share) => (100 * share).toFixed(1);
const points = (share) => (share < 0 ? "−" : "+") + Math.abs(100 * share).toFixed(1);
const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

// The table

function headCell(state, id, title, details, numeric) {
  const order = state.sort === id ? state.order : "none";
  const button = element("button", {type: "button", class: "sort", "data-sort": id}, element("span", {}, title));
  button.append(...details.map(tag));
  return element("th", {scope: "col", class: numeric ? "n" : null, "aria-sort": order}, button);
}

function columnDetails(column, language) {
  const count = languagesOf(column, language).length;
  const single = language && language !== WITH_ENGLISH;
  const extent = single ? plural(column.items[language], "item") : `${count} lang.`;
  return [`${column.metric} · ${extent}`, column.note].filter((text) => text);
}

function head(state, columns) {
  const cells = columns.map((column) => headCell(state, column.id, column.title, columnDetails(column, state.language), true));
  const tasks = benchmarks(columns).length;
  if (tasks > 1) cells.unshift(headCell(state, ALL, "Mean", [plural(tasks, "benchmark")], true));
  return element("tr", {}, headCell(state, NAME, "Model", [], false), ...cells);
}

function scoreCell(score, best) {
  if (!score) return element("td", {class: "n"}, NONE);
  const complete = isComplete(score);
  const isBest = complete && !score.published && score.mean === best;
  const value = element(isBest ? "b" : "span", {}, percent(score.mean));
  const cell = element("td", {class: `n${complete ? "" : " partial"}${isBest ? " best" : ""}`}, value);
  if (score.deviation !== null) cell.append(tag(`± ${percent(score.deviation)}`));
  if (!complete) cell.append(tag(`${score.count} of ${score.total} lang.`));
  if (score.note) cell.append(tag(score.note));
  return cell;
}

function nameCell(state, row) {
  const name = element("span", {class: "name"});
  if (row.models.length === 1) {
    const model = page.models[row.models[0]];
    const box = element("input", {type: "checkbox", "data-compare": model.id, "aria-label": `Compare ${model.label}`});
    box.checked = state.compare.includes(model.id);
    name.append(box);
  }
  name.append(element("span", {}, row.name));
  const kind = row.published ? "published" : row.kind;
  return element("th", {scope: "row"}, name, element("span", {class: "tag"}, element("span", {class: `badge ${kind}`}, kind), " ", row.tag));
}

function bestScores(rows, columns) {
  return columns.map((_, number) => {
    const own = rows.map((row) => row.cells[number]).filter((cell) => isComplete(cell || null) && !cell.published);
    return Math.max(...own.map((cell) => cell.mean));
  });
}

function tableBody(state, columns, rows, title) {
  const best = bestScores(rows, columns);
  const made = rows.map((row) => {
    const cells = row.cells.map((cell, number) => scoreCell(cell, best[number]));
    if (benchmarks(columns).length > 1) cells.unshift(scoreCell(row.all, NaN));
    return element("tr", {class: row.kind}, nameCell(state, row), ...cells);
  });
  const width = columns.length + (benchmarks(columns).length > 1 ? 2 : 1);
  if (title && rows.length) made.unshift(element("tr", {class: "group"}, element("th", {scope: "rowgroup", colspan: width}, element("span", {}, title))));
  return element("tbody", {}, ...made);
}

/** Own models first: rows of papers are by other code, and no rank among them. */
function showTable(state) {
  const columns = shownColumns(state);
  const rows = sorted(tableRows(state, columns), state, columns);
  const focused = document.activeElement && document.activeElement.dataset ? {...document.activeElement.dataset} : {};
  const [own, published] = [rows.filter((row) => !row.published), rows.filter((row) => row.published)];
  byId("board").tHead.replaceChildren(head(state, columns));
  for (const body of [...byId("board").tBodies]) body.remove();
  byId("board").append(tableBody(state, columns, own, ""), tableBody(state, columns, published, "Published in papers, by other code"));
  restoreFocus(focused);
  const total = allRows(state.merge).length;
  byId("status").textContent = rows.length
    ? `${rows.length} of ${plural(total, "row")}, ${plural(columns.length, "task")}, by ${sortName(state, columns)}, ${state.order}.`
    : "No model matches the filters.";
  byId("task-count").textContent = `${columns.length} of ${page.columns.length} shown`;
}

function sortName(state, columns) {
  const column = columns.find((one) => one.id === state.sort);
  return state.sort === NAME ? "name" : state.sort === ALL ? "mean" : (column || columns[0] || {title: NONE}).title;
}

/** The table is made anew: what had the focus has it again. */
function restoreFocus(focused) {
  const [selector] = ["sort", "compare"].filter((name) => focused[name]).map((name) => `[data-${name}="${focused[name]}"]`);
  const again = selector && byId("board").querySelector(selector);
  if (again) again.focus({preventScroll: true});
}

// Two models

/** Test of two models: limits and p, null if there is none. */
function pairTest(tests, first, second) {
  const [i, j] = [tests.models.indexOf(first), tests.models.indexOf(second)];
  if (i < 0 || j < 0) return null;
  const [low, high] = [Math.min(i, j), Math.max(i, j)];
  const index = low * tests.models.length - (low * (low + 1)) / 2 + (high - low - 1);
  const bytes = Uint8Array.from(atob(tests.pairs.slice(8 * index, 8 * index + 8)), (character) => character.charCodeAt(0));
  const numbers = [0, 2, 4].map((offset) => new DataView(bytes.buffer).getInt16(offset, true));
  if (!numbers[2]) return null;
  const limits = [numbers[0] * page.units.limit, numbers[1] * page.units.limit];
  return {low: i < j ? limits[0] : -limits[1], high: i < j ? limits[1] : -limits[0], p: numbers[2] * page.units.p};
}

function compareColumn(column, first, second) {
  const places = [first, second].map((model) => column.models.indexOf(model));
  const both = Object.keys(column.scores).filter((name) => places.every((place) => place >= 0 && column.scores[name][place]));
  if (!both.length) return null;
  const means = both.filter((name) => name !== ENGLISH);
  const languages = means.length ? means : both;
  const scores = [first, second].map((model) => modelScore(column, model, languages));
  const tests = both.map((name) => (column.languageTests[name] ? pairTest(column.languageTests[name], first, second) : null));
  const corrected = holm(tests.filter((test) => test).map((test) => test.p));
  const rows = both.map((name, number) => {
    const one = [first, second].map((model) => modelScore(column, model, [name]));
    return {language: name, scores: one, test: tests[number] && {...tests[number], p: corrected.shift()}};
  });
  rows.sort((a, b) => page.languages[a.language].localeCompare(page.languages[b.language]));
  return {column, scores, count: languages.length, test: pairTest(column.tests, first, second), rows};
}

const isSignificant = (test) => test.p < ALPHA && (test.low > 0 || test.high < 0);
const pText = (p) => (p < 0.001 ? "< 0.001" : p.toFixed(3));

function differenceCells(scores, test) {
  const difference = scores[1].mean - scores[0].mean;
  const mark = test && isSignificant(test) ? element("span", {class: "mark", title: "significant"}, "*") : element("span", {class: "mark"});
  return [
    ...scores.map((score) => element("td", {class: "n"}, percent(score.mean), score.deviation === null ? null : tag(` ± ${percent(score.deviation)}`))),
    element("td", {class: "n"}, element("span", {class: difference > 0 ? "up" : difference < 0 ? "down" : ""}, points(difference)), mark),
    element("td", {class: "n tag"}, test ? `${points(test.low)} to ${points(test.high)}` : "not tested"),
    element("td", {class: "n tag"}, test ? pText(test.p) : ""),
  ];
}

function comparisonTable(label, firstHead, names, rows) {
  const heads = [firstHead, ...names, "difference", "95% interval", firstHead === "language" ? "corrected p" : "p"];
  const cells = heads.map((text, number) => element("th", {scope: "col", class: number ? "n" : null}, text));
  return scroller(label, element("table", {}, element("thead", {}, element("tr", {}, ...cells)), element("tbody", {}, ...rows)));
}

function languageDetails(compared, names) {
  const rows = compared.rows.map((row) =>
    element("tr", {}, element("th", {scope: "row"}, page.languages[row.language], " ", tag(row.language)), ...differenceCells(row.scores, row.test)));
  const title = `${compared.column.title} by language`;
  return element("details", {}, element("summary", {}, title, " ", tag(compared.column.note)), comparisonTable(title, "language", names, rows));
}

/** Tasks that both models have scores in, but on other items or by other settings. */
function notComparable(compared, first, second) {
  const tasks = (model) => page.columns.filter((column) => column.models.includes(model));
  const done = new Set(compared.map((one) => one.column.task));
  const others = new Set(tasks(second).map((column) => column.task));
  return [...new Set(tasks(first).filter((column) => others.has(column.task) && !done.has(column.task)).map((column) => column.title))];
}

function comparison(first, second) {
  const names = [first, second].map((model) => page.models[model].label);
  const compared = page.columns.map((column) => compareColumn(column, first, second)).filter((one) => one);
  const rows = compared.map((one) => {
    const extent = one.count > 1 ? `mean of ${one.count} languages` : page.languages[one.rows[0].language];
    return element("tr", {}, element("th", {scope: "row"}, one.column.title, " ", tag([extent, one.column.note].filter((text) => text).join(" · "))), ...differenceCells(one.scores, one.test));
  });
  const other = notComparable(compared, first, second);
  return [
    compared.length ? comparisonTable("Comparison by task", "task", names, rows) : element("p", {class: "warning"}, "The two have no task in common on the same test items."),
    other.length ? element("p", {class: "warning"}, `Not compared, because the two were evaluated on other items or by other settings: ${other.join(", ")}.`) : null,
    ...compared.map((one) => languageDetails(one, names)),
  ].filter((part) => part);
}

function showComparison(state) {
  const chosen = state.compare.map((id) => page.models.findIndex((model) => model.id === id));
  ["first", "second"].forEach((id, number) => { byId(id).value = state.compare[number] || ""; });
  const parts = chosen.length === 2 && chosen[0] !== chosen[1] ? comparison(...chosen) : [element("p", {class: "quiet"}, "Select two different models.")];
  byId("comparison").replaceChildren(...parts);
}
