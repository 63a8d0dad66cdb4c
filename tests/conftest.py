"""What every test stands on: hypothesis profiles and one place for compiled code."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, settings

ROOT = Path(__file__).resolve().parents[1]

# Compiled plans are kept beside the checkout, so that a second run compiles nothing.
os.environ.setdefault("SEPTET_CACHE", str(ROOT / ".cache" / "plans"))

# Tests are no tries of whoever runs them; those of the ledger keep one of their own.
os.environ.setdefault("SEPTET_TRIALS", "off")

# The threads of scikit-learn's boosting wait by spinning, at the cost of the tests beside them.
# OpenMP reads this when it is loaded, in every process that a test starts as well.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# So do those of OpenBLAS, as the command line sets it for its own process: 2**20 ticks, not 2**26.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")

# Files in memory cost no write to a disk; journals of tests are flushed thousands of times.
MEMORY = Path("/dev/shm")
ENOUGH = 6 << 30
if (
    "TMPDIR" not in os.environ
    and os.access(MEMORY, os.W_OK | os.X_OK)
    and shutil.disk_usage(MEMORY).free > ENOUGH
):
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None

CHOSEN = os.environ.get("SEPTET_COMPILE")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Run plans as plain Python but where a test is about compiled code, and is marked so.

    The bits are the same, and a plan compiles for ten to forty seconds. The variable is set before
    any fixture is; if it is set, every test runs by it.
    """
    marked = item.get_closest_marker("compiled") is not None
    os.environ["SEPTET_COMPILE"] = CHOSEN or ("auto" if marked else "never")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave the collector off: what is imported and collected stays, and nothing is freed."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files by their own names, which mixes the folders; tests of a file stay as read.

    Tests of processes wait and tests of arithmetic compute: side by side they use a processor
    that a folder of either kind would leave idle.
    """
    items.sort(key=lambda item: (item.path.name, str(item.path)))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Let the collector walk what tests make, and seldom; not what was there before the first."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


# An example that fails is made small, and not explained: that traces every line, for minutes.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink)

# No deadline: an example that compiles takes seconds, and timing belongs to benchmarks/.
# The same draws for everybody: a check that fails for one fails for all. `make soak` draws anew.
settings.register_profile(
    "test",
    phases=PHASES,
    deadline=None,
    print_blob=True,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "soak", settings.get_profile("test"), derandomize=False, max_examples=5_000
)
settings.register_profile("loud", settings.get_profile("test"), verbosity=Verbosity.verbose)
settings.load_profile(os.environ.get("SEPTET_HYPOTHESIS", "test"))
