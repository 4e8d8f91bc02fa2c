"""The errors that a user can meet, and the exit code each one ends a command with.

    GrandModelError            something went wrong that the message explains          (exit code 2)
    ├── UsageError             the command line or a call asked for what cannot be     (exit code 2)
    │   └── ConfigError        a configuration file or an override is wrong            (exit code 2)
    ├── DataError              a file or message does not hold what it should          (exit code 2)
    └── CheckFailed            a verification ran and did not pass                     (exit code 1)

Every message says what is wrong and where, what was expected, what was found, and what to do.
"""

from __future__ import annotations

from typing import Any


class GrandModelError(Exception):
    """Base of every error raised on purpose.

    Args:
        what: One sentence: what is wrong.
        where: File, row, key or offset.
        expected: What would have been right.
        found: What was there instead.
        hint: What the user can do about it.
    """

    exit_code = 2

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        found: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.expected = expected
        self.found = found
        self.hint = hint
        super().__init__(str(self))

    def __str__(self) -> str:
        return "\n".join(f"{label}: {text}" if label else text for label, text in self.parts())

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback."""
        return [f"{type(self).__name__}: {self}"]

    def as_object(self) -> dict[str, Any]:
        """The message as `--json` prints it; what is not known is null."""
        return {
            "kind": type(self).__name__,
            "what": self.what,
            "where": self.where,
            "expected": self.expected,
            "found": self.found,
            "hint": self.hint,
            "exit_code": self.exit_code,
        }

    def parts(self) -> list[tuple[str, str]]:
        """The message as (label, text) pairs; the first label is empty."""
        labelled = [
            ("where", self.where),
            ("expected", self.expected),
            ("found", self.found),
            ("to do", self.hint),
        ]
        return [("", self.what)] + [(label, text) for label, text in labelled if text]


def recast(error: GrandModelError, kind: type[GrandModelError]) -> GrandModelError:
    """The same message as an error of another kind: what is wrong data to one command is what another looks for."""
    return kind(error.what, where=error.where, expected=error.expected, found=error.found, hint=error.hint)


class UsageError(GrandModelError):
    """The command line or a call asked for what cannot be."""


class ConfigError(UsageError):
    """A configuration file or an override is wrong."""


class DataError(GrandModelError):
    """A file or message does not hold what it should."""


class CheckFailed(GrandModelError):  # noqa: N818 - reads as the outcome it is
    """A verification ran and did not pass."""

    exit_code = 1
