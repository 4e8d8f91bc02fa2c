"""All declared formats, and how `--format` names them."""

from __future__ import annotations

from engine.base.errors import UsageError
from engine.base.nearest import did_you_mean
from feeds.reading.formats.bars import BAR_FORMATS
from feeds.reading.formats.declaration import FileFormat
from feeds.reading.formats.general import GENERAL
from feeds.reading.formats.ticks import TICK_FORMATS

ALL = (*BAR_FORMATS, *TICK_FORMATS, *GENERAL)
FORMATS: dict[str, FileFormat] = {declared.name: declared for declared in ALL}
"""By name."""
NAMELESS = tuple(declared for declared in ALL if not declared.header and declared not in GENERAL)
"""Those of files without a line of names, but for the usual orders of columns."""


def families() -> tuple[str, ...]:
    """What `--format` accepts beside the names themselves, in order of the table."""
    return tuple(dict.fromkeys(declared.family for declared in ALL))


def named(name: str) -> tuple[FileFormat, ...]:
    """The formats that a name stands for: one, or those of a vendor.

    Raises:
        UsageError: If there is none; the known ones are listed.
    """
    found = tuple(declared for declared in ALL if declared.family == name)
    if found:
        return found
    if name in FORMATS:
        return (FORMATS[name],)
    raise UsageError(
        f"there is no format {name!r}",
        expected=f"one of {', '.join(families())}",
        found=repr(name),
        hint=did_you_mean(name, [*families(), *FORMATS]) or "name the columns instead: --columns date,time,open,...",
    )
