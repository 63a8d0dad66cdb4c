"""The rules of trading for one strategy: the values of its settings, and the text of the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from septet._kernel import forecast_sums, layout, match, maths, time_frames, touch
from septet._kernel import ledger as ledger_arithmetic
from septet._plan.hours_choices import hours_values
from septet._plan.invalid_answers import Checked
from septet._plan.portfolio_choices import portfolio_choices
from septet._plan.specialise import Choices, specialise
from septet._rules import (
    account,
    adds,
    bars,
    buying,
    by_hand,
    checked,
    decide,
    enter,
    entries,
    fills,
    forecasting,
    grid,
    grid_orders,
    halts,
    hours,
    idle,
    ledger,
    level_rows,
    levels,
    missing_bars,
    orders,
    position_count,
    pro_rata,
    queued,
    ranking,
    rebalance,
    reentry,
    resting,
    step,
    steps,
    stops,
    takes,
    venue_entries,
    venue_fills,
    venue_grid,
    venue_steps,
    weighting,
)
from septet_schemas.blocks import UseBlock

__all__ = ["RULES", "choices_of", "names_of_rules", "rank_of_cap", "rules_of"]

RULES: Final = (
    ledger, checked, reentry, resting, grid_orders, orders, queued, missing_bars, levels, fills,
    venue_fills, stops, takes, steps, bars, account, halts, hours, position_count, enter, adds,
    pro_rata, venue_steps, buying, venue_grid, grid, level_rows, decide, ranking, forecasting,
    weighting, rebalance, step, idle, entries, venue_entries, by_hand,
)  # fmt: skip
"""Modules of rules, in the order in which a plan's text has them."""
OF_VENUE: Final = (venue_steps, venue_entries, venue_grid)
"""Modules that only a plan with a venue's fills has."""
OF_PORTFOLIO: Final = (ranking, forecasting, weighting, rebalance)
"""Modules that only a plan with a portfolio has."""
OF_LEVELS: Final = (level_rows,)
"""Modules that only a plan whose decisions have levels has."""
OF_GRID: Final = (grid_orders, grid, venue_grid)
"""Modules that only a plan with a grid has."""
CAPS: Final = ("position", "groups", "correlated", "gross_exposure")
"""Caps of septet, in the order of checks."""


@cache
def names_of_rules() -> frozenset[str]:
    """Return the names that a plan's text has for the rules and for what they call."""
    called = (forecast_sums, time_frames, ledger_arithmetic, match, maths, touch)
    rules = (
        name
        for module in RULES
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
    )
    return frozenset((*rules, *(name for each in called for name in each.__all__)))


def rules_of(context: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of every module of rules for one strategy, by the module's name."""
    choices = choices_of(context)
    return {
        module.__name__.rpartition(".")[2]: "\n\n\n".join(specialise(module, choices).values())
        for module in RULES
        if module not in OF_VENUE or context["venue_fills"]
        if module not in OF_PORTFOLIO or context["portfolio"] is not None
        if module is not buying or context["buy_amount"] is not None
        if module not in OF_GRID or context["grid"] is not None
        if module not in OF_LEVELS or context["level_rows"]
    }


def choices_of(context: Mapping[str, Any]) -> Choices:
    """Return the choices of a strategy from what its plan is rendered from."""
    c = context
    grid = c["grid"] or {"values": {}, "texts": {}, "centre": None}
    weighed = portfolio_choices(c["portfolio"], c["portfolio_slot"], c["forecast_slot"])
    texts = {
        **weighed.texts, **grid["texts"], "TAKER_FEE": c["taker_fee"], "MAKER_FEE": c["maker_fee"],
        "VOLUME_SHARE": c["participation"], "LATENCY_NS": c["latency_ns"], "BAR_NS": c["bar_ns"],
        "LEVERAGE": c["leverage"], "MAINTENANCE": c["maintenance"],
        "LIQUIDATION_FEE": c["liquidation_fee"], "COOLDOWN_BARS": c["cooldown_bars"],
        "EXIT_AFTER_BARS": c["after"], "CONFIDENCE_FLOOR": c["below"],
        "MIN_INTERVAL": c["min_interval"], "REGIME_MASK": c["regime_mask"],
        "REBALANCE_BAND": c["rebalance"], "CASH_BUFFER": c["cash_buffer"],
        "TILE": c["tile"], "BUY_AMOUNT": c["buy_amount"], "MAX_POSITIONS": c["max_positions"],
        "SLIPPAGE_HINT": c["slippage_hint"], "TIME_IN_FORCE": c["time_in_force"],
        **_numbers_of("ORDER", c["order_checked"]), **_numbers_of("SIZE", c["sizing_checked"]),
        **_numbers_of("REGIME", c["regime_checked"]),
    }  # fmt: skip
    calls = {
        "slippage_at_fill": c["slippage"], "slippage_at_decision": c["enter_slippage"],
        "probability_up": c["probability_up"], "regime": c["regime"], "size": c["sizing_call"],
        "order_prices": c["order_call"], "signal_at": f"ask_signal(k, i, side, {c['args']})",
        "learn_from_trade": c["closed_call"],
        "observe_features": f"observe_span(t0, t1, {c['args']})",
        "keep_signals": f"signals_over(first, last, {c['args']})", **weighed.calls,
        "grid_centre": grid["centre"],
        **({"keep_signals": "0"} if c["no_signal"] else {}),  # it is never set
    }  # fmt: skip
    return Choices(
        values={
            **weighed.values, "SPOT": c["spot"], "VENUE_FILLS": c["venue_fills"],
            "ONE_SYMBOL": c["one"], "SYMBOLS": c["symbols"],
            "ONE_FEE": c["maker_fee"] == c["taker_fee"], "FEE_IN_KIND": c["received"],
            "PARTICIPATION": c["participation"] is not None, "RESTS": c["rests"],
            "QUEUES": c["queues"],
            "LIQUIDATES": c["liquidation"], "LIQUIDATES_HERE": c["liquidates"],
            "FUNDED": c["funding_column"] is not None,
            "FUNDING_ROW": c["funding_column"], "FUNDING_BEFORE_ROW": c["funding_before_column"],
            "PROTECTS": c["protects"], "LEVELS_READ": c["levels_read"],
            "LEVEL_ROWS": c["level_rows"], "TRACKS_BEST": c["tracks_best"], "REENTRY": c["rearm"],
            "TRACKS_POSITION": c["tracks_position"], "STEPS": c["steps"],
            "SIZES_BY_STOP": c["sizes_by_stop"], "BUYS": c["buy_amount"] is not None,
            "GRID": bool(c["grid"]), "GRID_SIDES": False, **grid["values"],
            "HAS_SIGNAL": calls["keep_signals"] != "0",
            "LEARNS_FROM_TRADES": c["closed_call"] is not None,
            "TABLES": c["tables"], "CURVE": c["curve"],
            "SIGNAL_IGNORES_ACCOUNT": c["signal_ignores_account"],
            "HELD_SIGNAL_IS_IDLE": c["held_signal_is_idle"],
            "IDLE_WHILE_HELD": c["idle_while_held"],
            "IDLE_WHILE_HELD_ALONE": c["idle_while_held_alone"],
            "OPPOSITE_EXITS": c["opposite"], "EXIT_AFTER": c["after"] is not None,
            "BELOW": c["below"] is not None, "RENEWS": c["renews"],
            "REGIMES": c["regime"] is not None, "REBALANCES": c["rebalance"] is not None,
            "CHECKS_ORDER": c["order_checked"] is not None,
            "CHECKS_SIZE": c["sizing_checked"] is not None,
            "CHECKS_REGIME": c["regime_checked"] is not None,
            "REGIME_COUNT": c["regime_count"], "CHECKED_SLOT": c["checked_slot"],
            "PRO_RATA": c["pro_rata"], "KEEPS_CASH": c["cash_buffer"] is not None,
            "MARKS_IDLE_SPANS": c["marks_idle_spans"],
            "TRADES_ACTIVE_SYMBOLS": c["trades_active_symbols"],
            "LOG_ROOM": c["room"], "TOUCHES": c["stops_here"], "SENDS_TAKES": c["sends_takes"],
            "NOTIONAL_SLOT": c["notionals"], "CORRELATION_SLOT": c["correlations"],
            **hours_values(c),
            **c["reasons_of_steps"],
        },
        texts={name: text for name, text in texts.items() if text is not None},
        calls={name: text for name, text in calls.items() if text is not None},
        lists={**_lists(c), **weighed.lists},
    )  # fmt: skip


def _lists(c: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
    """Return the elements of each list of the settings."""
    return {
        "PROTECTIVE": _stops(c["protective"], "level"), "TARGETS": _stops(c["targets"], "level"),
        "EXITS": _stops(c["exits"], "is_met"),
        "HALTS": [_halt(number, each) for number, each in enumerate(c["halts"])],
        "CAPS": c["caps"], "ORDER_LIMITS": c["wires"],
        "DISTANCES": c["distances"], "TAKES_AT": c["takes_at"], "TAKES_WHEN": c["takes_when"],
        "RUNGS": c["rungs"], "ADDS_WHEN": c["adds_when"],
        "EXPLAINED": [
            {"place": str(slot), "column": str(layout.LF_FIXED + number)}
            for number, slot in enumerate(c["explained"])
        ],
    }  # fmt: skip


def _numbers_of(setting: str, checked: Checked | None) -> dict[str, str | None]:
    """Return the numbers of a rule whose answers are checked: its own, and that of the reason."""
    if checked is None:
        return {}
    return {f"CHECKED_{setting}": str(checked.rule), f"BROKEN_{setting}": str(checked.reason)}


def rank_of_cap(limit: tuple[str, UseBlock]) -> int:
    """Return the place of a cap in the order of checks; another package's comes after ours."""
    use = limit[1].use
    return CAPS.index(use) if use in CAPS else len(CAPS)


def _stops(stops: Sequence[Mapping[str, Any]], called: str) -> list[dict[str, str]]:
    return [
        {
            called: each["call"],
            **{name: str(each[name]) for name in ("code", "reads", "is_for_long", "is_for_short")},
            **each["checked"],
        }
        for each in stops
    ]  # fmt: skip


def _halt(number: int, halt: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of a halt: `resumes` is how, `resume_ns` after which time."""
    how = halt["resume"] if halt["resume"] in ("manual", "next_day") else "after"
    return {
        "number": str(number), "code": str(halt["code"]), "is_met": halt["call"],
        **halt["checked"], "then": str(halt["then"]),
        "reads_peak": str(halt["reads_peak"]), "resumes": repr(how),
        "resume_ns": halt["resume"] if how == "after" else "0",
    }  # fmt: skip
