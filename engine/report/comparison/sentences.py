"""What a comparison says in words; the terminal and the page say the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.report.comparison.rows import short_name
from engine.report.presentation import UNDEFINED, synthetic_sentence
from engine.types.reasons import phrase

NAMED = 4


def part_name(part: str) -> str:
    """A part for reading."""
    return {"in": "in-sample", "out": "out-of-sample", "all": "all bars"}.get(part, part.replace(".", " "))


def counted(variants: int) -> str:
    """A number of variants."""
    return f"{variants:,} variant{'s' if variants != 1 else ''}"


def counts(tree: Mapping[str, Any]) -> str:
    """How many variants there are, and what became of them."""
    states = [variant["status"] for variant in tree["variants"]]
    text = counted(len(states))
    for state, words in (("refused", "not possible"), ("failed", "failed")):
        if state in states:
            text += f", {states.count(state):,} {words}"
    return text


def luck_sentence(tree: Mapping[str, Any]) -> str | None:
    """What the best of so many would show by luck alone, beside the winner."""
    chosen = tree["selection"]
    if chosen["luck_sharpe"] is None:
        return None
    tried, independent, recorded = chosen["tried"], chosen["independent"], chosen.get("recorded") or 0
    if recorded > tried:
        text = f"{recorded:,} trials are recorded on these bars. The best of so many without any skill would"
    else:
        text = f"The best of {tried:,} variants without any skill would"
    text += " show a Sharpe ratio of about "
    text += f"{chosen['luck_sharpe']:.2f} by luck alone; the winner shows {chosen['winner_sharpe']:.2f}"
    text += " (" + ("more" if chosen["winner_sharpe"] > chosen["luck_sharpe"] else "no more") + " than luck explains"
    if chosen["deflated"] is not None:
        text += f"; probability of skill {100 * chosen['deflated']:.0f} %"
    text += ")."
    if independent is not None and independent < 0.8 * tried:
        text += f" The variants resemble each other: they amount to about {independent:.0f} independent trials."
    return text


def overfitting_sentence(tree: Mapping[str, Any]) -> str | None:
    """How often choosing the best on half of the bars is wrong on the other half."""
    chosen = tree["selection"]
    if chosen.get("pbo") is None:
        return None
    overfit, loses = 100 * chosen["pbo"], 100 * chosen["pbo_loss"]
    return (
        f"Probability of backtest overfitting {overfit:.0f} %: so often the best of {chosen['pbo_trials']:,} trials on "
        f"one half of the bars is below the median on the other; it loses there in {loses:.0f} %."
    )


def winner_sentence(tree: Mapping[str, Any]) -> str | None:
    """The winner, and its result out of sample."""
    number = tree["selection"]["winner"]
    if number is None:
        return None
    variant = tree["variants"][number]
    part = tree["selection"]["part"]
    figure = "return" if tree["selection"]["winner_sharpe"] is None else "Sharpe ratio"
    text = f"Best {figure} {'in-sample' if part == 'in' else 'on all bars'}: {short_name(variant['variant'])}"
    out = (variant["parts"] or {}).get("out")
    if not out:
        return text + ". Nothing was held back to check it: give --split DATE or --folds N."
    if out.get("total_return") is None:
        return text + "; its account was gone before the out-of-sample part."
    text += f"; out-of-sample it returned {100 * out['total_return']:+.2f} %"
    if out.get("sharpe") is not None:
        text += f" with a Sharpe ratio of {out['sharpe']:.2f}"
    if out.get("equal_risk_return") is not None:
        text += f", the benchmark at equal risk {100 * out['equal_risk_return']:+.2f} %"
    return text + "."


def walk_sentences(tree: Mapping[str, Any]) -> list[str]:
    """One line a step of walking forward, and what they compound to."""
    lines, growth = [], 1.0
    for step in tree["walk_forward"]:
        name = short_name(tree["variants"][step["winner"]]["variant"])
        gained = step["out"].get("total_return")
        if gained is None:
            continue
        growth *= 1 + gained
        sharpe = step["out"].get("sharpe")
        lines.append(
            f"Fold {step['fold']}: {name}, best before it (Sharpe {_ratio(step['sharpe_before'])}), "
            f"returned {100 * gained:+.2f} % (Sharpe {_ratio(sharpe)})"
        )
    if lines:
        lines.append(f"Walking forward, always with the best so far, returned {100 * (growth - 1):+.2f} %.")
    return lines


def _ratio(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.2f}"


def halt_sentence(tree: Mapping[str, Any]) -> str | None:
    """Variants that a limit stopped: what stands still from then on is no result."""
    halted = [variant for variant in tree["variants"] if variant.get("halted")]
    if not halted:
        return None
    limits = " or ".join(sorted({phrase(variant["halted"]) for variant in halted}))
    names = [short_name(variant["variant"]) for variant in halted]
    shown = "; ".join(names[:NAMED]) + ("; ..." if len(names) > NAMED else "")
    told = f"{len(names):,} of {counted(len(tree['variants']))} {'was' if len(names) == 1 else 'were'} halted"
    return f"{told} by a hard limit ({limits}) and traded no more from then on: {shown}"


def doubts(tree: Mapping[str, Any]) -> list[str]:
    """What a reader should know before trusting the figures, a sentence each."""
    synthetic = [synthetic_sentence(tree["synthetic"])] if tree.get("synthetic") else []
    return [*synthetic, *map(str, tree.get("warnings") or ()), *filter(None, [halt_sentence(tree)])]


def failures(tree: Mapping[str, Any], status: str) -> list[tuple[str, str]]:
    """Variants with a status, and the first line of why."""
    return [
        (short_name(variant["variant"]), str(variant["error"]).splitlines()[0])
        for variant in tree["variants"]
        if variant["status"] == status
    ]
