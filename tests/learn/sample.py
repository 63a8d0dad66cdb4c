"""Small made-up markets and windows for the tests of this folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from septet._data.bars import Floats, Ints
from septet._learn.dataset import Dataset, SymbolBars, pool
from septet._learn.fitting import Window
from septet._learn.schedule import TrainingRule
from septet._learn.trainer import Calibrating, EstimatorTrainer, Scaling

HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS
ORIGIN_NS = 440_000 * HOUR_NS


class Recipe:
    """Any class of scikit-learn with parameters, as a plugin would bring it."""

    def __init__(self, kind: Any, **params: Any) -> None:
        self.kind, self.params = kind, params

    @property
    def name(self) -> str:
        return str(self.kind.__name__)

    def estimator(self, seed: int, rows: int) -> Any:
        made = self.kind(**self.params)
        if "random_state" in made.get_params():
            made.set_params(random_state=seed)
        return made


def trainer(
    kind: Any, scale: Scaling = "none", calibrate: Calibrating = "none", **params: Any
) -> EstimatorTrainer:
    return EstimatorTrainer(Recipe(kind, **params), scale, calibrate)


def logistic(scale: Scaling = "standard") -> EstimatorTrainer:
    from sklearn.linear_model import LogisticRegression

    return trainer(LogisticRegression, scale)


def bars(symbol: str, n: int, seed: int, gap_at: int | None = None) -> SymbolBars:
    chance = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(chance.normal(0.0, 0.01, n)))
    opening = np.concatenate([[100.0], close[:-1]])
    known = ORIGIN_NS + (np.arange(n, dtype=np.int64) + 1) * HOUR_NS
    segment = np.zeros(n, dtype=np.int64)
    if gap_at is not None:
        known[gap_at:] += 100 * HOUR_NS
        segment[gap_at:] = 1
    high, low = np.maximum(opening, close) * 1.002, np.minimum(opening, close) * 0.998
    return SymbolBars(symbol, known, opening, high, low, close, segment)


def features(each: SymbolBars, seed: int, strength: float = 30.0) -> Floats:
    """Last return, a noisy hint at the next one, and noise; the first row is warming up."""
    chance = np.random.default_rng(seed)
    change = np.concatenate([[np.nan], np.diff(np.log(each.close))])
    ahead = np.append(change[1:], 0.0)
    hint = ahead * strength + chance.normal(size=len(each))
    return np.ascontiguousarray(np.stack([change, hint, chance.normal(size=len(each))], axis=1))


def dataset(n: int = 1_200, symbols: int = 2, seed: int = 1, strength: float = 30.0) -> Dataset:
    tables = [bars(f"S{k}", n, seed + k) for k in range(symbols)]
    columns = [features(each, seed + 50 + k, strength) for k, each in enumerate(tables)]
    return pool(tables, columns, ["ret", "hint", "noise"], HOUR_NS)


def in_sessions(rows: Dataset) -> Dataset:
    """Move the bars of a data set into sessions of seven hours a day, from 14:00 on."""

    def moved(time_ns: Ints) -> Ints:
        day, hour = np.divmod((time_ns - ORIGIN_NS) // HOUR_NS - 1, 7)
        return ORIGIN_NS // DAY_NS * DAY_NS + day * DAY_NS + (15 + hour) * HOUR_NS

    tables = tuple(replace(each, known_ns=moved(each.known_ns)) for each in rows.bars)
    return replace(rows, time_ns=moved(rows.time_ns), bars=tables)


def rule(**changes: Any) -> TrainingRule:
    settings: Mapping[str, Any] = {
        "train_ns": 200 * HOUR_NS,
        "step_ns": 200 * HOUR_NS,
        "ready_after_ns": HOUR_NS,
        "min_rows": 100,
        "min_class": 20,
    }
    return TrainingRule(**{**settings, **changes})


def window(n: int = 400, width: int = 4, seed: int = 3) -> Window:
    chance = np.random.default_rng(seed)
    x = np.ascontiguousarray(chance.normal(size=(n, width)))
    y = (x[:, 0] * 0.7 + chance.normal(size=n) > 0.0).astype(np.int64)
    time_ns = np.arange(n, dtype=np.int64) * HOUR_NS
    names = tuple(f"f{j}" for j in range(width))
    return Window(x, y, time_ns, time_ns + HOUR_NS, names, seed)
