"""`grandmodel feed`: look at a live feed before anything is traded."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options

if TYPE_CHECKING:
    from engine.app.live.inspecting import Inspected, Inspection

app = typer.Typer(help="Show what a feed sends, and how it is understood.", no_args_is_help=True)

Address = Annotated[
    str | None,
    typer.Argument(
        metavar="URL",
        help="kafka://HOST:PORT/TOPIC, mqtt://HOST:PORT/TOPIC/# or stdin; by default the one of -c.",
        show_default=False,
    ),
]
Messages = Annotated[int, typer.Option("--messages", help="How many messages to show.", min=1, max=10_000)]
Wait = Annotated[float, typer.Option("--wait", help="Seconds to wait for each message.", min=0.1)]
Symbols = Annotated[
    str | None, typer.Option("--symbols", help="Names of the symbols, A,B,C; by default those of --instrument.")
]
BarLength = Annotated[str | None, typer.Option("--timeframe", help="Length of the bars.  [default: 1min]")]


@app.callback()
def feed() -> None:
    """Show what a feed sends, and how it is understood."""


@app.command(epilog="Example: grandmodel feed inspect kafka://127.0.0.1:9092/klines -c session.yaml")
def inspect(
    address: Address = None,
    config: options.ConfigFiles = None,
    set_: options.Settings = None,
    instrument: options.InstrumentName = None,
    symbols: Symbols = None,
    timeframe: BarLength = None,
    messages: Messages = 3,
    wait: Wait = 10.0,
    as_json: options.Json = False,
) -> None:
    """Show the first messages of a feed, and how each field is understood and why; nothing is traded or acknowledged.

    With the configuration of a session (-c, --set) they are read as it would read them. Exit code 1 if no message
    comes, or one of them cannot be used.
    """
    from engine.app.extras import need_live

    need_live()
    from engine.app.live.config import PaperConfig
    from engine.app.live.inspecting import inspect_feed
    from engine.base.config import merge, override, parse, places, read_yaml
    from engine.base.errors import UsageError
    from engine.cli.flags import given, instruments, option_names
    from feeds.live.address import parse_address

    if address is not None:
        parse_address(address)  # its mistakes are reported as such, not as mistakes of a configuration
    flags = {
        "instrument": instruments(instrument),
        "feed": {"address": address, "symbols": symbols.split(",") if symbols else None, "timeframe": timeframe},
    }
    tree: dict[str, Any] = {}
    for file in config or []:
        tree = merge(tree, read_yaml(file))
    tree = override(merge(tree, given(flags)), set_ or [])
    where = places(config or [], set_ or given(flags))
    settings = parse(PaperConfig, tree, where=where, names=option_names(flags, set_ or [], {"feed.address": "URL"}))
    if not settings.feed.address:
        raise UsageError("no feed was given", expected="grandmodel feed inspect URL, or -c FILE with feed.address")
    found = inspect_feed(settings.feed, settings.symbols, messages, wait)
    if as_json:
        typer.echo(json.dumps(_object(found)))
    else:
        _show(found, wait, settings.feed.leaving_out)
    if not found.usable:
        raise typer.Exit(1)


def _say(text: str) -> None:
    """Print what may hold pieces of messages, which could otherwise give orders to the terminal."""
    typer.echo("".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text))


def _object(found: Inspection) -> dict[str, Any]:
    """What `--json` prints."""
    tree = asdict(found)
    for message in tree["messages"]:
        for letter in message["refused"]:
            letter["payload"] = letter["payload"].decode("utf-8", "backslashreplace")
    return {"usable": found.usable, **tree}


def _show(found: Inspection, wait: float, leaving_out: str) -> None:
    for number, message in enumerate(found.messages, 1):
        _say(f"message {number}: {message.place}, {message.format}, {message.size:,} bytes")
        _say(f"  {message.text}")
        _show_message(message, leaving_out)
        _say("")
    if not found.messages:
        _say(f"no message came within {wait:g} s")
    elif not any(message.elements for message in found.messages):
        _say("nothing of these messages would be traded")
    if found.suggestion is not None:
        _say("They could be read so; see that it is what they mean. Times of the open need feed.labels: open.\n")
        _say(_yaml({"feed": {"fields": dict(found.suggestion)}}))


def _show_message(message: Inspected, leaving_out: str) -> None:
    for number, readings in enumerate(message.elements, 1):
        if len(message.elements) > 1:
            _say(f"  element {number}")
        rows = [(one.field, f"{one.path or '-'} = {one.given}", one.read, one.why) for one in readings]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        for row in rows:
            cells = (text.ljust(width) for text, width in zip(row[:3], widths, strict=True))
            _say(f"    {'  '.join(cells)}  ({row[3]})")
    for letter in message.refused:
        count = f"{letter.count:,} elements " if letter.count > 1 else ""
        _say(f"  refused   {count}{letter.reason}: expected {letter.expected}, found {letter.found}")
    for text in message.concerns:
        _say(f"  would be refused: {text}")
    if message.skipped:
        _say(f"  left out by {leaving_out}: {message.skipped:,}")
    if message.unused:
        _say(f"  not used  {', '.join(message.unused)}")


def _yaml(tree: dict[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)).rstrip()
