from __future__ import annotations

from pathlib import Path

from agents.features.page import page
from agents.spec import AGENTS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "features.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m agents.features.page > docs/features.md`"


def test_every_feature_has_its_row() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| ")]
    assert len(rows) == 3 + sum(len(seat.features) for seat in AGENTS.values())
    assert all(line.count(" | ") == 6 for line in rows)
