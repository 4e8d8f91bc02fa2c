"""The history of a model store: what was challenged, promoted, taken back and retired, by whom and on what evidence."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from engine.base.config import Config

Event = Literal["activate", "promote", "rollback", "challenge", "retire"]
StoreRole = Literal["champion", "challenger", "retired", ""]
OPERATOR = "operator"


class HistoryEntry(Config):
    """One entry of the history.

    Attributes:
        version: What it is about; of a rollback, what became active again.
        sha256: Of its `ensemble.json`, so that another version under the same name is noticed.
        activated: When, ISO 8601 in UTC.
        note: Why, in the words of who did it.
        event: What happened. `activate` makes a version the champion without a challenge, `promote` after one.
        by: Who or what decided: `operator`, or a session and its test.
        evidence: What the decision rests on, by name: e_value, threshold, blocks, ...
        number: Of a challenge, which one ever started it is, counted from 1.
    """

    version: str
    sha256: str
    activated: str
    note: str = ""
    event: Event = "activate"
    by: str = OPERATOR
    evidence: dict[str, Any] = Field(default_factory=dict)
    number: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _earlier(cls, tree: Any) -> Any:
        """An entry of an earlier release knew only whether it was a rollback."""
        if not isinstance(tree, dict) or "rollback" not in tree:
            return tree
        rest = {key: value for key, value in tree.items() if key != "rollback"}
        return {"event": "rollback" if tree["rollback"] is True else "activate", **rest}

    @property
    def rollback(self) -> bool:
        """Whether it undid the promotion or activation before it."""
        return self.event == "rollback"


class Index(Config):
    """`index.json`."""

    history: tuple[HistoryEntry, ...] = ()

    def standing(self) -> list[HistoryEntry]:
        """Promotions and activations that no rollback has undone, oldest first; the last one is in force."""
        stack: list[HistoryEntry] = []
        for entry in self.history:
            if entry.event == "rollback":
                stack.pop()
            elif entry.event in {"activate", "promote"}:
                stack.append(entry)
        return stack

    def roles(self, champion: str) -> dict[str, StoreRole]:
        """The role of every version that ever had one.

        Args:
            champion: The active version.
        """
        found: dict[str, StoreRole] = {}
        for entry in self.history:
            if entry.event == "challenge":
                found[entry.version] = "challenger"
                continue
            if entry.event != "retire":  # somebody else leads from here on
                found = {name: "retired" if role == "champion" else role for name, role in found.items()}
            found[entry.version] = "retired" if entry.event == "retire" else "champion"
        return {**found, champion: "champion"}

    @property
    def started(self) -> int:
        """Challengers ever started."""
        return sum(entry.event == "challenge" for entry in self.history)
