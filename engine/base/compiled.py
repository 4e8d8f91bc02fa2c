"""The one decorator for compiled kernels, and a cache that cannot go stale.

Numba's own cache looks only at the file that holds a kernel, so a kernel that calls another file's kernel keeps
old code after an edit there. Here the cache folder is named after a hash of every kernel source, the Numba version
and the processor: a change of any of them compiles again, into a new folder.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TypeVar

import llvmlite.binding as llvm
import numba
import numpy as np
from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserProvidedCacheLocator

F = TypeVar("F", bound=Callable[..., Any])
KERNEL_PACKAGES = ("engine", "agents", "portfolio", "feeds", "training")


BLAS = "scipy.linalg.cython_blas"


def prepare_compiler() -> None:
    """Import what Numba imports before it compiles its first function, without SciPy's linear algebra.

    That module asks whether SciPy's BLAS can be imported by importing it, which takes half as long as Numba itself. It
    asks again when a product of matrices is compiled.
    """
    stand_in = BLAS not in sys.modules and find_spec("scipy") is not None
    if stand_in:
        sys.modules[BLAS] = ModuleType(BLAS)
    try:
        import numba.np.arraymath  # noqa: F401, PLC0415 - only now
    finally:
        if stand_in:
            del sys.modules[BLAS]


def _kernel_sources() -> list[Path]:
    root = Path(__file__).resolve().parents[2]
    found = [Path(__file__).resolve(), root / "engine" / "types" / "records.py"]
    for package in KERNEL_PACKAGES:
        found += (root / package).rglob("kernels.py")
        found += (root / package).rglob("kernels/*.py")
    return sorted(found)


@cache
def cache_dir() -> Path:
    """Folder of compiled code for exactly these sources on this processor."""
    digest = hashlib.sha256()
    for path in _kernel_sources():
        digest.update(path.read_bytes())
    digest.update(f"{numba.__version__} {llvm.get_host_cpu_name()}".encode())
    home = os.environ.get("GRANDMODEL_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    inner = Path("grandmodel") / "kernels" / digest.hexdigest()[:16]
    return _usable(Path(home) / inner) or Path(tempfile.gettempdir()) / f"user-{os.getuid()}" / inner


def _usable(folder: Path) -> Path | None:
    """The folder, made if need be, or None if it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


class _Place(UserProvidedCacheLocator):  # type: ignore[misc]
    """Where a kernel's compiled code lies.

    Numba's own class proves by a temporary file, for every kernel at every start, that the folder can be written to.
    """

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _Place:
        """The place for a function of a file."""
        return cls(py_func, py_file)


class _Stored(CompileResultCacheImpl):  # type: ignore[misc]
    """How compiled code is stored: as Numba does, without the environments that hold no object.

    Every function laid into a kernel has one, Numba's own functions too, and to load it is to import its module.
    """

    _locator_classes: ClassVar = [_Place]

    def reduce(self, data: Any) -> tuple[Any, ...]:
        """What is stored of compiled code."""
        *parts, environments = super().reduce(data)
        return (*parts, tuple(environment for environment in environments if environment.consts))


class _KernelCache(FunctionCache):  # type: ignore[misc]
    """Loads compiled code without the declarations that only the compiler reads.

    Numba imports them all and registers them before it looks for stored code, which takes longer than to load every
    kernel of a backtest. It does so again before it compiles.
    """

    _impl_class = _Stored

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The stored code for these types, or None if there is none."""
        found = self._load_overload(sig, target_context)
        if found is None:
            prepare_compiler()
        return found


def _compile(function: F, *, forceinline: bool) -> F:
    numba.config.CACHE_DIR = str(cache_dir())
    # Kernels allocate nothing, so reference counts (an atomic pair for every array they touch) are switched off.
    compiled: Any = numba.njit(nogil=True, error_model="numpy", fastmath=False, forceinline=forceinline, _nrt=False)(
        function
    )
    compiled._cache = _KernelCache(function)  # noqa: SLF001 - what `cache=True` does, with Numba's class
    kept: F = compiled
    return kept


def kernel(function: F) -> F:
    """Compile a function that only loops: cached, without the GIL, IEEE arithmetic in program order.

    A kernel may not allocate: no array creation, no slicing into new objects that outlive the call.
    """
    return _compile(function, forceinline=False)


def inlined(function: F) -> F:
    """Compile a kernel that is laid into its callers; for small or hot functions with few call sites."""
    return _compile(function, forceinline=True)


def interpreted(function: F) -> F:
    """The Python function of a kernel, for where the call of compiled code takes longer than what it does."""
    kernel_function: Any = function
    plain: F = kernel_function.py_func
    return plain


def entry_point(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """The compiled code of a kernel for arguments of exactly these types.

    A call of a kernel begins with a look at the type of every argument, which for arrays of records takes longer than
    most rows. Whoever calls what this returns vouches that later arguments have the same types: nothing checks them.

    Args:
        function: A kernel.
        *arguments: As it will be called.
    """
    kernel_function: Any = function
    types = tuple(map(_type_of, arguments))
    if types not in kernel_function.overloads:
        kernel_function.compile(types)
    compiled: Callable[..., Any] = kernel_function.overloads[types].entry_point
    return compiled


_LAYOUT = {"C": 0x1, "F": 0x2, "aligned": 0x100, "writeable": 0x400}
"""Flags of an array that belong to its type, as NumPy numbers them."""
_C_LAYOUT = _LAYOUT["C"] | _LAYOUT["aligned"] | _LAYOUT["writeable"]
_ANY_LAYOUT = _C_LAYOUT | _LAYOUT["F"]


def form(value: Any) -> Any:
    """What equals that of another value where Numba gives both the same type, for much less than to ask Numba.

    Args:
        value: A number, an array, or a tuple of them.
    """
    if isinstance(value, np.ndarray):
        flags = value.flags.num
        return value.dtype, value.ndim, flags & (_C_LAYOUT if flags & _LAYOUT["C"] else _ANY_LAYOUT)
    if isinstance(value, tuple):
        return type(value), *map(form, value)
    return type(value)


_types: dict[Any, Any] = {}


def _type_of(value: Any) -> Any:
    """The type that Numba gives a value; for records it works that out anew every time, a millisecond each."""
    if not isinstance(value, np.ndarray | tuple):
        return numba.typeof(value)
    known = form(value)
    if known not in _types:
        _types[known] = numba.typeof(value)
    return _types[known]
