"""`use: forecast`: scaled and combined forecasts, their weights from volatility targets.

x = clip(f/m, +-cap), m the mean over the window of the members' median |f|, zeros left out.
F = clip(FDM * sum(w * x), +-cap). Weight = F * (target/volatility) * s * IDM, s = 1/members.
FDM and IDM are 1/sqrt(w' C w), at most 2.5, over correlations whose negatives count as 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median

from tests.fidelity.positions.settings import Forecast

__all__ = ["clip", "correlation", "forecast_weights", "multiplier", "scale_of"]

MOST = 2.5
History = Mapping[str, Sequence[float]]
"""Symbol -> the values of the last `window` bars."""


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


def multiplier(shares: Sequence[float], series: Sequence[Sequence[float]]) -> float:
    """Return min(2.5, 1/sqrt(w' C w)); a correlation that is negative counts as 0."""
    total = 0.0
    for i, share in enumerate(shares):
        for j, other in enumerate(shares):
            rho = 1.0 if i == j else correlation(series[i], series[j])
            if math.isnan(rho):
                return math.nan
            total += share * other * max(0.0, rho)
    return min(MOST, 1.0 / math.sqrt(total)) if total > 0.0 else math.nan


def _is_full(values: Sequence[float], window: int) -> bool:
    return len(values) == window and all(map(math.isfinite, values))


def forecast_weights(
    settings: Forecast,
    features: Mapping[str, History],
    returns: History,
    volatility: Mapping[str, float],
) -> dict[str, float | None]:
    """Return each member's weight; None where its units stay.

    Units stay without a full window of every forecast and of returns, or with a NaN.
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
        history = {name: features[each][name] for name in full}
        m = scale_of(history)
        scaled[each] = {
            name: [clip(f / m, settings.cap) if m else math.nan for f in history[name]]
            for name in full
        }
    pooled = [[x for name in full for x in scaled[each][name]] for each in settings.of]
    fdm = multiplier(list(settings.of.values()), pooled)
    idm = multiplier([1.0 / len(full)] * len(full), [returns[name] for name in full])
    for name in full:
        combined = math.fsum(w * scaled[each][name][-1] for each, w in settings.of.items())
        strength = clip(fdm * combined, settings.cap) if math.isfinite(fdm * combined) else math.nan
        weight = strength * (settings.target / volatility[name]) if volatility[name] else math.nan
        weight *= idm / len(members)
        if math.isfinite(weight):
            found[name] = weight
    return found
