"""What can go wrong in a training beyond what `engine.base.errors` names."""

from __future__ import annotations

from engine.base.errors import CheckFailed


class ExplodingLoss(CheckFailed):
    """A loss is no longer a finite number; the last good checkpoint stands."""
