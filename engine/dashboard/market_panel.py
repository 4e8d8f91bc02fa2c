"""Last prices with a small chart of each, and what each agent wants and how sure it is."""

from __future__ import annotations

import numpy as np
from rich.segment import Segment
from rich.style import Style

from engine.dashboard import text
from engine.dashboard.cells import BAD, BOLD, DIM, GOOD, PLAIN, TITLE, Line, fill_up, rule, width_of
from engine.dashboard.chart import BRAILLE, dots
from engine.dashboard.panels import signed, symbol_name
from engine.dashboard.state import DashboardState
from engine.types.blocks import Floats
from engine.types.records import CommandKind, SeatName

BLOCKS = "▁▂▃▄▅▆▇█"
SIDES = {-1: ("short", BAD), 0: ("neutral", PLAIN), 1: ("long", GOOD)}
SPARK = 30
LOWEST_CHART = 3
HIGHEST_CHART = 12


def market_panel(state: DashboardState, width: int, height: int) -> list[Line]:
    """The symbols, the largest position first: price, change and course over the rows kept, and the agents' wishes."""
    lines = [rule("Market", _note(state), width)]
    order = _order(state)
    if not state.ready:
        return fill_up([*lines, [Segment("no bars yet", DIM)]], width, height)
    if len(order) == 1 or height < 4:
        return fill_up([*lines, *_one(state, order[0], width, height - 1)], width, height)
    tail = _book(state)
    for symbol in order[: height - 1 - bool(tail)]:
        price = _price(state, symbol)
        room = max(0, min(SPARK, width - width_of(price) - 30))
        lines.append([*price, *sparkline(state.market.course(symbol), room), Segment("  ")])
        lines[-1] += [part for line in _wishes(state, symbol) for part in line]
    if tail:
        lines.append([Segment("book  ", DIM), *tail])
    return fill_up(lines, width, height)


def sparkline(values: Floats, width: int) -> Line:
    """A course as one line of blocks, as many cells as there are values and at most `width`."""
    if width < 2 or len(values) < 2:
        return []
    count = min(width, len(values))
    picked = values[np.rint(np.linspace(0, len(values) - 1, count)).astype(int)]
    low, high = float(picked.min()), float(picked.max())
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return [Segment("".join(BLOCKS[round((float(value) - low) * scale)] for value in picked), _trend(values))]


def _one(state: DashboardState, symbol: int, width: int, height: int) -> list[Line]:
    """One symbol: its price, a chart as high as there is room for, and what is wanted."""
    price, course = _price(state, symbol), state.market.course(symbol)
    said = [line for line in (*_wishes(state, symbol), _book(state)) if line]
    joined = [part for line in said for part in line]
    if height < 2:
        return [[*price, *joined]]
    wishes = [joined] if width_of(joined) <= width or height < len(said) + 1 else said
    chart = min(height - 1 - len(wishes), HIGHEST_CHART)
    if chart < LOWEST_CHART or len(course) < 2:
        return [[*price, *sparkline(course, max(0, width - width_of(price)))], *wishes]
    return [price, *_chart(course, width, chart), *wishes]


def _chart(course: Floats, width: int, height: int) -> list[Line]:
    """The course in braille, the newest close at the right."""
    count = 2 * min(width, max(1, len(course) // 2))
    picked = course[np.rint(np.linspace(0, len(course) - 1, count)).astype(int)]
    codes = dots(picked, picked, picked, float(course.min()), float(course.max()), height)
    style = _trend(course)
    return [[Segment("".join(chr(BRAILLE + code) if code else " " for code in row), style)] for row in codes.tolist()]


def _price(state: DashboardState, symbol: int) -> Line:
    course = state.market.course(symbol)
    last = float(course[-1]) if len(course) else 0.0
    change = last / float(course[0]) - 1.0 if len(course) and course[0] > 0 else float("nan")
    return [
        Segment(f"{symbol_name(state, symbol)}  ", BOLD),
        Segment(text.price(last, state.info.tick(symbol)), TITLE),
        Segment(f"  {text.percent(change, sign=True)}  ", signed(change)),
    ]


def _wishes(state: DashboardState, symbol: int) -> list[Line]:
    """What the agents of an ensemble say of a symbol; of any other agent, what it asked for last."""
    if state.market.outputs:
        return [_strategic(state, symbol), _tactical(state, symbol)]
    command = state.market.commands.get(symbol)
    agent = text.clean(state.info.agent.partition(":")[0])
    if command is None:
        return [[Segment(f"{agent} has made no request yet", DIM)]]
    word, style = _asked(command)
    return [
        [Segment(f"{agent} ", DIM), Segment(word, style), Segment(f"  {text.stamp(int(command['ts_event']))}", DIM)]
    ]


def _strategic(state: DashboardState, symbol: int) -> Line:
    said = state.market.outputs.get((SeatName.STRATEGIC, symbol))
    if said is None:
        return [Segment("strategic has not decided yet  ", DIM)]
    word, style = SIDES.get(int(said["action_0"]), (str(said["action_0"]), PLAIN))
    return _says("strategic", word, style, said)


def _tactical(state: DashboardState, symbol: int) -> Line:
    said = state.market.outputs.get((SeatName.TACTICAL, symbol))
    if said is None:
        return [Segment("tactical has not decided yet  ", DIM)]
    return _says("tactical", f"entry {said['action_0']:.2f} size {said['action_2']:.2f}", PLAIN, said)


def _book(state: DashboardState) -> Line:
    """What the risk agent of an ensemble says of the whole book."""
    said = state.market.outputs.get((SeatName.RISK, -1))
    if said is None:
        return []
    return _says("risk", f"exposure {text.percent(said['action_0'] / 4, decimals=0)}", PLAIN, said)


def _says(seat: str, word: str, style: Style, said: np.void) -> Line:
    sure = text.percent(float(said["confidence"]), decimals=0)
    return [Segment(f"{seat} ", DIM), Segment(word, style), Segment(f" ({sure} sure)  ", DIM)]


def _asked(command: np.void) -> tuple[str, Style]:
    quantity = float(command["quantity"])
    shown = text.quantity(quantity, sign=True)
    match int(command["kind"]):
        case CommandKind.TARGET:
            side = "long" if quantity > 0 else "short" if quantity < 0 else "flat"
            return (f"wants {side}" + (f" {shown}" if quantity else "")), signed(quantity)
        case CommandKind.ORDER:
            return f"ordered {shown}", signed(quantity)
        case CommandKind.CLOSE:
            return "closed its position", PLAIN
        case _:
            return "cancelled orders", PLAIN


def _order(state: DashboardState) -> list[int]:
    exposure = np.abs(state.positions["quantity"]) * state.positions["mark"]
    return [int(at) for at in np.argsort(-np.nan_to_num(exposure), kind="stable")]


def _note(state: DashboardState) -> str:
    rows = len(state.market.closes)
    return f"last {text.count(rows)} bars seen" if rows > 1 else ""


def _trend(values: Floats) -> Style:
    return signed(float(values[-1] - values[0])) if len(values) else PLAIN
