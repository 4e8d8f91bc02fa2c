"""A network in ONNX Runtime on one CPU thread, whose answer to a row does not depend on the batch around it."""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.serving.answers import check_answers
from agents.serving.checks import as_observations, check_finite, misfit_of_one
from agents.serving.limits import MOST_SECONDS, bounded_memory, read_model_file
from agents.serving.onnx_file import check_onnx
from agents.serving.outputs import Outputs, outputs_of
from agents.spec import AgentSpec, spec_of
from engine.base.errors import DataError, UsageError

MAX_BATCH = 4096
"""Most rows of a tile."""
BATCH = 512
"""Rows that go into one call; larger batches are cut, so that what a call reads and writes stays in the cache."""
INPUT = "observation"
_TYPES = {"tensor(float)": np.dtype(np.float32), "tensor(int64)": np.dtype(np.int64)}


def _runtime() -> Any:
    """ONNX Runtime, imported when the first network is loaded."""
    # before the import: the runtime would gather telemetry from then on, to send it to its makers
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # noqa: PLC0415 - takes a moment

    return onnxruntime


class OnnxModel:
    """One seat's network; not for use by several threads at once.

    On ONNX Runtime's CPU provider these networks give a row the same bits at every batch size. `tile` is for where
    that does not hold: rows then go in fixed batches of `tile`, the last one padded, so that only a row's place within
    its tile could matter, and with `tile=1` nothing. `batch_invariant` tells.

    Args:
        source: The ONNX file, or its content.
        name: The seat: strategic, tactical or risk; with declared features, the agent itself.
        tile: Rows of every call to the runtime; None for as many as there are.
        where: What to call the file in messages.

    Raises:
        UsageError: If there is no such seat, or `tile` is not 1..4096.
        DataError: If the file cannot be read, is damaged, or its inputs and outputs are not those of the seat.
    """

    def __init__(
        self, source: Path | bytes, name: str | AgentSpec, tile: int | None = None, *, where: str | None = None
    ) -> None:
        if tile is not None and not 1 <= tile <= MAX_BATCH:
            raise UsageError("the tile is out of range", expected=f"1 to {MAX_BATCH} rows", found=str(tile))
        self.seat = spec_of(name)
        self.name = self.seat.name
        self.tile = tile
        self.where = where or (str(source) if isinstance(source, Path) else f"the {self.name} model")
        self._answers = outputs_of(self.seat)
        self._outputs = list(self._answers)
        self._layout = np.empty((0, *self.seat.observation), np.float32)
        _runtime()  # whose own memory is not bounded
        with bounded_memory():
            self._session = _session(source, self.where)
            _check_signature(self._session, self.seat, self.where)
            self._bind_one()
            self._probe()

    def run(self, observations: NDArray[np.float32]) -> Outputs:
        """What the network answers.

        Args:
            observations: Raw features, float32, shape (B, *seat.observation); B may be 0.

        Returns:
            By output name, as `agents.serving.seats` lists them; the first axis is B.

        Raises:
            DataError: If the shape or type is another, or a number is not finite: row and feature are named; or if the
                network does not run.
            WrongAnswer: If it answers with NaN, an infinity or a number out of its bounds.
        """
        if observations.dtype != np.float32 or observations.shape[1:] != self.seat.observation:
            as_observations(observations, self.seat)  # says what is wrong
        rows = observations
        if not len(rows):
            return {name: np.empty((0, *out.shape), out.dtype) for name, out in self._answers.items()}
        if len(rows) == 1:
            return self.run_one(rows[0])
        sliding = rows.ndim > 2 and rows.strides[0] == rows.strides[1]
        if sliding and not _surely_finite_windows(rows):
            check_finite(rows, self.seat)
        parts = []
        step = self.tile or BATCH
        for start in range(0, len(rows), step):
            part = self._laid_out(rows[start : start + step])
            if not sliding and not _surely_finite(part):
                check_finite(rows, self.seat)
            parts.append(self._call(part))
        if len(parts) == 1:
            answers = parts[0]
        else:
            answers = {name: np.concatenate([part[name] for part in parts]) for name in self._outputs}
        check_answers(answers, self.seat, self.where)
        return answers

    def run_one(self, observation: NDArray[np.float32]) -> Outputs:
        """What the network answers to one observation, the fast way; the same bits as `run`.

        Args:
            observation: Raw features, float32, shape `seat.observation`.

        Returns:
            By output name; the first axis is 1.

        Raises:
            DataError: As `run`.
        """
        if observation.dtype != np.float32 or observation.shape != self.seat.observation:
            raise misfit_of_one(observation, self.seat)
        row = self._one_in
        row[0] = observation
        if not np.isfinite(row).all():
            check_finite(row[:1], self.seat)
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # the runtime raises its own kinds
            raise self._not_run(error) from error
        answers = {name: array[:1].copy() for name, array in self._one_out.items()}
        check_answers(answers, self.seat, self.where)
        return answers

    def _laid_out(self, part: NDArray[np.float32]) -> NDArray[np.float32]:
        """The rows of one call, C-contiguous: windows that overlap are copied into memory that stays in the cache."""
        if part.flags.c_contiguous:
            return part
        if len(self._layout) < len(part):
            self._layout = np.empty((len(part), *self.seat.observation), np.float32)
        np.copyto(self._layout[: len(part)], part)
        return self._layout[: len(part)]

    def _call(self, rows: NDArray[np.float32]) -> Outputs:
        count = len(rows)
        if self.tile is not None and count < self.tile:
            rows = np.concatenate([rows, np.zeros((self.tile - count, *self.seat.observation), np.float32)])
        try:
            answers = self._session.run(self._outputs, {INPUT: rows})
        except Exception as error:  # the runtime raises its own kinds
            raise self._not_run(error) from error
        return {name: answer[:count] for name, answer in zip(self._outputs, answers, strict=True)}

    def _bind_one(self) -> None:
        """Fixed buffers for single rows, of `tile` rows where there is one, so that the shape of the call is that."""
        count = self.tile or 1
        self._one_in = np.zeros((count, *self.seat.observation), np.float32)
        self._one_out = {name: np.zeros((count, *out.shape), out.dtype) for name, out in self._answers.items()}
        self._binding = self._session.io_binding()
        # on the CPU these values share the arrays' memory
        ort = _runtime()
        self._values = [ort.OrtValue.ortvalue_from_numpy(self._one_in)]
        self._binding.bind_ortvalue_input(INPUT, self._values[0])
        for name, array in self._one_out.items():
            value = ort.OrtValue.ortvalue_from_numpy(array)
            self._values.append(value)
            self._binding.bind_ortvalue_output(name, value)

    def _answered(self, rows: NDArray[np.float32]) -> Outputs:
        """What the network answers, within MOST_SECONDS: a loop in it may have no end."""
        options = _runtime().RunOptions()

        def terminate() -> None:
            options.terminate = True

        timer = threading.Timer(MOST_SECONDS, terminate)
        timer.daemon = True
        timer.start()
        try:
            answers = self._session.run(self._outputs, {INPUT: rows}, options)
        finally:
            timer.cancel()
        return dict(zip(self._outputs, answers, strict=True))

    def _probe(self) -> None:
        """Ask once, by one row, two and three: declared shapes can be wrong, and weights can be anything."""
        for count in (1, 2, 3) if self.tile is None else (self.tile,):
            try:
                outputs = self._answered(np.zeros((count, *self.seat.observation), np.float32))
            except Exception as error:  # the runtime raises its own kinds
                raise self._not_run(error) from error
            for name, out in self._answers.items():
                found = outputs[name]
                if found.shape != (count, *out.shape) or found.dtype != out.dtype:
                    raise DataError(
                        f"the {self.name} network answers wrongly",
                        where=f"{self.where}, output {name}",
                        expected=f"{out.dtype} of shape {(count, *out.shape)}",
                        found=f"{found.dtype} of shape {found.shape}",
                    )
            check_answers(outputs, self.seat, self.where)

    def _not_run(self, error: Exception) -> DataError:
        reason = " ".join(str(error).split()) or type(error).__name__
        return DataError(f"the {self.name} network does not run: {reason}", where=self.where)


def batch_invariant(model: OnnxModel, rows: int = 130) -> bool:
    """Whether a row's bits are the same alone, in batches of several sizes, at several places and beside others.

    A check of some tens of milliseconds for when a model is loaded; deterministic.
    """
    generator = np.random.Generator(np.random.PCG64(0))
    observations = generator.standard_normal((rows, *model.seat.observation)).astype(np.float32)
    alone = [model.run(observations[i : i + 1]) for i in range(rows)]
    whole = {name: np.concatenate([one[name] for one in alone]) for name in outputs_of(model.seat)}
    cuts = [(start, stop) for stop in (2, 3, 7, 8, 17, 33, 64, rows) for start in (0, 1) if start < stop]
    for start, stop in cuts:
        answers = model.run(observations[start:stop])
        if any(answers[name].tobytes() != whole[name][start:stop].tobytes() for name in whole):
            return False
    backward = model.run(observations[::-1])
    one = model.run_one(observations[0])
    return all(
        backward[name][::-1].tobytes() == whole[name].tobytes() and one[name].tobytes() == whole[name][:1].tobytes()
        for name in whole
    )


def _surely_finite(rows: NDArray[np.float32]) -> bool:
    """Whether the sum is finite: then all terms are, at a fraction of what it costs to ask each of them."""
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(rows.sum())


def _surely_finite_windows(windows: NDArray[np.float32]) -> bool:
    """The same for windows of which each is the one before without its first row.

    All that is in them is in the first, or comes last in another.
    """
    return _surely_finite(windows[0]) and _surely_finite(windows[:, -1])


def _session(source: Path | bytes, where: str) -> Any:
    ort = _runtime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # what goes wrong is raised; the runtime need not print it as well
    try:
        content = read_model_file(source) if isinstance(source, Path) else source
    except OSError as error:
        raise DataError(f"cannot read the model: {error}", where=where) from error
    check_onnx(content, where)
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime raises its own kinds, none of them public
        reason = " ".join(str(error).split())
        raise DataError(
            f"ONNX Runtime cannot load the model: {reason}",
            where=where,
            hint="the file is damaged or not an ONNX model: export it again, or restore it from its version",
        ) from error


def _check_signature(session: Any, seat: AgentSpec, where: str) -> None:
    _check_tensors(session.get_inputs(), {INPUT: (np.dtype(np.float32), seat.observation)}, where, "input")
    outputs = {name: (out.dtype, out.shape) for name, out in outputs_of(seat).items()}
    wanted = [item for item in session.get_outputs() if item.name in outputs]
    _check_tensors(wanted, outputs, where, "output")


def _check_tensors(
    found: list[Any], expected: dict[str, tuple[np.dtype[Any], tuple[int, ...]]], where: str, kind: str
) -> None:
    by_name = {item.name: item for item in found}
    if set(by_name) != set(expected):
        raise DataError(
            f"the model has other {kind}s than its seat needs",
            where=where,
            expected=", ".join(expected),
            found=", ".join(by_name) or "none",
        )
    for name, (dtype, shape) in expected.items():
        item = by_name[name]
        batch, *rest = item.shape or [None]
        if _TYPES.get(item.type) != dtype or tuple(rest) != shape or isinstance(batch, int):
            raise DataError(
                f"{kind} {name!r} does not fit the seat",
                where=where,
                expected=f"{dtype} of shape (any batch{''.join(f', {n}' for n in shape)})",
                found=f"{item.type} of shape {tuple(item.shape)}",
            )
