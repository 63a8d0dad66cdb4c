"""``python -m septet._drill.sim --seeds A..B``: run schedules, print what was met and how fast."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Final

from septet._drill.sim.fault_rates import FAULTS
from septet._drill.sim.run_schedules import Sums, run_many

__all__ = ["main"]

_STOPPED: Final = 130
"""What a shell calls a program that Ctrl-C has ended."""


def main(arguments: list[str] | None = None) -> int:
    """Run the schedules of a range of seeds; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="septet._drill.sim", description=__doc__)
    parser.add_argument("--seeds", default="1..200", help="a seed, or the first and the last")
    parser.add_argument("--keep-going", action="store_true", help="count failures, show each once")
    parser.add_argument(
        "--whole", action="store_true", help="the whole live core instead of the order manager"
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1,
        help="how many processes run schedules: one for each core; 1 runs them in this one",
    )  # fmt: skip
    chosen = parser.parse_args(arguments)
    if chosen.workers < 1:
        parser.error(f"--workers is at least 1, was {chosen.workers}")
    first, _, last = chosen.seeds.partition("..")
    seeds = range(int(first), int(last or first) + 1)
    total, began_s, stopped = Sums(), time.monotonic(), False
    try:
        for sums in run_many(
            seeds, whole=chosen.whole, keep_going=chosen.keep_going, workers=chosen.workers
        ):
            _add(total, sums)
            for _, words in sums.failed:
                sys.stdout.write(f"{words}\n\n")
    except KeyboardInterrupt:
        stopped = True
    _notify(total, time.monotonic() - began_s)
    if stopped:
        return _STOPPED
    return 1 if total.failed else 0


def _add(total: Sums, sums: Sums) -> None:
    total.schedules += sums.schedules
    total.steps += sums.steps
    total.orders += sums.orders
    total.fills += sums.fills
    total.faults += sums.faults
    total.failed += sums.failed


def _notify(total: Sums, took_s: float) -> None:
    for name in FAULTS:
        sys.stdout.write(f"{total.faults[name]:8d}  {name}\n")
    failed = [seed for seed, _ in total.failed]
    rate = 60 * (total.schedules + len(failed)) / took_s
    sys.stdout.write(
        f"{total.schedules} schedules in {took_s:.1f} s ({rate:.0f} a minute), "
        f"{total.steps} steps, {total.orders} orders, {total.fills} fills; "
        f"{len(failed)} failed {failed[:40]}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
