"""Generators of markets against real bars: `python -m benchmarks.gan FILE --instrument 6E --out DIR`.

The first 60 % of the sessions are for training, the next 20 % for choosing, and the last 20 % are what every row of the
table is held against; the row "another real period" is the validation part, and what any generator can at best reach.
Results are kept by row and seed in DIR/results.json; what is there is not computed again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from engine.cli.data_fit import all_bars, open_bars
from engine.types.blocks import BarBlock, Floats
from engine.types.instruments import Instrument, load_instrument
from feeds.fitting.fit import fit_market
from feeds.fitting.preparing import steps_of
from feeds.generators import generate
from feeds.quarantine import Quarantine
from training.gan.config import GanConfig
from training.gan.scores import HORIZONS, curves, emd, sums
from training.gan.train import train_gan

WINDOW = 60
TAIL = 0.01
STRATEGY_WINDOW = 30
NAMES = (
    *(f"EMD {h}" for h in HORIZONS), "ACF", "ACF of size", "leverage", "VaR", "ES", "strategy VaR", "strategy ES",
    "discriminative", "nearest",
)  # fmt: skip


def main() -> None:
    """Fill in what is missing of the table, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gan", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--instrument", default="6E")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=GanConfig().steps)
    parser.add_argument("--out", type=Path, default=Path("gan-benchmark"))
    given = parser.parse_args()
    instrument = load_instrument(given.instrument)
    given.out.mkdir(parents=True, exist_ok=True)
    block = all_bars(open_bars([given.file], given.instrument, {}, Quarantine()))
    sessions = steps_of(block, 0, instrument)
    numbers = np.unique(sessions.session)
    cuts = numbers[[round(0.6 * len(numbers)), round(0.8 * len(numbers))]]
    # by time of the first bar of each part, so that bars outside of sessions do not matter
    firsts = [int(np.flatnonzero(sessions.session >= cut)[0]) for cut in cuts]
    learned = _rows(block, 0, firsts[1])
    train, validation, test = (_rows(block, *ends) for ends in ((0, firsts[0]), firsts, (firsts[1], len(block))))
    kept = given.out / "results.json"
    found = json.loads(kept.read_text()) if kept.is_file() else {}
    for seed in range(given.seeds):
        for row in ("another real period", "bootstrap", "garch", "gan"):
            key = f"{row}/{seed}/{given.steps if row == 'gan' else 0}"
            if key in found:
                continue
            if row == "another real period":
                made = validation
            else:
                made = _made(row, seed, train, learned, instrument, given.out, given.steps, len(test))
            found[key] = compared(made, test, train, instrument, seed)
            kept.write_text(json.dumps(found, indent=1))
    _show(found, given.seeds, given.steps)


def _rows(block: BarBlock, first: int, last: int) -> BarBlock:
    columns = {name: getattr(block, name)[first:last, 0] for name in ("open", "high", "low", "close", "volume")}
    return BarBlock.from_columns(block.symbols, block.ts_event[first:last], columns)


def _made(
    row: str, seed: int, train: BarBlock, learned: BarBlock, instrument: Instrument, out: Path, steps: int, bars: int
) -> BarBlock:
    """Bars as many as the test part has; the GAN chooses by the validation part, the others see the training part."""
    start = int(learned.ts_event[-1])
    model = out / (f"gan-{seed}" if row == "gan" else f"{row}.json")
    if row == "gan":
        before = time.process_time()
        # the validation part is the last quarter of what is handed over
        train_gan(learned, instrument, model, GanConfig(steps=steps, seed=seed, validation=0.25), overwrite=True)
        print(f"gan, seed {seed}: {time.process_time() - before:.0f} s of CPU time", flush=True)
    elif not model.exists():
        fit_market(train, [instrument], "garch" if row == "garch" else "bootstrap", model)
    return generate("gan" if row == "gan" else "fitted", instrument, bars, seed, {"model": str(model)}, start)


def compared(made: BarBlock, test: BarBlock, train: BarBlock, instrument: Instrument, seed: int) -> dict[str, float]:
    """Every column of the table; distances over the deviation of a minute, smaller is better but for `nearest`."""
    one, real, seen = (_returns(block, instrument) for block in (made, test, train))
    scale = float(real.std())
    values = [emd(sums(one, h), sums(real, h)) / scale / np.sqrt(h) for h in HORIZONS]
    values += [float(np.mean(np.abs(a - b))) for a, b in zip(curves(one), curves(real), strict=True)]
    for a, b in ((one, real), (_strategy(one), _strategy(real))):
        values += [abs(x / y - 1.0) for x, y in zip(_tail(a), _tail(b), strict=True)]
    values.append(discriminative(_windows(one / scale), _windows(real / scale), seed))
    values.append(nearest(_windows(one / scale), _windows(seen / scale)))
    return dict(zip(NAMES, map(float, values), strict=True))


def _returns(block: BarBlock, instrument: Instrument) -> Floats:
    found = steps_of(block, 0, instrument).returns
    return np.asarray(found[np.isfinite(found)])


def _strategy(returns: Floats) -> Floats:
    """Profit of following the sign of the last half-hour, a minute at a time."""
    past = sums(returns, STRATEGY_WINDOW)[:-1]
    return np.asarray(np.sign(past) * returns[STRATEGY_WINDOW:])


def _tail(values: Floats) -> tuple[float, float]:
    """Value at risk and expected shortfall of an hour's sums at 1 %."""
    hour = sums(values, WINDOW)
    risk = float(np.quantile(hour, TAIL))
    return risk, float(hour[hour <= risk].mean())


def _windows(returns: Floats) -> Floats:
    return np.asarray(returns[: len(returns) // WINDOW * WINDOW].reshape(-1, WINDOW))


def discriminative(made: Floats, real: Floats, seed: int) -> float:
    """How far above one half a classifier tells hours apart that it has not seen (0 to 0.5).

    A logistic regression on sizes and memory of each hour, fitted by Newton's method to random halves, five times.
    """
    count = min(len(made), len(real))
    rng = np.random.default_rng(seed)
    x = np.concatenate([_features(made[:count]), _features(real[:count])])
    y = np.repeat([1.0, 0.0], count)
    scores = []
    for _ in range(5):
        order = rng.permutation(2 * count)
        early, late = order[:count], order[count:]
        mean, std = x[early].mean(axis=0), x[early].std(axis=0) + 1e-9
        z = np.column_stack([np.ones(2 * count), np.clip((x - mean) / std, -5.0, 5.0)])
        beta = np.zeros(z.shape[1])
        for _ in range(20):
            p = 1.0 / (1.0 + np.exp(-z[early] @ beta))
            hessian = (z[early] * (p * (1.0 - p))[:, None]).T @ z[early] + np.eye(len(beta))
            beta += np.linalg.solve(hessian, z[early].T @ (y[early] - p) - beta)
        scores.append(np.mean((z[late] @ beta > 0.0) == (y[late] > 0.5)))
    return abs(float(np.mean(scores)) - 0.5)


def _features(hours: Floats) -> Floats:
    size = np.abs(hours)
    deviation = hours.std(axis=1)
    scaled = hours / (deviation[:, None] + 1e-9)
    columns = [
        np.log(deviation + 1e-3), np.log(size.max(axis=1) + 1e-3), np.log(size.mean(axis=1) + 1e-3),
        (scaled**3).mean(axis=1), np.log((scaled**4).mean(axis=1) + 1e-3), (size < 1e-9).mean(axis=1),
        (scaled[:, 1:] * scaled[:, :-1]).mean(axis=1),
        (size[:, 1:] * size[:, :-1]).mean(axis=1) / (size**2).mean(axis=1),
        np.abs(hours.sum(axis=1)),
    ]  # fmt: skip
    return np.asarray(np.nan_to_num(np.stack(columns, axis=1)))


def nearest(made: Floats, seen: Floats) -> float:
    """Median distance of a made hour to the nearest of the training hours, over that of these among themselves."""

    def closest(one: Floats, other: Floats, *, same: bool = False) -> Floats:
        squares = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2.0 * one @ other.T
        if same:
            np.fill_diagonal(squares, np.inf)
        return np.asarray(np.sqrt(np.maximum(squares, 0.0)).min(axis=1))

    return float(np.median(closest(made, seen)) / np.median(closest(seen, seen, same=True)))


def _show(found: dict[str, dict[str, float]], seeds: int, steps: int) -> None:
    rows = ("another real period", "bootstrap", "garch", "gan")
    print("| " + " | ".join(["", *rows]) + " |\n|---" + "|---:" * len(rows) + "|")
    for name in NAMES:
        cells = []
        for row in rows:
            values = [found[f"{row}/{seed}/{steps if row == 'gan' else 0}"][name] for seed in range(seeds)]
            cells.append(f"{np.mean(values):.3g}" + (f" ± {np.std(values):.2g}" if np.std(values) > 1e-12 else ""))
        print("| " + " | ".join([name, *cells]) + " |")


if __name__ == "__main__":
    main()
