"""What all tests share: the same hypothesis examples every time, without a clock, and one core for each process.

With HYPOTHESIS_PROFILE=random (`make fuzz`) the examples are new ones every time.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# Read when the libraries are imported. The processes of a run take one core each, and so do the programs they start.
for _threads in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")
# Commands record what they try: here, not in the working folder.
if "GRANDMODEL_TRIALS" not in os.environ:
    os.environ["GRANDMODEL_TRIALS"] = tempfile.mkdtemp(prefix="grandmodel-trials-")
    atexit.register(shutil.rmtree, os.environ["GRANDMODEL_TRIALS"], ignore_errors=True)

# how long the examples take to make is no fault of theirs
_unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# fewer of them every time: `make fuzz` looks for what they miss
settings.register_profile("fixed", _unhurried, derandomize=True, max_examples=50)
settings.register_profile("random", _unhurried, derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_xdist_auto_num_workers() -> int:
    """Three processes for two cores: tests wait nearly half of their time, for brokers and for programs that end."""
    return max(2, 3 * (os.cpu_count() or 1) // 2)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Where several processes are to run tests side by side, compile the kernels while they collect them."""
    if session.config.getoption("numprocesses", None):
        from tests.compiling import begin_compiling

        begin_compiling()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Each of these processes begins when the kernels are compiled."""
    if hasattr(session.config, "workerinput"):
        from tests.compiling import begin_compiling

        assert begin_compiling().wait() == 0, "the kernels do not compile"


@pytest.fixture(autouse=True)
def fresh_logging() -> Iterator[None]:
    """Every test begins with logging as Python starts it, whatever a command line set up before, and where to."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
