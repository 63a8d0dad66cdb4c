"""`use: forecast`: scaled and combined forecasts, their weights from volatility targets.

x = clip(f/m, +-cap), m the mean over the window of the members' median |f|, zeros left out.
F = clip(FDM * sum(w * x), +-cap). Weight = F * (target/volatility) * s * IDM, s = 1/members.
FDM and IDM are 1/sqrt(w' C w), at most 2.5, over correlations whose negatives count as 0.
m and the correlations of returns belong to the last `window` decision times, so that a symbol that
lacks a bar is compared at the times of the others; x is pooled over each symbol's own bars. A
member that lacks the bar at T stays in all three: n counts it, and it keeps its units.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from tests.fidelity.positions.settings import Forecast

__all__ = [
    "AtTimes", "clip", "common_returns", "correlation", "forecast_weights", "multiplier",
    "scale_of",
]  # fmt: skip

MOST = 2.5
History = Mapping[str, Sequence[float]]
"""Symbol -> the values of the last `window` bars."""


@dataclass(frozen=True)
class AtTimes:
    """By symbol, at the last `window` decision times: NaN where it has no bar.

    `closes` begin one time earlier.
    """

    features: Mapping[str, History]
    closes: History


def common_returns(
    a: Sequence[float], b: Sequence[float]
) -> tuple[Sequence[float], Sequence[float]]:
    """Return the simple returns of two lists of closes between the times at which both have one."""
    both = [(x, y) for x, y in zip(a, b, strict=True) if math.isfinite(x) and math.isfinite(y)]
    pairs = [(x / u - 1.0, y / v - 1.0) for (u, v), (x, y) in pairwise(both)]
    return [x for x, _ in pairs], [y for _, y in pairs]


def clip(value: float, cap: float) -> float:
    """Return a value held within +-cap."""
    return max(-cap, min(cap, value))


def scale_of(history: History) -> float:
    """Return m: the mean over the window of the median |f| of the members, zeros left out."""
    medians = []
    for values in zip(*history.values(), strict=True):
        sizes = [abs(each) for each in values if math.isfinite(each) and each != 0.0]
        if sizes:
            medians.append(median(sizes))
    return math.fsum(medians) / len(medians) if medians else math.nan


def correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Return Pearson's correlation over the pairs in which both are finite."""
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if math.isfinite(x) and math.isfinite(y)]
    if len(pairs) < 2:
        return math.nan
    mean_x = math.fsum(x for x, _ in pairs) / len(pairs)
    mean_y = math.fsum(y for _, y in pairs) / len(pairs)
    xx = math.fsum((x - mean_x) ** 2 for x, _ in pairs)
    yy = math.fsum((y - mean_y) ** 2 for _, y in pairs)
    xy = math.fsum((x - mean_x) * (y - mean_y) for x, y in pairs)
    return xy / math.sqrt(xx * yy) if xx > 0.0 and yy > 0.0 else math.nan


def multiplier(shares: Sequence[float], rho: Callable[[int, int], float]) -> float:
    """Return min(2.5, 1/sqrt(w' C w)); a correlation that is negative counts as 0."""
    total = 0.0
    for i, share in enumerate(shares):
        for j, other in enumerate(shares):
            found = 1.0 if i == j else rho(min(i, j), max(i, j))
            if math.isnan(found):
                return math.nan
            total += share * other * max(0.0, found)
    return min(MOST, 1.0 / math.sqrt(total)) if total > 0.0 else math.nan


def _is_full(values: Sequence[float], window: int) -> bool:
    return len(values) == window and all(map(math.isfinite, values))


def forecast_weights(
    settings: Forecast,
    features: Mapping[str, History],
    returns: History,
    volatility: Mapping[str, float],
    at_times: AtTimes | None = None,
    count: int | None = None,
) -> dict[str, float | None]:
    """Return each member's weight; None where its units stay.

    `features` and `returns` are those of each symbol's last bars; without `at_times` these are the
    last decision times. Units stay without a full window of every forecast and of returns, or with
    a NaN: one without a bar at T has no volatility, and is in m, FDM and IDM with its last bars.
    `count` is how many of them are members still, without it all. Two symbols with fewer than
    window/2 returns in common count as fully correlated.
    """
    members = list(volatility)
    full = [
        name for name in members
        if all(_is_full(features[each][name], settings.window) for each in settings.of)
        and _is_full(returns[name], settings.window)
    ]  # fmt: skip
    found: dict[str, float | None] = dict.fromkeys(members)
    if not full:
        return found
    scaled: dict[str, dict[str, list[float]]] = {}
    for each in settings.of:
        timed = features if at_times is None else at_times.features
        m = scale_of({name: timed[each][name] for name in full})
        scaled[each] = {
            name: [clip(f / m, settings.cap) if m else math.nan for f in features[each][name]]
            for name in full
        }
    pooled = [[x for name in full for x in scaled[each][name]] for each in settings.of]

    def rho(i: int, j: int) -> float:
        if at_times is None:
            return correlation(returns[full[i]], returns[full[j]])
        a, b = common_returns(at_times.closes[full[i]], at_times.closes[full[j]])
        return correlation(a, b) if 2 * len(a) >= settings.window else 1.0

    shares = list(settings.of.values())
    fdm = multiplier(shares, lambda i, j: correlation(pooled[i], pooled[j]))
    idm = multiplier([1.0 / len(full)] * len(full), rho)
    for name in full:
        combined = math.fsum(w * scaled[each][name][-1] for each, w in settings.of.items())
        strength = clip(fdm * combined, settings.cap) if math.isfinite(fdm * combined) else math.nan
        weight = strength * (settings.target / volatility[name]) if volatility[name] else math.nan
        weight *= idm / (len(members) if count is None else count)
        if math.isfinite(weight):
            found[name] = weight
    return found
