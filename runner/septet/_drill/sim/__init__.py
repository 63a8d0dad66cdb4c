"""Deterministic simulation: the core under a seed's faults, in simulated time.

No sockets, no threads, no clock: a heap of events. `run_schedule` raises with its seed and its
last steps; the seed makes it happen again.
"""

from __future__ import annotations

from septet._drill.sim.fault_rates import FAULTS
from septet._drill.sim.schedule import Failure, Report, run_schedule

__all__ = ["FAULTS", "Failure", "Report", "run_schedule"]
