"""Compiling a strategy's `decide` to a function pointer that the simulator's scan can call."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numba
from numba import types
from numba.core.errors import NumbaError

from engine.base.compiled import cache_dir, prepare_compiler
from engine.base.errors import UsageError
from engine.types.records import ACCOUNT, COMMAND, ORDER, POSITION, Bars


def _records(dtype: Any) -> Any:
    return types.Array(numba.from_dtype(dtype), 1, "C", readonly=False, aligned=False)


def _read_only(dtype: Any, ndim: int) -> Any:
    return types.Array(dtype, ndim, "C", readonly=True)


# bars are read-only, so that no strategy can change what the simulator fills at
_MATRIX = _read_only(types.float64, 2)
_BARS = types.NamedTuple(
    (_read_only(types.int64, 1), _MATRIX, _MATRIX, _MATRIX, _MATRIX, _MATRIX, _read_only(types.boolean, 2)),
    Bars,
)


def decide_signature(signals: Any, params: Any, memory: Any) -> Any:
    """Signature of a `decide`.

    Args:
        signals, params, memory: Numba types of what is the agent's own.
    """
    return types.int64(
        types.int64,  # i: row within the block
        _BARS,
        signals,
        _records(ACCOUNT),
        _records(POSITION),
        _records(ORDER),  # working orders
        params,
        memory,
        _records(COMMAND),
    )


DECIDE = decide_signature(types.float64[:, :, ::1], types.float64[::1], types.float64[::1])
"""Signature of the `decide` of a strategy: its own arrays are numbers."""


class CompiledDecide(types.WrapperAddressProtocol):  # type: ignore[misc]
    """A compiled `decide` as an argument of kernels.

    Of its own function object, Numba compares the signature, type by type, with the one expected, at every call of a
    kernel; here the type of the argument vouches for it.
    """

    def __init__(self, compiled: Any, signature: Any) -> None:
        self._compiled, self._signature = compiled, signature  # the code lives as long as its object

    def __wrapper_address__(self) -> int:
        """Address of the code."""
        address: int = self._compiled.address
        return address

    def signature(self) -> Any:
        """What it takes and returns."""
        return self._signature


@cache
def compile_decide(function: Callable[..., int], name: str, signature: Any = DECIDE) -> CompiledDecide:
    """Compile the `decide` of a strategy class called `name`.

    Args:
        signature: What `decide_signature` gives.

    Raises:
        UsageError: If Numba cannot compile it; the compiler's reason is passed on.
    """
    numba.config.CACHE_DIR = str(cache_dir())
    prepare_compiler()
    # code that was executed without a module (exec, some notebooks) could be cached but never loaded again
    kept = function.__module__ in sys.modules
    try:
        compiled = numba.cfunc(signature, cache=kept, error_model="numpy", _nrt=False)(function)
    except NumbaError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = " ".join(lines[1:4]) if len(lines) > 1 else str(error)
        raise UsageError(
            f"{name}.decide does not compile: {reason}",
            where=f"{function.__code__.co_filename}, line {function.__code__.co_firstlineno}",
            expected="a static method that uses numbers and the given arrays only and allocates nothing",
        ) from error
    return CompiledDecide(compiled, signature)
