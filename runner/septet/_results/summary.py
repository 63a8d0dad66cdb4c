"""Builds summary.json from a finished run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace

from septet._data.bad_rows import doubts
from septet._data.candle_ends import CANDLES_END
from septet._data.stamps import iso
from septet._results import statistics as st
from septet._results.capped_entries import capped_entries, capped_text
from septet._results.forward import forward_part
from septet._results.intervals import mean_interval, trades_at_once
from septet._results.invalid_answers import invalid_answer_rows, invalid_answers_text
from septet._results.no_trades import Idleness, idleness_of, why_idle
from septet._results.result import NOT_CLOSED
from septet._results.round_trips import round_trips_won
from septet._results.selection_bias import daily_sharpe
from septet._results.unreached_steps import unreached_text
from septet._results.verdict import Evidence, doubtful_plugins, unchecked_plugins, verdict
from septet._results.versus_holding import (
    above_holding,
    alpha_beta,
    annual_growth,
    calmar,
    excess_over,
    returns_over,
)

if TYPE_CHECKING:
    import polars as pl

    from septet._data.bars import Floats, Ints
    from septet._results.result import RunResult

__all__ = ["fees_paid", "held_in", "rejections", "slippage_paid", "summarise"]


def rejections(decisions: pl.DataFrame | None) -> dict[str, int] | None:
    """How often each rule or reason kept a decision from acting, most frequent first.

    None where the decisions were left out.
    """
    if decisions is None:
        return None
    counts = decisions.get_column("rejected_by").value_counts().rows()
    named = [(str(name), times) for name, times in counts if name not in ("", None)]
    return dict(sorted(named, key=lambda item: (-item[1], item[0])))


def fees_paid(fills: pl.DataFrame, currency: str) -> tuple[float, dict[str, float]]:
    """Fees in the account's currency, and those in currencies that have no price here.

    A fee counts as it was booked (`fee_quote`). In a run that was stored before that column
    existed, one in what the symbol trades (the base) counts at the fill's price.
    """
    import polars as pl

    unit, fee = pl.col("fee_currency").cast(pl.String), pl.col("fee")
    base = pl.col("symbol").cast(pl.String).str.split("/").list.first()
    own = pl.when(unit == currency).then(fee).when(unit == base).then(fee * pl.col("price"))
    booked = pl.lit(None, pl.Float64)
    if "fee_quote" in fills.columns:
        booked = pl.col("fee_quote").fill_nan(None)
    total = float(fills.select(pl.coalesce(booked, own).sum()).item() or 0.0)
    strange = fills.filter(booked.is_null() & (unit != currency) & (unit != base))
    strange = strange.with_columns(unit)
    unconverted = strange.group_by("fee_currency").agg(fee.sum()).sort("fee_currency")
    return total, dict(unconverted.iter_rows())


def slippage_paid(fills: pl.DataFrame, orders: pl.DataFrame) -> float:
    """Cost of filling away from the decision price, in the account's currency.

    Sum of side * quantity * (price - decision price); positive is a cost, negative a gain.
    Orders without a decision price do not count.
    """
    import polars as pl

    joined = fills.join(orders.select("order_id", "decision_price"), on="order_id", how="inner")
    sign = pl.when(pl.col("side").cast(pl.String) == "buy").then(1.0).otherwise(-1.0)
    away = pl.col("price") - pl.col("decision_price")
    cost = joined.select((sign * pl.col("quantity") * away).fill_nan(None).sum()).item()
    return float(cost or 0.0)


def _closed(trades: pl.DataFrame) -> tuple[Floats, float, int]:
    """Net results of closed trades by entry, how many overlap, and the positions still open."""
    import polars as pl

    reason = trades.get_column("exit_reason").cast(pl.String)
    still = (reason == "open").fill_null(False)
    closed = trades.filter(~reason.is_in(NOT_CLOSED).fill_null(False)).sort(
        "entry_time", maintain_order=True
    )
    entry, exit_ = (closed.get_column(f"{end}_time").to_physical() for end in ("entry", "exit"))
    pnl = np.asarray(closed.get_column("pnl").to_numpy(), dtype=np.float64)
    return pnl, trades_at_once(entry.to_numpy(), exit_.to_numpy()), int(still.sum())


def held_in(result: RunResult, time_ns: Ints) -> Floats | None:
    """Growth of the benchmark, else of all symbols equally, since the first decision."""
    facts, closes = result.facts, result.held
    if closes is None:
        closes = {name: (each.known_ns, each.close) for name, each in result.bars.items()}
    bars = {
        symbol: pair
        for symbol, pair in closes.items()
        if len(pair[0]) and facts.benchmark in ("", symbol)
    }
    return st.hold_growth(time_ns, bars, facts.first_decision_ns) if bars else None


def _hold_return(result: RunResult) -> float | None:
    growth = held_in(result, np.array([result.facts.end_ns], dtype=np.int64))
    return None if growth is None else st.total_return(1.0, float(growth[0]))


def _only_long(result: RunResult, trades: pl.DataFrame) -> bool:
    """Whether every position of the run was long; without positions, what the file allows."""
    import polars as pl

    reason, side = (pl.col(name).cast(pl.String) for name in ("exit_reason", "side"))
    sides = trades.filter((reason != "dust").fill_null(True)).select(side).to_series()
    return "short" not in sides if len(sides) else result.facts.long_only


def _beside_holding(
    result: RunResult, days: Ints, returns: Floats, exposure: float | None, *, only_long: bool
) -> dict[str, Any]:
    """Alpha and beta to holding; for a run that was only ever long, the excess over it."""
    growth, a_year = held_in(result, days), result.facts.days_a_year
    compared: dict[str, Any] = {"alpha": None, "beta": None, "excess": None}
    if growth is None or len(returns) == 0:
        return compared
    market = st.daily_returns(growth)
    if len(market) == len(returns):
        compared["alpha"], compared["beta"] = alpha_beta(returns, market, a_year)
        if only_long:
            excess = excess_over(returns, market, exposure, a_year)
            compared["excess"] = None if excess is None else excess.document()
    return compared


def _ratios(result: RunResult, frames: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """Figures that come from the equity curve and the fills."""
    facts, table = result.facts, frames["equity"]
    time_ns = table.get_column("time").to_physical().to_numpy()
    equity = table.get_column("equity").to_numpy()
    days, samples = st.sample_days(
        time_ns,
        equity,
        sessions=facts.sessions,
        ends_inside=facts.ends_inside,
        session_close=facts.session_close,
        day_start=facts.day_start,
        time_zone=facts.time_zone,
    )
    returns = st.daily_returns(samples)
    fills = frames["fills"]
    notional = float((fills.get_column("quantity") * fills.get_column("price")).sum())
    final = float(equity[-1]) if len(equity) else facts.initial_capital
    deepest, every = result.max_drawdown, equity
    if deepest is None:
        deepest = st.max_drawdown(equity, facts.initial_capital)
    if result.mean_equity is not None:
        every = np.array([result.mean_equity])
    exposure = _exposure(result, table)
    only_long = _only_long(result, frames["trades"])
    growth = annual_growth(facts.initial_capital, final, facts.end_ns - facts.first_decision_ns)
    return {
        "final_equity": final,
        "total_return": st.total_return(facts.initial_capital, final),
        "cagr": growth,
        "calmar": calmar(growth, deepest),
        "days": len(returns),
        **_beside_holding(result, days, returns, exposure, only_long=only_long),
        "tries": _tries(result, days, returns, exposure, only_long=only_long),
        "sharpe": st.sharpe(returns, facts.days_a_year),
        "sortino": st.sortino(returns, facts.days_a_year),
        "max_drawdown": deepest,
        "turnover": st.turnover(notional, every, facts.end_ns - facts.first_decision_ns),
        "exposure": exposure,
    }


def daily_excess(result: RunResult, frames: Mapping[str, pl.DataFrame]) -> tuple[Ints, Floats]:
    """Days (UTC ns, at their starts) and the daily returns that the figures of a run use.

    Of a run that was only ever long they are those over holding its mean exposure, where that is
    defined. `returns` has one value less than `days`.
    """
    facts, table = result.facts, frames["equity"]
    days, samples = st.sample_days(
        table.get_column("time").to_physical().to_numpy(), table.get_column("equity").to_numpy(),
        sessions=facts.sessions, ends_inside=facts.ends_inside, session_close=facts.session_close,
        day_start=facts.day_start, time_zone=facts.time_zone,
    )  # fmt: skip
    returns = st.daily_returns(samples)
    if _only_long(result, frames["trades"]):
        return days, _over_holding(result, days, returns, _exposure(result, table))
    return days, returns


def _over_holding(result: RunResult, days: Ints, returns: Floats, exposure: float | None) -> Floats:
    """Daily returns over holding the mean exposure, where that is defined; else as they are."""
    growth = held_in(result, days)
    if growth is None or not len(returns):
        return returns
    over = returns_over(returns, st.daily_returns(growth), exposure)
    return returns if over is None else over


def _tries(
    result: RunResult, days: Ints, returns: Floats, exposure: float | None, *, only_long: bool
) -> dict[str, Any] | None:
    """What the tries before a run leave of its ratio of daily returns; None if nobody asked."""
    if result.tries is None:
        return None
    if result.tries.effective is None:  # nothing is left to work out
        return result.tries.document(None, 0, None, None)
    if only_long:
        returns = _over_holding(result, days, returns, exposure)
    count = len(returns)
    ratio = daily_sharpe(float(returns.sum()), float(returns @ returns), count)
    away = returns - returns.mean() if count else returns
    spread = float((away @ away) / count) if count else 0.0
    if not spread > 0.0:
        return result.tries.document(ratio, count, None, None, over_holding=only_long)
    skew, kurtosis = (float((away**n).mean() / spread ** (n / 2)) for n in (3, 4))
    return result.tries.document(ratio, count, skew, kurtosis, over_holding=only_long)


def _exposure(result: RunResult, equity: pl.DataFrame) -> float | None:
    column = equity.get_column("exposure")
    if column.null_count() == len(column):
        return result.mean_exposure
    return st.exposure(column.to_numpy())


def _idleness(result: RunResult, frames: Mapping[str, pl.DataFrame]) -> Idleness:
    return replace(idleness_of(frames, result.resolved), waits=result.rebalance_waits)


def _last_ns(fills: pl.DataFrame) -> int | None:
    times = fills.get_column("time").to_physical().to_numpy()
    return int(times.max()) if len(times) else None


def _old_prices(result: RunResult, frames: Mapping[str, pl.DataFrame]) -> list[str]:
    """Name open positions in symbols whose candles ended before the run did."""
    import polars as pl

    ended = {each.symbol: each for each in result.findings if each.kind == CANDLES_END}
    if not ended:
        return []
    trades = frames["trades"]
    still = trades.filter((pl.col("exit_reason").cast(pl.String) == "open").fill_null(False))
    held = still.get_column("symbol").cast(pl.String).unique(maintain_order=True)
    return [
        f"The open position in {symbol} is valued at its last price, of {ended[symbol].examples[0]}"
        for symbol in held
        if symbol in ended
    ]


def _evidence(
    result: RunResult,
    frames: Mapping[str, pl.DataFrame],
    figures: Mapping[str, Any],
    pnl: Floats,
    at_once: float,
) -> Evidence:
    facts = result.facts
    capped = capped_text(capped_entries(frames.get("decisions")))
    notes = [each for each in (capped, unreached_text(frames, result.resolved)) if each]
    return Evidence(
        currency=facts.currency,
        symbols=facts.symbols,
        trades=len(pnl),
        open_trades=figures["open_trades"],
        fills=frames["fills"].height,
        decisions=frames["decisions"].height if "decisions" in frames else result.facts.bars,
        rejections=figures["rejections"],
        total_return=figures["total_return"],
        hold_return=figures["buy_and_hold_return"],
        benchmark=facts.benchmark,
        excess=figures["excess"],
        only_long=_only_long(result, frames["trades"]),
        above_holding=above_holding(figures["excess"], figures["days"], facts.days_a_year),
        sharpe=figures["sharpe"],
        fees=figures["fees"],
        net=mean_interval(pnl, at_once),
        halts=result.halts,
        final_equity=figures["final_equity"],
        late_start=facts.late_start,
        why_idle="" if frames["fills"].height else why_idle(_idleness(result, frames)),
        span_ns=(result.facts.first_decision_ns, result.facts.end_ns),
        last_fill_ns=_last_ns(frames["fills"]),
        bad_rows=[
            *(each.message for each in doubts(result.findings)),
            *_old_prices(result, frames),
        ],
        breaks=[*notes, *invalid_answers_text(figures["invalid_answers"])],
        unchecked=unchecked_plugins(result.manifest),
        doubtful=[*doubtful_plugins(result.manifest), *result.doubts],
        models=len(result.models) if result.predictions is not None else None,
    )


def _forward(
    result: RunResult, frames: Mapping[str, pl.DataFrame], run_id: str
) -> dict[str, Any] | None:
    """Return the summary of what came after the file was first tried, if anything did."""
    part = forward_part(result, frames)
    return None if part is None else summarise(*part, run_id=run_id)


def summarise(
    result: RunResult, frames: Mapping[str, pl.DataFrame], *, run_id: str
) -> dict[str, Any]:
    """Return the document of summary.json; fractions, not percents; what is undefined is null.

    `frames` are those of `stored_frames(result)`, or of `frames_of(result)`, which leaves the
    figures of round trips null. After the figures of every run follow a few that
    its readers need: the currency, what holding made, open trades, rejections and halts.
    """
    facts = result.facts
    pnl, at_once, still_open = _closed(frames["trades"])
    fees, unconverted = fees_paid(frames["fills"], facts.currency)
    ratios = _ratios(result, frames)
    rejected = rejections(frames.get("decisions"))
    extra: dict[str, Any] = {
        "currency": facts.currency,
        "symbols": list(facts.symbols),
        "benchmark": facts.benchmark or None,
        "late_start": facts.late_start or None,
        "buy_and_hold_return": _hold_return(result),
        "alpha": ratios["alpha"],
        "beta": ratios["beta"],
        "excess": ratios["excess"],
        "days": ratios["days"],
        "tries": ratios["tries"],
        "forward": _forward(result, frames, run_id),
        "open_trades": still_open,
        **round_trips_won(frames.get("round_trips")),
        "fees_other": unconverted,
        "rejections": rejected,
        "invalid_answers": invalid_answer_rows(result),
        "halts": [
            {"rule": halt.rule, "time": iso(halt.time_ns), "then": halt.then, "value": halt.value}
            for halt in result.halts
        ],
    }
    summary: dict[str, Any] = {
        "run_id": run_id,
        "strategy": facts.strategy,
        "mode": facts.mode,
        "engine": facts.engine,
        "start": iso(facts.start_ns),
        "end": iso(facts.end_ns),
        "first_decision": iso(facts.first_decision_ns),
        "bars": facts.bars,
        "trades": len(pnl),
        "initial_capital": facts.initial_capital,
        "final_equity": ratios["final_equity"],
        "total_return": ratios["total_return"],
        "cagr": ratios["cagr"],
        "sharpe": ratios["sharpe"],
        "sortino": ratios["sortino"],
        "calmar": ratios["calmar"],
        "max_drawdown": ratios["max_drawdown"],
        "win_rate": st.win_rate(pnl),
        "profit_factor": st.profit_factor(pnl),
        "fees": fees,
        "funding": float(frames["trades"].get_column("funding").sum()),
        "liquidation": float(frames["trades"].get_column("liquidation").sum()),
        "slippage": slippage_paid(frames["fills"], frames["orders"]),
        "turnover": ratios["turnover"],
        "exposure": ratios["exposure"],
        "seconds": facts.seconds,
        "seconds_total": facts.seconds_total,
        "bars_per_second": facts.bars / facts.seconds if facts.seconds > 0 else None,
        "verdict": "",
    }
    figures = {**summary, **extra}
    summary["verdict"] = verdict(_evidence(result, frames, figures, pnl, at_once))
    return {**summary, **extra}
