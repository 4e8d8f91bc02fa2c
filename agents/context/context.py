"""The one object that a strategy is given: market, account and orders."""

from __future__ import annotations

from agents.context.orders import Trading


class Context(Trading):
    """What a strategy sees of one row, and how it trades. Valid only during `on_bar`."""
