"""Positions and open orders of a paper or live run, from its journal only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from septet._data.stamps import iso
from septet._journal.lease import holder_of
from septet._journal.reader import understood
from septet._results.number_texts import money, percent
from septet._store.journal_view import LiveRun
from septet._store.run_folder import JOURNAL
from septet._text import one_line, plain_json

if TYPE_CHECKING:
    from septet._journal.fold import Fold
    from septet._journal.open_orders import OpenOrder
    from septet._store.run_folder import Run

__all__ = [
    "late_model_lines", "lines_of", "open_state", "state_of_fold", "stop_text",
]  # fmt: skip

_STOPS: Final = ("stop_loss", "trailing")
"""Rules of `risk.stops` that limit the loss of a position."""
_REMAINDER: Final = 0.01
"""Share of equity below which a position that is too small to be sold is a remainder."""
_LATE_MODELS: Final = {"late": "model_late", "skipped": "model_skipped"}
"""Alerts about fits that took longer than the schedule, by their names in the document."""
_AT_VENUE: Final = ("open", "partially_filled")


def open_state(run: Run) -> dict[str, Any] | None:
    """Return what a run holds and its open orders, as ``--json`` prints them.

    None of a backtest, and of a run whose journal is missing or cannot be opened.
    Nothing but the journal is read: what happened at the venue after its last entry is not in it.
    """
    if not (run.folder / JOURNAL).is_file():
        return None
    if run.finding is not None and run.finding.kind == "unreadable":
        return None
    live = run if isinstance(run, LiveRun) else LiveRun(run.folder)
    running = holder_of(run.folder) is not None
    with understood(run.folder / JOURNAL):
        document = state_of_fold(live.fold, doubt=run.doubt, running=running)
    return document


def state_of_fold(fold: Fold, *, doubt: str, running: bool) -> dict[str, Any]:
    """Return what a run holds as `open_state` does, from a fold of its journal.

    `doubt` is why the journal cannot be relied on, or empty; `running` whether a process runs it.
    """
    equity = fold.equity[-1][1] if fold.equity else float(fold.head.facts.get("capital", 0.0))
    document: dict[str, Any] = plain_json(
        {
            "as_of": iso(fold.last_at_ns) if fold.last_at_ns else None,
            "market_time": iso(fold.market_ns),
            "journal_seq": fold.seq,
            "doubt": doubt,
            "simulated": fold.head.mode == "paper",
            "running": running,
            "currency": str(fold.head.facts.get("currency", "")),
            "equity": equity,
            "positions": [
                _position(fold, k, quantity, average, equity, running)
                for k, quantity, average in fold.trades.held()
            ],
            "orders": [_order(fold, each) for each in fold.open_orders.all],
            "late_models": _late_models(fold),
        }
    )
    return document


def _late_models(fold: Fold) -> dict[str, Any]:
    """Return how often a fit was late and models were skipped, and the newest alert of each."""
    found: dict[str, Any] = {}
    for name, event in _LATE_MODELS.items():
        of = [each for each in fold.alerts if each["event"] == event]
        last = {"at": iso(of[-1]["at_ns"]), "text": of[-1]["text"]} if of else None
        found[name] = {"count": len(of), "last": last}
    return found


def late_model_lines(state: dict[str, Any]) -> list[str]:
    """Return what the terminal shows of late and skipped models of `open_state`, if any were."""
    lines = []
    for name, of in state["late_models"].items():
        if of["last"] is not None:
            times = "once" if of["count"] == 1 else f"{of['count']} times, last"
            text = f"{times} at {of['last']['at']}: {of['last']['text']}"
            lines.append(_line(f"Models {name}", text))
    return lines


def _position(
    fold: Fold, k: int, quantity: float, average: float, equity: float, running: bool
) -> dict[str, Any]:
    mark, least = fold.mark(k), fold.min_notionals.get(k, 0.0)
    value = abs(quantity) * mark
    return {
        "symbol": fold.name(k),
        "side": "long" if quantity > 0.0 else "short",
        "quantity": abs(quantity),
        "entry_price": average,
        "mark": mark,
        "value": value,
        "share_of_equity": value / equity if equity > 0.0 else None,
        "unrealised_pnl": quantity * (mark - average),
        "min_notional": least,
        "dust": average != average or value < min(least, _REMAINDER * equity),
        "stop": _stop(fold, k, quantity, running, in_trade=average == average),
    }


def _stop(fold: Fold, k: int, quantity: float, running: bool, *, in_trade: bool) -> dict[str, Any]:
    """Return where the protective stop of a position is held, and whether it acts now."""
    live = fold.head.mode == "live"
    side = "sell" if quantity > 0.0 else "buy"
    sent = [
        each for each in fold.open_orders.all
        if each.symbol == k and each.is_protective_stop and each.side == side
    ]  # fmt: skip
    standing = [each for each in sent if each.state in _AT_VENUE]
    rules = fold.head.facts.get("resolved", {}).get("risk", {}).get("stops") or {}
    watched = [name for name in _STOPS if rules.get(name) is not None] if in_trade else []
    held_at = "venue" if standing else "unconfirmed" if sent else "engine" if watched else "none"
    exits = [
        each for each in fold.open_orders.all
        if each.symbol == k and each.reduces and each.order_type == "market" and each.side == side
    ]  # fmt: skip
    leaves = sum(each.quantity - each.filled for each in exits) >= 0.99 * abs(quantity)
    watches = watched and not leaves  # an exit on its way closes the position
    return {
        "held": held_at,
        "acts": bool(standing and live) or (running and bool(standing or watches)),
        "rules": watched,
        "exits": [each.client_id for each in exits] if leaves else [],
        "client_ids": [each.client_id for each in sent],
        "quantity": sum(each.quantity - each.filled for each in sent) if sent else None,
        "trigger_price": sent[0].trigger_price if sent else None,
    }


def _order(fold: Fold, order: OpenOrder) -> dict[str, Any]:
    return {
        "client_id": order.client_id,
        "order_id": f"o{order.order + 1}" if order.order >= 0 else None,
        "symbol": fold.name(order.symbol),
        "side": order.side,
        "type": order.order_type,
        "quantity": order.quantity,
        "filled": order.filled,
        "limit_price": order.limit_price,
        "trigger_price": order.trigger_price,
        "state": order.state,
        "reduces": order.reduces,
        "protective_stop": order.is_protective_stop,
    }


def stop_text(position: dict[str, Any], *, simulated: bool, currency: str = "") -> str:
    """Return where the stop of a position of `open_state` is held, and whether it acts now."""
    return _stop_text(position, {"simulated": simulated, "currency": currency})


def lines_of(state: dict[str, Any]) -> list[str]:
    """Return what the terminal shows of `open_state`."""
    as_of = state["as_of"] or "before the first entry"
    unasked = "" if state["simulated"] else "; no venue was asked"
    lines = [
        _line("As of", f"{as_of}, from the journal alone{unasked}"),
        _line("", f"market time {state['market_time']}"),
    ]
    for each in state["positions"]:
        lines += _position_lines(each, state)
    if state["doubt"]:
        lines.append(_line("Held", f"not known: {state['doubt']}; ask the venue"))
    elif not state["positions"]:
        lines.append(_line("Held", "nothing"))
    lines += [_line("Open order", _order_text(each)) for each in state["orders"]]
    if not state["orders"] and not state["doubt"]:
        lines.append(_line("Open orders", "none"))
    return lines


def _line(name: str, text: str) -> str:
    return f"  {name:<18}{one_line(text)}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.12g}"


def _position_lines(each: dict[str, Any], state: dict[str, Any]) -> list[str]:
    unit = state["currency"]
    text = f"{each['symbol']} {each['side']} {_number(each['quantity'])}"
    value = money(each["value"], unit)
    if each["dust"]:
        return [_line("Dust", f"{text}, value {value}: {_too_small(each, unit)}")]
    profit = money(each["unrealised_pnl"], unit, signed=True)
    share = percent(each["share_of_equity"])
    return [
        _line(
            "Held", f"{text}, entry {_number(each['entry_price'])}, mark {_number(each['mark'])}"
        ),
        _line("", f"value {value}, {share} of equity, profit {profit} before fees"),
        _line("  Stop", _stop_text(each, state)),
    ]


def _too_small(each: dict[str, Any], unit: str) -> str:
    """Return why no order can close a remainder, and none can protect it."""
    least = f"below the minimum notional of {_number(each['min_notional'])} {unit}".rstrip()
    shortfall = least if (each["value"] or 0.0) < each["min_notional"] else "below a lot"
    return f"{shortfall}, no order can close it"


def _stop_text(each: dict[str, Any], state: dict[str, Any]) -> str:
    stop = each["stop"]
    venue = "the simulated venue" if state["simulated"] else "the venue"
    ids = ", ".join(stop["client_ids"])
    covered = stop["quantity"] is None or stop["quantity"] >= 0.99 * each["quantity"]
    part = (
        "" if covered else f", covering {_number(stop['quantity'])} of {_number(each['quantity'])}"
    )
    described = f"{_number(stop['quantity'])} at {_number(stop['trigger_price'])}{part} ({ids})"
    idle = "it does not act while the run does not run"
    if stop["held"] == "venue":
        return f"at {venue}: {described}" + ("" if stop["acts"] else f"; {idle}")
    if stop["held"] == "unconfirmed":
        return f"sent to {venue}, not confirmed: {described}; it may not be there"
    if stop["held"] == "engine":
        rules = ", ".join(stop["rules"])
        if stop["exits"]:
            exits = ", ".join(filter(None, stop["exits"])) or "without a client id"
            return f"none at {venue}; an exit is open ({exits}): no stop acts until it has ended"
        text = f"none at {venue}; the engine watches {rules}"
        return text if stop["acts"] else f"none at {venue}; the engine holds {rules}: {idle}"
    if each["dust"]:
        return f"none: dust, {_too_small(each, state.get('currency', ''))}"
    return "none: the file has no stop_loss and no trailing stop"


def _order_text(each: dict[str, Any]) -> str:
    prices = [
        f"{word} {_number(each[name])}"
        for word, name in (("limit", "limit_price"), ("trigger", "trigger_price"))
        if each[name] is not None
    ]
    name = each["client_id"] or f"{each['order_id']} (without a client id)"
    kind = "protective stop" if each["protective_stop"] else each["type"]
    described = f"{each['symbol']} {each['side']} {kind} {_number(each['quantity'])}"
    return ", ".join(
        [f"{name}: {described}", f"filled {_number(each['filled'])}", *prices, each["state"]]
    )
