"""The contests: who meets whom over which bars, and what the answers must be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from contest import OWN, Contestant, Result, compete
from reference import Exact, difference, exact, exact_sweep, table_difference

__all__ = ["CONTESTS", "Contest", "Sizes", "hold"]

CAPITAL, FEE, FAST, SLOW = 10_000_000.0, 0.001, 20, 100
FASTS, SLOWS = list(range(5, 30)), list(range(35, 231, 5))
KNOWN = {1_000_000: (6_911, 9_482_113.8188), 100_000: (702, 9_959_067.8576)}
"""Round trips and final equity of W1 that were worked out apart from this code."""


@dataclass(frozen=True)
class Sizes:
    """How much each contest takes."""

    w1_bars: int = 1_000_000
    w2_bars: int = 100_000
    w2_fasts: tuple[int, ...] = tuple(FASTS)
    w2_slows: tuple[int, ...] = tuple(SLOWS)
    event_bars: int = 500_000

    @classmethod
    def quick(cls) -> Sizes:
        """Sizes that show that everything works."""
        return cls(100_000, 10_000, tuple(FASTS[::5]), tuple(SLOWS[::4]), 10_000)


@dataclass(frozen=True)
class Contest:
    """One work, its contestants, and septet's key among them."""

    key: str
    title: str
    ours: str
    contestants: tuple[Contestant, ...]


def _numba(key: str, label: str, work: str) -> Contestant:
    return Contestant(key, label, "peers", "with_numba.py", work)


def _vectorbt(key: str, work: str, engine: str) -> Contestant:
    label = f"vectorbt, {'Rust' if engine == 'rust' else engine} engine"
    return Contestant(key, label, "peers", "with_vectorbt.py", f"{work}-{engine}")


def _ours(key: str, label: str, work: str) -> Contestant:
    return Contestant(key, label, OWN, "with_septet.py", work)


CONTESTS: dict[str, Contest] = {
    "w1": Contest(
        "w1", "W1: one run", "septet",
        (
            _ours("septet", "septet, trades and equity (`--fast`)", "w1-fast"),
            _ours("septet-full", "septet, with the full decision table", "w1"),
            _numba("numba", "hand-written numba, curves and trade log", "w1"),
            _numba("numba-bare", "hand-written numba, final equity only", "w1-bare"),
            Contestant("raptorbt", "raptorbt", "peers", "with_raptorbt.py", "w1"),
            _vectorbt("vectorbt-rust", "w1", "rust"),
            _vectorbt("vectorbt-numba", "w1", "numba"),
            Contestant("backtesting", "backtesting.py", "peers", "with_backtesting.py", "w1"),
        ),
    ),
    "w2": Contest(
        "w2", "W2: a sweep", "septet",
        (
            _ours("septet", "septet sweep", "w2"),
            _numba("numba", "hand-written numba, two threads, no curves", "w2"),
            Contestant("raptorbt", "raptorbt", "peers", "with_raptorbt.py", "w2"),
            _vectorbt("vectorbt-rust", "w2", "rust"),
            _vectorbt("vectorbt-numba", "w2", "numba"),
        ),
    ),
    "event": Contest(
        "event", "Event path: W1, one bar at a time", "septet",
        (
            _ours("septet", "septet, event path", "event"),
            Contestant("nautilus", "nautilus_trader, a strategy", "peers-nautilus",
                       "with_nautilus.py", "event", "fills at the close of the signal's bar"),
            Contestant("nautilus-bare", "nautilus_trader, no callback at all", "peers-nautilus",
                       "with_nautilus.py", "event-bare", "trades nothing"),
        ),
    ),
}  # fmt: skip


def _write(folder: Path, market: dict[str, Any], setup: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("open", "high", "low", "close", "volume")
    np.save(folder / "bars.npy", np.stack([market[name] for name in names]))
    np.save(folder / "time.npy", market["timestamp"])
    (folder / "setup.json").write_text(json.dumps(setup), encoding="utf-8")


def _judge(contest: Contest, results: list[Result], truth: Any) -> None:
    """Say of each result how its trades compare with the exact ones."""
    for each in results:
        if each.missing:
            continue
        if each.detail is not None:
            found = np.load(each.detail)
            if contest.key == "w2":
                each.same = table_difference(found, truth)
            else:
                each.same = difference(found, each.final_equity, truth)
        elif each.final_equity is not None:
            gap = each.final_equity - truth.final_equity
            each.same = f"{each.trades:,} (counted), final equity {gap:+.4f}"
        note = each.contestant.note
        each.same = "; ".join(part for part in (each.same, note) if part)


def _check(truth: Exact, bars: int) -> None:
    if bars not in KNOWN:
        return
    trips, equity = KNOWN[bars]
    if len(truth.trips) != trips or abs(truth.final_equity - equity) > 5e-5:
        raise SystemExit(
            f"the reference is wrong: {len(truth.trips)} round trips and "
            f"{truth.final_equity:.4f}; expected {trips} and {equity:.4f}"
        )


def hold(
    contest: Contest,
    sizes: Sizes,
    pythons: dict[str, Path | None],
    folder: Path,
    rounds: int,
    say: Callable[[str], None],
) -> list[Result]:
    """Write the bars, work out the truth, let the contestants run in turn and compare."""
    from septet_plugins.data.synthetic import w1_bars

    bars = {"w1": sizes.w1_bars, "w2": sizes.w2_bars, "event": sizes.event_bars}[contest.key]
    market = w1_bars(bars)
    setup = {
        "bars": bars, "capital": CAPITAL, "fee": FEE, "fast": FAST, "slow": SLOW,
        "fasts": list(sizes.w2_fasts), "slows": list(sizes.w2_slows),
        "first": max(sizes.w2_slows) - 1, "threads": 2,
    }  # fmt: skip
    place = folder / contest.key
    _write(place, market, setup)
    if contest.key == "w2":
        truth = exact_sweep(market, setup)
    else:
        truth = exact(market, setup)
        _check(truth, bars)
    results = compete(contest.contestants, pythons, place, rounds, say)
    _judge(contest, results, truth)
    ours = next(each for each in results if each.contestant.key == contest.ours)
    if not ours.missing and not ours.same.startswith("the same"):
        raise SystemExit(f"{contest.title}: septet's trades are wrong: {ours.same}")
    return results
