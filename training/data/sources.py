"""From `data.sources` of a configuration to the market that environments trade in, and its parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agents.spec import TACTICAL_AGENT, agents_seeing
from engine.base.config import parse
from engine.base.errors import ConfigError, DataError, UsageError
from engine.base.paths import shipped
from engine.loop.aggregate import aggregated
from engine.types.blocks import BarBlock, Floats, concat
from engine.types.instruments import Fees, Instrument, load_instrument
from engine.types.timeframe import MINUTE_NS, format_timeframe, parse_timeframe
from feeds.generators import START_NS, find_generator, generate_with_truth
from feeds.generators_paths import Generator
from feeds.indicators.joining import Indicators, read_indicators
from feeds.quarantine import Quarantine
from feeds.replay import ReplayConfig
from feeds.ticks.opening import open_replay
from portfolio.tradable import obstacle, plain
from training.config import HistoricalSource, SyntheticSource, TrainingConfig
from training.data.parts import WARMUP_MINUTES, Parts, SourceRows, divide, remarks, require_episodes
from training.environment.market import Market

ALL_ROWS = 1 << 24
RESERVE_MINUTES = 60
"""Of a scenario beyond warm-up and episode: an episode begins at a close of all three agents' bars."""

HALF_HOUR_NS = 30 * MINUTE_NS


class Loaded(NamedTuple):
    """Bars of one file or scenario.

    Attributes:
        name: For people.
        bars: One symbol, called like the instrument.
        hidden: What drives a generated market (see `feeds.generators_bars.LogPath`), shape (rows,); None of a file, and
            of a scenario whose bars were joined to longer ones.
        group: Number of the entry in `data.sources`.
        historical: From a file.
        bad_rows: Put aside while reading.
    """

    name: str
    bars: BarBlock
    hidden: Floats | None
    group: int
    historical: bool
    bad_rows: int


def load_market(config: TrainingConfig, seed: int) -> tuple[Market, Parts]:
    """The market of a training and its division into parts.

    Args:
        config: Of the training.
        seed: Of the generators.

    Raises:
        UsageError: If a file is missing or a part has no room for an episode; the key to change is named.
        ConfigError: If a generator or parameter is unknown, or lengths of bars do not go together.
        DataError: If a file is damaged or holds several symbols.
    """
    loaded = read_sources(config, seed)
    return build_market(config, loaded)


def require_tradable(config: TrainingConfig, loaded: Sequence[Loaded]) -> None:
    """Refuse a training with bars on which not even one unit can be bought, so that nothing could be learned.

    Raises:
        ConfigError: If one unit comes to less than the smallest order, or to more than the account affords, at the
            lowest close of a file or scenario; the key to change and a value that would do are named.
    """
    require_room(config)
    instrument = training_instrument(config)
    for one in loaded:
        price = float(np.nanmin(one.bars.close))
        found = obstacle(config.portfolio, instrument, price, units=True) if price > 0.0 else None
        if found is not None:
            raise ConfigError(
                f"nothing can be traded: {found.what}",
                where=f"portfolio.{found.key} (for {one.name})",
                expected=f"at least {plain(found.needed)} at the lowest close, {price:g}",
                found=plain(found.found),
                hint=found.hint.replace("set ", "set portfolio.").replace("or initial", "or portfolio.initial"),
            )


def require_room(config: TrainingConfig) -> None:
    """Refuse a unit so large that margin cuts the larger position scales: what cannot act cannot be learned.

    Raises:
        ConfigError: If the account cannot hold the largest scale at full exposure; names a value that leaves room.
    """
    sizing, margin = config.portfolio.sizing, training_instrument(config).initial_margin
    most = TACTICAL_AGENT.high[TACTICAL_AGENT.names.index("position scale")]
    if sizing.mode == "equity_fraction" and sizing.value * most * margin.rate > 1.0 + 1e-9:
        raise ConfigError(
            "the larger position scales could not be traded: margin cuts them",
            where="portfolio.sizing.value",
            expected=f"at most {plain(1.0 / (most * margin.rate))}: room for a scale of {most:g} at a margin rate of "
            f"{plain(margin.rate)}",
            found=plain(sizing.value),
            hint=f"set portfolio.sizing.value to {plain(1.0 / (most * margin.rate))}",
        )


def require_first_tradable(config: TrainingConfig) -> None:
    """`require_tradable` for the first file or scenario alone, before anything that takes long is loaded.

    Raises:
        GrandModelError: As `load_market`, for that source.
    """
    require_tradable(config, [next(_each_source(config, config.seed))])


def build_market(config: TrainingConfig, loaded: list[Loaded]) -> tuple[Market, Parts]:
    """The same from bars that are read already.

    Raises:
        UsageError: If a part has no room for an episode.
    """
    step = step_ns(config)
    blocks = [(one.name, one.bars) for one in loaded]
    market = Market.build(
        training_instrument(config), blocks, config.ensemble.risk_cadence, step, agents_seeing(config.features)
    )
    series = [
        SourceRows(segment.start, segment.stop, one.group, one.historical)
        for segment, one in zip(market.segments, loaded, strict=True)
    ]
    split, minutes = config.data.split, step // MINUTE_NS
    parts = divide(series, split)
    require_episodes(market, parts, split, config.training_params.episode_length, minutes)
    bad = [f"{one.name}: {one.bad_rows:,} bad rows were quarantined" for one in loaded if one.bad_rows]
    return market, replace(parts, remarks=(*remarks(split, minutes), *bad))


def training_instrument(config: TrainingConfig) -> Instrument:
    """What is traded, with the fees of the training's simulator.

    Raises:
        UsageError: If there is no such instrument.
        ConfigError: If its file does not fit.
    """
    instrument = load_instrument(config.instrument)
    cost = config.reward_shaping.transaction_cost
    return instrument if cost is None else instrument.model_copy(update={"fees": Fees(rate=cost)})


def step_ns(config: TrainingConfig) -> int:
    """Length of a bar of the environments: the first timeframe of history, else a minute; nanoseconds.

    Raises:
        ConfigError: If the first timeframe is not the shortest, or sources differ.
    """
    steps = {}
    for number, source in enumerate(config.data.sources):
        if isinstance(source, HistoricalSource):
            lengths = [parse_timeframe(text) for text in source.timeframe]
            if lengths[0] != min(lengths):
                raise ConfigError(
                    "the first timeframe is the length of a step, and so the shortest",
                    where=f"data.sources.{number}.timeframe",
                    found=", ".join(source.timeframe),
                )
            steps[lengths[0]] = number
    if len(steps) > 1:
        raise ConfigError(
            "all files must give bars of one length",
            where="data.sources",
            found=", ".join(f"{format_timeframe(step)} in source {number}" for step, number in steps.items()),
            hint="begin every timeframe with the same length",
        )
    return next(iter(steps), MINUTE_NS)


def read_sources(config: TrainingConfig, seed: int) -> list[Loaded]:
    """Bars of every file and scenario, in the order of the configuration.

    Raises:
        UsageError, ConfigError, DataError: As `load_market`.
    """
    return list(_each_source(config, seed))


def _each_source(config: TrainingConfig, seed: int) -> Iterator[Loaded]:
    instrument, step = training_instrument(config), step_ns(config)
    indicators = Indicators(read_indicators(config.data.indicators))
    for number, source in enumerate(config.data.sources):
        if isinstance(source, HistoricalSource):
            read = _read_file(number, source, instrument, step)
            yield read._replace(bars=indicators(read.bars))
        else:
            length = source.length or default_length(config.training_params.episode_length, step)
            for made in _scenarios(number, source, instrument, step, length, seed):
                yield made._replace(bars=indicators(made.bars))


def default_length(episode_length: int, step: int = MINUTE_NS) -> int:
    """Bars of a scenario that is to hold one episode after the agents' warm-up.

    Args:
        episode_length: Bars.
        step: Length of a bar, nanoseconds.
    """
    return episode_length + (WARMUP_MINUTES + RESERVE_MINUTES) * MINUTE_NS // step


def scenario_seed(seed: int, source: int, number: int) -> tuple[int, int]:
    """Seed of one scenario, and the time of day (of 1 January 2024) at which it starts, nanoseconds UTC.

    Scenarios start at any half hour: otherwise agents would meet each hour of the day at one place of an episode only.
    """
    words = np.random.SeedSequence((seed, source, number)).generate_state(2, np.uint64)
    return int(words[0] >> np.uint64(1)), START_NS + int(words[1] % np.uint64(48)) * HALF_HOUR_NS


def _scenarios(
    group: int, source: SyntheticSource, instrument: Instrument, step: int, length: int, seed: int
) -> Iterator[Loaded]:
    key = f"data.sources.{group}"
    generator = find_generator(source.generator, source.parameters, where=key)
    for number in range(source.scenarios):
        name, origin = f"{source.generator} {number}", scenario_seed(seed, group, number)
        try:
            made = _scenario(generator, instrument, step, length, origin)
        except UsageError as error:
            where = f"{key} ({name})"
            raise UsageError(
                error.what, where=where, expected=error.expected, found=error.found, hint=error.hint
            ) from error
        yield Loaded(name, *made, group, historical=False, bad_rows=0)


def _scenario(
    generator: Generator, instrument: Instrument, step: int, length: int, origin: tuple[int, int]
) -> tuple[BarBlock, Floats | None]:
    made = generate_with_truth(generator, instrument, length * step // MINUTE_NS, *origin)
    if step == MINUTE_NS:
        return made
    return concat(list(aggregated([made.bars], step, instrument))), None


def _read_file(group: int, source: HistoricalSource, instrument: Instrument, step: int) -> Loaded:
    key = f"data.sources.{group}"
    path = _resolve(source.path, key)
    keys = ("labels", "timezone", "start", "end", "format", "columns", "adjusted", "bars")
    how = {name: getattr(source, name) for name in keys}
    reading = parse(ReplayConfig, {**how, "timeframe": format_timeframe(step)}, where=key)
    quarantine = Quarantine()
    try:
        replay = open_replay(path, instrument, reading, quarantine)
        _require_one_symbol(replay.symbols)
        block = concat(list(replay.blocks(ALL_ROWS)))
    except (UsageError, DataError) as error:
        where = f"{key} ({error.where or source.path})"
        raise type(error)(
            error.what, where=where, expected=error.expected, found=error.found, hint=error.hint
        ) from error
    named = replace(block, symbols=(instrument.name,))
    return Loaded(path.name, named, None, group, historical=True, bad_rows=quarantine.total)


def _require_one_symbol(symbols: tuple[str, ...]) -> None:
    if len(symbols) > 1:
        raise DataError(
            "the file holds several symbols",
            expected="one symbol: agents are trained on one instrument",
            found=", ".join(symbols[:5]) + (", ..." if len(symbols) > 5 else ""),
            hint="write one file a symbol: `grandmodel data convert FILE --symbol NAME --out NEW`",
        )


def _resolve(name: str, key: str) -> Path:
    """A file by its path, or the bars of a recording that ships by its name."""
    path, recording = Path(name), shipped("replays") / name / "bars.parquet"
    if path.is_file():
        return path
    if recording.is_file():
        return recording
    known = ", ".join(sorted(folder.parent.name for folder in shipped("replays").glob("*/bars.parquet")))
    raise UsageError(
        "the file of bars is a folder" if path.is_dir() else "the file of bars does not exist",
        where=f"{key}.path",
        expected=f"a CSV, Parquet or Feather file, or the name of a recording that ships: {known}",
        found=name,
        hint=f"--set {key}.path=FILE",
    )
