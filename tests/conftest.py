"""What every test stands on: hypothesis profiles and one place for compiled code."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, Verbosity, settings

ROOT = Path(__file__).resolve().parents[1]

# Compiled plans are kept beside the checkout, so that a second run compiles nothing.
os.environ.setdefault("SEPTET_CACHE", str(ROOT / ".cache" / "plans"))

# No deadline: an example that compiles takes seconds, and timing belongs to benchmarks/.
# The same draws for everybody: a check that fails for one fails for all. `make soak` draws anew.
settings.register_profile(
    "test",
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
