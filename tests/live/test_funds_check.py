"""Funds at a start: a first one may be refused, one with a history never is (A6)."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from septet import messages as m
from septet._live import funds_check
from septet._live.process import LiveResult
from septet.errors import InputError
from tests.live.test_start import Stage, rows

Balances = dict[str, tuple[float, float]]
ENOUGH: Balances = {"USDT": (1e4, 0.0)}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(funds_check, "PAUSES_S", (0.0, 0.0, 0.0))
    return Stage(tmp_path)


def reads(stage: Stage, *answers: Balances, then: Balances = ENOUGH) -> list[Balances]:
    """Let the venue answer so, one read after the other; return what it has answered."""
    given: list[Balances] = []

    async def holdings() -> m.Holdings:
        found = answers[len(given)] if len(given) < len(answers) else then
        given.append(found)
        now_ns = stage.venue.clock.now_ns()
        return m.Holdings(at_ns=now_ns, balances=found, asked_ns=now_ns)

    stage.venue.holdings = holdings  # type: ignore[method-assign]
    return given


def live(stage: Stage, *names: str, **options: Any) -> LiveResult:
    return stage.run(*names, mode="live", **options)


def holdings_of(result: LiveResult) -> Sequence[m.Holdings]:
    return [event for event, _ in rows(result) if isinstance(event, m.Holdings)]


@pytest.mark.parametrize(
    "balances",
    [
        {"USDT": (5e3, 5e3)}, {"USDT": (4_987.5, 0.0), "BTC": (50.0, 0.0)}, {"USDT": (0.0, 0.0)},
        {}, {"USDT": (9_999.99, 0.0)},
    ],
    ids=["an order locks it", "it was spent", "nothing", "no such currency", "a fee is missing"],
)  # fmt: skip
def test_a6_a_start_with_a_history_is_never_refused_over_funds(
    stage: Stage, balances: Balances
) -> None:
    live(stage)
    given = reads(stage, then=balances)
    result = live(stage, bars=6)
    assert result.exit_code == 0
    assert given
    assert (
        holdings_of(result)[-1].balances == balances
    )  # the core decides about it, and blocks entries


@pytest.mark.parametrize("free", [math.nan, -math.inf, math.inf, -1.0])
def test_a6_a_balance_that_is_no_number_is_asked_for_again(stage: Stage, free: float) -> None:
    live(stage)
    given = reads(stage, {"USDT": (free, 0.0)})
    result = live(stage, bars=6)
    assert result.exit_code == 0
    assert given[1:] == [ENOUGH]
    assert holdings_of(result)[-1].balances == ENOUGH
    log = (result.ends[0][0].location.folder / "log.jsonl").read_text()
    assert "balances: the venue gives no answer that can be read; nothing is assumed" in log


def test_a6_balances_that_stay_unreadable_block_entries_and_end_nothing(stage: Stage) -> None:
    live(stage)
    reads(stage, then={"USDT": (math.nan, 0.0)})
    result = live(stage, bars=6)
    assert result.exit_code == 0
    assert holdings_of(result)[-1].unread == "the venue gives no answer that can be read"


@pytest.mark.parametrize("free", [0.0, math.nan, -math.inf])
def test_a6_one_absurd_read_refuses_no_first_start(stage: Stage, free: float) -> None:
    reads(stage, {"USDT": (free, 0.0)})
    stage.venue.is_test = free == 0.0
    result = live(stage)
    assert result.exit_code == 0
    assert_lease_is_kept(result, stage.venue.is_test)


def assert_lease_is_kept(result: LiveResult, is_test: bool) -> None:
    """Insist that the start has reported how far the lease on the account reaches."""
    lines = (result.ends[0][0].location.folder / "log.jsonl").read_text().splitlines()
    found = [json.loads(each) for each in lines]
    [text] = [each["text"] for each in found if each["event"] == "account_lease"]
    if is_test:
        assert text.startswith("this account is shared by no run at a test venue beside this one's")
    else:
        assert text.startswith("this account is shared by no run of any user of this machine")
        assert "not seen are" in text
        assert "other machines, and another key of the account" in text


def test_a6_a_first_start_without_its_capital_is_refused_after_some_reads(stage: Stage) -> None:
    given = reads(stage, then={"USDT": (9_000.0, 5_000.0)})
    with pytest.raises(InputError, match=r"has 9000\.00 USDT free, and 10000\.00 are needed"):
        live(stage)
    assert len(given) == len(funds_check.PAUSES_S) + 1
    assert stage.venue.named("submit") == []


def test_live_needs_the_capital_of_all(stage: Stage) -> None:
    with pytest.raises(InputError, match=r"has 10000\.00 USDT free, and 20000\.00"):
        live(stage, "one", "two")


def test_what_is_adopted_counts_at_a_first_start(stage: Stage) -> None:
    reads(stage, then={"USDT": (5_000.0, 0.0), "BTC": (100.0, 0.0)})
    with pytest.raises(InputError, match=r"has 5000\.00 USDT free"):
        live(stage)
    sets = ["risk.adopt=adopt", "risk.stops.stop_loss=5%"]
    assert live(stage, sets=sets).exit_code == 0


def test_a6_a_strategy_that_joins_one_with_a_history_ends_nothing(stage: Stage) -> None:
    live(stage, "one")
    given = reads(stage)
    result = live(stage, "one", "two", bars=6)
    assert [end.how for _, end in result.ends] == ["finished", "finished"]
    assert given


def test_a6_all_book_what_they_missed_before_one_compares(stage: Stage) -> None:
    live(stage, "one", "two", sets=["account.capital=4000"])
    before = len(stage.venue.calls)
    live(stage, "one", "two", bars=6, sets=["account.capital=4000"])
    asked = [call for call, _ in stage.venue.calls[before:]]
    first = asked.index("holdings")
    assert asked[:first].count("fills") == 2
    assert asked[:first].count("open_orders") == 4  # before the executions of each, and after them


def test_find_capital_shows_what_it_waits_for(stage: Stage) -> None:
    reported: list[str] = []
    given = reads(stage, {"USDT": (0.0, 0.0)})
    notify: Callable[..., None] = lambda level, name, fields: reported.append(fields["text"])  # noqa: E731

    async def scene() -> None:
        await funds_check.find_capital(
            stage.venue.holdings,  # type: ignore[arg-type]
            lambda found: funds_check.require_funds({"a": 1.0}, "USDT", found), notify=notify,
            stopping=asyncio.Event(),
        )  # fmt: skip

    asyncio.run(scene())
    assert len(given) == 2
    assert reported == [
        "the account has 0.00 USDT free, and 1.00 are needed (a 1.00); asking once more"
    ]
