"""How e-values and shares are written, everywhere alike."""

from __future__ import annotations


def e_value_text(value: float) -> str:
    """An e-value, or one that is needed: two decimals below 10, else none.

    Where one is at least as large as another, so it is as written.
    """
    return f"{value:.2f}" if value < 9.995 else f"{value:,.0f}"


def percent(share: float, decimals: int = 0) -> str:
    """A share of 1 in per cent."""
    return f"{100.0 * share:.{decimals}f} %"
