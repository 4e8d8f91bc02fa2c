"""Charts as small SVG files that stand beside a Markdown report; they follow the reader's light or dark theme."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from engine.report.training.charts import Chart, Number, Series

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 26, 56, 44
LIGHT = ("#2563eb", "#d97706", "#0f9d6b", "#7c3aed", "#d64545", "#98a2b3")
DARK = ("#6ea8fe", "#f0a94b", "#35c58f", "#b79cff", "#f0716f", "#7a8699")
MOST_LABELS = 10
TICKS = 5


def draw(chart: Chart) -> str:
    """The chart as the text of an SVG file."""
    low, high = _extent(chart)
    steps = ticks(low, high)
    low, high = min(low, steps[0]), max(high, steps[-1])
    parts = [*_frame(chart), *_grid(chart, steps, low, high)]
    parts += _bars(chart, low, high) if chart.kind == "bars" else _lines(chart, low, high)
    body = "\n".join(parts)
    label = escape(chart.title, quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="{label}">\n<style>{_style()}</style>\n{body}\n</svg>\n'
    )


def _style() -> str:
    def colors(palette: Sequence[str]) -> str:
        rules = (f".l{k}{{stroke:{c}}}.f{k}{{fill:{c}}}.a{k}{{fill:{c};opacity:.18}}" for k, c in enumerate(palette))
        return "".join(rules)

    base = "text{font:12px system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#667085}.t{font-weight:600;"
    base += "font-size:14px;fill:#1b2330}.p{fill:#fff}.g{stroke:#e3e6eb}.z,.w{stroke:#667085}path,line{fill:none}"
    dark = "text{fill:#94a0b2}.t{fill:#e5e9f0}.p{fill:#161c25}.g{stroke:#28303c}.z,.w{stroke:#94a0b2}"
    return f"{base}{colors(LIGHT)}@media(prefers-color-scheme:dark){{{dark}{colors(DARK)}}}"


def _finite(values: Iterable[Number]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _extent(chart: Chart) -> tuple[float, float]:
    values = [value for series in chart.series for value in _finite([*series.y, *series.low, *series.high])]
    if chart.kind == "bars":
        values.append(0.0)
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    return low, high


def ticks(low: float, high: float, most: int = TICKS) -> list[float]:
    """Round numbers that cover a range, a step of 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [k * step for k in range(first, last + 1)]


def _text(value: float, percent: bool, step: float) -> str:
    scaled, by = (100 * value, 100 * step) if percent else (value, step)
    digits = max(0, -math.floor(math.log10(by) + 1e-9)) if by < 1 else 0
    shown = f"{scaled:,.{digits}f}" if abs(scaled) < 1e6 else f"{scaled:.3g}"
    return shown + (" %" if percent else "")


def _up(value: float, low: float, high: float) -> float:
    return round(TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low), 1)


def _frame(chart: Chart) -> list[str]:
    parts = [
        f'<rect class="p" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
        f'<text class="t" x="{LEFT}" y="22">{escape(chart.title)}</text>',
    ]
    at = LEFT
    for series in chart.series:
        if series.name and not series.thin and len(chart.series) > 1:
            parts.append(f'<rect class="f{series.color}" x="{at}" y="33" width="10" height="10" rx="2"/>')
            parts.append(f'<text x="{at + 15}" y="42">{escape(series.name)}</text>')
            at += 30 + 7 * len(series.name)
    if chart.x_label:
        parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{escape(chart.x_label)}</text>')
    return parts


def _grid(chart: Chart, steps: list[float], low: float, high: float) -> list[str]:
    parts = []
    for value in steps:
        y = _up(value, low, high)
        kind = "z" if abs(value) < 1e-9 * (high - low) else "g"
        parts.append(f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        label = _text(value, chart.percent, steps[1] - steps[0])
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    return parts


def _across(x: float, first: float, last: float) -> float:
    share = (x - first) / (last - first) if last > first else 0.5
    return round(LEFT + (WIDTH - LEFT - RIGHT) * share, 1)


def _lines(chart: Chart, low: float, high: float) -> list[str]:
    at = [float(x) for x in chart.x]
    first, last = (at[0], at[-1]) if at else (0.0, 1.0)
    places = [_across(x, first, last) for x in at]
    parts = []
    for value in ticks(first, last) if last > first else at[:1]:
        if first <= value <= last:
            x = _across(value, first, last)
            parts.append(f'<text x="{x}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{value:,.6g}</text>')
    for series in chart.series:
        parts += _band(series, places, low, high)
        parts += _path(series, places, low, high)
    return parts


def _runs(values: Sequence[Number]) -> list[list[int]]:
    """Stretches of indices without a gap."""
    found: list[list[int]] = [[]]
    for k, value in enumerate(values):
        if value is None:
            found.append([])
        else:
            found[-1].append(k)
    return [run for run in found if run]


def _path(series: Series, places: Sequence[float], low: float, high: float) -> list[str]:
    width = '1" opacity=".7' if series.thin else "2"
    parts = []
    for run in _runs(series.y):
        spots = [(places[k], _up(float(series.y[k] or 0.0), low, high)) for k in run]
        if len(spots) == 1:
            parts.append(f'<circle class="f{series.color}" cx="{spots[0][0]}" cy="{spots[0][1]}" r="3"/>')
            continue
        way = " L".join(f"{x} {y}" for x, y in spots)
        parts.append(f'<path class="l{series.color}" stroke-width="{width}" stroke-linejoin="round" d="M{way}"/>')
    return parts


def _band(series: Series, places: Sequence[float], low: float, high: float) -> list[str]:
    parts = []
    for run in _runs(series.low) if series.high else ():
        top = [f"{places[k]},{_up(float(series.high[k] or 0.0), low, high)}" for k in run]
        bottom = [f"{places[k]},{_up(float(series.low[k] or 0.0), low, high)}" for k in reversed(run)]
        parts.append(f'<polygon class="a{series.color}" points="{" ".join(top + bottom)}"/>')
    return parts


def _bars(chart: Chart, low: float, high: float) -> list[str]:
    count = max(len(chart.x), 1)
    slot = (WIDTH - LEFT - RIGHT) / count
    wide = slot * 0.7 / len(chart.series)
    every = math.ceil(count / MOST_LABELS)
    parts = []
    for k, name in enumerate(chart.x):
        middle = LEFT + (k + 0.5) * slot
        if k % every == 0:
            label = escape(str(name))
            parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{label}</text>')
        for s, series in enumerate(chart.series):
            left = middle - wide * len(chart.series) / 2 + s * wide
            parts += _bar(series, k, left, wide, low, high)
    return parts


def _bar(series: Series, k: int, left: float, wide: float, low: float, high: float) -> list[str]:
    value = series.y[k]
    if value is None:
        return []
    top, bottom = sorted((_up(value, low, high), _up(0.0, low, high)))
    shape = f'x="{left:.1f}" y="{top}" width="{wide:.1f}" height="{max(bottom - top, 0.5):.1f}"'
    parts = [f'<rect class="f{series.color}" {shape} rx="2"/>']
    below, above = (series.low[k], series.high[k]) if series.low else (None, None)
    if below is not None and above is not None and above > below:
        x, y1, y2 = left + wide / 2, _up(below, low, high), _up(above, low, high)
        parts.append(f'<line class="w" stroke-width="1.5" x1="{x:.1f}" x2="{x:.1f}" y1="{y1}" y2="{y2}"/>')
        ends = f'<line class="w" stroke-width="1.5" x1="{x - 5:.1f}" x2="{x + 5:.1f}"'
        parts += [f'{ends} y1="{y}" y2="{y}"/>' for y in (y1, y2)]
    return parts
