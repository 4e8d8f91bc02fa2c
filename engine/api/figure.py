"""A run drawn with plotly: candles, fills, what the strategy plotted, equity and drawdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.base.errors import UsageError
from engine.report.presentation import title

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import polars as pl

Frames = Mapping[str, "pl.DataFrame"]
PRICE_ROWS, PANEL_HEIGHT, EQUITY_HEIGHT = 0.5, 0.18, 0.2
MOST_POINTS = 20_000
MARKS = {"buy": ("triangle-up", "#0a9d58"), "sell": ("triangle-down", "#d1495b")}


def figure(frames: Frames, manifest: Mapping[str, Any], symbol: str | None = None) -> go.Figure:
    """Candles with fills and plotted lines, a row a panel, then equity and drawdown.

    Args:
        frames: Tables by name; `plots` may be missing.
        symbol: By default the first.

    Raises:
        UsageError: If there is no such symbol.
    """
    import plotly.graph_objects as go  # noqa: PLC0415 - takes a moment
    from plotly.subplots import make_subplots  # noqa: PLC0415 - likewise

    chosen = _symbol(frames["chart"], symbol)
    lines = _lines(frames, chosen)
    panels = list(dict.fromkeys(panel for panel, _ in lines if panel is not None))
    heights = [PRICE_ROWS, *(PANEL_HEIGHT for _ in panels), EQUITY_HEIGHT, PANEL_HEIGHT]
    drawn = make_subplots(
        rows=len(heights),
        shared_xaxes=True,
        row_heights=heights,
        vertical_spacing=0.03,
        subplot_titles=[chosen, *panels, "Equity", "Drawdown"],
    )
    drawn.add_trace(_candles(go, frames["chart"], chosen), row=1, col=1)
    for (panel, name), line in lines.items():
        row = 1 if panel is None else 2 + panels.index(panel)
        drawn.add_trace(go.Scatter(x=line["ts_event"], y=line["value"], name=name, mode="lines"), row=row, col=1)
    for side in MARKS:  # above the lines
        drawn.add_trace(_fills(go, frames["fills"], chosen, side), row=1, col=1)
    chart, below = frames["chart"], len(panels) + 2
    drawn.add_trace(go.Scatter(x=chart["ts_event"], y=chart["equity"], name="equity"), row=below, col=1)
    held = "benchmark" if "benchmark" in chart.columns else "buy_and_hold"
    drawn.add_trace(
        go.Scatter(x=chart["ts_event"], y=chart[held], name=held.replace("_", " "), line={"dash": "dot"}),
        row=below,
        col=1,
    )
    drawn.add_trace(
        go.Scatter(x=chart["ts_event"], y=chart["drawdown"], name="drawdown", fill="tozeroy"), row=below + 1, col=1
    )
    drawn.update_xaxes(rangeslider_visible=False)
    drawn.update_yaxes(tickformat=".1%", row=below + 1, col=1)
    return drawn.update_layout(title=title(manifest), hovermode="x unified", height=480 + 140 * len(heights[1:]))


def _symbol(chart: pl.DataFrame, symbol: str | None) -> str:
    known = [name.removeprefix("open.") for name in chart.columns if name.startswith("open.")]
    if symbol is None:
        return known[0]
    if symbol not in known:
        raise UsageError(f"no symbol {symbol!r}", expected=", ".join(known))
    return symbol


def _candles(go: Any, chart: pl.DataFrame, symbol: str) -> Any:
    there = chart.filter(chart[f"open.{symbol}"].is_not_null())
    prices = {name: there[f"{name}.{symbol}"] for name in ("open", "high", "low", "close")}
    return go.Candlestick(x=there["ts_event"], name=symbol, **prices)


def _fills(go: Any, fills: pl.DataFrame, symbol: str, side: str) -> Any:
    import polars as pl  # noqa: PLC0415 - wanted only for drawing

    mine = fills.filter((pl.col("symbol").cast(pl.String) == symbol) & (pl.col("side").cast(pl.String) == side))
    shape, colour = MARKS[side]
    return go.Scatter(
        x=mine["ts_event"],
        y=mine["price"],
        name=side,
        mode="markers",
        marker={"symbol": shape, "color": colour, "size": 9},
        customdata=mine.select("quantity", "position", "realized").to_numpy(),
        hovertemplate=side + " %{customdata[0]:,} at %{y:,}, position %{customdata[1]:,}, "
        "realised %{customdata[2]:,.2f}<extra></extra>",
    )


def _lines(frames: Frames, symbol: str) -> dict[tuple[str | None, str], pl.DataFrame]:
    """What the strategy plotted for a symbol, by panel and name; long lines are thinned evenly."""
    import polars as pl  # noqa: PLC0415 - wanted only for drawing

    if "plots" not in frames:
        return {}
    words = pl.col("symbol", "name", "panel").cast(pl.String)
    mine = frames["plots"].with_columns(words).filter(pl.col("symbol") == symbol)
    parts = mine.partition_by("panel", "name", maintain_order=True, as_dict=True)
    return {
        (None if panel is None else str(panel), str(name)): line.gather_every(-(-line.height // MOST_POINTS))
        for (panel, name), line in parts.items()
    }
