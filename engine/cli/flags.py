"""From the options of a command line to a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.app.config import BacktestConfig


RENAMED = {"challengers.agents": "--challenger"}
"""Options that are not called like the last part of the key that they set."""


def load_settings(
    files: list[Path], flags: dict[str, Any], settings: list[str], learn: Path | None = None
) -> BacktestConfig:
    """Defaults, then files, --learn, then options, then --set."""
    from engine.app.config import BacktestConfig
    from engine.base.config import merge, override, parse, places, read_yaml

    tree: dict[str, Any] = {}
    for file in files:
        tree = merge(tree, read_yaml(file))
    if learn is not None:
        tree, files = merge(tree, read_learning(learn)), [*files, learn]
    tree = override(merge(tree, given(flags)), settings)
    where = places(files, settings or given(flags))
    return parse(BacktestConfig, tree, where=where, names=option_names(flags, settings, RENAMED))


def read_learning(file: Path) -> dict[str, Any]:
    """What a file of --learn says, as a part of the configuration: the keys of `learning`, with or without that key.

    Raises:
        ConfigError: If it cannot be read.
    """
    from engine.base.config import read_yaml

    tree = read_yaml(file)
    return {"learning": (tree["learning"] or {}) if tree.keys() == {"learning"} else tree}


def option_names(
    flags: dict[str, Any], settings: Sequence[str] = (), renamed: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The options that were given, by the dotted keys of the configuration that they set.

    Args:
        flags: Values of options, as a tree.
        settings: Of --set, which count more.
        renamed: Options that are not called like the last part of their key, by key.
    """
    found: dict[str, str] = {}

    def collect(tree: dict[str, Any], above: str) -> None:
        for key, value in tree.items():
            if isinstance(value, dict) and key != "instrument":
                collect(value, f"{above}{key}.")
            else:
                found[above + key] = (renamed or {}).get(above + key) or "--" + key.replace("_", "-")

    collect(given(flags), "")
    over = {setting.partition("=")[0].strip() for setting in settings}
    return {key: name for key, name in found.items() if key not in over}


def given(flags: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, as a tree."""
    nested = {key: given(value) if isinstance(value, dict) else value for key, value in flags.items()}
    return {key: value for key, value in nested.items() if value not in (None, {})}


def instruments(given: list[str] | None) -> str | dict[str, str] | None:
    """`--instrument NAME` as one name, `--instrument SYMBOL=NAME` (repeated) as a mapping."""
    from engine.base.errors import UsageError

    if not given:
        return None
    if len(given) == 1 and "=" not in given[0]:
        return given[0]
    pairs = [text.partition("=") for text in given]
    if not all(separator for _, separator, _ in pairs):
        raise UsageError(
            "several instruments need their symbols",
            expected="--instrument SYMBOL=NAME for each",
            found=" ".join(given),
        )
    return {symbol: name for symbol, _, name in pairs}


def slug(agent: str) -> str:
    """An agent's specification as part of a folder's name."""
    name = Path(agent.partition(":")[0]).stem if ".py" in agent else agent.partition(":")[0]
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)


def default_folder(name: str) -> Path:
    """Where a command writes without --out: `runs/<time>-<name>`."""
    return Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{name}"
