"""An environment at its present row as a few lines of text."""

from __future__ import annotations

import numpy as np

from agents.spec import AGENT_NAMES
from training.environment.vector import Actions, VectorEnv

SIDES = ("short", "neutral", "long")


def describe(env: VectorEnv, actions: Actions, index: int = 0) -> str:
    """Market, account and the decisions that hold, as plain text of five lines.

    Args:
        env: At least one episode of it has begun.
        actions: What each agent decided last; of no meaning before the first step.
        index: Which environment.
    """
    market, row, steps = env.market, int(env.rows[index]), int(env.steps[index])
    account, position = env.accounts[index], float(env.positions[index]["quantity"])
    equity, initial, peak = (float(account[name]) for name in ("equity", "initial", "peak_equity"))
    time = str(np.datetime64(int(market.bars.ts_event[row]), "ns").astype("datetime64[m]")).replace("T", " ")
    ended = "  HALTED" if env.terminated[index] else "  end" if env.truncated[index] else ""
    close, fees = float(market.bars.close[row, 0]), float(account["fees"])
    worth = f"equity {equity:,.2f} ({equity / initial - 1.0:+.2%})  drawdown {1.0 - equity / peak:.2%}"
    lines = [
        f"{market.instrument.name}  {time} UTC  bar {steps:,}{ended}",
        f"close {close:,.6g}  position {position:+.6g}  {worth}  fees {fees:,.2f}",
    ]
    held = _decisions(actions, index) if steps else dict.fromkeys(AGENT_NAMES, "")
    for k, name in enumerate(AGENT_NAMES):
        due = "due" if env.due[index, k] else ""
        lines.append(f"{name:<9}  {held[name]:<37}  reward {env.rewards[index, k]:+.6f}  {due}".rstrip())
    return "\n".join(lines)


def _decisions(actions: Actions, index: int) -> dict[str, str]:
    timing, stop, scale = actions.tactical[index].tolist()
    return {
        "strategic": SIDES[int(actions.strategic[index])],
        "tactical": f"timing {timing:.2f}  stop {stop:.4f}  scale {scale:.2f}",
        "risk": f"level {int(actions.risk[index])} of 4",
    }
