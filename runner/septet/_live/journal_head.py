"""The head of a new run's journal: enough to read it without the strategy file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from septet import messages as m
from septet._data.bars import Instrument
from septet._data.calendars import sessions_per_year
from septet._data.day_calendars import day_calendar, session_close, written_calendars
from septet._data.stamps import iso
from septet._files import replace_file
from septet._journal.journal_format import Head
from septet._learn.stored import StoredModel
from septet._live import start as begin
from septet._live.build_core import currencies
from septet._live.clock import LiveClock
from septet._live.run_location import RunLocation
from septet._live.stored_model import fact_of
from septet._plan.run_terms import terms_of
from septet._shell.backtest import checks_of
from septet._text import dump_json
from septet.errors import InputError
from septet_schemas.times import format_day_time

__all__ = ["describe", "facts_of", "head_of", "instruments_in"]


def head_of(
    loaded: Any,
    build: Any,
    location: RunLocation,
    *,
    clock: LiveClock,
    terms: Mapping[str, Any],
    account: str,
    history: Sequence[m.Event],
    stored: StoredModel | None = None,
) -> Head:
    """Return the head of a new run's journal; it begins with its history, if it has one."""
    bars = [each.open_ns for each in history if isinstance(each, m.BarClosed)]
    now_ns, market_ns = clock.now_ns(), clock.market_ns()
    facts = facts_of(
        loaded, build, terms=terms, tag=location.tag, market_ns=market_ns, stored=stored
    )  # fmt: skip
    return Head(
        run_id=location.run_id, strategy=loaded.strategy.name, mode=loaded.strategy.mode,
        account=account, created_ns=now_ns, origin_ns=min(bars, default=market_ns),
        facts=facts, fingerprints=begin.fingerprints_of(loaded, build.plan.name),
    )  # fmt: skip


def facts_of(
    loaded: Any,
    build: Any,
    *,
    terms: Mapping[str, Any],
    tag: str,
    market_ns: int,
    stored: StoredModel | None = None,
) -> dict[str, Any]:
    """Return the facts of a new run as plain data.

    `terms` are the core's arguments beside the file (`septet._live.wiring.core_terms`), `stored`
    the model that decides where none is fitted.
    """
    strategy = loaded.strategy
    days = day_calendar(each or "24x7" for each in written_calendars(strategy))
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
        "day_start": format_day_time(strategy.day_start),
        "time_zone": strategy.time_zone,
        "days_a_year": sessions_per_year(days),
        "sessions": days != "24x7",
        "session_close": session_close(days, market_ns),
        "long_only": terms_of(strategy).long_only,
        "benchmark": strategy.benchmark or "",
        "engine": "event",
        "halts": {name: _threshold(block) for name, block in strategy.risk.halts.items()},
        "created_market_ns": market_ns,
        "resolved": dict(loaded.resolved),
        "strategy_text": loaded.text,
        "distributions": dict(loaded.host.versions()),
        **checks_of(loaded),
        **fact_of(stored),
    }


def describe(location: RunLocation, loaded: Any, head: Head) -> None:
    """Write the strategy file and its resolved values into a new run's folder.

    Raises
    ------
    InputError
        The folder cannot be written.
    """
    manifest = {
        "format": 1, "run_id": head.run_id, "mode": head.mode, "created": iso(head.created_ns),
        "septet": head.fingerprints.get("septet", ""), "plugins": dict(loaded.host.versions()),
        "fingerprints": head.fingerprints, "facts": head.facts,
        "resolved": dict(loaded.resolved),
    }  # fmt: skip
    texts = {
        "strategy.yaml": loaded.text,
        "resolved.json": dump_json(loaded.resolved),
        "manifest.json": dump_json(manifest),
    }
    try:
        for name, text in texts.items():
            replace_file(location.folder / name, text)
    except OSError as problem:
        raise InputError(
            f"the run cannot be stored in {location.folder}: {problem.strerror}",
            hint="make room there, or name another folder with --out",
        ) from problem


def instruments_in(facts: Mapping[str, Any]) -> list[Instrument]:
    """Return the instruments of a run, in universe order, from its journal's head."""
    settings = facts["instruments"]
    return [Instrument(symbol, **settings[symbol]) for symbol in facts["symbols"]]


def _terms_of(instrument: Instrument) -> dict[str, float]:
    terms = asdict(instrument)
    del terms["symbol"]
    return terms


def _threshold(block: Any) -> float:
    value = getattr(block.config, "above", 0.0)
    return float(value) if isinstance(value, int | float) else 0.0
