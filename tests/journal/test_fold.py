"""The tables that a journal gives: those of the engine, and some that were worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import polars as pl
import pytest

from septet import messages as m
from septet._journal.fill_rows import FILL_COLUMNS
from septet._journal.fold import Fold
from septet._journal.journal_format import Entry, encode_commands, encode_event
from septet._results.result import TABLES
from septet._store.journal_view import LiveRun, result_of
from septet._store.tables import stored_frames
from tests.journal.drawn import HEAD
from tests.journal.journalled import reported

NOT_JOURNALLED = ["type", "quantity", "filled", "trigger_price", "decision_price", "sizing_inputs"]
QUOTE = m.Quoted(
    at_ns=1, symbol=0, venue_ns=50, bid=1.0, bid_quantity=1.0, ask=1.0, ask_quantity=1.0
)


@pytest.fixture(scope="module", params=["quote", "base", "perpetual"])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, LiveRun]:
    result, folder = reported(tmp_path_factory.mktemp("reported"), fee_currency=request.param)
    return result, LiveRun(folder)


def _text(frame: pl.DataFrame) -> pl.DataFrame:
    coded = [key for key, kind in frame.schema.items() if kind in (pl.Enum, pl.Categorical)]
    return frame.with_columns(pl.col(coded).cast(pl.String))


@pytest.mark.parametrize(
    "name", ["decisions", "orders", "fills", "trades", "round_trips", "equity"]
)
def test_the_tables_are_those_of_the_engine(both: tuple[Any, LiveRun], name: str) -> None:
    result, run = both
    expected, found = _text(stored_frames(result)[name]), run.table(name)
    assert expected.height > 20
    if name == "orders":  # what an order asked for is not in the journal where nothing is sent
        expected, found = expected.drop(NOT_JOURNALLED), found.drop(NOT_JOURNALLED)
    assert found.equals(expected, null_equal=True)


def test_what_is_held_is_the_open_trades_and_no_final_order_counts_as_open(
    both: tuple[Any, LiveRun],
) -> None:
    _, run = both
    table = run.table("trades")
    held = {row["symbol"] for row in table.rows(named=True) if row["exit_reason"] == "open"}
    found = {run.fold.name(k) for k, _, average in run.fold.trades.held() if average == average}
    assert found == held
    final = ("filled", "cancelled", "expired", "rejected")
    ids = run.table("orders").filter(~pl.col("status").is_in(final))["order_id"].to_list()
    assert sorted(f"o{each.order + 1}" for each in run.fold.open_orders.all) == sorted(ids)


def test_the_results_of_all_trades_are_what_the_equity_gained(both: tuple[Any, LiveRun]) -> None:
    result, run = both
    trades, capital = run.table("trades"), result.facts.initial_capital
    gained = float(run.table("equity")["equity"][-1]) - capital
    assert math.fsum(trades["pnl"]) == pytest.approx(gained, rel=0.0, abs=1e-9 * capital)
    is_perpetual = result.resolved["account"]["type"] == "perpetual"
    for name in ("funding", "liquidation"):
        assert bool(trades[name].abs().sum() > 0.0) is is_perpetual, name
        assert run.summary[name] == pytest.approx(
            float(stored_frames(result)["trades"][name].sum())
        )


def test_funding_without_an_open_trade_is_part_of_none() -> None:
    """A position that was closed before its funding was booked, and one of less than a lot."""
    funding = m.Funded(time_ns=70, symbol=0, amount=-3.0, rate=-0.01, price=150.0)
    fold = _folded(
        (QUOTE, [_traded(0, "buy", 2.0, 100.0, 2.0), funding]),
        (QUOTE, [_traded(1, "sell", 2.0, 110.0, 0.0), funding]),
    )
    trades = fold.trade_columns()
    assert trades["exit_reason"] == ["", "dust"]
    assert trades["funding"] == [-3.0, -3.0]
    assert trades["pnl"] == [20.0 - 2.0 + 3.0, 3.0]


def _folded(*rows: tuple[m.Event, Sequence[m.Command]]) -> Fold:
    entries = []
    for seq, (event, commands) in enumerate(rows, start=1):
        at_ns, kind, text = encode_event(event)
        entries.append(Entry(seq, at_ns, kind, text, encode_commands(commands), b""))
    return Fold(HEAD).take(entries)


def _changed(order: int, state: Any, reason: str = "", client_id: str = "") -> m.Changed:
    return m.Changed(
        order=order, client_id=client_id, symbol=0, state=state, filled=0.0, reason=reason,
        trace="BTC/USDT@40",
    )  # fmt: skip


def _traded(order: int, side: Any, quantity: float, price: float, position: float) -> m.Traded:
    return m.Traded(
        order=order, symbol=0, trade_id=f"f{order}", side=side, quantity=quantity, price=price,
        fee=1.0, fee_currency="USDT", position=position, market_ns=60 + order,
    )  # fmt: skip


def test_orders_that_fill_inside_the_engine() -> None:
    entry = [_changed(0, "open", "entry"), _changed(1, "open", "signal")]
    fold = _folded(
        (QUOTE, entry),
        (QUOTE, [_traded(0, "buy", 2.0, 100.0, 2.0)]),
    )
    orders = fold.order_columns()
    assert orders["status"] == ["partially_filled", "open"]
    assert orders["time"] == [40, 40]
    fold = _folded(
        (QUOTE, entry),
        (QUOTE, [_traded(0, "buy", 2.0, 100.0, 2.0), _changed(0, "filled")]),
        (QUOTE, [_traded(1, "sell", 2.0, 130.0, 0.0), _changed(1, "filled")]),
        (QUOTE, [_changed(2, "open", "entry"), _changed(2, "expired", "no_market")]),
    )
    orders = fold.order_columns()
    assert orders["status"] == ["filled", "filled", "expired"]
    assert orders["reason"] == ["entry", "signal", "entry"]
    assert orders["ended_by"] == ["", "", "no_market"]
    assert orders["filled"] == [2.0, 2.0, 0.0]
    assert (orders["side"][:2], orders["quantity"][:2]) == (["buy", "sell"], [2.0, 2.0])
    ((_, side, entered, _, left, _, quantity, pnl, fees, *_, why),) = fold.trades.rows
    assert (side, entered, left, quantity, why) == ("long", 60, 61, 2.0, "signal")
    assert (pnl, fees) == (58.0, 2.0)


def test_a_protective_stop_at_the_venue_is_a_row_of_its_own() -> None:
    name = "aabc-0-1"
    stop = m.Submit(
        client_id=name, parent=-1, symbol=0, side="sell", order_type="stop", quantity=2.0,
        reduces=True, deadline_ns=9, trigger_price=90.0, reason="protective_stop",
    )  # fmt: skip
    filled = m.Filled(
        at_ns=9, venue="v", symbol=0, trade_id="f7", client_id=name, venue_order_id="x", venue_ns=1,
        market_ns=67, side="sell", quantity=2.0, price=89.0, fee=1.0, fee_currency="USDT",
    )  # fmt: skip
    fold = _folded(
        (QUOTE, [_changed(0, "open", "entry"), _traded(0, "buy", 2.0, 100.0, 2.0)]),
        (QUOTE, [_changed(-1, "submitted", client_id=name), stop]),
        (filled, [_changed(-1, "filled", client_id=name), _traded(7, "sell", 2.0, 89.0, 0.0)]),
    )
    orders = fold.order_columns()
    assert orders["order_id"] == ["o1", name]
    assert (orders["type"][1], orders["trigger_price"][1]) == ("stop", 90.0)
    assert fold.fill_columns()["order_id"] == ["o1", name]
    assert fold.trades.rows[0][-1] == "protective_stop"


def test_a_fee_in_a_third_currency_counts_at_its_value() -> None:
    filled = m.Filled(
        at_ns=9, venue="v", symbol=0, trade_id="f0", client_id="aabc0-1", venue_order_id="x",
        venue_ns=1, market_ns=60, side="buy", quantity=2.0, price=100.0, fee=0.01,
        fee_currency="BNB", fee_quote=3.0,
    )  # fmt: skip
    booked = msgspec.structs.replace(
        _traded(0, "buy", 2.0, 100.0, 2.0), fee=0.01, fee_currency="BNB", fee_quote=3.0
    )
    fold = _folded((QUOTE, [_changed(0, "open", "entry")]), (filled, [booked]))
    ((*_, pnl, fees, _, _, _, _),) = fold.trades.still_open({0: 101.0}, 99)
    assert (pnl, fees) == (2.0 - 3.0, 3.0)
    fills = fold.fill_columns()
    assert (fills["fee_currency"], fills["fee_quote"]) == (["BNB"], [3.0])


def _operated(action: Any, at_ns: int) -> m.Operated:
    return m.Operated(at_ns=at_ns, action=action, name="ann", reason="the account agrees")


def test_critical_alerts_are_a_doubt_until_a_person_resumes() -> None:
    """Who resumes has seen them; what is critical after that is a doubt again."""
    bad = m.Alerted(level="critical", event="late_fill", text="a fill came late")
    halt = m.Alerted(level="critical", event="halt", text="drawdown tripped")
    alarmed: tuple[m.Event, Sequence[m.Command]]
    alarmed = (m.Ticked(at_ns=1, market_ns=1), [bad, halt, bad])
    halted = (_operated("halt", 2), list[m.Command]())
    resumed = (_operated("resume", 3), list[m.Command]())
    doubt = "2 critical alerts (late_fill 2): compare with the account"
    assert result_of(_folded(alarmed)).doubts == [doubt]
    assert result_of(_folded(alarmed, halted)).doubts == [doubt]
    found = result_of(_folded(alarmed, halted, resumed))
    assert found.doubts == []
    assert any("2 critical alerts (late_fill 2) before ann resumed" in each for each in found.notes)
    again = result_of(_folded(alarmed, resumed, (m.Ticked(at_ns=4, market_ns=4), [bad])))
    assert again.doubts == ["1 critical alert (late_fill 1): compare with the account"]


def test_rows_of_fills_have_the_columns_of_their_table_in_order() -> None:
    """A correction changes a row by its place: a column that is added moves the others."""
    assert tuple(TABLES["fills"]) == FILL_COLUMNS
