"""The file of a fitted market: JSON that can be read, with arrays of a bootstrap in an NPZ file beside it."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from engine.base.config import Config, parse
from engine.base.errors import ConfigError, DataError, UsageError
from engine.base.files import read_file, read_json, sha256_file
from engine.base.replacing import replaced_file
from engine.types.blocks import Floats
from engine.types.instruments import Instrument, Positive

MOST_BYTES = 1 << 30
Share = Annotated[float, Field(ge=0, le=1)]


class Source(Config):
    """A file of bars that was fitted.

    Attributes:
        path: As it was named.
        sha256: Of its bytes.
    """

    path: str
    sha256: str


class Dropped(Config):
    """What did not enter a fit.

    Attributes:
        bad_rows: Put aside while reading.
        outside: Bars outside the sessions.
        after_gaps: Returns over missing bars.
        sessions: Sessions of other length or with too few bars (bootstrap).
    """

    bad_rows: int = 0
    outside: int = 0
    after_gaps: int = 0
    sessions: int = 0


class Parameter(Config):
    """A figure and its standard error; null where there is none."""

    value: float
    error: float | None = None


class Volume(Config):
    """As `feeds.fitting.volumes.VolumeLaw`, with the season by minute."""

    level: float
    by_volatility: float
    by_surprise: float
    memory: float
    deviation: float
    season: tuple[float, ...]


class SymbolModel(Config):
    """One symbol of a GARCH model.

    Attributes:
        name: Of the symbol.
        instrument: What was assumed of it: ticks, sizes, sessions.
        price: Last close of the data, from which generated prices start.
        parameters: omega, alpha, gamma, beta, nu, jumps (a minute).
        variance: Long-run variance of a minute of season 1, log returns.
        persistence: alpha + gamma / 2 + beta.
        log_likelihood, starts, agreed, converged: Of the searches.
        threshold: Deviations above which a return is a jump.
        found, expected: Jumps of the data, and how many the t law would show.
        bounce: Variance of the step from a close to the next open, of a minute's.
        width: Deviation within a minute, of the conditional one.
        season: Factor of the deviation, by minute of the session.
        missing: Share of bars that are missing, by minute of the session.
        volume: null where volumes are not known.
    """

    name: str
    instrument: Instrument
    price: Positive
    parameters: dict[str, Parameter]
    variance: Positive
    persistence: float
    log_likelihood: float
    starts: int
    agreed: int
    converged: bool
    threshold: Positive
    found: int
    expected: float
    bounce: float
    width: float
    season: tuple[float, ...]
    missing: tuple[float, ...]
    volume: Volume | None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        needed = {"omega", "alpha", "gamma", "beta", "nu", "jumps"}
        if set(self.parameters) != needed:
            raise ValueError(f"parameters must be {', '.join(sorted(needed))}")
        given = {name: one.value for name, one in self.parameters.items()}
        if given["omega"] <= 0 or given["nu"] <= 2 or not 0 <= given["jumps"] < 1:
            raise ValueError("omega must be above 0, nu above 2 and jumps from 0 to 1")
        if min(given["alpha"], given["alpha"] + given["gamma"], given["beta"]) < 0 or not self.persistence < 1:
            raise ValueError("alpha, alpha + gamma and beta cannot be negative, and the persistence must be below 1")
        if len(self.missing) != len(self.season) or (self.volume and len(self.volume.season) != len(self.season)):
            raise ValueError("all seasons must have the same number of minutes")
        return self

    def value(self, name: str) -> float:
        """A parameter."""
        return self.parameters[name].value

    @property
    def theta(self) -> Floats:
        """As `feeds.fitting.kernels` takes them, shape (5,)."""
        alpha, gamma = self.value("alpha"), self.value("gamma")
        return np.array([self.variance, alpha, alpha + gamma, self.value("beta"), self.value("nu")])


class Joint(Config):
    """How symbols of a GARCH model move together: a t copula of their shocks.

    Attributes:
        correlation: Of the shocks, a row a symbol.
        errors: Standard errors, likewise.
        freedom: Degrees of freedom of the copula; small means that large shocks come together.
        jumps: Shocks of minutes with a jump, a row a minute; null where that symbol did not jump.
        gaps: Steps from one session to the next, in deviations of a minute, a row a step.
    """

    correlation: tuple[tuple[float, ...], ...]
    errors: tuple[tuple[float, ...], ...]
    freedom: Positive
    jumps: tuple[tuple[float | None, ...], ...]
    gaps: tuple[tuple[float, ...], ...]


class Sampled(Config):
    """Whole sessions of a bootstrap model; their bars lie in an NPZ file beside it.

    Attributes:
        arrays: Name of that file.
        sha256: Of its bytes.
        sessions: How many there are.
        minutes: Of each.
        run: Mean number of sessions that stay together (Politis & White, 2004).
        drift: Mean log return of a minute of each symbol, which is taken out.
        prices: Last closes.
    """

    arrays: str
    sha256: str
    sessions: Annotated[int, Field(ge=1)]
    minutes: Annotated[int, Field(ge=1)]
    run: Annotated[float, Field(ge=1)]
    drift: tuple[float, ...]
    prices: tuple[Positive, ...]
    names: tuple[str, ...]
    instruments: tuple[Instrument, ...]
    volume: tuple[bool, ...]


class FittedModel(Config):
    """A fitted market.

    Attributes:
        version: Of the format.
        model: Kind.
        data: Files that were fitted.
        first, last: Closes of the first and the last bar, ISO 8601.
        bars, sessions: Of the data.
        dropped: What did not enter.
        symbols, joint: Of kind garch.
        sampled: Of kind bootstrap.
    """

    version: Literal[1] = 1
    model: Literal["garch", "bootstrap"]
    data: tuple[Source, ...]
    first: str
    last: str
    bars: int
    sessions: int
    dropped: Dropped
    symbols: tuple[SymbolModel, ...] = ()
    joint: Joint | None = None
    sampled: Sampled | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.model == "garch" and not (self.symbols and self.joint):
            raise ValueError("a garch model needs symbols and joint")
        if self.model == "bootstrap" and not self.sampled:
            raise ValueError("a bootstrap model needs sampled")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Of the symbols."""
        return self.sampled.names if self.sampled else tuple(one.name for one in self.symbols)

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """Of the symbols."""
        return self.sampled.instruments if self.sampled else tuple(one.instrument for one in self.symbols)


def read_model(path: Path) -> FittedModel:
    """Read a model's file.

    Raises:
        UsageError: If there is no such file.
        DataError: If it is damaged, or holds something else.
    """
    try:
        tree = read_json(path)
    except FileNotFoundError:
        raise UsageError(
            "there is no such file of a fitted market",
            where=str(path),
            hint="`grandmodel data fit FILE --out MODEL.json` writes one",
        ) from None
    except (OSError, ValueError) as error:
        raise DataError("cannot read the fitted market", where=str(path), found=str(error)) from None
    if not isinstance(tree, dict) or "model" not in tree:
        raise DataError("this is no fitted market", where=str(path), expected="a file that `grandmodel data fit` wrote")
    try:
        return parse(FittedModel, tree, where=str(path))
    except ConfigError as error:
        what = error.what.replace("the configuration does not fit", "the fitted market is damaged")
        raise DataError(what, where=str(path), hint="fit again: `grandmodel data fit`") from None


def read_arrays(path: Path, sampled: Sampled) -> dict[str, Floats]:
    """The sessions of a bootstrap model.

    Args:
        path: Of the model's file.

    Raises:
        DataError: If the file is missing or is not the one that the model was written with.
    """
    file = path.parent / sampled.arrays
    try:
        right = sha256_file(file) == sampled.sha256
        content = read_file(file, MOST_BYTES) if right else b""
    except OSError as error:
        raise DataError("cannot read the sessions of the fitted market", where=str(file), found=str(error)) from None
    if not right:
        raise DataError(
            "the sessions are not those that were fitted",
            where=str(file),
            expected=f"sha256 {sampled.sha256}",
            hint="fit again",
        )

    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def arrays_path(out: Path) -> Path:
    """Where the sessions of a bootstrap lie, beside the file of the model."""
    return out.with_name(f"{out.name.removesuffix('.json')}.npz")


def write_model(path: Path, model: FittedModel, *, overwrite: bool) -> None:
    """Write a model's file, whole or not at all."""
    text = json.dumps(model.model_dump(mode="json"), indent=1, allow_nan=False)
    with replaced_file(path, overwrite=overwrite) as part:
        part.write_text(_compact(text) + "\n", encoding="utf-8")


def _compact(text: str) -> str:
    """Lists of numbers on one line each."""
    return re.sub(r"\[[^\[\]{}]*\]", lambda found: " ".join(found[0].split()), text)
