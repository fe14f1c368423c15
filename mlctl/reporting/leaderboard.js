// The controls of a leaderboard. What is shown is in the address (#language=sw&sort=xnli), so that it can be linked to.

// The address

function initialState() {
  const columns = page.columns.filter((column) => column.shown);
  const most = columns.reduce((best, column) => (best && best.models.length >= column.models.length ? best : column), null);
  return {find: "", language: "", kinds: KINDS, merge: false, tasks: null, sort: most ? most.id : NAME, order: "descending", compare: []};
}

function stateOf(address) {
  const state = initialState(), given = new URLSearchParams(address);
  const known = new Set(page.columns.map((column) => column.id)), ids = new Set(page.models.map((model) => model.id));
  const list = (name) => (given.get(name) || "").split(",").filter((text) => text);
  state.find = given.get("find") || "";
  const language = given.get("language") || "";
  if (language === WITH_ENGLISH || page.languages[language]) state.language = language;
  if (given.has("kinds")) state.kinds = list("kinds").filter((kind) => KINDS.includes(kind));
  state.merge = given.get("merge") === "1";
  if (given.has("tasks")) state.tasks = list("tasks").filter((name) => known.has(name));
  if ([NAME, ALL].includes(given.get("sort")) || known.has(given.get("sort"))) state.sort = given.get("sort");
  if (given.get("order") === "ascending") state.order = "ascending";
  state.compare = list("compare").filter((id) => ids.has(id)).slice(0, 2);
  return state;
}

function addressOf(state) {
  const plain = initialState(), words = {find: state.find, language: state.language, sort: state.sort, order: state.order};
  const parts = Object.entries(words).filter(([name, value]) => value !== plain[name]);
  if (state.kinds.length < KINDS.length) parts.push(["kinds", state.kinds.join(",")]);
  if (state.merge) parts.push(["merge", "1"]);
  if (state.tasks) parts.push(["tasks", state.tasks.join(",")]);
  if (state.compare.length) parts.push(["compare", state.compare.join(",")]);
  return parts.map(([name, value]) => `${name}=${encodeURIComponent(value).replace(/%2C/g, ",")}`).join("&");
}

// Controls

function showControls(state) {
  byId("find").value = state.find;
  byId("language").value = state.language;
  byId("merge").checked = state.merge;
  for (const box of boxes("kind")) box.checked = state.kinds.includes(box.value);
  const columns = new Set(shownColumns(state).map((column) => column.id));
  for (const box of boxes("task")) box.checked = columns.has(box.value);
  for (const link of document.querySelectorAll("[data-language]")) link.setAttribute("aria-current", String(link.dataset.language === state.language));
  const name = page.languages[state.language];
  byId("scores-title").textContent = name ? `Scores in ${name}` : "Scores";
  document.title = name ? `Leaderboard: ${name}` : "Leaderboard";
}

let state = initialState();

function show() {
  showControls(state);
  showTable(state);
  showComparison(state);
}

function change(values) {
  state = {...state, ...values};
  const address = addressOf(state);
  history.replaceState(null, "", address ? `#${address}` : location.pathname + location.search);
  show();
}

/** Show what the address says; one without "=" leads to a section of the page, an empty one to where the page begins. */
function readAddress(event) {
  const address = location.hash.slice(1);
  if (address && !address.includes("=")) return;
  const language = state.language;
  state = stateOf(address);
  show();
  if (event && state.language && state.language !== language) byId("scores").scrollIntoView();
}

function sortBy(id) {
  const first = id === NAME ? "ascending" : "descending";
  const other = first === "ascending" ? "descending" : "ascending";
  change({sort: id, order: state.sort === id && state.order === first ? other : first});
}

const checked = (name) => boxes(name).filter((box) => box.checked).map((box) => box.value);

function listen() {
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("find").addEventListener("input", (event) => change({find: event.target.value}));
  byId("language").addEventListener("change", (event) => change({language: event.target.value, tasks: null}));
  byId("merge").addEventListener("change", (event) => change({merge: event.target.checked}));
  byId("reset").addEventListener("click", () => change({...initialState(), compare: state.compare}));
  for (const box of boxes("kind")) box.addEventListener("change", () => change({kinds: checked("kind")}));
  for (const box of boxes("task")) box.addEventListener("change", () => change({tasks: checked("task")}));
  for (const id of ["first", "second"]) {
    byId(id).addEventListener("change", () => change({compare: ["first", "second"].map((name) => byId(name).value).filter((value) => value)}));
  }
  byId("board").addEventListener("click", (event) => {
    const button = event.target.closest("[data-sort]");
    if (button) sortBy(button.dataset.sort);
  });
  byId("board").addEventListener("change", (event) => {
    const id = event.target.dataset.compare;
    if (id) change({compare: event.target.checked ? [...state.compare, id].slice(-2) : state.compare.filter((other) => other !== id)});
  });
  addEventListener("hashchange", readAddress);
}

function fillSelects() {
  const models = [...page.models].sort((a, b) => a.label.localeCompare(b.label));
  for (const id of ["first", "second"]) {
    byId(id).append(element("option", {value: ""}, "Select a model"), ...models.map((model) => element("option", {value: model.id}, `${model.label}, ${model.kind}`)));
  }
}

fillSelects();
listen();
show();
readAddress(null);
