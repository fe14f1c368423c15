"""Charts as Vega-Lite specifications. Colours are the page's own CSS variables, so that dark mode needs no second chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from mlctl import languages as codes

Row = dict[str, Any]
Spec = dict[str, Any]

#: One colour for each meaning. The first eight are Okabe and Ito's, safe for colour-blind readers (the yellow darkened and the
#: black changed to grey, so that both are visible on white and on black); no larger palette is safe, so buttons highlight a meaning.
MEANING_COLOURS = (
    "#0072B2 #E69F00 #009E73 #D55E00 #CC79A7 #56B4E9 #B8A000 #808080 #7B4FB5 #8C5A2B "
    "#E0559A #3D8B37 #A0522D #2AA5A0 #C23B22 #6A79C9 #9AB300 #B07AA1 #5F7D8C #D98880"
).split()

#: One colour for each compared run.
RUN_COLOURS = MEANING_COLOURS[:8]

#: One shape for each language, as SVG paths within [-1, 1].
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

#: Vega-Lite configuration of all charts.
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
_WIDE_ROW, _NARROW_ROW = 42, 30  # pixels of a language with its two bars: up to 12 languages, and for more
_FEW_LANGUAGES = 12
_CELL = 24  # pixels of a row of the heat map
_MIN_SLANTED = 3  # columns from which on their names are slanted
_SLANTED_PADDING = {"left": 5, "top": 5, "right": 36, "bottom": 5}  # a slanted name is wider than its column
_MAX_DECIMAL_COLUMNS = 6  # columns that leave room for a decimal on a phone
_AXIS_ENDS = (0.1, 0.25, 0.5, 1.0)  # possible ends of an axis of shares: a fifth of each is a whole number of percent


def benchmark_chart(rows: Sequence[Row]) -> Spec:
    """Return the chart of one benchmark: for every language a bar for each model, with error bars.

    The error bar of the trained model is the 95% interval of the difference, added to the base's score: if it does not include the
    base's score, the difference is significant. The error bar of the base is its standard deviation over seeds, if there are several.

    Args:
        rows: `tables.benchmark_rows` of one task.
    """
    values = [_bar(row, model) for row in rows for model in _MODELS]
    end = next(end for end in _AXIS_ENDS if end >= max(max(row["base"], row["trained"]) for row in rows))
    chart = alt.Chart(alt.Data(values=values)).encode(
        y=_language_axis([codes.name(row["language"]) for row in rows]), yOffset=alt.YOffset("model:N", sort=list(_MODELS))
    )
    bars = chart.mark_bar(cornerRadiusEnd=2).encode(
        x=alt.X(
            "value:Q",
            title=None,
            scale=alt.Scale(domain=[0, 1.16 * end]),
            axis=alt.Axis(format="~%", values=[end * fifth / 5 for fifth in range(6)], labelFlush=False),
        ),
        color=alt.Color("model:N", scale=alt.Scale(domain=list(_MODELS), range=list(_MODEL_COLOURS)), legend=alt.Legend()),
        tooltip=[
            alt.Tooltip("language:N", title="language"),
            alt.Tooltip("model:N", title="model"),
            alt.Tooltip("value:Q", title="score", format=".1%"),
            alt.Tooltip("uncertainty:N"),
        ],
    )
    error_bars = chart.mark_rule(color="var(--ink)", opacity=0.55).encode(x="low:Q", x2="high:Q")
    labels = chart.mark_text(align="left", dx=6, fontSize=11).encode(x="end:Q", text=alt.Text("value:Q", format=".1%"))
    height = (_WIDE_ROW if len(rows) <= _FEW_LANGUAGES else _NARROW_ROW) * len(rows)
    return _spec((bars + error_bars + labels).properties(height=height))


def heat_chart(cells: Sequence[Row], tasks: Sequence[str], languages: Sequence[str]) -> Spec:
    """Return a heat map: rows with `task, language` (both as shown), `change` (a share), `significant` (shown in bold) and
    `uncertainty` (a text).

    Args:
        cells: one for each task and language.
        tasks: names of the columns, in order.
        languages: names of the rows, in order.
    """
    largest = max((abs(cell["change"]) for cell in cells), default=0.0) or 1.0
    digits = 1 if len(tasks) <= _MAX_DECIMAL_COLUMNS else 0
    values = [{**cell, "points": _signed(100 * cell["change"], digits), "size": abs(cell["change"])} for cell in cells]
    angle = -70 if len(tasks) >= _MIN_SLANTED else 0
    column = alt.Axis(orient="top", title=None, labelAngle=angle, labelAlign="left" if angle else "center", labelLimit=120)
    chart = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X("task:N", sort=list(tasks), axis=column, scale=alt.Scale(paddingInner=0.04)),
        y=_language_axis(languages),
    )
    cell = chart.mark_rect(cornerRadius=3).encode(
        color=alt.condition("datum.change < 0", alt.value("var(--fall)"), alt.value("var(--trained)")),
        opacity=alt.Opacity("size:Q", legend=None, scale=alt.Scale(domain=[0, largest], range=[0.06, 0.6])),
        tooltip=[
            alt.Tooltip("task:N"),
            alt.Tooltip("language:N"),
            alt.Tooltip("points:N", title="difference, points"),
            alt.Tooltip("uncertainty:N"),
        ],
    )
    text = chart.encode(text=alt.Text("points:N"))
    bold = text.transform_filter("datum.significant").mark_text(fontWeight="bold", color="var(--ink)", fontSize=11)
    plain = text.transform_filter("!datum.significant").mark_text(color="var(--ink)", opacity=0.8, fontSize=11)
    layers = (cell + bold + plain).properties(height=_CELL * len(languages))
    return _spec(layers.properties(padding=_SLANTED_PADDING) if angle else layers)


def curve_chart(rows: Sequence[Row], title: str, from_zero: bool = False) -> Spec:
    """Return the chart of one curve over training steps: rows with `step, mean` and, for the band around it, `low, high`."""
    step = alt.X("step:Q", title="step", axis=alt.Axis(grid=False, tickCount=5, format="~s"), scale=alt.Scale(nice=False))
    chart = alt.Chart(alt.Data(values=list(rows))).encode(x=step)
    tooltip = [alt.Tooltip("step:Q", format=","), alt.Tooltip("mean:Q", title=title, format=".4~g")]
    y = {"title": None, "scale": alt.Scale(zero=from_zero), "axis": alt.Axis(tickCount=5)}
    band = chart.mark_area(opacity=0.22, color="var(--trained)").encode(y=alt.Y("low:Q", **y), y2="high:Q")
    line = chart.mark_line(color="var(--trained)", strokeWidth=2).encode(y=alt.Y("mean:Q", **y), tooltip=tooltip)
    return _spec((band + line).properties(height=190, description=f"{title} over training steps"))


def gradient_chart(rows: Sequence[Row]) -> Spec:
    """Return the chart of the cosines between the gradients of alignment and of one task: a line for each model and loss of alignment.

    Args:
        rows: of `schema.GRADIENTS`, of one task; those of all layers together are left out.
    """
    values = [row for row in rows if row["layer"] is not None]
    chart = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X("layer:O", title="layer", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
        y=alt.Y("cosine:Q", title=None, axis=alt.Axis(tickCount=5, format=".2~f")),
        color=alt.Color("model:N", scale=alt.Scale(domain=list(_MODELS), range=list(_MODEL_COLOURS)), legend=alt.Legend()),
    )
    dash = alt.StrokeDash("alignment:N", sort=["words", "sentences"], legend=alt.Legend(symbolType="stroke", symbolSize=300))
    tooltip = [
        alt.Tooltip("model:N"),
        alt.Tooltip("alignment:N", title="alignment of"),
        alt.Tooltip("layer:O"),
        alt.Tooltip("cosine:Q", format="+.3f"),
    ]
    lines = chart.mark_line(strokeWidth=2).encode(strokeDash=dash)
    points = chart.mark_circle(size=30, opacity=1).encode(tooltip=tooltip)
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color="var(--muted)", strokeDash=[3, 3]).encode(y="zero:Q")
    return _spec((zero + lines + points).properties(height=190, description="Cosine of gradients by layer"))


def score_chart(rows: Sequence[Row], score: str) -> Spec:
    """Return the chart of a quality score's distribution: for each language the share of its pairs by score, and its cut as a dashed line.

    Args:
        rows: of `schema.SCORE_HISTOGRAM`, of one score.
        score: its name.
    """
    languages = list(dict.fromkeys(row["language"] for row in rows))
    totals = {tag: sum(row["pairs"] for row in rows if row["language"] == tag) for tag in languages}
    values = [
        {
            "language": codes.name(row["language"]),
            "low": row["low"],
            "high": row["high"],
            "share": row["pairs"] / totals[row["language"]],
        }
        for row in rows
    ]
    # A line ends where its last bin does: the step after the last point is not drawn.
    values += [{**value, "low": value["high"]} for value, row in zip(values, rows, strict=True) if row is _last_bin(rows, row)]
    cuts = [{"language": codes.name(tag), "cut": cut} for tag in languages if (cut := _cut_of(rows, tag)) is not None]
    colour = alt.Color(
        "language:N", scale=_fixed_scale([codes.name(tag) for tag in languages], MEANING_COLOURS), legend=alt.Legend()
    )
    x = alt.X("low:Q", title=score, scale=alt.Scale(zero=False, nice=False), axis=alt.Axis(grid=False, tickCount=6))
    y = alt.Y("share:Q", title="share of pairs", axis=alt.Axis(tickCount=4, format="~%"))
    tooltip = [
        alt.Tooltip("language:N"),
        alt.Tooltip("low:Q", title="from", format=".4~g"),
        alt.Tooltip("high:Q", title="to", format=".4~g"),
        alt.Tooltip("share:Q", format=".1%"),
    ]
    chart = alt.Chart(alt.Data(values=values)).mark_line(interpolate="step-after", strokeWidth=1.5)
    layers = chart.encode(x=x, y=y, color=colour, tooltip=tooltip)
    if cuts:
        rules = alt.Chart(alt.Data(values=cuts)).mark_rule(strokeDash=[4, 3], strokeWidth=1.5)
        layers = layers + rules.encode(
            x="cut:Q", color=colour, tooltip=[alt.Tooltip("language:N"), alt.Tooltip("cut:Q", format=".4~g")]
        )
    return _spec(layers.properties(height=190, description=f"Distribution of the score {score}"))


def _last_bin(rows: Sequence[Row], row: Row) -> Row:
    return max((other for other in rows if other["language"] == row["language"]), key=lambda other: float(other["high"]))


def _cut_of(rows: Sequence[Row], language: str) -> float | None:
    return next((row["cut"] for row in rows if row["language"] == language), None)


def curves_chart(rows: Sequence[Row], title: str, colours: Mapping[str, str], from_zero: bool = False) -> Spec:
    """Return the chart of several runs' curves: rows with `run, step, mean`; `colours` by run."""
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
    """Return the chart of differences with their intervals: for every language a point for each run.

    Args:
        rows: of `schema.DIFFERENCES`, of one task, with `run`.
        colours: run → colour, in order.
    """
    names = ("low", "difference", "high")
    values = [
        {
            "language": codes.name(row["language"]),
            "run": row["run"],
            "significant": row["significant"],
            **{name: 100 * row[name] for name in names},
        }
        for row in rows
    ]
    chart = alt.Chart(alt.Data(values=values)).encode(
        y=_language_axis(sorted({value["language"] for value in values})),
        yOffset=alt.YOffset("run:N", sort=list(colours)),
        color=_run_colour(colours),
        tooltip=[alt.Tooltip("language:N"), alt.Tooltip("run:N"), *(alt.Tooltip(f"{name}:Q", format="+.1f") for name in names)],
    )
    lines = chart.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q", title="difference to the first run, points"), x2="high:Q")
    marks = chart.mark_point(size=60, strokeWidth=1.5).encode(
        x="difference:Q", fill=alt.condition("datum.significant", _run_colour(colours), alt.value("var(--page)"))
    )
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color="var(--muted)", strokeDash=[3, 3]).encode(x="zero:Q")
    height = (12 + 14 * len(colours)) * len({value["language"] for value in values})
    return _spec((zero + lines + marks).properties(height=height))


def axis_chart(rows: Sequence[Row], setting: str, is_logarithmic: bool) -> Spec:
    """Return the chart of differences, with their intervals, against a number.

    Args:
        rows: averages of one task, as in sweep.json, with `x`.
        setting: what `x` is.
        is_logarithmic: whether its axis is.
    """
    names = ("low", "difference", "high")
    values = [
        {"x": row["x"], "variant": row["variant"], **{name: 100 * row[name] for name in names if row[name] is not None}}
        for row in rows
    ]
    numbers = sorted({row["x"] for row in rows})
    x = alt.X(
        "x:Q",
        title=setting,
        scale=alt.Scale(type="log" if is_logarithmic else "linear", nice=False, zero=False, padding=12),
        axis=alt.Axis(grid=False, values=numbers, format=",.6~f", labelOverlap=True),
    )
    y = {"title": None, "scale": alt.Scale(zero=True), "axis": alt.Axis(tickCount=5, format=".2~f")}
    chart = alt.Chart(alt.Data(values=sorted(values, key=lambda value: value["x"]))).encode(x=x)
    tooltip = [alt.Tooltip("variant:N"), *(alt.Tooltip(f"{name}:Q", format="+.1f") for name in names)]
    band = chart.mark_area(opacity=0.22, color="var(--trained)").encode(y=alt.Y("low:Q", **y), y2="high:Q")
    line = chart.mark_line(color="var(--trained)", strokeWidth=2, point=alt.OverlayMarkDef(color="var(--trained)", size=40))
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color="var(--muted)", strokeDash=[3, 3]).encode(y="zero:Q")
    chart = zero + band + line.encode(y=alt.Y("difference:Q", **y), tooltip=tooltip)
    return _spec(chart.properties(height=190, description=f"Difference by {setting}"))


def map_chart(points: Sequence[Row], meanings: int, languages: Sequence[str]) -> Spec:
    """Return the map of one model's tokens: rows with `x, y, meaning, language, language_name, token, text`.

    The parameters `meaning` (-1: all) and `language` ("": all) highlight tokens; the page's buttons set them.
    """
    highlighted = "(meaning < 0 || datum.meaning === meaning) && (language === '' || datum.language === language)"
    chart = alt.Chart(alt.Data(values=list(points))).mark_point(filled=True, size=75, stroke="var(--page)", strokeWidth=0.6)
    chart = chart.encode(
        x=alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-1.06, 1.06])),
        y=alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-1.06, 1.06])),
        color=alt.Color("meaning:N", legend=None, scale=_fixed_scale(range(meanings), MEANING_COLOURS)),
        shape=alt.Shape("language:N", legend=None, scale=_fixed_scale(languages, LANGUAGE_SHAPES)),
        opacity=alt.condition(highlighted, alt.value(0.9), alt.value(0.07)),
        tooltip=[
            alt.Tooltip("token:N"),
            alt.Tooltip("language_name:N", title="language"),
            alt.Tooltip("text:N", title="sentence"),
        ],
    )
    chart = chart.add_params(alt.param(name="meaning", value=-1), alt.param(name="language", value=""))
    return _spec(chart.properties(height=400))


def colour_of(meaning: int) -> str:
    """Return the colour of a meaning."""
    return MEANING_COLOURS[meaning % len(MEANING_COLOURS)]


def shape_of(language: int) -> str:
    """Return the shape of the language with this number."""
    return LANGUAGE_SHAPES[language % len(LANGUAGE_SHAPES)]


def _language_axis(languages: Sequence[str]) -> alt.Y:
    return alt.Y("language:N", title=None, sort=list(languages), axis=alt.Axis(labelLimit=140, labelPadding=8))


def _run_colour(colours: Mapping[str, str]) -> alt.Color:
    return alt.Color("run:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=alt.Legend())


def _signed(number: float, digits: int) -> str:
    rounded = round(number, digits)
    return f"{rounded:+.{digits}f}".replace("-", "−") if rounded else "0"


def _bar(row: Row, model: str) -> Row:
    low, high = _error_bar(row, model)
    value = row[model]
    interval = "" if low is None else f"{100 * low:.1f}% to {100 * high:.1f}%"
    kind = "95% interval of the difference" if model == "trained" else "standard deviation over seeds"
    return {
        "language": codes.name(row["language"]),
        "model": model,
        "value": value,
        "low": low,
        "high": high,
        "end": max(value, high or 0),
        "uncertainty": interval and f"{interval} ({kind})",
    }


def _error_bar(row: Row, model: str) -> tuple[Any, Any]:
    if model == "trained":
        low, high = (row["base"] + row[end] for end in ("low", "high"))
    elif row["base_deviation"] is None:
        return None, None
    else:
        low, high = (row["base"] + sign * row["base_deviation"] for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)


def _fixed_scale(domain: Sequence[Any], choices: Sequence[str]) -> alt.Scale:
    return alt.Scale(domain=list(domain), range=[choices[index % len(choices)] for index in range(len(domain))])


def _spec(chart: Any) -> Spec:
    sized = chart.properties(width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    spec: Spec = sized.to_dict(validate=False)
    del spec["$schema"]  # a URL: the page holds none
    return spec
