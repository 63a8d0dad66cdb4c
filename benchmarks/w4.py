"""W4: serving a forest of 300 trees of depth 6, and histogram boosting; ten features.

One row, as a live engine asks for it: the model in force at a time, and its answer for one vector.
One million rows, beside scikit-learn on two threads, taken in turn. Answers come first: no row may
differ from scikit-learn by more than 1e-15, and no row alone from the same row in the batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import Row, arguments, emit, medians

FEATURES, TRAINING_ROWS = 10, 20_000
ONE_ROW_CALLS, SLOW_CALLS = 5_000, 30
TARGET_ONE_ROW_US, TARGET_ROWS, EXACT = 6.0, 2.5, 1e-15


def _data(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    x = chance.normal(size=(rows, FEATURES))
    y = (x[:, 0] * x[:, 1] + 0.5 * x[:, 2] + chance.normal(size=rows) > 0.0).astype(np.int64)
    return x, y


def _one_by_one(call: Callable[[int], Any], calls: int) -> tuple[float, float]:
    """Median and 99th percentile of one call, microseconds."""
    spent = np.empty(calls)
    for number in range(calls):
        began = time.perf_counter()
        call(number)
        spent[number] = time.perf_counter() - began
    return float(np.median(spent) * 1e6), float(np.quantile(spent, 0.99) * 1e6)


def _walk(model: Any, x: Any) -> Any:
    """The model in force over all rows, as a run has it."""
    from septet._learn import stored_walk
    from septet._learn.dataset import Dataset
    from septet._learn.stored import StoredModel

    n = len(x)
    names = tuple(f"f{j}" for j in range(FEATURES))
    whole = np.arange(n, dtype=np.int64)
    rows = Dataset(x, names, whole, np.zeros(n, np.int64), whole, (), 1)
    card = {"last_label_ns": -1, "model_sha256": ""}
    return stored_walk(rows, StoredModel(model, card, Path("not on disk")))


def measure(what: str, estimator: Any, count: int, times: int) -> list[Row]:
    """Check one fitted estimator's served copy, then time both."""
    from septet._learn.extract import extract
    from septet._learn.flat_model import Scaler, assemble

    x, _ = _data(count, 2)
    member = extract(estimator, "probability")
    if member is None:
        raise SystemExit(f"W4: {type(estimator).__name__} has no flat form")
    model = assemble(FEATURES, Scaler(), [member])
    ours, theirs = model.predict(x), estimator.predict_proba(x)[:, 1]
    gap = float(np.abs(ours - theirs).max())
    if not gap <= EXACT:
        raise SystemExit(f"W4 is wrong: {what} differs from scikit-learn by {gap:.3g}")
    walk, calls = _walk(model, x), min(ONE_ROW_CALLS, count)
    alone = [walk.predict_row(place, x[place])[0] for place in range(calls)]
    if alone != ours[:calls].tolist():
        raise SystemExit(f"W4 is wrong: {what} answers one row otherwise than the batch")
    vectors = [each.copy() for each in x[:calls]]
    one, tail = _one_by_one(lambda k: walk.predict_row(k, vectors[k]), calls)
    slow, _ = _one_by_one(lambda k: estimator.predict_proba(x[k : k + 1]), SLOW_CALLS)
    found = medians(
        {
            "septet": lambda: model.predict(x),
            "one thread": lambda: model.predict(x, threads=1),
            "sklearn": lambda: estimator.predict_proba(x),
        },
        times,
    )
    many, other = found["septet"], found["sklearn"]
    return [
        Row("W4", f"{what}: one row", f"{one:.2f} µs",
            f"target {TARGET_ONE_ROW_US:g} µs; 99 of 100 within {tail:.1f}",
            TARGET_ONE_ROW_US / one),
        Row("W4", f"{what}: one row, scikit-learn", f"{slow:,.0f} µs",
            "septet against scikit-learn", slow / one, must=False),
        Row("W4", f"{what}: {count:,} rows", f"{many:.2f} s",
            f"scikit-learn, two threads, {other:.2f} s; target {TARGET_ROWS:g}", other / many,
            must=False),
        Row("W4", f"{what}: on one thread", f"{found['one thread']:.2f} s", ""),
        Row("W4", f"{what}: largest difference", f"{gap:.1e}", f"bound {EXACT:g}", EXACT / gap),
    ]  # fmt: skip


def main() -> None:
    """Fit, check, measure, print."""
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

    asked = arguments(__doc__)
    count, times = (50_000, 1) if asked.quick else (1_000_000, 5)
    x, y = _data(TRAINING_ROWS, 1)
    forest = RandomForestClassifier(300, max_depth=6, random_state=1, n_jobs=2).fit(x, y)
    boosting = HistGradientBoostingClassifier(random_state=1).fit(x, y)
    rows = measure("forest", forest, count, times)
    rows += measure("histogram boosting", boosting, count, times)
    emit(rows, asked.json)


if __name__ == "__main__":
    main()
