"""Logging with structlog, always on standard error: plain lines of commands and calls, JSON lines of live sessions."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import TextIOBase
from typing import TYPE_CHECKING, Any, Literal, TextIO, cast

from engine.base.errors import UsageError
from engine.base.quoting import printable
from engine.base.rotating import MOST_FILE_BYTES

if TYPE_CHECKING:
    import structlog

LEVELS = {0: logging.WARNING, 1: logging.INFO}


Form = Literal["plain", "console", "json"]


def configure_logging(verbosity: int = 0, form: Form = "plain", file: TextIO | TextIOBase | None = None) -> None:
    """Set up logging once, at the command line.

    Args:
        verbosity: 0 warnings, 1 information, 2 and more everything.
        form: How a line looks: `plain` like the other messages of a command (`warning: ...`), `console` with time and
            part, `json` for programs. The environment variable GRANDMODEL_LOG decides if set.
        file: Where to, in place of standard error.
    """
    target = cast("TextIO", file or _StandardError())
    chosen = os.environ.get("GRANDMODEL_LOG")
    level = LEVELS.get(verbosity, logging.DEBUG)
    _waiting.setup = partial(_configure, level, form, chosen, target)
    if level < logging.WARNING or _imported():
        _waiting.apply()


class _StandardError(TextIOBase):
    """Standard error as it is at the moment of each line: a session lets a thread write to it."""

    def write(self, text: str) -> int:
        return len(text) if sys.stderr is None else sys.stderr.write(text)

    def flush(self) -> None:
        if sys.stderr is not None:
            sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr is not None and sys.stderr.isatty()


def tell_dropped(lines: int) -> None:
    """Say that lines of the log are missing here, because nobody read them."""
    logger("log").warning("lines of the log were dropped, because nobody read them", lines=lines)


@dataclass
class _Waiting:
    """What was set up, until the first event that may be shown: structlog takes longer to import than a small run."""

    setup: Callable[[], None] | None = None

    def apply(self) -> None:
        """Set up structlog, if it waits for that."""
        if self.setup is not None:
            setup, self.setup = self.setup, None
            setup()


_waiting = _Waiting()


def _imported() -> bool:
    return "structlog" in sys.modules


def _configure(level: int, form: Form, chosen: str | None, target: TextIO) -> None:
    import structlog  # noqa: PLC0415 - takes a moment

    renderers: dict[str, list[structlog.typing.Processor]] = {
        "plain": [_printed, _as_message],
        "console": [_printed, structlog.dev.ConsoleRenderer(colors=is_coloured(target))],
        "json": [structlog.processors.JSONRenderer()],
    }
    rendering = renderers.get(chosen or form, renderers[form])
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )


def form_of_a_session() -> Form:
    """How a process that runs for long logs: readable on a terminal, JSON where standard error goes to a program."""
    return "console" if _StandardError().isatty() else "json"


def is_coloured(target: TextIO) -> bool:
    """Whether a stream is a terminal whose user does not refuse colours (https://no-color.org)."""
    return target.isatty() and not os.environ.get("NO_COLOR")


def _as_message(_: object, __: str, event: structlog.typing.EventDict) -> str:
    """`warning: what happened (name: value, ...)`, as commands print their errors."""
    level, text = event.pop("level", "warning"), event.pop("event", "")
    trace = event.pop("exception", None)
    facts = ", ".join(f"{name}: {value}" for name, value in event.items() if name not in {"timestamp", "part"})
    return f"{level}: {text}" + (f" ({facts})" if facts else "") + (f"\n{trace}" if trace else "")


def most_log_bytes() -> int:
    """Size at which a log file is rotated: GRANDMODEL_LOG_BYTES, by default MOST_FILE_BYTES.

    Raises:
        UsageError: If the variable is not a positive whole number.
    """
    text = os.environ.get("GRANDMODEL_LOG_BYTES", str(MOST_FILE_BYTES))
    if not text.isdecimal() or not int(text):
        raise UsageError(
            "the size at which the log is rotated cannot be read",
            where="environment variable GRANDMODEL_LOG_BYTES",
            expected=f"a positive whole number of bytes, such as {MOST_FILE_BYTES}",
            found=text,
            hint="correct it or unset it",
        )
    return int(text)


def _printed(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Texts as a terminal may have them: they come from feeds and files too."""
    return {name: printable(value, kept="\n\t") if isinstance(value, str) else value for name, value in event.items()}


@dataclass(frozen=True)
class Logger:
    """Writes events, with their values by name, for one part of the system."""

    part: str

    def debug(self, event: str, **values: Any) -> None:
        """Write for who looks into every detail."""
        self.log(logging.DEBUG, event, **values)

    def info(self, event: str, **values: Any) -> None:
        """Write what happens."""
        self.log(logging.INFO, event, **values)

    def warning(self, event: str, **values: Any) -> None:
        """Write what the user should know."""
        self.log(logging.WARNING, event, **values)

    def error(self, event: str, **values: Any) -> None:
        """Write what failed."""
        self.log(logging.ERROR, event, **values)

    def exception(self, event: str, **values: Any) -> None:
        """Write what failed, with the traceback of the exception that is being handled."""
        self.log(logging.ERROR, event, exc_info=True, **values)

    def log(self, level: int, event: str, **values: Any) -> None:
        """Write an event of a level of `logging`."""
        if level < logging.WARNING and not _imported():
            return  # whoever sets up a lower level imports structlog
        import structlog  # noqa: PLC0415 - takes a moment, and most runs write nothing

        _waiting.apply()
        if not structlog.is_configured():
            configure_logging()
        structlog.get_logger(part=self.part).log(level, event, **values)


def logger(name: str) -> Logger:
    """A logger that names its part of the system; as a library it tells of warnings only, on standard error."""
    return Logger(name)
