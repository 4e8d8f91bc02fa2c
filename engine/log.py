"""Logging with structlog: readable lines on a terminal, one JSON object a line elsewhere; always on standard error."""

from __future__ import annotations

import logging
import os
import sys
from typing import TextIO

import structlog

from engine.quoting import printable

LEVELS = {0: logging.WARNING, 1: logging.INFO}


def configure_logging(verbosity: int = 0, json_lines: bool | None = None, file: TextIO | None = None) -> None:
    """Set up logging once, at the command line.

    Args:
        verbosity: 0 warnings, 1 information, 2 and more everything.
        json_lines: Whether to write JSON; by default, unless standard error is a terminal. The environment variable
            GRANDMODEL_LOG (`json` or `console`) decides if set.
        file: Where to, in place of standard error.
    """
    target = file or sys.stderr
    chosen = os.environ.get("GRANDMODEL_LOG")
    if json_lines is None:
        json_lines = chosen == "json" if chosen else not target.isatty()
    rendering: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer()] if json_lines else [_printed, structlog.dev.ConsoleRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS.get(verbosity, logging.DEBUG)),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )


def _printed(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Texts as a terminal may have them: they come from feeds and files too."""
    return {name: printable(value, kept="\n\t") if isinstance(value, str) else value for name, value in event.items()}


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger that names its part of the system; as a library it tells of warnings only, on standard error."""
    if not structlog.is_configured():
        configure_logging()
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger(part=name)
    return bound
