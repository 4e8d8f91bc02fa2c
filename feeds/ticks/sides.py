"""How the side that took is written, in files and in messages."""

from __future__ import annotations

from typing import Final

SIDES: Final = {
    **dict.fromkeys(("buy", "b", "buyer", "bid", "bought", "bot", "long", "1", "+1", "1.0"), 1),
    **dict.fromkeys(("sell", "s", "seller", "ask", "a", "offer", "sold", "short", "-1", "-1.0"), -1),
    **dict.fromkeys(("n", "none", "unknown", "no_aggressor", "neutral", "mixed", "cross", "0", "0.0"), 0),
}
"""1 the buyer, -1 the seller, 0 not known; whatever the case."""
READABLE_SIDE: Final = "buy or sell (b, s; bid, ask; buyer, seller; 1, -1), or nothing"
