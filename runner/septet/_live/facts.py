"""What the head of a journal says of its run: enough to read it without the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from septet._data.bars import Instrument
from septet._data.calendars import sessions_per_year
from septet._live.build import currencies

__all__ = ["facts_of", "instruments_in"]


def facts_of(
    loaded: Any, build: Any, *, terms: Mapping[str, Any], tag: str, market_ns: int
) -> dict[str, Any]:
    """Return the facts of a new run as plain data.

    `terms` is what the core was made with beside the file (`septet._live.wiring.core_terms`).
    """
    strategy = loaded.strategy
    calendar = strategy.data.candles.extra["calendar"] or "24x7"
    main = calendar if isinstance(calendar, str) else next(iter(calendar.values()), "24x7")
    pairs = [currencies(each, strategy.account.currency) for each in strategy.universe.symbols]
    return {
        "symbols": list(strategy.universe.symbols),
        "bases": [base for base, _ in pairs],
        "quotes": [quote for _, quote in pairs],
        "features": list(build.features),
        "bar_ns": int(strategy.universe.bar),
        "capital": strategy.account.capital,
        "currency": strategy.account.currency,
        "seed": strategy.seed,
        "instruments": {each.symbol: _terms_of(each) for each in build.instruments},
        "venue": next(iter(strategy.execution.venues)),
        "tag": tag,
        "core": dict(terms),
        "day_start": str(strategy.day_start),
        "time_zone": strategy.time_zone,
        "days_a_year": sessions_per_year(main),
        "sessions": main != "24x7",
        "engine": "event",
        "halts": {name: _threshold(block) for name, block in strategy.risk.halts.items()},
        "created_market_ns": market_ns,
        "resolved": dict(loaded.resolved),
        "strategy_text": loaded.path.read_text(encoding="utf-8"),
        "distributions": dict(loaded.host.versions()),
    }


def instruments_in(facts: Mapping[str, Any]) -> list[Instrument]:
    """Return what a run trades, in universe order, as its journal's head says it."""
    said = facts["instruments"]
    return [Instrument(symbol, **said[symbol]) for symbol in facts["symbols"]]


def _terms_of(instrument: Instrument) -> dict[str, float]:
    terms = asdict(instrument)
    del terms["symbol"]
    return terms


def _threshold(block: Any) -> float:
    value = getattr(block.config, "above", 0.0)
    return float(value) if isinstance(value, int | float) else 0.0
