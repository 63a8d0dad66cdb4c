"""A small live run, written out by hand: one entry in two fills, one exit, one order refused."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from septet import messages as m
from septet._journal.journal_format import Head
from septet._journal.journal_writer import Journal
from septet._journal.lease import RUN_LOCK
from septet._store.projections import write_projections
from tests.journal.drawn import spoil

HOUR = 3_600_000_000_000
T0 = 1_700_000_000_000_000_000 // HOUR * HOUR
MS = 1_000_000
NAME = "BTC/USDT"

Row = tuple[m.Event, Sequence[m.Command]]

HEAD = Head(
    run_id="live-1", strategy="demo", mode="live", account="abc", created_ns=T0, origin_ns=T0,
    fingerprints={"plan": "p1"},
    facts={
        "symbols": [NAME], "features": ["fast", "slow"], "currency": "USDT", "bar_ns": HOUR,
        "capital": 1_000.0, "instruments": {NAME: {"lot": 0.001, "min_notional": 5.0}},
        "resolved": {"name": "demo", "signal": {"threshold": 0.3}}, "strategy_text": "version: 1\n",
        "halts": {"drawdown": 0.1},
    },
)  # fmt: skip


def _bar(number: int, close: float) -> m.BarClosed:
    opened = T0 + number * HOUR
    return m.BarClosed(
        at_ns=opened + HOUR + 20 * MS, symbol=0, open_ns=opened, known_ns=opened + HOUR,
        open=close - 1, high=close + 2, low=close - 2, close=close, volume=10.0,
    )  # fmt: skip


def _decision_time(number: int) -> m.DecisionTimeReached:
    time_ns = T0 + (number + 1) * HOUR
    return m.DecisionTimeReached(at_ns=time_ns + 25 * MS, time_ns=time_ns, present=(0,))


def _decided(number: int, signal: str, granted: float, rejected_by: str = "") -> m.Decided:
    time_ns = T0 + (number + 1) * HOUR
    return m.Decided(
        time_ns=time_ns, symbol=0, features=struct.pack("<2d", number + 0.25, number + 0.5),
        probability_up=0.75, confidence=0.5, signal=signal, requested=0.5,  # type: ignore[arg-type]
        granted=granted, rejected_by=rejected_by, trace=f"{NAME}@{time_ns}",
    )  # fmt: skip


def _ruled(number: int, equity: float) -> m.Ruled:
    return m.Ruled(time_ns=T0 + (number + 1) * HOUR, equity=equity, cash=equity - 100, exposure=0.1)


def _submit(order: int, side: m.Side, quantity: float, number: int, reason: str) -> list[m.Command]:
    time_ns = T0 + (number + 1) * HOUR
    trace, name = f"{NAME}@{time_ns}", f"atagtagx{order}-1"
    return [
        m.Changed(
            order=order, client_id=name, symbol=0, state="submitted", filled=0.0, trace=trace
        ),
        m.Submit(
            client_id=name, parent=order, symbol=0, side=side, order_type="limit",
            quantity=quantity, reduces=side == "sell", deadline_ns=time_ns + 60_000 * MS,
            limit_price=100.5, reason=reason, trace=trace,
        ),
    ]  # fmt: skip


def _fill(
    order: int, trade: str, side: m.Side, quantity: float, price: float, fee: float, after_ms: int,
    number: int, *, position: float, state: m.OrderState, filled: float, currency: str = "USDT",
) -> Row:  # fmt: skip
    at_ns = T0 + (number + 1) * HOUR + after_ms * MS
    name = f"atagtagx{order}-1"
    event = m.Filled(
        at_ns=at_ns, venue="binance", symbol=0, trade_id=trade, client_id=name,
        venue_order_id=f"v{order}", venue_ns=at_ns - 10 * MS, market_ns=at_ns - 10 * MS, side=side,
        quantity=quantity, price=price, fee=fee, fee_currency=currency, maker=order == 0,
    )  # fmt: skip
    return event, [
        m.Changed(order=order, client_id=name, symbol=0, state=state, filled=filled),
        m.Traded(
            order=order, symbol=0, trade_id=trade, side=side, quantity=quantity, price=price,
            fee=fee, fee_currency=currency, position=position, market_ns=at_ns - 10 * MS,
            maker=order == 0,
        ),
    ]  # fmt: skip


def _acked(order: int, after_ms: int, number: int) -> Row:
    event = m.Acked(
        at_ns=T0 + (number + 1) * HOUR + after_ms * MS, client_id=f"atagtagx{order}-1",
        venue_order_id=f"v{order}", state="open", side="buy", quantity=None,
    )  # fmt: skip
    changed = m.Changed(
        order=order, client_id=f"atagtagx{order}-1", symbol=0, state="open", filled=0.0
    )
    return event, [changed]


def rows() -> Iterator[Row]:
    """Entries of the run, in order."""
    yield (
        m.Started(
            at_ns=T0, session=1, run_id="live-1", mode="live", strategy="demo", origin_ns=T0,
            market_ns=T0, fingerprints={},
        ),
        (),
    )  # fmt: skip
    yield _bar(0, 100.0), ()
    entry = _submit(0, "buy", 0.5, 0, "entry")
    yield _decision_time(0), [_decided(0, "long", 0.5), _ruled(0, 1_000.0), *entry]
    yield _acked(0, 65, 0)
    yield _fill(0, "t1", "buy", 0.2, 100.0, 0.02, 85, 0, position=0.2, filled=0.2,
                state="partially_filled")  # fmt: skip
    # The second fill pays its fee in what is bought: 0.001 of it does not arrive.
    yield _fill(0, "t2", "buy", 0.3, 101.0, 0.001, 90, 0, position=0.499, filled=0.5,
                state="filled", currency="BTC")  # fmt: skip
    yield _bar(1, 110.0), ()
    halted = m.Tripped(rule="drawdown", then="flatten", clears_when="manual", equity=900.0)
    blocked = m.Tripped(
        rule="feed", then="block_entries", clears_when="data", equity=0.0, text="silent"
    )
    yield _decision_time(1), [
        _decided(1, "flat", 0.0), _ruled(1, 1_005.0), blocked, halted,
        *_submit(1, "sell", 0.499, 1, "signal"),
    ]  # fmt: skip
    yield _acked(1, 40, 1)
    yield _fill(1, "t3", "sell", 0.499, 110.0, 0.05, 70, 1, position=0.0, filled=0.499,
                state="filled")  # fmt: skip
    alert = m.Alerted(level="warning", event="gap", text="a bar is missing", symbol=0)
    yield _bar(2, 90.0), [alert]
    yield _decision_time(2), [
        _decided(2, "long", 0.4, "cash"), _ruled(2, 804.0), m.Cleared(rule="feed", by="data"),
        *_submit(2, "buy", 0.4, 2, "entry"),
    ]  # fmt: skip
    refused = m.Rejected(
        at_ns=T0 + 3 * HOUR + 50 * MS, client_id="atagtagx2-1", code="funds", text="too little"
    )
    yield (
        refused,
        [
            m.Changed(
                order=2,
                client_id="atagtagx2-1",
                symbol=0,
                state="rejected",
                filled=0.0,
                reason="funds",
            )
        ],
    )


def live_run(folder: Path) -> Journal:
    """Write the run's journal into a folder that is made; return it, open."""
    folder.mkdir(parents=True)
    journal = Journal.create(folder / "journal.sqlite", HEAD)
    for event, commands in rows():
        journal.append(event, commands)
        journal.commit()
    return journal


def stopped_run(folder: Path) -> Path:
    """Write the run into a folder that is made, with its tables, as a run that was stopped."""
    with live_run(folder) as journal:
        journal.move()
        journal.begin(pid=os.getpid(), host="here", boot="b", now_ns=T0)
    (folder / RUN_LOCK).unlink(missing_ok=True)
    spoil(folder / "journal.sqlite", "UPDATE starts SET clean = 1, ended_ns = began_ns")
    write_projections(folder)
    return folder
