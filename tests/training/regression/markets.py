"""A market with something to forecast."""

from __future__ import annotations

from tests.training.data.configs import small, synthetic
from training.data.sources import load_market
from training.environment.market import Market


def trending_market() -> Market:
    """Twelve scenarios of 6,000 minutes."""
    return load_market(small([synthetic("trending", 12, length=6000, parameters={"drift_bps": 2.0})]), 4)[0]
