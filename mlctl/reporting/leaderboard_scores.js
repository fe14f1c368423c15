// Scores of a leaderboard: rows and columns of its table, filtered and sorted. The element `data` has the figures.

const page = JSON.parse(document.getElementById("data").textContent);
const ENGLISH = "en", WITH_ENGLISH = "with-en", NAME = "name", ALL = "all", NONE = "–", ALPHA = 0.05;
const KINDS = ["trained", "base", "published"];
const byId = (id) => document.getElementById(id);
const boxes = (name) => [...document.querySelectorAll(`input[name="${name}"]`)];

// Statistics

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function deviation(values) {
  if (values.length < 2) return null;
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}

/** Holm's correction for the number of tests. */
function holm(values) {
  const order = values.map((_, index) => index).sort((a, b) => values[a] - values[b]);
  const corrected = [];
  let largest = 0;
  order.forEach((index, rank) => {
    largest = Math.max(largest, Math.min(1, (values.length - rank) * values[index]));
    corrected[index] = largest;
  });
  return corrected;
}

// Scores

/** The languages that a column's mean is taken over; of one language that one. */
function languagesOf(column, language) {
  const all = Object.keys(column.scores);
  if (language && language !== WITH_ENGLISH) return all.filter((name) => name === language);
  const others = language ? all : all.filter((name) => name !== ENGLISH);
  return others.length ? others : all;
}

/** Mean of a model over languages: with each seed, and the number of languages that it has. */
function modelScore(column, model, languages) {
  const place = column.models.indexOf(model);
  if (place < 0) return null;
  const found = languages.map((name) => column.scores[name][place]).filter((seeds) => seeds);
  if (!found.length) return null;
  const seeds = found[0].map((_, seed) => mean(found.map((scores) => scores[seed])) * page.units.score);
  return {mean: mean(seeds), deviation: deviation(seeds), seeds: seeds.length, count: found.length, total: languages.length};
}

function publishedScore(column, row, language) {
  const score = row.published.scores[column.task];
  const single = language && language !== WITH_ENGLISH;
  if (score === undefined || single || column.id !== column.task) return null;
  const note = language !== WITH_ENGLISH && page.withEnglish.includes(column.task) ? "with English" : null;
  return {mean: score / 100, deviation: null, published: true, note, count: 1, total: 1};
}

/** Score of a row of the table, which may stand for several trainings. */
function rowScore(column, row, language) {
  if (row.published) return publishedScore(column, row, language);
  const languages = languagesOf(column, language);
  const all = row.models.map((model) => modelScore(column, model, languages)).filter((score) => score);
  const most = Math.max(0, ...all.map((score) => score.count));
  const scores = all.filter((score) => score.count === most);
  if (scores.length < 2) return scores[0] || null;
  const means = scores.map((score) => score.mean);
  return {...scores[0], mean: mean(means), deviation: deviation(means), trainings: means.length};
}

const isComplete = (score) => score !== null && score.count === score.total;

// Rows

function trainings(models) {
  const families = new Map();
  for (const [number, model] of models.entries()) {
    const family = model.kind === "trained" && model.family ? model.family : model.id;
    families.set(family, [...(families.get(family) || []), number]);
  }
  return [...families.values()];
}

function allRows(merge) {
  const groups = merge ? trainings(page.models) : page.models.map((_, number) => [number]);
  const rows = groups.map((models) => {
    const first = page.models[models[0]];
    const text = models.length > 1 ? `mean of ${models.length} trainings` : first.tag;
    const search = models.map((number) => `${page.models[number].label} ${page.models[number].tag}`).join(" ");
    return {name: first.name, kind: first.kind, tag: text, models, search, key: first.id};
  });
  const published = page.published.map((row) => ({
    name: row.name, kind: "published", tag: "", models: [], published: row, search: row.name, key: row.name,
  }));
  return [...rows, ...published];
}

function shownColumns(state) {
  const single = state.language && state.language !== WITH_ENGLISH;
  const chosen = (column) => (state.tasks ? state.tasks.includes(column.id) : single || column.shown);
  return page.columns.filter((column) => chosen(column) && (!single || column.scores[state.language]));
}

/** The benchmarks among the columns, each once: pairs that were held out of other text are no common task. */
const benchmarks = (columns) => columns.filter((column, number) =>
  !column.heldOut && columns.findIndex((other) => other.task === column.task) === number);

/** Mean of a row over the benchmarks; null: it lacks one, or there are fewer than two. */
function meanOfTasks(columns, cells) {
  const own = benchmarks(columns).map((column) => cells[columns.indexOf(column)]);
  return own.length > 1 && own.every(isComplete) ? {mean: mean(own.map((cell) => cell.mean)), deviation: null, count: 1, total: 1} : null;
}

/** Rows with their cells; those without any score in the columns are left out. */
function tableRows(state, columns) {
  const find = state.find.toLowerCase();
  return allRows(state.merge)
    .filter((row) => state.kinds.includes(row.kind) && row.search.toLowerCase().includes(find))
    .map((row) => {
      const cells = columns.map((column) => rowScore(column, row, state.language));
      return {...row, cells, all: meanOfTasks(columns, cells)};
    })
    .filter((row) => row.cells.some((cell) => cell));
}

function sortKey(state, columns) {
  const number = columns.findIndex((column) => column.id === state.sort);
  return state.sort === ALL ? (row) => row.all : (row) => row.cells[Math.max(0, number)] || null;
}

function sorted(rows, state, columns) {
  const sign = state.order === "ascending" ? 1 : -1;
  const names = new Intl.Collator("en", {numeric: true});
  if (state.sort === NAME) return rows.sort((a, b) => sign * names.compare(a.name, b.name));
  const key = sortKey(state, columns);
  const rank = (score) => (score === null ? 2 : isComplete(score) ? 0 : 1); // what is missing is last in either order
  return rows.sort((a, b) => {
    const [first, second] = [key(a), key(b)];
    return rank(first) - rank(second) || (first ? sign * (first.mean - second.mean) : 0) || names.compare(a.name, b.name);
  });
}
