"""The ML strategy of the demo on a million bars, beside what one would write by hand.

Features, a calibrated forest over scaled rows, its confidence, a volatility regime, Kelly sizing,
stops and a halt: the layers of `strategies/demo.yaml`, over a synthetic walk of 15-minute bars.
One model is fitted before anything is timed and predicts everything after it. All pipelines start
from arrays in memory and end in fills and equity:

- *vectorised*: pandas for features and regime, scikit-learn on two threads, and the same trading
  loop in numba: septet's own, so that only what comes before it differs;
- *row by row*: the features are there already; scaler and forest are asked at every bar. That is
  measured on few bars, and the cost of one compared.

Answers are compared before times are: probabilities on the same rows to 1e-12, and the two logs of
orders and fills. pandas slides its sums along, so its features differ in the last digits; a
probability differs where such a digit lies across a split. Those rows are counted and shown.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import Row, arguments, bars_text, emit, medians

FITTED_ROWS, WARM, HORIZON = 20_000, 2_000, 4
WINDOW, LEAST = 14 * 96, 200
LAGS = (1, 2, 3, 5, 10)
INPUTS = ("rsi_14", "bb_width", "vol_10", "range_z", "ret_1", *(f"lags_{n}" for n in LAGS))
STRATEGY = """\
version: 1
name: ml
seed: 7
account: {{capital: 1000000, currency: USD}}
universe: {{symbols: [ML/USD], bar: 15m}}
data:
  candles: {{use: synthetic, bars: {bars}, start: 1990-01-01, volatility: 15%, regimes: true}}
features:
  ret_1: {{use: log_return}}
  rsi_14: {{use: rsi, period: 14}}
  bb_width: {{use: bollinger_width, period: 20}}
  vol_10: {{use: volatility, period: 10, annualise: 365d}}
  true_range: {{use: true_range}}
  range_z: {{use: zscore, of: true_range, period: 20}}
  lags: {{use: lag, of: ret_1, by: [1, 2, 3, 5, 10]}}
model:
  use: sklearn
  estimator: RandomForestClassifier
  params: {{n_estimators: 60, max_depth: 5, min_samples_leaf: 20}}
  inputs: [rsi_14, bb_width, vol_10, range_z, ret_1, lags_1, lags_2, lags_3, lags_5, lags_10]
  scale: standard
  calibrate: sigmoid
  label: {{use: direction, horizon: 4 bars}}
  training: {{scheme: walk_forward, train: 21d, step: 7d}}
signal:
  use: confidence
  threshold: 0.035
  regime: {{use: volatility_regime, of: vol_10, trade_in: [low, mid], window: 14d}}
risk:
  sizing:                               # odds learned on a random walk would end all trading
    {{use: kelly, fraction: 0.25, max: 10%,
     odds: {{average_win: 1.2%, average_loss: 1%, window: 1000 trades, min_each: 1000}}}}
  limits: {{position: 10%, orders_per_minute: 10}}
  stops: {{stop_loss: 4%, take_profit: 8%}}
  halts: {{drawdown: {{above: 15%, then: flatten, resume: manual}}}}
execution: {{simulation: {{fee: 0bps, slippage: 0bps}}}}
"""


@dataclass
class Fitted:
    """One scaler and calibrated forest, as scikit-learn has them and as septet serves them."""

    scaler: Any
    forest: Any
    stored: Any
    from_bar: int

    def ask(self, x: Any) -> Any:
        """Probability up by scikit-learn."""
        return self.forest.predict_proba(self.scaler.transform(x))[:, 1]


class Ours:
    """septet's path, part by part as a run takes it."""

    def __init__(self, bars: int) -> None:
        from septet._config import load
        from septet._core.batch import Batch
        from septet._shell.session import open_session

        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "ml.yaml"
            path.write_text(STRATEGY.format(bars=bars), encoding="utf-8")
            self.session = open_session(load(str(path)))
        self._make = Batch
        assembly = self.session.plan.assembly
        self.model_row = assembly.model_row
        (regime,) = (node for node in assembly.graph.nodes if node.label == "regime")
        self.regime_row = assembly.rows.f[regime.number, 0]
        self.times = self.session.aligned.times

    def batch(self) -> Any:
        """A run that has not begun."""
        plan = self.session.plan
        return self._make(plan, self.session.aligned, plan.state(1e6, self.session.instruments))

    def dataset(self, batch: Any) -> Any:
        """Advance the features over everything and gather the rows a model reads."""
        from septet._shell.model_layer import dataset_of

        batch.observe(0, self.times)
        return dataset_of(self.session, batch.F)

    def run(self, fitted: Fitted) -> tuple[Any, Any, Any]:
        """From bars to fills; return the batch, the rows and the walk."""
        from septet import _learn as learn

        batch = self.batch()
        rows = self.dataset(batch)
        walk = learn.stored_walk(rows, fitted.stored)
        batch.F[0, self.model_row, : self.times] = walk.up[0]
        batch.F[0, self.model_row + 1, : self.times] = walk.state[0]
        batch.trade(fitted.from_bar, self.times)
        return batch, rows, walk

    def run_watched(self, fitted: Fitted) -> None:
        """The same, and the model's health of every day: AUC, Brier, drift of every feature."""
        from septet import _learn as learn

        _, rows, walk = self.run(fitted)
        labels = learn.make_labels(rows, learn.LabelRule("direction", HORIZON))
        learn.monitor_walk(walk, rows, labels, learn.HealthRule())


def fit(ours: Ours) -> Fitted:
    """Fit scaler, forest and calibration on the first rows, and have septet serve them."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import TimeSeriesSplit
    from sklearn.preprocessing import StandardScaler

    from septet._learn.column_references import reference_of
    from septet._learn.stored import StoredModel
    from septet._learn.trainer import served_copy

    rows = ours.dataset(ours.batch())
    span = slice(WARM, WARM + FITTED_ROWS)
    x, close = rows.x[span], rows.bars[0].close
    y = (close[HORIZON:][span] > close[:-HORIZON][span]).astype(np.int64)
    scaler = StandardScaler().fit(x)
    forest = RandomForestClassifier(60, max_depth=5, min_samples_leaf=20, random_state=7, n_jobs=2)
    calibrated = CalibratedClassifierCV(forest, cv=TimeSeriesSplit(3), ensemble=True)
    calibrated.fit(scaler.transform(x), y)
    last = int(rows.time_ns[span.stop + HORIZON])
    card = {
        "last_label_ns": last, "trained_to_ns": last, "model_sha256": "", "rows": len(y),
        "rows_up": int(y.sum()), "reference": reference_of(x, rows.feature_names, 1_000),
    }  # fmt: skip
    served = served_copy(calibrated, scaler, x.shape[1])
    stored = StoredModel(served, card, Path("not on disk"))
    return Fitted(scaler, calibrated, stored, span.stop + HORIZON + 1)


class Vectorised:
    """The pipeline by hand: pandas, scikit-learn, and the trading loop."""

    def __init__(self, ours: Ours) -> None:
        import pandas as pd

        bars = ours.session.market.bars["ML/USD"]
        self.ours = ours
        self.columns = {
            name: pd.Series(getattr(bars, name)) for name in ("open", "high", "low", "close")
        }
        self.seconds = dict.fromkeys(("features", "regime", "model", "loop"), 0.0)

    def features(self) -> Any:
        """The ten inputs of the model, by name."""
        import pandas as pd

        close, high, low = (self.columns[name] for name in ("close", "high", "low"))
        ret, change, before = np.log(close).diff(), close.diff(), close.shift()
        up = change.clip(lower=0.0).ewm(alpha=1.0 / 14.0, adjust=False).mean()
        down = (-change).clip(lower=0.0).ewm(alpha=1.0 / 14.0, adjust=False).mean()
        wide = np.maximum(high - low, np.maximum((high - before).abs(), (low - before).abs()))
        roll, ranges = close.rolling(20), wide.rolling(20)
        return pd.DataFrame(
            {
                "rsi_14": 100.0 * up / (up + down),
                "bb_width": 4.0 * roll.std(ddof=0) / roll.mean(),
                "vol_10": ret.rolling(10).std() * np.sqrt(365.0 * 96.0),
                "range_z": (wide - ranges.mean()) / ranges.std(ddof=0),
                "ret_1": ret,
                **{f"lags_{n}": ret.shift(n) for n in LAGS},
            }
        )

    @staticmethod
    def regime(volatility: Any) -> Any:
        """Tercile of the last value among its own window; NaN while unknown."""
        window = volatility.rolling(WINDOW, min_periods=LEAST)
        share = (window.rank() - 1.0) / (window.count() - 1.0)
        third = np.where(share < 1.0 / 3.0, 0.0, np.where(share <= 2.0 / 3.0, 1.0, 2.0))
        return np.where(share.isna(), np.nan, third)

    def run(self, fitted: Fitted) -> Any:
        """From bars to fills; return the batch that holds them."""
        marks = [time.perf_counter()]
        table = self.features()
        marks.append(time.perf_counter())
        regime = self.regime(table["vol_10"])
        marks.append(time.perf_counter())
        first = fitted.from_bar
        up = np.full(len(table), np.nan)
        up[first:] = fitted.ask(table.to_numpy()[first:])
        marks.append(time.perf_counter())
        batch, row = self.ours.batch(), self.ours.model_row
        batch.F[0, row], batch.F[0, row + 1] = up, 0.0
        batch.F[0, self.ours.regime_row] = regime
        batch.trade(first, self.ours.times)
        marks.append(time.perf_counter())
        for name, spent in zip(self.seconds, np.diff(marks), strict=True):
            self.seconds[name] = float(spent)
        return batch


def _log(batch: Any) -> tuple[Any, Any]:
    """Orders, fills and states as they were written, without the times of equal content."""
    from septet._kernel import layout

    rows = int(batch.state.C[layout.LOG])
    return batch.LI[:rows], batch.LF[:rows]


def check(ours: Ours, theirs: Vectorised, fitted: Fitted) -> list[Row]:
    """Compare everything that the two pipelines give."""
    batch, rows, walk = ours.run(fitted)
    first = fitted.from_bar
    same = np.abs(fitted.ask(rows.x[first:]) - walk.row_up[first:]).max()
    if not same <= 1e-12:
        raise SystemExit(f"ML: probabilities on the same rows differ by {same:.3g}")
    table = theirs.features()
    for place, name in enumerate(INPUTS):
        one, other = rows.x[first:, place], table[name].to_numpy()[first:]
        if not np.allclose(one, other, rtol=1e-6, atol=1e-6):
            raise SystemExit(f"ML: {name} differs by {np.abs(one - other).max():.3g}")
    other = theirs.run(fitted)
    row = ours.model_row
    apart = np.abs(batch.F[0, row, first:] - other.F[0, row, first:]) > 1e-12
    regimes = batch.F[0, ours.regime_row, first:] != other.F[0, ours.regime_row, first:]
    (ints, floats), (their_ints, their_floats) = _log(batch), _log(other)
    if not len(ints) > 100:
        raise SystemExit(f"ML: {len(ints)} lines in the log are too few to compare")
    equal = np.array_equal(ints, their_ints) and np.allclose(
        floats, their_floats, rtol=1e-9, equal_nan=True
    )
    if not equal and not (apart.any() or regimes.any()):
        raise SystemExit("ML: the logs differ, and no probability or regime does")
    return [
        Row("ML", "largest difference on the same rows", f"{same:.1e}", "bound 1e-12"),
        Row("ML", "bars decided differently, by last digits of pandas", f"{int(apart.sum())}",
            f"of {len(apart):,}; regimes apart: {int(regimes.sum())}"),
        Row("ML", "orders, fills and states", f"{len(ints):,} lines",
            "the same lines" if equal else f"by hand {len(their_ints):,}, for those bars"),
    ]  # fmt: skip


def by_row(rows: Any, fitted: Fitted, count: int) -> float:
    """Median seconds of asking scaler and forest for one row."""
    for part in fitted.forest.calibrated_classifiers_:
        part.estimator.n_jobs = None  # threads cost more than they bring on one row
    spent = []
    for place in range(fitted.from_bar, fitted.from_bar + count):
        began = time.perf_counter()
        fitted.ask(rows.x[place : place + 1])
        spent.append(time.perf_counter() - began)
    return float(np.median(spent))


def measure(bars: int, times: int, single_rows: int) -> list[Row]:
    """Compare the answers, then time the pipelines in turn."""
    ours = Ours(bars)
    fitted = fit(ours)
    theirs = Vectorised(ours)
    facts = check(ours, theirs, fitted)
    calls = {
        "septet": lambda: ours.run(fitted),
        "watched": lambda: ours.run_watched(fitted),
        "vectorised": lambda: theirs.run(fitted),
    }
    found = medians(calls, times)
    parts = ", ".join(f"{name} {spent:.2f}" for name, spent in theirs.seconds.items())
    mine, other = found["septet"], found["vectorised"]
    one = by_row(ours.dataset(ours.batch()), fitted, single_rows)
    each = mine / (bars - fitted.from_bar)
    return [
        Row("ML", f"{bars_text(bars)}, training excluded", f"{mine:.2f} s",
            f"vectorised pandas and scikit-learn {other:.2f} s, target 2.5", other / mine,
            must=False),
        Row("ML", "the parts of that pipeline", f"{other:.2f} s", parts),
        Row("ML", "one bar of it", f"{each * 1e6:.2f} µs",
            f"predicting row by row {one * 1e3:.1f} ms, target 500", one / each, must=False),
        Row("ML", "with the model's health of every day", f"{found['watched']:.2f} s",
            "the pipelines by hand watch nothing"),
        *facts,
    ]  # fmt: skip


if __name__ == "__main__":
    asked = arguments(__doc__)
    emit(measure(60_000, 1, 20) if asked.quick else measure(1_000_000, 5, 100), asked.json)
