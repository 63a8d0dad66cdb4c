"""Weights from forecasts: scaled to a mean size of 1, combined, and sized by volatility.

x = clip(f/m, ±cap), m the mean over the window of the symbols' median |f|, zeros left out.
F = clip(FDM · Σ share · x, ±cap); a weight is F · (target/volatility) · IDM / symbols. FDM and IDM
are 1/√(w'Cw), at most 2.5, over correlations of x (all symbols pooled) and of simple returns,
whose negatives count as 0. The windows of x are a symbol's last bars; without a whole one, or with
a NaN, units stay. Those of m and of returns are the last decision times, so that symbols of which
one lacks a bar are compared at the same times. A member that lacks the bar at T stays in the
estimate with its last bars: n counts it, and it keeps its units.
Source: Carver, Systematic Trading (2015), with a mean forecast of 1 for his 10.
"""

from __future__ import annotations

import math
from math import nan

from septet._kernel.forecast_sums import (
    add_clipped,
    add_products,
    all_finite,
    clip,
    common_products,
    median_size,
    returns_finite,
    value_of,
)
from septet._kernel.layout import AGE, KEEPS_UNITS, MEMBER_BARS
from septet._rules.compile_marks import at, kernel, routine
from septet._rules.ranking import is_known
from septet._rules.run_state import Run
from septet._rules.settings import (
    FORECAST_CAP,
    FORECAST_COUNT,
    FORECAST_SLOT,
    FORECAST_TARGET,
    FORECAST_WINDOW,
    FORECASTS,
    MEMBERS_ROW,
    ONE_SYMBOL,
    SPOT,
    SYMBOLS,
    volatility_at,
)

__all__ = [
    "correlation_of", "correlation_of_returns", "count_members", "find_full", "forecast_weights",
    "has_window", "mean_forecasts", "multiplier", "multiplier_of_forecasts",
    "multiplier_of_returns", "newest_member_bar", "scale_forecasts", "weigh_forecasts",
]  # fmt: skip


@kernel
def count_members(t, run: Run):
    """Return how many symbols have had a bar by t and whose bars have not ended."""
    return 1 if ONE_SYMBOL else run.T[MEMBERS_ROW, at(t)]


@kernel
def multiplier(total):
    """Return 1/sqrt(total), at most 2.5; NaN where it is undefined."""
    return min(2.5, 1.0 / math.sqrt(total)) if total > 0.0 else nan


@kernel
def correlation_of(xx, yy, xy, scale):
    """Return xy/sqrt(xx * yy), negative values as 0; NaN where one of the two is constant.

    `scale` is the sum of squares before the means were taken out.
    """
    if not (xx > 1e-24 * scale and yy > 1e-24 * scale):
        return nan
    return max(0.0, xy / math.sqrt(xx * yy))


@routine
def has_window(k, last, run: Run):
    """Whether forecasts and returns of k are finite over its last bars up to `last`."""
    first = last - FORECAST_WINDOW + 1
    if first < 1 or run.M[k, AGE, last] < FORECAST_WINDOW:
        return False
    known = returns_finite(k, first, last, run.X)
    for forecast in FORECASTS:
        known = known and all_finite(k, first, last, forecast.column(run))
    return known


@routine
def newest_member_bar(k, t, run: Run):
    """Return the last bar of k at one of the last times up to t; -1 without one, or once ended.

    Its bars have ended when `MEMBER_BARS` scheduled ones did not come: see `septet._data.members`.
    """
    if ONE_SYMBOL:
        return t
    missed, later = 0, -1
    for back in range(min(FORECAST_WINDOW, t + 1)):
        cell = run.bar[k, t - back]
        if cell >= 0:
            return cell if missed < MEMBER_BARS else -1
        if cell < -1 and cell != later:
            missed += 1
        later = cell
    return -1


@routine
def find_full(t, run: Run):
    """Set the role of symbols with a full window to 1, others to kept units; return the count."""
    count = 0
    for k in range(SYMBOLS):
        last = newest_member_bar(k, t, run)
        run.role[k] = KEEPS_UNITS
        run.new_weight[k] = run.drifted_weight[k]
        if last >= 0 and has_window(k, last, run):
            run.role[k] = 1
            count += 1
    return count


@routine
def scale_forecasts(t, run: Run):
    """Find m of each forecast: the mean over the last times of the symbols' median size."""
    for forecast in FORECASTS:
        run.A[FORECAST_SLOT + forecast.number] = median_size(
            t, FORECAST_WINDOW, forecast.column(run), ONE_SYMBOL, run.T, run.B, run.I
        )


@routine
def mean_forecasts(t, count, run: Run):
    """Find the mean of each scaled forecast over the windows of all symbols."""
    for forecast in FORECASTS:
        total = 0.0
        m = run.A[FORECAST_SLOT + forecast.number]
        for k in range(SYMBOLS):
            if run.role[k] == 1:
                last = newest_member_bar(k, t, run)
                first = last - FORECAST_WINDOW + 1
                total = add_clipped(total, k, first, last, forecast.column(run), m, FORECAST_CAP)
        mean = total / (count * FORECAST_WINDOW)
        run.A[FORECAST_SLOT + FORECAST_COUNT + forecast.number] = mean


@routine
def multiplier_of_forecasts(t, run: Run):
    """FDM: the bound on the scale of the combined forecast relative to a single one."""
    total = 0.0
    for forecast_a in FORECASTS:
        for forecast_b in FORECASTS:
            if forecast_a.number == forecast_b.number:
                total += forecast_a.share * forecast_a.share
            else:
                columns = (forecast_a.column(run), forecast_b.column(run))
                scales = (
                    run.A[FORECAST_SLOT + forecast_a.number],
                    run.A[FORECAST_SLOT + forecast_b.number],
                )
                means = (
                    run.A[FORECAST_SLOT + FORECAST_COUNT + forecast_a.number],
                    run.A[FORECAST_SLOT + FORECAST_COUNT + forecast_b.number],
                )
                sums = (0.0, 0.0, 0.0, 0.0)
                for k in range(SYMBOLS):
                    if run.role[k] == 1:
                        last = newest_member_bar(k, t, run)
                        first = last - FORECAST_WINDOW + 1
                        sums = add_products(
                            sums, k, first, last, columns, scales, means, FORECAST_CAP
                        )
                xx, yy, xy, scale = sums
                total += forecast_a.share * forecast_b.share * correlation_of(xx, yy, xy, scale)
    return multiplier(total)


@routine
def correlation_of_returns(k, other_k, t, run: Run):
    """Correlate the simple returns of two symbols between common bars of the last times.

    1 where less than half of the window is common.
    """
    count, xx, yy, xy, scale = common_products(k, other_k, t, FORECAST_WINDOW, run.T, run.X)
    return 1.0 if 2 * count < FORECAST_WINDOW else correlation_of(xx, yy, xy, scale)


@routine
def multiplier_of_returns(t, count, run: Run):
    """Return the IDM: how much larger equally weighted positions may be than a single one."""
    total = 1.0 * count
    if not ONE_SYMBOL:
        for k in range(SYMBOLS):
            for other_k in range(k + 1, SYMBOLS):
                if run.role[k] == 1 and run.role[other_k] == 1:
                    total += 2.0 * correlation_of_returns(k, other_k, t, run)
    return multiplier(total / (1.0 * count * count))


@routine
def weigh_forecasts(t, fdm, idm, run: Run):
    """Set the weight of every symbol with a full window; other symbols keep their units."""
    members = count_members(t, run)
    for k in range(SYMBOLS):
        if run.role[k] != 1:
            continue
        i = t if ONE_SYMBOL else run.bar[k, t]
        if i < 0:
            run.role[k] = KEEPS_UNITS
            continue
        combined = 0.0
        for forecast in FORECASTS:
            m = run.A[FORECAST_SLOT + forecast.number]
            value = value_of(k, i, forecast.column(run))
            combined += forecast.share * clip(value / m, FORECAST_CAP)
        volatility = volatility_at(k, i, run)
        weight = nan
        if volatility > 0.0:
            weight = clip(fdm * combined, FORECAST_CAP) * (FORECAST_TARGET / volatility)
            weight = weight * idm / members
        if is_known(weight):
            if SPOT:
                weight = max(0.0, weight)
            run.role[k] = 1 if weight > 0.0 else -1 if weight < 0.0 else 0
            run.new_weight[k] = weight
        else:
            run.role[k] = KEEPS_UNITS


@routine
def forecast_weights(t, run: Run):
    """Weights of all symbols from their forecasts at T."""
    count = find_full(t, run)
    if count == 0:
        return
    scale_forecasts(t, run)
    mean_forecasts(t, count, run)
    fdm = multiplier_of_forecasts(t, run)
    idm = multiplier_of_returns(t, count, run)
    weigh_forecasts(t, fdm, idm, run)
