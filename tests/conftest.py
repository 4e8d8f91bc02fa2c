"""What all tests share: hypothesis draws the same examples every time, without a clock."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("fixed", deadline=None, derandomize=True)
settings.load_profile("fixed")
