"""Charts as Vega-Lite specifications. Colours are the page's own CSS variables, so that dark mode needs no second chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from mlctl import languages as codes

Row = dict[str, Any]
Spec = dict[str, Any]

#: One colour a meaning. The first eight are Okabe and Ito's, safe for colour-blind readers (their yellow darkened and their
#: black made grey, to show on white and on black); beyond eight no palette is, and the page's buttons single a meaning out.
MEANING_COLOURS = (
    "#0072B2 #E69F00 #009E73 #D55E00 #CC79A7 #56B4E9 #B8A000 #808080 #7B4FB5 #8C5A2B "
    "#E0559A #3D8B37 #A0522D #2AA5A0 #C23B22 #6A79C9 #9AB300 #B07AA1 #5F7D8C #D98880"
).split()

#: One colour a run, where several are compared.
RUN_COLOURS = MEANING_COLOURS[:8]

#: One shape a language, as SVG paths within [-1, 1].
LANGUAGE_SHAPES = (
    "M.9,0A.9,.9,0,1,1,-.9,0A.9,.9,0,1,1,.9,0Z",
    "M-.8,-.8H.8V.8H-.8Z",
    "M0,-1.1L.95,.75H-.95Z",
    "M0,-1.15L.9,0L0,1.15L-.9,0Z",
    "M-.33,-1H.33V-.33H1V.33H.33V1H-.33V.33H-1V-.33H-.33Z",
    "M0,1.1L.95,-.75H-.95Z",
    "M0,-1.15L.28,-.38L1.09,-.35L.45,.15L.68,.93L0,.47L-.68,.93L-.45,.15L-1.09,-.35L-.28,-.38Z",
    "M.95,0L.48,.83H-.48L-.95,0L-.48,-.83H.48Z",
    "M1.1,0L-.75,.95V-.95Z",
    "M-1.1,0L.75,-.95V.95Z",
    "M-.7,-1L0,-.4L.7,-1L1,-.7L.4,0L1,.7L.7,1L0,.4L-.7,1L-1,.7L-.4,0L-1,-.7Z",
    "M-1,-.4H1V.4H-1Z",
)

#: How all charts look.
THEME: Spec = {
    "background": None,
    "font": "system-ui, -apple-system, Segoe UI, Roboto, Noto Sans, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
    },
    "axisY": {"domain": False, "ticks": False},
    "legend": {"labelColor": "var(--ink)", "labelFontSize": 13, "orient": "top", "title": None, "symbolType": "square"},
    "text": {"color": "var(--muted)", "fontSize": 12},
}

_MODELS = ("base", "trained")
_MODEL_COLOURS = ("var(--base)", "var(--trained)")
_ROOMY, _MANY = 42, 30  # pixels of a language with its two bars: where there are few, where there are more
_FEW = 12  # languages
_CELL = 24  # pixels of a row of the heat map
_SLANTED = 3  # from so many columns on, their names stand slanted
_ROOM_FOR_SLANTED = {"left": 5, "top": 5, "right": 36, "bottom": 5}  # the last name stands out over its column
_PRECISE = 6  # columns that leave room for a decimal on a phone
_ENDS = (0.1, 0.25, 0.5, 1.0)  # where an axis of shares may end


def benchmark_chart(rows: Sequence[Row]) -> Spec:
    """Draw one benchmark: for every language a bar a model, and how sure they are.

    The line on the trained model's bar is the 95% interval of the difference, set upon the base's figure: where it does not reach
    down to the base, the gain is beyond chance of items and seeds. That on the base's bar is its standard deviation over seeds, where
    there are several.

    Args:
        rows: `tables.benchmark_rows` of one task.
    """
    values = [_bar(row, model) for row in rows for model in _MODELS]
    end = next(end for end in _ENDS if end >= max(max(row["base"], row["trained"]) for row in rows))
    place = alt.Chart(alt.Data(values=values)).encode(
        y=_names([codes.name(row["language"]) for row in rows]), yOffset=alt.YOffset("model:N", sort=list(_MODELS))
    )
    bars = place.mark_bar(cornerRadiusEnd=2).encode(
        x=alt.X(
            "value:Q",
            title=None,
            scale=alt.Scale(domain=[0, 1.16 * end]),
            axis=alt.Axis(format="~%", values=[end * quarter / 4 for quarter in range(5)], labelFlush=False),
        ),
        color=alt.Color("model:N", scale=alt.Scale(domain=list(_MODELS), range=list(_MODEL_COLOURS)), legend=alt.Legend()),
        tooltip=[
            alt.Tooltip("language:N", title="language"),
            alt.Tooltip("model:N", title="model"),
            alt.Tooltip("value:Q", title="figure", format=".1%"),
            alt.Tooltip("sure:N", title="how sure"),
        ],
    )
    whiskers = place.mark_rule(color="var(--ink)", opacity=0.55).encode(x="low:Q", x2="high:Q")
    labels = place.mark_text(align="left", dx=6, fontSize=11).encode(x="end:Q", text=alt.Text("value:Q", format=".1%"))
    height = (_ROOMY if len(rows) <= _FEW else _MANY) * len(rows)
    return _spec((bars + whiskers + labels).properties(height=height))


def heat_chart(cells: Sequence[Row], tasks: Sequence[str], languages: Sequence[str]) -> Spec:
    """Draw a table of coloured cells: rows with `task, language` (both as they are named), `change` (a share), `sure`
    (beyond chance: bold) and `said` (how sure, in words).

    Args:
        cells: one for each task and language that was judged.
        tasks: names of the columns, in order.
        languages: names of the rows, in order.
    """
    most = max((abs(cell["change"]) for cell in cells), default=0.0) or 1.0
    digits = 1 if len(tasks) <= _PRECISE else 0
    values = [{**cell, "points": _signed(100 * cell["change"], digits), "size": abs(cell["change"])} for cell in cells]
    angle = -70 if len(tasks) >= _SLANTED else 0
    column = alt.Axis(orient="top", title=None, labelAngle=angle, labelAlign="left" if angle else "center", labelLimit=120)
    place = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X("task:N", sort=list(tasks), axis=column, scale=alt.Scale(paddingInner=0.04)),
        y=_names(languages),
    )
    cell = place.mark_rect(cornerRadius=3).encode(
        color=alt.condition("datum.change < 0", alt.value("var(--fall)"), alt.value("var(--trained)")),
        opacity=alt.Opacity("size:Q", legend=None, scale=alt.Scale(domain=[0, most], range=[0.06, 0.6])),
        tooltip=[
            alt.Tooltip("task:N"),
            alt.Tooltip("language:N"),
            alt.Tooltip("points:N", title="difference, points"),
            alt.Tooltip("said:N", title="how sure"),
        ],
    )
    text = place.encode(text=alt.Text("points:N"))
    bold = text.transform_filter("datum.sure").mark_text(fontWeight="bold", color="var(--ink)", fontSize=11)
    plain = text.transform_filter("!datum.sure").mark_text(color="var(--ink)", opacity=0.8, fontSize=11)
    chart = (cell + bold + plain).properties(height=_CELL * len(languages))
    return _spec(chart.properties(padding=_ROOM_FOR_SLANTED) if angle else chart)


def curve_chart(rows: Sequence[Row], title: str, from_zero: bool = False) -> Spec:
    """Draw one curve over training steps: rows with `step, mean` and, for the band around it, `low, high`."""
    step = alt.X("step:Q", title="step", axis=alt.Axis(grid=False, tickCount=5, format="~s"), scale=alt.Scale(nice=False))
    chart = alt.Chart(alt.Data(values=list(rows))).encode(x=step)
    tips = [alt.Tooltip("step:Q", format=","), alt.Tooltip("mean:Q", title=title, format=".4~g")]
    y = {"title": None, "scale": alt.Scale(zero=from_zero), "axis": alt.Axis(tickCount=5)}
    band = chart.mark_area(opacity=0.22, color="var(--trained)").encode(y=alt.Y("low:Q", **y), y2="high:Q")
    line = chart.mark_line(color="var(--trained)", strokeWidth=2).encode(y=alt.Y("mean:Q", **y), tooltip=tips)
    return _spec((band + line).properties(height=190, description=f"{title} over training steps"))


def curves_chart(rows: Sequence[Row], title: str, colours: Mapping[str, str], from_zero: bool = False) -> Spec:
    """Draw the curves of several runs over each other: rows with `run, step, mean`; `colours` by run."""
    chart = alt.Chart(alt.Data(values=[{name: row[name] for name in ("run", "step", "mean")} for row in rows])).mark_line(
        strokeWidth=2
    )
    chart = chart.encode(
        x=alt.X("step:Q", title="step", axis=alt.Axis(grid=False, tickCount=5, format="~s"), scale=alt.Scale(nice=False)),
        y=alt.Y("mean:Q", title=None, scale=alt.Scale(zero=from_zero), axis=alt.Axis(tickCount=5)),
        color=_run_colour(colours),
        tooltip=[alt.Tooltip("run:N"), alt.Tooltip("step:Q", format=","), alt.Tooltip("mean:Q", title=title, format=".4~g")],
    )
    return _spec(chart.properties(height=190, description=f"{title} over training steps"))


def interval_chart(rows: Sequence[Row], colours: Mapping[str, str]) -> Spec:
    """Draw differences with their intervals around 0: for every language a point a run.

    Args:
        rows: of `schema.DIFFERENCES`, of one task, with `run`.
        colours: run → colour, in order.
    """
    names = ("low", "difference", "high")
    values = [
        {
            "language": codes.name(row["language"]),
            "run": row["run"],
            "sure": row["significant"],
            **{name: 100 * row[name] for name in names},
        }
        for row in rows
    ]
    place = alt.Chart(alt.Data(values=values)).encode(
        y=_names(sorted({value["language"] for value in values})),
        yOffset=alt.YOffset("run:N", sort=list(colours)),
        color=_run_colour(colours),
        tooltip=[alt.Tooltip("language:N"), alt.Tooltip("run:N"), *(alt.Tooltip(f"{name}:Q", format="+.1f") for name in names)],
    )
    lines = place.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q", title="points against the first run"), x2="high:Q")
    marks = place.mark_point(size=60, strokeWidth=1.5).encode(
        x="difference:Q", fill=alt.condition("datum.sure", _run_colour(colours), alt.value("var(--page)"))
    )
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color="var(--muted)", strokeDash=[3, 3]).encode(x="zero:Q")
    height = (12 + 14 * len(colours)) * len({value["language"] for value in values})
    return _spec((zero + lines + marks).properties(height=height))


def map_chart(points: Sequence[Row], meanings: int, languages: Sequence[str]) -> Spec:
    """Draw one map of tokens: rows with `x, y, meaning, language, spoken (its name), token, text`.

    The parameters `meaning` (-1: all) and `language` ("": all) single tokens out; the page's buttons set them.
    """
    shown = "(meaning < 0 || datum.meaning === meaning) && (language === '' || datum.language === language)"
    chart = alt.Chart(alt.Data(values=list(points))).mark_point(filled=True, size=75, stroke="var(--page)", strokeWidth=0.6)
    chart = chart.encode(
        x=alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-1.06, 1.06])),
        y=alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-1.06, 1.06])),
        color=alt.Color("meaning:N", legend=None, scale=_fixed(range(meanings), MEANING_COLOURS)),
        shape=alt.Shape("language:N", legend=None, scale=_fixed(languages, LANGUAGE_SHAPES)),
        opacity=alt.condition(shown, alt.value(0.9), alt.value(0.07)),
        tooltip=[alt.Tooltip("token:N"), alt.Tooltip("spoken:N", title="language"), alt.Tooltip("text:N", title="sentence")],
    )
    chart = chart.add_params(alt.param(name="meaning", value=-1), alt.param(name="language", value=""))
    return _spec(chart.properties(height=400))


def colour_of(meaning: int) -> str:
    """Return the colour of a meaning."""
    return MEANING_COLOURS[meaning % len(MEANING_COLOURS)]


def shape_of(language: int) -> str:
    """Return the shape of the language with this number."""
    return LANGUAGE_SHAPES[language % len(LANGUAGE_SHAPES)]


def _names(languages: Sequence[str]) -> alt.Y:
    return alt.Y("language:N", title=None, sort=list(languages), axis=alt.Axis(labelLimit=140, labelPadding=8))


def _run_colour(colours: Mapping[str, str]) -> alt.Color:
    return alt.Color("run:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=alt.Legend())


def _signed(number: float, digits: int) -> str:
    rounded = round(number, digits)
    return f"{rounded:+.{digits}f}".replace("-", "−") if rounded else "0"


def _bar(row: Row, model: str) -> Row:
    low, high = _whisker(row, model)
    value = row[model]
    sure = "" if low is None else f"{100 * low:.1f}% to {100 * high:.1f}%"
    return {
        "language": codes.name(row["language"]),
        "model": model,
        "value": value,
        "low": low,
        "high": high,
        "end": max(value, high or 0),
        "sure": sure and (f"{sure} (interval of the difference)" if model == "trained" else f"{sure} (deviation over seeds)"),
    }


def _whisker(row: Row, model: str) -> tuple[Any, Any]:
    if model == "trained":
        low, high = (row["base"] + row[end] for end in ("low", "high"))
    elif row["base_deviation"] is None:
        return None, None
    else:
        low, high = (row["base"] + sign * row["base_deviation"] for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)


def _fixed(domain: Sequence[Any], choices: Sequence[str]) -> alt.Scale:
    return alt.Scale(domain=list(domain), range=[choices[index % len(choices)] for index in range(len(domain))])


def _spec(chart: Any) -> Spec:
    spec: Spec = chart.properties(width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding")).to_dict()
    del spec["$schema"]  # an address that nobody needs to open
    return spec
