"""`grandmodel explain`: why a fill happened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli import options
from engine.types.reasons import phrase

Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run; runs/latest is the last that ended.", show_default=False)
]
Fill = Annotated[int, typer.Argument(metavar="FILL", help="Number of the fill, from 1.", show_default=False)]
SIDES = {-1.0: "short", 0.0: "neutral", 1.0: "long"}


def explain(run: Run, fill: Fill, as_json: options.Json = False) -> None:
    """Show why a fill happened: its order, the decision behind it, what each agent saw and decided, and the models.

    Example: grandmodel explain runs/demo 3
    """
    import json

    from engine.app.explain import explain as explain_fill
    from engine.app.runs import resolved

    found = explain_fill(resolved(run), fill)
    if as_json:
        typer.echo(json.dumps(found, default=str))
        return
    _show(found)


def _show(found: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from engine.cli.console import out

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in _lines(found):
        table.add_row(label, Text(text))
    out().print(table)


def _lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    fill, order, entry, decision = found["fill"], found["order"], found["entry"], found["decision"]
    lines = [(f"Fill {fill['number']}", _fill(fill))]
    if fill["reason"] != "none":
        lines.append(("Cut short", phrase(fill["reason"])))
    if order:
        lines.append((f"Order {order['id']}", _order(order)))
    if entry:
        lines.append((f"Protects {entry['id']}", _order(entry)))
    lines.append(("Asked for", _decision(decision, order)))
    if found["cut"]:
        lines.append(("Cut by", _cut(found["cut"])))
    for seat, said in found["agents"].items():
        lines.append((seat.capitalize(), _said(seat, said)))
    if not found["agents"]:
        lines.append(("Agents", "this agent is no ensemble: it keeps no record of what it saw"))
    models = found["models"]
    lines.append(("Agent", str(models.get("agent"))))
    for seat, agent in (models.get("seats") or {}).items():
        lines.append((f"{seat.capitalize()} seat", f"{agent}, in place of a model"))
    if models.get("version"):
        lines.append(("Models", f"{models['version']}, sha256 {models['sha256']}"))
    return lines


def _fill(fill: dict[str, Any]) -> str:
    return (
        f"{fill['side']} {_number(fill['quantity'])} {fill['symbol']} at {_number(fill['price'])}, "
        f"{_time(fill['ts_event'])}; fee {fill['fee']:,.2f}, realized {fill['realized']:,.2f}, "
        f"position after {_number(fill['position'])}"
    )


def _order(order: dict[str, Any]) -> str:
    price = f" at {_number(order['limit_or_stop'])}" if order["limit_or_stop"] else ""
    return (
        f"{order['side']} {_number(order['quantity'])} {_spaced(order['type'])}{price}, {_spaced(order['role'])}, "
        f"submitted {_time(order['submitted'])}, {order['status']}"
        + ("" if order["reason"] == "none" else f" ({phrase(order['reason'])})")
    )


def _decision(decision: dict[str, Any] | None, order: dict[str, Any] | None) -> str:
    if decision is None:
        role = order["role"] if order else "unknown"
        return f"the simulator itself ({_spaced(role)})"
    if decision["kind"] == "close":
        return f"the position closed at {_time(decision['ts_event'])}, market"
    stop = f", stop {decision['stop_distance']:.4f} of the fill price" if decision["stop_distance"] else ""
    until = f", until {_time(decision['expires'])}" if decision["expires"] else ""
    what = "a position of {} units" if decision["kind"] == "target" else "an order of {} contracts"
    asked = what.format(_number(decision["quantity"]))
    return f"{asked} at {_time(decision['ts_event'])}, {_spaced(decision['type'])}{until}{stop}"


def _cut(cut: dict[str, Any]) -> str:
    wanted = f", of {_number(cut['wanted'])} wanted" if cut["wanted"] is not None else ""
    contracts = "contract" if cut["allowed"] == 1.0 else "contracts"
    return f"{cut['limit']} {_number(cut['value'])}: a position of {_number(cut['allowed'])} {contracts}{wanted}"


def _said(seat: str, said: dict[str, Any]) -> str:
    if seat == "strategic":
        answer = SIDES.get(said["action_0"], str(said["action_0"]))
    elif seat == "tactical":
        answer = f"timing {said['action_0']:.2f}, stop {said['action_1']:.4f}, scale {said['action_2']:.2f}"
    else:
        answer = f"level {said['action_0']:g} of 4 (exposure x {said['action_0'] / 4:g})"
    if "in_force" in said:
        answer += f" (in force: {said['in_force']:g})"
    span = f"saw {_time(said['first_bar'])} to {_time(said['last_bar'])}"
    if seat == "risk":
        span = f"saw the account at {_time(said['last_bar'])}"
    return f"{answer}; confidence {said['confidence']:.2f}; decided {_time(said['ts_event'])}, {span}"


def _number(value: float) -> str:
    """All digits that prices and sizes have, without those that binary fractions add."""
    return f"{value:.12g}"


def _time(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _spaced(word: Any) -> str:
    return str(word).replace("_", " ")
