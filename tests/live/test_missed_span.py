"""Paper against quotes reports what it has not matched while no process ran."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from septet import messages as m
from septet._config import load
from septet._data.bars import Instrument
from septet._live.replay import replay
from tests.live.diffs import LOT, SECOND, START, TICK, WARMUP, Lives, Runner, walk, write_file
from tests.live.test_gone_positions import PLAIN
from tests.live.test_steps import BASE, END
from tests.live.test_steps import quote as priced

HOUR = 3_600 * SECOND
LEVERED = "perpetual: {leverage: 4, funding: {rate: 1bps, every: 8h}}\n"


def held(folder: Path, fills: str, *, perpetual: bool = False) -> tuple[Any, int, float]:
    """Return a run that holds, its newest time, and the newest price."""
    bars = walk(120, 5)
    path = write_file(folder, bars)
    base = BASE.replace("capital: 5000", "capital: 5000, type: perpetual") if perpetual else BASE
    path.write_text(base + (LEVERED if perpetual else "") + PLAIN + END, encoding="utf-8")
    made = folder / "run"
    made.mkdir()
    traded = [Instrument("BTC/USDT", LOT, TICK, 0.0, 1e-8)]
    loaded = load(path, mode="paper", sets=[f"execution.simulation.fills={fills}"])
    run: Any = Runner(loaded, made, traded, {})
    run.start(1, START)
    for n, bar in enumerate(bars[:-1]):
        after = bars[n + 1]
        run.bar(n, bar, after.open, Lives(first=WARMUP))
        at_ns = after.open_ns + 10 * SECOND
        if fills == "quotes":
            run.follow(priced(at_ns, after.open), after.open)
        if n > WARMUP + 20 and run.core.engine.held(0) > LOT:
            return run, at_ns, after.open
    raise AssertionError("it never held")


def restart(run: Any, at_ns: int) -> list[m.Alerted]:
    found = run.handle(
        m.Started(
            at_ns=at_ns, session=2, run_id="run", mode="paper", strategy="pair", origin_ns=START,
            market_ns=at_ns, fingerprints={},
        )
    )  # fmt: skip
    return alerts(found)


def alerts(found: list[m.Command]) -> list[m.Alerted]:
    return [each for each in found if isinstance(each, m.Alerted) and "unmatched" in each.event]


def bar(run: Any, open_ns: int, price: float, low: float, high: float) -> list[m.Alerted]:
    event = m.BarClosed(
        at_ns=open_ns + 9 * HOUR, symbol=0, open_ns=open_ns, known_ns=open_ns + HOUR, open=price,
        high=high, low=low, close=price, volume=1.0, source="backfill",
    )  # fmt: skip
    return alerts(run.handle(event))


def test_the_span_is_reported_once_and_each_level_that_its_bars_have_passed(tmp_path: Path) -> None:
    run, at_ns, price = held(tmp_path, "quotes")
    stop, _ = run.core.engine.protection(0)
    [alert] = restart(run, at_ns + 5 * HOUR)
    assert (alert.level, alert.event) == ("warning", "unmatched_span")
    assert "is matched" in alert.text
    assert f"stop at {stop:.12g}" in alert.text
    first_ns = at_ns - at_ns % HOUR  # the bar that had begun
    deep = stop - 1.0
    assert bar(run, first_ns, price, deep, price) == [], "its low may be of before"
    assert bar(run, first_ns + HOUR, price, stop + 0.5, price) == []
    [alert] = bar(run, first_ns + 2 * HOUR, price, deep, price)
    assert (alert.level, alert.event, alert.symbol) == ("error", "unmatched_level", 0)
    assert f"the stop at {stop:.12g}" in alert.text
    assert bar(run, first_ns + 3 * HOUR, price, deep, price) == [], "once"
    run.journal.commit()
    run.journal.close()
    found = replay(tmp_path / "run")
    assert found.differences == 0, str(found.first)


def test_a_bar_after_the_start_was_matched_and_is_not_reported(tmp_path: Path) -> None:
    run, at_ns, price = held(tmp_path, "quotes")
    restart(run, at_ns + HOUR)
    assert bar(run, at_ns - at_ns % HOUR + HOUR, price, 1.0, price) == []


def test_the_price_of_a_liquidation_is_named_as_well(tmp_path: Path) -> None:
    run, at_ns, price = held(tmp_path, "quotes", perpetual=True)
    [alert] = restart(run, at_ns + 5 * HOUR)
    assert "liquidation at " in alert.text
    [alert] = bar(run, at_ns - at_ns % HOUR + HOUR, price, 0.5 * price, price)
    assert "the price of liquidation at " in alert.text


@pytest.mark.parametrize("case", ["next_open", "flat", "live"])
def test_nothing_is_reported_where_it_is_matched_or_nothing_is_held(
    case: str, tmp_path: Path
) -> None:
    run, at_ns, price = held(tmp_path, "next_open" if case == "next_open" else "quotes")
    if case == "flat":
        run.operate("flatten", at_ns + SECOND, price)
        assert run.core.engine.held(0) < LOT
    if case == "live":
        event = m.Started(
            at_ns=at_ns + HOUR, session=2, run_id="run", mode="live", strategy="pair",
            origin_ns=START, market_ns=at_ns + HOUR, fingerprints={},
        )  # fmt: skip
        assert alerts(run.handle(event)) == [], "the venue matches"
        return
    assert restart(run, at_ns + 5 * HOUR) == []
