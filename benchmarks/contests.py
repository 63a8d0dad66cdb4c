"""The contests: who meets whom over which bars, and what the answers must be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import w7
from contest import OWN, Contestant, Result, compete
from reference import Exact, difference, exact, exact_sweep, table_difference

__all__ = ["CONTESTS", "Contest", "Sizes", "hold"]

CAPITAL, FEE, FAST, SLOW = 10_000_000.0, 0.001, 20, 100
FASTS, SLOWS = list(range(5, 30)), list(range(35, 231, 5))
W7 = w7.Portfolio()
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
    w7: w7.Portfolio = W7

    @classmethod
    def quick(cls) -> Sizes:
        """Sizes that show that everything works."""
        return cls(100_000, 10_000, tuple(FASTS[::5]), tuple(SLOWS[::4]), 10_000,
                   w7.Portfolio(symbols=60, times=600, held=8))  # fmt: skip


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
    "w7": Contest(
        "w7", "W7: a portfolio", "septet",
        (
            _ours("septet", "septet, trades and equity (`--fast`)", "w7"),
            _vectorbt("vectorbt-rust", "w7", "rust"),
            _vectorbt("vectorbt-numba", "w7", "numba"),
            Contestant("bt", "bt", "peers", "with_bt.py", "w7"),
            Contestant("zipline", "zipline-reloaded", "peers-zipline", "with_zipline.py", "w7",
                       "whole shares, filled at the close after"),
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
    """Report for each result how its trades compare with the exact ones."""
    for each in results:
        if each.missing:
            continue
        if each.detail is not None:
            found = np.load(each.detail)
            if contest.key == "w2":
                each.same = table_difference(found, truth)
            elif contest.key == "w7":
                assert each.final_equity is not None
                each.same = w7.difference(found, each.final_equity, truth)
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
    log: Callable[[str], None],
) -> list[Result]:
    """Write the bars, work out the truth, let the contestants run in turn and compare."""
    place = folder / contest.key
    truth = _prepare(contest.key, sizes, place)
    results = compete(contest.contestants, pythons, place, rounds, log)
    _judge(contest, results, truth)
    ours = next(each for each in results if each.contestant.key == contest.ours)
    if not ours.missing and not ours.same.startswith("the same"):
        raise SystemExit(f"{contest.title}: septet's trades are wrong: {ours.same}")
    return results


def _prepare(key: str, sizes: Sizes, place: Path) -> Any:
    """Write the bars and what is asked; return the truth."""
    from septet_plugins.data.synthetic import w1_bars

    setup = {
        "bars": 0, "capital": CAPITAL, "fee": FEE, "fast": FAST, "slow": SLOW,
        "fasts": list(sizes.w2_fasts), "slows": list(sizes.w2_slows),
        "first": max(sizes.w2_slows) - 1, "threads": 2, "portfolio": sizes.w7.document,
    }  # fmt: skip
    if key == "w7":
        market = w7.make_market(sizes.w7)
        _write(place, market, setup | {"bars": sizes.w7.times})
        w7.write_strategy(place, market, sizes.w7, CAPITAL)
        return w7.exact(market, sizes.w7, CAPITAL)
    bars = {"w1": sizes.w1_bars, "w2": sizes.w2_bars, "event": sizes.event_bars}[key]
    market = w1_bars(bars)
    setup["bars"] = bars
    _write(place, market, setup)
    if key == "w2":
        return exact_sweep(market, setup)
    truth = exact(market, setup)
    _check(truth, bars)
    return truth
