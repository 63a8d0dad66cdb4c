"""Finds the causes of each part of the gap: revisions, late bars, orders, prices and fees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from septet import messages as m
from septet._diff.backtest_side import PRICES, Past, Seen
from septet._diff.decision_rows import Row, differing, distinct_texts, is_same, row_of
from septet._diff.live_side import Lived, is_deed
from septet._diff.orders import Outcome, outcomes_of, stops_of
from septet._diff.paper_fills import Simulated
from septet._diff.rebooking import Priced
from septet._live.journal_head import instruments_in

__all__ = ["PARTS", "Cause", "causes_of"]

PartName = Literal["revision", "late_or_missed", "timing", "fill", "cost"]
PARTS: Final[tuple[PartName, ...]] = ("revision", "late_or_missed", "timing", "fill", "cost")


@dataclass(frozen=True, slots=True)
class Cause:
    """One difference.

    `size` sorts the causes of a kind, largest first: a relative change of a value, or money in the
    quote currency. `facts` are its numbers, `text` describes it in words.
    """

    part: PartName
    kind: str
    symbol: str
    time_ns: int
    size: float
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sides:
    """The data of both runs, up to a decision time."""

    lived: Lived
    past: Past
    seen: Seen
    paper: Simulated
    until_ns: int

    def close(self, k: int, time_ns: int) -> float:
        """Return the newest close of a symbol at a decision time, as known by the live run."""
        return self.lived.marks.get(time_ns, {}).get(k, 0.0)


def causes_of(
    lived: Lived, past: Past, seen: Seen, paper: Simulated, priced: list[Priced], until_ns: int
) -> list[Cause]:
    """Return all causes by part, the largest of a kind first."""
    sides = Sides(lived, past, seen, paper, until_ns)
    causes = [
        *_revised(sides), *_revised_series(sides), *_models(sides),
        *_missed(sides), *_late(sides), *_orders(sides, priced), *_deeds(sides),
        *_prices(sides, priced), *_fees(sides, priced),
    ]  # fmt: skip
    stages = (
        ("revision", past.decisions, seen.decisions, "the backtest's values", "the live ones"),
        ("late_or_missed", seen.decisions, paper.decisions, "every bar in time", "as it was"),
    )
    for part, before, after, first_name, second_name in stages:
        if before is not None:
            causes += _decisions(sides, part, before, after, first_name, second_name)
    live = {key: row_of(each) for key, each in lived.decided.items()}
    causes += _decisions(sides, "timing", paper.decisions, live, "simulated fills", "its own fills")
    order = {part: number for number, part in enumerate(PARTS)}
    kinds = {
        kind: number for number, kind in enumerate(dict.fromkeys(cause.kind for cause in causes))
    }
    return sorted(
        causes, key=lambda cause: (order[cause.part], kinds[cause.kind], -cause.size, cause.time_ns)
    )


# ---------------------------------------------------------------- revision


def _revised(sides: Sides) -> Iterator[Cause]:
    """Return the bars whose history differs from what the live run saw."""
    lived, past = sides.lived, sides.past
    for k, symbol in enumerate(lived.symbols):
        table = past.bars(k)
        known_ns = table.known_ns.tolist()
        columns = {name: getattr(table, name).tolist() for name in PRICES}
        for i, open_ns in enumerate(table.open_ns.tolist()):
            bar = lived.bars.get((k, open_ns))
            if bar is None or known_ns[i] > sides.until_ns:
                continue
            for name in PRICES:
                before, after = getattr(bar, name), columns[name][i]
                if not is_same(before, after):
                    was, became = distinct_texts(before, after, 10)
                    yield Cause(
                        "revision", "bar", symbol, open_ns, _relative(before, after),
                        f"{name} was {was} live and is {became}",
                        {"field": name, "before": before, "after": after},
                    )  # fmt: skip


def _relative(before: float, after: float) -> float:
    change = abs(after - before) / (abs(before) or 1.0)
    return change if change == change else 1.0


def _revised_series(sides: Sides) -> Iterator[Cause]:
    for name, table in sides.past.session.market.series.items():
        for stamp_ns, after in zip(table.stamp_ns.tolist(), table.value.tolist(), strict=True):
            point = sides.lived.points.get((name, stamp_ns))
            if point is not None and not is_same(point.value, after):
                was, became = distinct_texts(point.value, after, 10)
                yield Cause(
                    "revision", "series", name, stamp_ns, _relative(point.value, after),
                    f"{name} was {was} live and is {became}",
                    {"before": point.value, "after": after},
                )  # fmt: skip


def _models(sides: Sides) -> Iterator[Cause]:
    """Return models of the same window that were fitted on other values, or by one side only."""
    by_trained_to = {int(card["trained_to_ns"]): card for card in sides.past.models}
    for event in sides.lived.events:
        if not isinstance(event, m.ModelReady) or event.trained_to_ns > sides.until_ns:
            continue
        card = by_trained_to.get(event.trained_to_ns)
        fingerprint = str(card["model_sha256"]) if card is not None else ""
        if fingerprint != event.fingerprint:
            text = (
                f"is {fingerprint[:12]} in the backtest" if fingerprint else "the backtest has none"
            )
            yield Cause(
                "revision", "model", "", event.trained_to_ns, 1.0,
                f"model {event.number} is {event.fingerprint[:12]} live and {text}",
                {"number": event.number, "before": event.fingerprint, "after": fingerprint},
            )  # fmt: skip


# ---------------------------------------------------------------- late or missed


def _missed(sides: Sides) -> Iterator[Cause]:
    """Return bars of only one run, and bars that arrived after their decision time."""
    lived, past = sides.lived, sides.past
    origin = {k: min((o for j, o in lived.bars if j == k), default=0) for k in _ks(lived)}
    for k, symbol in enumerate(lived.symbols):
        table = past.bars(k)
        known_by_open = dict(zip(table.open_ns.tolist(), table.known_ns.tolist(), strict=True))
        for open_ns, known_ns in known_by_open.items():
            if origin[k] <= open_ns and known_ns <= sides.until_ns:
                yield from _of_bar(sides, k, symbol, open_ns, known_ns)
        first = min(known_by_open, default=0)
        for j, open_ns in lived.bars:
            alone = j == k and open_ns not in known_by_open and open_ns >= first
            if alone and lived.bars[(k, open_ns)].known_ns <= sides.until_ns:
                text = "only the live run has the bar"
                yield Cause("late_or_missed", "extra bar", symbol, open_ns, 0.0, text)


def _of_bar(sides: Sides, k: int, symbol: str, open_ns: int, known_ns: int) -> Iterator[Cause]:
    """Return how a bar of the backtest reached the live run, if not on time."""
    taken = sides.lived.taken.get((k, open_ns))
    at_risk = known_ns >= sides.lived.first_ns
    if taken is None:
        has_arrived = (k, open_ns) in sides.lived.bars
        text = "the bar came and no decision took it in" if has_arrived else "the bar never came"
        yield Cause("late_or_missed", "missed bar", symbol, open_ns, 0.0, text)
    elif taken.time_ns != known_ns:
        text = "the bar was taken in at another time than its close"
        facts = {"taken_ns": taken.time_ns, "known_ns": known_ns}
        yield Cause("late_or_missed", "missed bar", symbol, open_ns, 0.0, text, facts)
    elif not taken.decides and at_risk:
        text = "the bar came when the time to decide had passed: no decision was taken"
        yield Cause("late_or_missed", "undecided", symbol, known_ns, 0.0, text)


def _late(sides: Sides) -> Iterator[Cause]:
    for time_ns, decision_time in sides.lived.decision_times.items():
        if decision_time.late and time_ns <= sides.until_ns:
            for k in decision_time.present:
                row = sides.seen.decisions.get((time_ns, k))
                size = abs(row.granted) * sides.close(k, time_ns) if row is not None else 0.0
                text = "decided late: exits act, entries do not"
                yield Cause(
                    "late_or_missed", "late", sides.lived.symbols[k], time_ns, size, text,
                    {"would_have_granted": row.granted if row is not None else 0.0},
                )  # fmt: skip
    for event, decided_ns in sides.lived.late_models:
        text = f"model {event.number} came when a decision it was due for had been taken"
        facts = {"ready_ns": event.ready_ns, "decided_ns": decided_ns}
        yield Cause("late_or_missed", "late model", "", event.ready_ns, 0.0, text, facts)


def _ks(lived: Lived) -> range:
    return range(len(lived.symbols))


def _decisions(
    sides: Sides,
    part: Any,
    before: Mapping[tuple[int, int], Row],
    after: Mapping[tuple[int, int], Row],
    first_name: str,
    second_name: str,
) -> Iterator[Cause]:
    """Return decisions that a stage changed: signal or rejection, or the quantity only."""
    for time_ns, k, was, became in differing(before, after):
        if time_ns > sides.until_ns:
            continue
        is_same_signal = (was.signal, was.rejected_by) == (became.signal, became.rejected_by)
        amount = is_same_signal and (was.granted == 0.0) == (became.granted == 0.0)
        sizes = distinct_texts(was.granted, became.granted)
        yield Cause(
            part, "amount" if amount else "decision", sides.lived.symbols[k], time_ns,
            abs(became.granted - was.granted) * sides.close(k, time_ns),
            f"{was.text(sizes[0])} with {first_name}, {became.text(sizes[1])} with {second_name}",
            {
                "before": {"signal": was.signal, "granted": was.granted, "rejected_by":
                           was.rejected_by},
                "after": {"signal": became.signal, "granted": became.granted, "rejected_by":
                          became.rejected_by},
            },
        )  # fmt: skip


# ---------------------------------------------------------------- timing


def _orders(sides: Sides, priced: list[Priced]) -> Iterator[Cause]:
    """Return orders that traded another quantity than simulated, with the reason."""
    lived, paper = sides.lived, sides.paper
    if not lived.venue_fills:
        return
    stops = stops_of(sides.past.session.strategy)
    outcomes = outcomes_of(lived, [each.booking for each in priced], stops)
    numbers = {name: k for k, name in enumerate(lived.symbols)}
    for origin in {**paper.traded, **outcomes}:
        simulated = paper.traded.get(origin, 0.0)
        outcome = outcomes.get(origin, Outcome())
        if abs(outcome.filled - simulated) < 1e-12 or origin.time_ns > sides.until_ns:
            continue
        kind, why = _why(outcome, simulated)
        row = lived.decided.get((origin.time_ns, numbers[origin.symbol]))
        if kind == "not sent" and row is not None and row.rejected_by and not origin.stops:
            why = f": {row.rejected_by}"
        price = sides.close(numbers[origin.symbol], origin.time_ns) or 1.0
        prefix = "a stop within the bar: " if origin.stops else ""
        yield Cause(
            "timing", kind, origin.symbol, origin.time_ns, abs(outcome.filled - simulated) * price,
            f"{prefix}{outcome.filled:+.8g} traded, {simulated:+.8g} simulated{why}",
            {"traded": outcome.filled, "simulated": simulated, "stop": origin.stops, "reason":
             outcome.end.reason if outcome.end is not None else ""},
        )  # fmt: skip


def _why(outcome: Outcome, simulated: float) -> tuple[str, str]:
    """Return the outcome of an order, and its reason."""
    end = outcome.end
    reason = f": {end.reason}" if end is not None and end.reason else ""
    if outcome.filled == 0.0:
        if end is None:
            return "not sent", ""
        return end.state, reason
    if simulated == 0.0:
        return "only live", reason
    if end is not None and end.state != "filled":
        return "partial", f" ({end.state}{reason})"
    return "other size", reason


def _deeds(sides: Sides) -> Iterator[Cause]:
    for event in sides.lived.events:
        if isinstance(event, m.Operated) and is_deed(event):
            yield Cause(
                "timing", "operator", "", event.at_ns, 0.0,
                f"{event.action} by {event.name}: {event.reason}",
                {"action": event.action, "name": event.name, "reason": event.reason},
            )  # fmt: skip
    live = instruments_in(sides.lived.head.facts)
    for instrument, live_instrument in zip(sides.past.session.instruments, live, strict=True):
        for name in ("lot", "tick", "min_notional", "precision"):
            before, after = getattr(instrument, name), getattr(live_instrument, name)
            if before != after:
                text = f"{name} is {after:g} live and {before:g} in the backtest"
                yield Cause(
                    "timing", "instrument", instrument.symbol, 0, 0.0, text,
                    {"field": name, "before": before, "after": after},
                )  # fmt: skip


# ---------------------------------------------------------------- fill and cost


def _prices(sides: Sides, priced: list[Priced]) -> Iterator[Cause]:
    for each in priced:
        traded = each.booking.traded
        if traded.price == each.price:
            continue
        worse = each.booking.sign * (traded.price / each.price - 1.0) * 1e4
        money = -each.booking.sign * (traded.price - each.price) * traded.quantity
        yield Cause(
            "fill", "price", sides.lived.symbols[traded.symbol], traded.market_ns, abs(money),
            f"{traded.side} {traded.quantity:.8g} at {traded.price:.10g}, simulated "
            f"{each.price:.10g} ({worse:+.2f} bps, {money:+.4f})",
            {"order": traded.order, "trade_id": traded.trade_id, "price": traded.price,
             "simulated": each.price, "worse_bps": worse, "money": money},
        )  # fmt: skip


def _fees(sides: Sides, priced: list[Priced]) -> Iterator[Cause]:
    for each in priced:
        money, traded = each.fee - each.paid, each.booking.traded
        if money == 0.0 and each.less == 0.0:
            continue
        less_text = f", {each.less:+.8g} less arrived" if each.less else ""
        yield Cause(
            "cost", "fee", sides.lived.symbols[traded.symbol], traded.market_ns, abs(money),
            f"{each.paid:.6g} paid ({traded.fee:.8g} {traded.fee_currency}), simulated "
            f"{each.fee:.6g} ({money:+.4g}){less_text}",
            {"order": traded.order, "trade_id": traded.trade_id, "fee": traded.fee,
             "fee_currency": traded.fee_currency, "paid": each.paid, "simulated": each.fee,
             "less": each.less, "money": money},
        )  # fmt: skip
