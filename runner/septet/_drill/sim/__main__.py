"""``python -m septet._drill.sim --seeds A..B``: run schedules, print what was met and how fast."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from functools import partial

from septet._drill.sim.schedule import Failure, Subjects, run_schedule
from septet._drill.sim.toy import toys
from septet._drill.sim.weather import FAULTS

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the schedules of a range of seeds; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="septet._drill.sim", description=__doc__)
    parser.add_argument("--seeds", default="1..200", help="a seed, or the first and the last")
    parser.add_argument("--keep-going", action="store_true", help="count failures, show each once")
    parser.add_argument(
        "--whole", action="store_true", help="the whole live core instead of the order manager"
    )
    chosen = parser.parse_args(arguments)
    first, _, last = chosen.seeds.partition("..")
    seeds = range(int(first), int(last or first) + 1)
    subjects: Subjects = toys
    if chosen.whole:  # a plan is compiled: only where it is wanted
        from septet._drill.sim.whole import ORDERS, cores

        subjects = partial(cores, shapes=ORDERS)
    counts: Counter[str] = Counter()
    failed: list[int] = []
    began_s, done, orders, fills, steps = time.monotonic(), 0, 0, 0, 0
    for seed in seeds:
        try:
            report = run_schedule(seed, subjects)
        except Failure as failure:
            failed.append(seed)
            sys.stdout.write(f"{failure}\n\n")
            if not chosen.keep_going:
                break
            continue
        done += 1
        counts += report.faults
        orders, fills = orders + report.orders, fills + report.fills
        steps += report.steps
    took_s = time.monotonic() - began_s
    for name in FAULTS:
        sys.stdout.write(f"{counts[name]:8d}  {name}\n")
    sys.stdout.write(
        f"{done} schedules in {took_s:.1f} s ({60 * (done + len(failed)) / took_s:.0f} a minute), "
        f"{steps} steps, {orders} orders, {fills} fills; {len(failed)} failed {failed[:40]}\n"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
