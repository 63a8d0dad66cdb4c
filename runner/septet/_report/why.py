"""Explains why an order was made, or why none was, from the stored tables of a run."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from septet._data.stamps import iso
from septet._report.rule_texts import (
    NO_BUY,
    rule_states,
    text_of_rule,
    text_of_signal,
    text_of_threshold,
)
from septet._report.why_rebalance import (
    no_order_sentence,
    not_traded_words,
    rebalance_of,
    rebalance_words,
)
from septet._results.number_texts import UNDEFINED
from septet._store.run_folder import JOURNAL
from septet._store.tables import feature_names
from septet._text import decode_json, plain_json
from septet.errors import InputError
from septet_schemas.position import LEVEL_COLUMNS

if TYPE_CHECKING:
    import polars as pl

    from septet._store.run_folder import Run

__all__ = ["explain", "parse_time", "parts_of", "sentence_of", "value_text"]

_DATE: Final = re.compile(r"\d{4}-?\d{2}-?\d{2}")
_SIGNALLED: Final = ("entry", "exit", "opposite", "reversal")
"""Reasons of orders that follow from the signal of their decision."""
_DECISION: Final = (
    "signal",
    "probability_up",
    "confidence",
    "requested",
    "granted",
    "capped_by",
    "rejected_by",
    "late",
)


def parse_time(text: str) -> int:
    """Read a UTC time as nanoseconds: ISO 8601, without a zone it is UTC; a date is its end."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as problem:
        raise InputError(
            f"{text!r} is no time; expected one such as 2023-05-01T14:00", hint="times are UTC"
        ) from problem
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    if _DATE.fullmatch(text.strip()):  # a date includes its day
        moment += timedelta(days=1) - timedelta(microseconds=1)
    seconds = int(moment.replace(microsecond=0).timestamp())
    return seconds * 1_000_000_000 + moment.microsecond * 1_000


def _row(frame: pl.DataFrame) -> dict[str, Any]:
    """Return one row as plain values; times become text."""
    import polars as pl

    stamps = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
    without_stamps = frame.with_columns(pl.col(stamps).dt.timestamp("ns"))
    row = without_stamps.row(0, named=True)
    return {name: iso(value) if name in stamps else value for name, value in row.items()}


def _has_journal(run: Run) -> bool:
    """Whether a run has a journal that can be opened."""
    has = (run.folder / JOURNAL).is_file()
    return has and not (run.finding is not None and run.finding.kind == "unreadable")


def _order(run: Run, order_id: str) -> pl.DataFrame:
    import polars as pl

    orders = run.table("orders")
    matching = orders.filter(pl.col("order_id").cast(pl.String) == order_id)
    if not matching.height and _has_journal(run):
        from septet._store.journal_view import order_of

        matching = orders.filter(pl.col("order_id") == order_of(run.folder, order_id))
    if matching.height:
        return matching.head(1)
    ids = orders.get_column("order_id").cast(pl.String).to_list()
    near = difflib.get_close_matches(order_id, ids, n=3) or ids[:3]
    existing = f"such as {', '.join(near)}" if near else "there are none"
    raise InputError(
        f"run {run.run_id} has no order {order_id!r}; it has {len(ids):,} orders, {existing}",
        hint="to ask why there was no order, name the symbol and time: SYMBOL@TIME",
    )


def _decision(run: Run, symbol: str, time_ns: int) -> pl.DataFrame:
    """Find the decision of a symbol at a time, or the last one before it."""
    import polars as pl

    at = pl.lit(time_ns).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    own_rows = run.scan("decisions").filter(pl.col("symbol").cast(pl.String) == symbol)
    newest = run.collected("decisions", own_rows.filter(pl.col("time") <= at).tail(1))
    if newest.height:
        return newest
    if run.collected("decisions", own_rows.head(1)).height == 0:
        traded = ", ".join(run.facts.symbols[:8])
        raise InputError(f"run {run.run_id} has no decisions for {symbol!r}; it traded {traded}")
    first = iso(run.facts.first_decision_ns)
    raise InputError(
        f"run {run.run_id} decided nothing for {symbol} by {iso(time_ns)}",
        hint=f"its first decision was at {first}",
    )


def _decided(
    run: Run, order: pl.DataFrame | None, symbol: str, time_ns: int
) -> tuple[dict[str, Any], int]:
    """Return the decision behind an order or at a time, and when it was taken.

    Without a table of decisions it has what the order itself records.
    """
    if "decisions" in run.left_out and order is not None:
        row = _row(order)
        from_order = {name: row[name] for name in ("time", "probability_up", "confidence")}
        return {**dict.fromkeys(_DECISION), **from_order}, time_ns
    chosen = _decision(run, symbol, time_ns)
    return _row(chosen), int(chosen["time"].to_physical().item(0))


def _bar(run: Run, symbol: str, time_ns: int) -> dict[str, Any] | None:
    """Return the last bar known at a decision, without later data.

    A group of bars joined for display is not that bar: then only `bars_joined` is reported.
    """
    import polars as pl

    at = pl.lit(time_ns).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    own_bars = run.table("bars").filter(pl.col("symbol") == symbol)
    joined = int(run.manifest.get("display", {}).get("bars_joined", {}).get(symbol, 1))
    last_known = own_bars.filter(pl.col("time") <= at).tail(1)
    if joined > 1:  # neither the last group nor a group already begun may contain the bar
        open_group = own_bars.filter((pl.col("open_time") < at) & (pl.col("time") > at)).head(1)
        length = (pl.col("time") - pl.col("open_time")).dt.total_nanoseconds()
        if pl.concat((last_known, open_group)).filter(length > run.facts.bar_ns).height:
            return {"bars_joined": joined}
    return {**_row(last_known), "bars_joined": 1} if last_known.height else None


def _sizing(order: Mapping[str, Any] | None) -> dict[str, Any]:
    try:
        decoded = decode_json((order or {}).get("sizing_inputs") or "{}")
    except ValueError:
        return {"unreadable": str((order or {}).get("sizing_inputs"))}
    return decoded if isinstance(decoded, dict) else {"value": decoded}


def _model(run: Run, time_ns: int) -> str | None:
    """Return the id of the model that was current at a time."""
    ready = [
        card
        for card in run.manifest.get("models", [])
        if isinstance(card.get("ready_ns"), int) and card["ready_ns"] <= time_ns
    ]
    return str(ready[-1].get("model_id")) if ready else None


def _trace(
    run: Run, order: Mapping[str, Any] | None, symbol: str, time_ns: int
) -> list[dict[str, Any]]:
    """Read an order's steps from the journal, where the run has one."""
    if order is None or not _has_journal(run):
        return []
    from septet._store.journal_view import trace_of

    return trace_of(run.folder, str(order["order_id"]), symbol, time_ns)


def _target(run: Run, reference: str) -> tuple[pl.DataFrame | None, str, int]:
    """Parse ``ORDER`` or ``SYMBOL@TIME``: the order if there is one, the symbol and the time."""
    import polars as pl

    symbol, sign, moment = reference.rpartition("@")
    if not sign:
        order = _order(run, reference)
        return order, str(order.item(0, "symbol")), int(order["time"].to_physical().item(0))
    time_ns = parse_time(moment)
    at = pl.lit(time_ns).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    orders = run.table("orders").filter((pl.col("symbol") == symbol) & (pl.col("time") == at))
    return (orders.head(1) if orders.height else None), symbol, time_ns


def _entry_of(
    run: Run, order: Mapping[str, Any] | None, resolved: Mapping[str, Any], time_ns: int
) -> dict[str, Any] | None:
    """Return the entry whose position a stop or target closed, and the decision that sent it.

    None for other orders, and if the run has no trade or entry for it.
    """
    import polars as pl

    risk = resolved.get("risk") or {}
    placed = {*(risk.get("stops") or {}), "take", "liquidation"}
    if order is None or order["reason"] not in placed:
        return None
    at = pl.lit(time_ns).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    is_of_symbol = pl.col("symbol").cast(pl.String) == order["symbol"]
    trades = (
        run.table("trades").filter(is_of_symbol & (pl.col("entry_time") <= at)).sort("entry_time")
    )
    if not trades.height:
        return None
    begun = trades.item(-1, "entry_time")
    first = (
        run.table("fills").filter(is_of_symbol & (pl.col("time") == begun)).get_column("order_id")
    )
    orders = run.table("orders").filter(pl.col("order_id").is_in(first.implode()) & is_of_symbol)
    entries = orders.filter(pl.col("order_id") != order["order_id"])
    if not entries.height:
        return None
    entry = entries.tail(1)
    sent_ns = int(entry["time"].to_physical().item(0))
    decision, _ = _decided(run, entry, str(order["symbol"]), sent_ns)
    return {
        "order_id": entry.item(0, "order_id"), "decided": iso(sent_ns),
        **{name: decision[name] for name in _DECISION},
    }  # fmt: skip


def _held(run: Run, symbol: str, time_ns: int) -> dict[str, Any] | None:
    """Return side and entry time of the trade that was open at a decision; None if flat."""
    import polars as pl

    at = pl.lit(time_ns).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    is_open = (pl.col("exit_time") > at) | (pl.col("exit_reason").cast(pl.String) == "open")
    is_of_symbol = pl.col("symbol").cast(pl.String) == symbol
    found = run.table("trades").filter(is_of_symbol & (pl.col("entry_time") <= at) & is_open)
    if not found.height:
        return None
    last = found.sort("entry_time").tail(1)
    return {"side": str(last.item(0, "side")), "entry_time": _row(last)["entry_time"]}


def explain(run: Run, reference: str) -> dict[str, Any]:
    """Explain an order (its id) or the lack of one (``SYMBOL@TIME``).

    Returns
    -------
    dict with the keys run_id, symbol, time, order, decision, rule, entry, held, rebalance,
    features, threshold, model, bar, sizing_inputs, fills, trace, left_out; missing ones are null
    or empty. `decision` is the last one by the time of the order; for a stop or target, which no
    decision sends, `entry` is the order whose position it closed, with its decision. `held` is the
    side and entry time of the position at a decision without an order. `rule` explains a reason
    that follows from the calendar or from other positions; otherwise it states the rule of the
    file that signalled, or the rules of entry that were not true. `rebalance` is what a portfolio
    required at that time. `trace` has the steps of an order of a paper or live run, with the
    milliseconds between them.

    Raises
    ------
    InputError
        No such order, symbol or time.
    """
    import polars as pl

    order_frame, symbol, time_ns = _target(run, reference)
    decision, decided_ns = _decided(run, order_frame, symbol, time_ns)
    order = _row(order_frame) if order_frame is not None else None
    sizing = _sizing(order)
    fills: list[dict[str, Any]] = []
    if order is not None:
        own_fills = run.table("fills").filter(pl.col("order_id") == order["order_id"])
        fills = [_row(own_fills[row]) for row in range(own_fills.height)]
    resolved = run.manifest.get("resolved") or {}
    signal = resolved.get("signal")
    reason = str(decision["rejected_by"] if order is None else order["reason"])
    side = "both" if reason == "conflict" else str(decision["signal"])
    by_rule = reason in (_SIGNALLED if order is not None else ("no_rule_true", "conflict"))
    by_rule |= order is None and side in ("long", "short", "flat")
    by_rule &= decision["signal"] is not None
    threshold = signal.get("threshold") if isinstance(signal, dict) else None
    names = feature_names(list(decision))
    explanation: dict[str, Any] = plain_json(
        {
            "run_id": run.run_id,
            "symbol": symbol,
            "time": decision["time"],
            "order": order,
            "decision": {name: decision[name] for name in _DECISION},
            "rule": text_of_rule(
                resolved,
                reason,
                ordered=order is not None,
                order_type="" if order is None else str(order["type"]),
            )
            or text_of_threshold(run, resolved, reason)
            or text_of_signal(resolved, decision, threshold, reason, ordered=order is not None)
            or (rule_states(run, resolved, symbol, decided_ns, side) if by_rule else None),
            "entry": _entry_of(run, order, resolved, time_ns),
            "held": _held(run, symbol, decided_ns) if order is None else None,
            "rebalance": rebalance_of(run, symbol, decided_ns, decision),
            "features": {name: decision[name] for name in names if name not in LEVEL_COLUMNS},
            "levels": {name: decision[name] for name in names if name in LEVEL_COLUMNS},
            "threshold": sizing.get("threshold", threshold),
            "model": _model(run, decided_ns),
            "bar": _bar(run, symbol, decided_ns),
            "sizing_inputs": sizing,
            "fills": fills,
            "trace": _trace(run, order, symbol, decided_ns),
            "left_out": list(run.left_out),
        }
    )
    return explanation


NOT_TRADED: Final = {
    "drift": "its weight differs by less than the drift",
    "below_rank": "it is ranked, and below those that are chosen",
    "not_ranked": "it is not ranked any more",
    "wrong_sign": "its score is zero or has the wrong sign, and its slot stays cash",
    "net_target": "the net target leaves nothing of its weight",
    "keeps_weight": "it has no bar or no rank, and keeps its weight",
    "keeps_units": "nothing is known of its weight, and it keeps its units",
}
"""Texts for the reasons in a decision for which a rebalance did not trade."""


def value_text(value: Any) -> str:
    """Format a value for display; an unknown value is a dash."""
    if value is None or value == "":
        return UNDEFINED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.8g}" if math.isfinite(value) else UNDEFINED
    return str(value)


def parts_of(explanation: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the facts of an explanation: titles, names and values; empty parts are left out.

    Levels of the position are listed if one is known: none is known before the entry has filled.
    """
    levels = explanation["levels"]
    decision = {
        **explanation["decision"],
        "threshold": explanation["threshold"],
        "model": explanation["model"],
    }
    if explanation["left_out"]:
        decision = {name: value for name, value in decision.items() if value is not None}
    fills = [(f"Fill {number}", fill) for number, fill in enumerate(explanation["fills"], start=1)]
    parts = [
        ("Entry that placed it", explanation["entry"]),
        ("Last decision before it" if explanation["entry"] else "Decision", decision),
        ("Rebalance", explanation["rebalance"]),
        ("Features", explanation["features"]),
        ("Levels", levels if any(value is not None for value in levels.values()) else {}),
        ("Size", explanation["sizing_inputs"]),
        ("Order", _without(explanation["order"], "sizing_inputs", "probability_up", "confidence")),
        *((title, _without(fill, "order_id")) for title, fill in fills),
        ("Bar", _without(explanation["bar"], "bars_joined")),
    ]  # fmt: skip
    return [(title, dict(values)) for title, values in parts if values]


def _without(values: Mapping[str, Any] | None, *shown_before: str) -> dict[str, Any]:
    """Return the values that no other part of the explanation contains."""
    return {
        name: value
        for name, value in (values or {}).items()
        if name != "symbol" and name not in shown_before
    }


def sentence_of(explanation: Mapping[str, Any]) -> str:
    """Return the explanation in one sentence."""
    order, decision = explanation["order"], explanation["decision"]
    if order is not None:
        clip = decision["capped_by"]
        cut = f", cut by {clip} from {value_text(decision['requested'])}" if clip else ""
        weight = explanation["features"].get("target_weight")
        to = ""
        if order["reason"] == "rebalance":
            known = isinstance(weight, float) and math.isfinite(weight)
            to = f" to a weight of {100.0 * weight:.4g}%" if known else ""
            to += rebalance_words(explanation["rebalance"])
        return (
            f"{order['side']} {value_text(order['quantity'])} {explanation['symbol']}: "
            f"{order['reason']}{to}{cut}; {_end(order)}."
        )
    if decision["rejected_by"] in NOT_TRADED:
        reason = NOT_TRADED[decision["rejected_by"]]
        unmet = not_traded_words(explanation["rebalance"], decision["rejected_by"])
        return f"No order for {explanation['symbol']}: {reason}{unmet}."
    if decision["rejected_by"]:
        return f"No order for {explanation['symbol']}: rejected by {decision['rejected_by']}."
    if explanation["rebalance"] and decision["signal"] == "none":
        return no_order_sentence(explanation["symbol"], explanation["rebalance"])
    return f"No order for {explanation['symbol']}: {_no_change(explanation)}."


def _no_change(explanation: Mapping[str, Any]) -> str:
    """Return why a signal that no rule rejected requested no order."""
    signal, held = str(explanation["decision"]["signal"]), explanation["held"]
    if held and signal == held["side"]:
        return f"the signal was {signal}, and it is held {signal} since {held['entry_time']}"
    if signal == "none" and NO_BUY in (explanation["rule"] or ""):
        return NO_BUY
    if signal == "flat" and not held:
        return "the signal was flat, and nothing is held"
    return f"the signal was {signal}"


def _end(order: Mapping[str, Any]) -> str:
    """Return how an order ended, and how much of it was filled."""
    status, why = str(order["status"]).replace("_", " "), order["ended_by"]
    filled, requested = order["filled"], order["quantity"]
    if not filled or status == "filled":
        return f"{status}: {why}" if why else status
    part = f"filled {value_text(filled)} of {value_text(requested)}"
    return f"{part}, the rest {status}: {why}" if why else part
