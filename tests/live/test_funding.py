"""Perpetuals in paper: the funding that is booked stands in the journal, and everything adds up."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from septet import messages as m
from septet._config import load
from septet._config.load import reopen
from septet._config.read import parse_text
from septet._data.funding import FundingRates
from septet._journal.reader import Reader
from septet._live.replay import JOURNAL, replay
from septet._live.shadow import shadow
from septet._live.shared_account import AccountGate, AccountLimits
from septet._shell.backtest import backtest
from septet._shell.session import open_session
from septet._store.journal_view import LiveRun
from septet.errors import ConfigError
from septet_schemas.units import format_fraction, parse_fraction
from tests.journal.journalled import PERPETUAL
from tests.live.diffs import shelf
from tests.live.test_monitoring import Runner
from tests.live.test_paper import opened_venue


def _funded(folder: Path) -> list[m.Funded]:
    with Reader(folder / JOURNAL) as journal:
        rows = [each for entry in journal.read() for each in entry.commands]
    return [each for each in rows if isinstance(each, m.Funded)]


def _adds_up(folder: Path, capital: float) -> None:
    """Every trade's result, and every funding, is in the equity; and nothing else is."""
    run, funded = LiveRun(folder), _funded(folder)
    trades = run.table("trades")
    gained = float(run.table("equity")["equity"][-1]) - capital
    assert trades["funding"].abs().sum() > 0.0
    assert math.fsum(trades["pnl"]) == pytest.approx(gained, rel=0.0, abs=1e-9 * capital)
    paid = math.fsum(each.amount for each in funded)
    assert math.fsum(trades["funding"]) == pytest.approx(paid, rel=0.0, abs=1e-9 * capital)
    assert run.summary["funding"] == pytest.approx(paid, rel=0.0, abs=1e-9 * capital)


@pytest.fixture(scope="module")
def at_bars(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A backtest, and a paper run of its bars that goes on from snapshots now and then."""
    folder = tmp_path_factory.mktemp("funded")
    path = folder / "told.yaml"
    path.write_text(PERPETUAL, encoding="utf-8")
    result: Any = backtest(load(path))
    runner = Runner(load(path, mode="paper"), folder, open_session(load(path)), snapshots=97)
    runner.run(int(result.equity["time"][0]))
    return result, folder


def test_fills_at_the_next_open_add_up_as_in_the_backtest(at_bars: tuple[Any, Path]) -> None:
    result, folder = at_bars
    _adds_up(folder, result.facts.initial_capital)
    equity = LiveRun(folder).table("equity")
    assert equity["equity"].to_list() == list(result.equity["equity"])


def follow_cash(folder: Path, *, fills_inside: bool) -> int:
    """Follow a journal's cash beside its core; return how often both could be compared."""
    gate, compared = AccountGate(now_ns=lambda: 1), 0
    with Reader(folder / JOURNAL) as journal:
        names = journal.head.facts["symbols"]
        bases = [name.partition("/")[0] for name in names]
        member = gate.member(
            "s", names, bases=bases, quote=journal.head.facts["currency"], capital=10_000.0,
            limits=AccountLimits(1.0, 1.0, 60), fills_inside=fills_inside,
        )  # fmt: skip
        for entry in journal.read():
            before = member.cash
            member.watch(entry.event, entry.commands)
            ruled = [each for each in entry.commands if isinstance(each, m.Ruled)]
            paid = [each.amount for each in entry.commands if isinstance(each, m.Funded)]
            if ruled and fills_inside:
                assert member.cash == ruled[-1].cash, "a fill at the open is counted once"
                compared += 1
            elif ruled:  # since the last decision fills alone have moved it
                assert before - math.fsum(paid) == pytest.approx(ruled[-1].cash, abs=1e-6)
                compared += 1
    return compared


def test_the_account_counts_each_fill_once(at_bars: tuple[Any, Path]) -> None:
    assert follow_cash(at_bars[1], fills_inside=True) > 100


def test_replay_and_shadow_book_the_same_funding(at_bars: tuple[Any, Path]) -> None:
    """Symbols without a bar pay as well: the shadow lays out what they owe."""
    _, folder = at_bars
    for prove in (replay, shadow):
        found = prove(folder)
        assert found.differences == 0, str(found.first)


def test_fills_at_quotes_add_up(tmp_path: Path) -> None:
    shelf("perpetual-trend", tmp_path, venue_fills=True)
    folder = tmp_path / "live"
    _adds_up(folder, 10_000.0)
    assert follow_cash(folder, fills_inside=False) > 100
    for prove in (replay, shadow):
        found = prove(folder)
        assert found.differences == 0, str(found.first)


def test_the_paper_venue_pays_the_funding_that_the_ledger_booked() -> None:
    """Else the account and the ledger drift apart until entries are blocked."""

    async def paid() -> float:
        it = await opened_venue(spot=False)
        before = (await it.balances())["USDT"][0]
        it.venue.charged(m.Funded(time_ns=1, symbol=0, amount=-40.0, rate=-0.1, price=400.0))
        return (await it.balances())["USDT"][0] - before

    assert asyncio.run(paid()) == pytest.approx(40.0)


def test_a_rate_of_one_stamp_counts_once_however_often_it_comes() -> None:
    """Also once it was paid: what comes late is due at the next decision, once."""
    live = FundingRates()
    for stamp, rate, paid_until in ((10, 0.1, 0), (10, 0.1, 0), (10, 0.3, 20), (15, 0.2, 20)):
        live.add(stamp, rate, paid_until + 1 if paid_until else 0)
    kept = FundingRates()
    kept.restore(live.points)
    kept.add(15, 0.2, 41)
    kept.add(10, 0.1, 41)
    for rates in (live, kept):
        assert rates.due(0, 20) == 0.1
        assert rates.due(20, 40) == 0.2
        assert rates.due(40, 60) == 0.0
    stored = FundingRates.of_series([10, 10, 15, 10], [0.1, 0.1, 0.2, 0.3])
    assert stored.due(0, 20) == pytest.approx(0.3)


SERIES = "funding: {use: csv, path: f.csv, known_after: 0s}"


@pytest.mark.parametrize(
    ("data", "perpetual", "key"),
    [
        (SERIES, "funding: {rate: 1bps, every: 8h}", "perpetual.funding"),
        (SERIES + ', "funding@AAA/USDT": {use: csv, path: a.csv, known_after: 0s}', "leverage: 1",
         "data.funding@AAA/USDT"),
    ],
)  # fmt: skip
def test_funding_that_is_given_twice_is_refused_with_its_place(
    tmp_path: Path, data: str, perpetual: str, key: str
) -> None:
    text = PERPETUAL.replace("gaps: 2}}", f"gaps: 2}}, {data}}}")
    text = text.replace("funding: {rate: 5bps, every: 2h}", perpetual)
    text = text.replace("leverage: 30, maintenance: 1%, leverage", "maintenance: 1%, leverage")
    path = tmp_path / "twice.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    found = [each for each in caught.value.problems if each.key == key]
    assert found, caught.value.problems
    assert found[0].line > 1


@pytest.mark.parametrize("written", ["120%", "150.3%", "2000%", "33333bps", "99.9%", "7%"])
def test_a_fraction_above_one_is_read_again_from_the_resolved_file(written: str) -> None:
    """A replay builds the run from it; a bare number above 1 is refused there as a slip."""
    value = parse_fraction(written)
    assert parse_fraction(format_fraction(value)) == value


def test_limits_above_one_stand_in_the_resolved_file_with_their_unit(tmp_path: Path) -> None:
    path = tmp_path / "wide.yaml"
    path.write_text(PERPETUAL.replace("position: 80%", "position: 250%"), encoding="utf-8")
    loaded = load(path, mode="paper")
    tree, problems = parse_text(yaml.safe_dump(dict(loaded.resolved), sort_keys=False), "resolved")
    assert not problems
    again = reopen(tree, path, tmp_path)
    assert again.strategy.risk.limits["position"].config == (
        loaded.strategy.risk.limits["position"].config
    )
