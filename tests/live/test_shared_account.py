"""Several strategies on one account: bounds over all, and to each only what is its own."""

from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet import messages as m
from septet._live.funds_check import require_funds
from septet._live.shared_account import (
    AccountGate,
    AccountLimits,
    Member,
    SharedVenue,
)
from septet.errors import InputError
from tests.core.engine_harness import ONE, EngineHarness
from tests.core.orders.bench import Bench
from tests.core.orders.market import PRICE
from tests.live import scripted
from tests.live.scripted import NS, START_NS, MemoryVenue, submit

SYMBOLS = ("BTC/USDT", "ETH/USDT")


class Account:
    def __init__(self, *universes: tuple[str, ...], rate: int = 60) -> None:
        self.now_ns = START_NS
        self.gate = AccountGate(now_ns=lambda: self.now_ns)
        self.venue = MemoryVenue()
        self.shared = SharedVenue(self.venue, self.gate)
        self.members: list[Member] = []
        self.shares: list[Any] = []
        self.got: list[list[Any]] = []
        for k, symbols in enumerate(universes):
            member = self.gate.member(
                f"s{k}", symbols, bases=[each.split("/")[0] for each in symbols], quote="USDT",
                capital=1_000.0, limits=AccountLimits(1.0, 0.5, rate),
            )  # fmt: skip
            self.members.append(member)
            self.shares.append(self.shared.share(member, tag(k)))
            self.got.append([])

    async def open(self) -> None:
        for share, member, got in zip(self.shares, self.members, self.got, strict=True):
            await share.open(member.symbols, got.append)


def tag(k: int) -> str:
    return f"x{k:07d}"


def price(member: Member, value: float, symbol: int = 0) -> None:
    event = m.Quoted(
        at_ns=0, symbol=symbol, venue_ns=0, bid=value, bid_quantity=1.0, ask=value,
        ask_quantity=1.0,
    )  # fmt: skip
    member.watch(event, ())


def traded(position: float, symbol: int = 0) -> m.Traded:
    return m.Traded(
        order=1, symbol=symbol, trade_id="1", side="buy", quantity=position, price=100.0, fee=0.0,
        fee_currency="USDT", position=position, market_ns=0,
    )  # fmt: skip


def test_without_a_price_nothing_enters_and_a_reduction_still_leaves() -> None:
    [member] = Account(SYMBOLS).members
    assert "no price" in member.rejection(submit())
    assert member.rejection(submit("a", reduces=True)) == ""


def test_positions_of_all_strategies_add_up() -> None:
    account = Account(SYMBOLS, SYMBOLS)
    one, two = account.members
    price(one, 100.0)
    assert one.rejection(submit("a", quantity=10.0)) == ""  # 1000 of 2 x 500, and a tenth
    assert "of BTC/USDT, at most" in two.rejection(submit("b", quantity=2.0))
    filled = m.Changed(order=1, client_id="a", symbol=0, state="filled", filled=10.0)
    one.watch(m.Ticked(at_ns=0, market_ns=0), [traded(10.0), filled])
    assert one.working == {}
    assert "of BTC/USDT, at most" in two.rejection(submit("c", quantity=2.0))
    one.watch(m.Ticked(at_ns=0, market_ns=0), [traded(0.0)])
    assert two.rejection(submit("d", quantity=2.0)) == ""


def test_the_equity_of_the_newest_mark_counts() -> None:
    """With bars of a day that of the last decision is a day old, and may be far above what is."""
    harness = EngineHarness("++===", amount=90.0)
    entry = harness.bought()
    one, two = Account(SYMBOLS, SYMBOLS).members
    price(one, 100.0)
    one.watch(
        m.Ticked(at_ns=0, market_ns=0),
        [m.Ruled(time_ns=0, equity=harness.engine.equity, cash=0.0, exposure=0.0)],
    )
    one.core = SimpleNamespace(engine=harness.engine, checks=None)  # type: ignore[assignment]
    assert two.rejection(submit("a", quantity=10.0)) == ""
    two.update(m.Changed(order=1, client_id="a", symbol=0, state="cancelled", filled=0.0))
    harness.engine.mark(0, 1.0, 1.0, harness.now_ns)
    lost = entry.units / ONE * (entry.price - 1.0)
    most = 1.1 * 0.5 * (10_000.0 - lost + 1_000.0)
    assert harness.engine.equity == pytest.approx(10_000.0 - lost)
    assert f"at most {most:.2f}" in two.rejection(submit("b", quantity=most / 100.0 + 1.0))


def test_an_order_that_turns_a_position_adds_what_lies_beyond_it() -> None:
    [member] = Account(SYMBOLS).members
    price(member, 100.0)
    member.watch(m.Ticked(at_ns=0, market_ns=0), [traded(-5.0)])
    assert member.rejection(submit("a", quantity=10.0)) == "", "as much on the other side"
    member.working.clear()
    assert "would hold 700.00 of BTC/USDT" in member.rejection(submit("b", quantity=12.0))
    member.watch(m.Ticked(at_ns=0, market_ns=0), [traded(5.0)])
    assert "of BTC/USDT, at most" in member.rejection(submit("c", quantity=10.0))


def in_part(client_id: str, filled: float) -> m.Changed:
    return m.Changed(
        order=1, client_id=client_id, symbol=0, state="partially_filled", filled=filled
    )  # fmt: skip


def test_what_an_order_has_filled_counts_once() -> None:
    [member] = Account(SYMBOLS).members
    price(member, 100.0)
    assert member.rejection(submit("a", quantity=4.0)) == ""
    member.watch(m.Ticked(at_ns=0, market_ns=0), [traded(3.0), in_part("a", 3.0)])
    assert member.rejection(submit("b", quantity=1.0)) == "", "3 held, 1 open, 1 more"
    assert "would hold 600.00" in member.rejection(submit("c", quantity=1.0))


def test_an_order_that_turns_a_position_counts_whole_once_it_has_turned_it() -> None:
    [member] = Account(SYMBOLS).members
    price(member, 100.0)
    member.watch(m.Ticked(at_ns=0, market_ns=0), [traded(-5.0)])
    assert member.rejection(submit("a", quantity=10.0)) == ""
    member.watch(m.Ticked(at_ns=0, market_ns=0), [traded(1.0), in_part("a", 6.0)])
    assert "would hold 600.00" in member.rejection(submit("b", quantity=1.0)), "1 held, 4 open"


def test_gross_adds_up_over_symbols() -> None:
    account = Account((*SYMBOLS, "SOL/USDT"))
    [member] = account.members
    for symbol in range(3):
        price(member, 100.0, symbol)
    assert member.rejection(submit("a", symbol=0, quantity=5.0)) == ""
    assert member.rejection(submit("b", symbol=1, quantity=5.0)) == ""
    assert "all strategies would hold 1300.00" in member.rejection(
        submit("c", symbol=2, quantity=3.0)
    )


def test_the_rate_is_of_the_account_and_passes_with_time() -> None:
    account = Account(SYMBOLS, SYMBOLS, rate=2)
    one, two = account.members
    price(one, 1.0)
    for k, each in enumerate((one, two, one, two)):
        assert each.rejection(submit(f"a{k}", quantity=0.1)) == ""
    assert "within a minute" in one.rejection(submit("b", quantity=0.1))
    assert one.rejection(submit("c", quantity=0.1, reduces=True)) == ""
    account.now_ns += 60 * NS
    assert one.rejection(submit("d", quantity=0.1)) == ""


def test_a_change_of_an_order_counts_what_it_replaces() -> None:
    [member] = Account(SYMBOLS).members
    price(member, 100.0)
    assert member.rejection(submit("a", quantity=5.0, limit_price=100.0)) == ""
    amend = m.Amend(
        client_id="a", venue_order_id="v", new_client_id="b", parent=1, symbol=0, side="buy",
        quantity=5.0, limit_price=101.0, deadline_ns=0,
    )  # fmt: skip
    assert member.rejection(amend) == ""
    assert list(member.working) == ["a", "b"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.floats(0.01, 8.0)), max_size=40))
def test_whatever_is_sent_the_account_stays_within_its_bounds(
    orders: list[tuple[int, int, float]],
) -> None:
    account = Account(SYMBOLS, SYMBOLS, SYMBOLS)
    for symbol in (0, 1):
        price(account.members[0], 100.0, symbol)
    values = [0.0, 0.0]
    for k, (who, symbol, quantity) in enumerate(orders):
        order = submit(f"t{k}", k, symbol=symbol, quantity=quantity)
        if not account.members[who].rejection(order):
            values[symbol] += 100.0 * quantity
    assert max(values) <= 1_500.0 * 1.1 + 1e-6
    assert sum(values) <= 3_000.0 * 1.1 + 1e-6


def test_each_strategy_sees_its_own_symbols_orders_and_fills() -> None:
    async def scene() -> None:
        account = Account(("ETH/USDT",), ("BTC/USDT", "ETH/USDT"))
        await account.open()
        assert account.venue.named("open") == [("ETH/USDT", "BTC/USDT")]
        one, two = account.shares
        await one.submit(submit(f"{tag(0)}1-0", symbol=0))
        await two.submit(submit(f"{tag(1)}1-0", symbol=0))
        assert [each.symbol for each in account.venue.named("submit")] == [0, 1]
        fill = m.Filled(
            at_ns=0, venue="v", symbol=1, trade_id="1", client_id=f"{tag(1)}1-0",
            venue_order_id="v", venue_ns=0, market_ns=0, side="buy", quantity=1.0, price=1.0,
            fee=0.0, fee_currency="USDT",
        )  # fmt: skip
        account.venue.sink(fill)
        account.venue.sink(m.VenueChanged(at_ns=0, venue="v", state="down"))
        stranger = m.OrderSeen(
            at_ns=0, client_id="web_1", venue_order_id="9", symbol=0, side="buy", state="open",
            quantity=1.0, filled=0.0,
        )  # fmt: skip
        account.venue.sink(stranger)
        assert [type(each).__name__ for each in account.got[0]] == ["VenueChanged", "OrderSeen"]
        assert [type(each).__name__ for each in account.got[1]] == [
            "Filled", "VenueChanged", "OrderSeen",
        ]  # fmt: skip
        assert account.got[1][0].symbol == 0
        assert [each[-1].symbol for each in account.got] == [0, 1]
        found = await one.open_orders()
        assert [each.client_id for each in found.orders] == [f"{tag(0)}1-0"]

    asyncio.run(scene())


def test_a_kill_cancels_only_what_is_the_strategys_own() -> None:
    async def scene() -> None:
        account = Account(("BTC/USDT",), ("BTC/USDT",), ("ETH/USDT",))
        await account.open()
        for k, share in enumerate(account.shares):
            await share.submit(submit(f"{tag(k)}1-0"))
        await account.shares[0].cancel_all((0,))
        assert list(account.venue.open_ids) == [f"{tag(1)}1-0", f"{tag(2)}1-0"]
        assert account.venue.named("cancel_all") == []
        await account.shares[2].cancel_all((0,))  # nobody else trades there
        assert account.venue.named("cancel_all") == [(1,)]
        assert list(account.venue.open_ids) == [f"{tag(1)}1-0"]

    asyncio.run(scene())


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_what_is_no_number_lets_no_entry_pass(bad: float) -> None:
    for part in ("price", "equity", "quantity", "other"):
        account = Account(SYMBOLS, SYMBOLS)
        one, two = account.members
        price(one, bad if part == "price" else 100.0)
        tick = m.Ticked(at_ns=0, market_ns=0)
        two.watch(tick, [traded(1.0, 1)])
        if part == "other":
            price(two, bad, 1)
        if part == "equity" and bad != math.inf:
            for each in account.members:
                each.watch(tick, [m.Ruled(time_ns=0, equity=bad, cash=0.0, exposure=0.0)])
        elif part == "equity":
            continue  # the strategy's own check rejects it
        order = submit("a", quantity=bad if part == "quantity" else 1.0)
        assert one.rejection(order), part
        assert one.rejection(submit("b", quantity=1.0, reduces=True)) == ""


def test_a_change_that_is_rejected_leaves_the_old_order_in_the_sum() -> None:
    [member] = Account(SYMBOLS).members
    price(member, 100.0)
    assert member.rejection(submit("a", quantity=5.0, limit_price=100.0)) == ""
    amend = m.Amend(
        client_id="a", venue_order_id="v", new_client_id="b", parent=1, symbol=0, side="buy",
        quantity=5.0, limit_price=101.0, deadline_ns=0,
    )  # fmt: skip
    assert member.rejection(amend) == ""
    ended(member, "b", "rejected")
    assert "of BTC/USDT, at most" in member.rejection(submit("c", quantity=2.0))
    ended(member, "a", "cancelled")
    assert member.rejection(submit("d", quantity=2.0)) == ""


def ended(member: Member, client_id: str, state: Any) -> None:
    changed = m.Changed(order=1, client_id=client_id, symbol=0, state=state, filled=0.0)
    member.watch(m.Ticked(at_ns=0, market_ns=0), [changed])


def sent_in_turns(member: Member, *turns: tuple[m.Command, ...]) -> tuple[list[str], list[str]]:
    """Return the orders that left, and why the gate rejected the others; one event a turn."""

    async def scene() -> tuple[list[str], list[str]]:
        answers = dict(enumerate(turns))
        bench = scripted.Bench(
            lambda event: answers.pop(event.at_ns, ()) if type(event) is m.Ticked else (),
            gate=member, watch=member.watch,
        )  # fmt: skip
        bench.shell.start()
        for k in range(len(turns)):
            bench.shell.put(m.Ticked(at_ns=k, market_ns=0))
            await bench.wait_until_idle()
        bench.shell.stop()
        left = [each.client_id for each in bench.venue.named("submit")]
        return left, [each.text for each in bench.seen(m.Rejected)]

    return asyncio.run(scene())


def changed(client_id: str, state: Any, filled: float = 0.0) -> m.Changed:
    return m.Changed(order=1, client_id=client_id, symbol=0, state=state, filled=filled)


@pytest.mark.parametrize("kind", ["limit", "market"])
@pytest.mark.parametrize("state", ["cancelled", "expired", "rejected"])
def test_an_entry_that_replaces_one_whose_end_is_confirmed_leaves(kind: Any, state: Any) -> None:
    [member] = Account(SYMBOLS).members
    price(member, 100.0)
    limit = 100.0 if kind == "limit" else None
    first, then = (
        submit(f"t{k}-0", k, quantity=4.0, order_type=kind, limit_price=limit) for k in (1, 2)
    )
    turns = (first,), (m.Cancel(client_id="t1-0", symbol=0),), (changed("t1-0", state), then)
    assert sent_in_turns(member, *turns) == (["t1-0", "t2-0"], [])
    assert list(member.working) == ["t2-0"]


def test_an_entry_whose_cancel_is_only_requested_still_counts() -> None:
    [member] = Account(SYMBOLS).members
    price(member, 100.0)
    first, then = submit("t1-0", 1, quantity=4.0), submit("t2-0", 2, quantity=4.0)
    cancel = m.Cancel(client_id="t1-0", symbol=0)
    left, reasons = sent_in_turns(member, (first,), (cancel, changed("t1-0", "open"), then))
    assert left == ["t1-0"]
    assert reasons == ["all strategies would hold 800.00 of BTC/USDT, at most 550.00"]


def test_what_filled_before_an_order_of_the_same_turn_counts_once() -> None:
    for quantity, rejects in ((1.4, False), (1.6, True)):
        [member] = Account(SYMBOLS).members
        price(member, 100.0)
        first, then = submit("t1-0", 1, quantity=4.0), submit("t2-0", 2, quantity=quantity)
        ends = traded(4.0), changed("t1-0", "filled", 4.0)
        _, reasons = sent_in_turns(member, (first,), (*ends, then))
        assert bool(reasons) is rejects


def test_an_order_that_ends_in_the_turn_that_sends_it_is_not_counted_on() -> None:
    [member] = Account(SYMBOLS).members
    price(member, 100.0)
    sent_in_turns(member, (submit("t1-0", 1, quantity=4.0), changed("t1-0", "cancelled")))
    assert member.working == {}


def test_after_a_restart_what_is_open_and_held_still_counts() -> None:
    bench = Bench()
    bench.order(1, 6.0, kind="limit", limit_price=PRICE)
    bench.position[1] = 2.0
    bench.order(2, -2.0, symbol=1)  # a reduction counts nothing
    account = Account(SYMBOLS, SYMBOLS)
    one, two = account.members
    one.positions = {"ETH/USDT": 2.0}  # as a snapshot has it
    price(two, PRICE)
    assert (
        two.rejection(submit("a", quantity=1.0)) == "no price of ETH/USDT is known, which s0 holds"
    )
    restored: Any = SimpleNamespace(orders=bench.core, checks=bench.checks)
    one.take_up(restored)
    assert [each.value for each in one.working.values()] == [6.0 * PRICE]
    assert two.rejection(submit("b", quantity=4.0)) == ""
    assert "of BTC/USDT, at most" in two.rejection(submit("c", quantity=1.5))


def test_what_others_hold_is_reported() -> None:
    async def scene() -> None:
        account = Account(("BTC/USDT",), ("BTC/USDT", "ETH/USDT"))
        await account.open()
        tick = m.Ticked(at_ns=0, market_ns=0)
        account.members[1].watch(tick, [traded(2.0, 0), traded(3.0, 1)])
        found = await account.shares[0].holdings()
        assert found.others == {"USDT": 500.0, "BTC": 2.0, "ETH": 3.0}

    asyncio.run(scene())


def test_filters_that_one_strategy_reads_are_reported_to_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A venue reports a change once: the others went on with the old lot for good."""

    async def case() -> None:
        account = Account(SYMBOLS, SYMBOLS[1:], SYMBOLS[:1])
        await account.open()
        changed = m.FiltersChanged(
            at_ns=1, symbol=1, lot=0.1, tick=0.01, min_notional=1.0, trading=True
        )

        async def read() -> list[m.FiltersChanged]:
            return [changed]

        monkeypatch.setattr(account.venue, "refresh_markets", read)
        assert await account.shares[0].refresh_markets() == [changed]
        assert [[each.symbol for each in got] for got in account.got] == [[], [0], []]

    asyncio.run(case())


def test_the_connection_closes_with_the_last_strategy() -> None:
    async def scene() -> None:
        account = Account(("BTC/USDT",), ("BTC/USDT",))
        await account.open()
        await account.shares[0].close()
        assert not account.venue.closed
        await account.shares[1].close()
        assert account.venue.closed

    asyncio.run(scene())


def test_a_start_needs_the_capital_of_all() -> None:
    holdings = m.Holdings(at_ns=0, balances={"USDT": (1_500.0, 0.0)}, asked_ns=0)
    require_funds({"a": 500.0, "b": 1_000.0}, "USDT", holdings)
    with pytest.raises(InputError, match=r"1500\.00 USDT free, and 1600\.00 are needed"):
        require_funds({"a": 600.0, "b": 1_000.0}, "USDT", holdings)
    require_funds({"a": 600.0, "b": 1_000.0}, "USDT", holdings, adopted=100.0)


def test_an_order_is_its_strategys_however_a_gateway_lengthens_its_id() -> None:
    account = Account(SYMBOLS, SYMBOLS)
    owners = [account.shared.owner(f"x-{tag(k)}5-1-b7") for k in (0, 1)]
    assert owners == account.shares
    assert account.shared.owner("x-broker7") is None
