"""W4: serving a forest of 300 trees of depth 6, and histogram boosting; 10 features.

One row and one million rows, ours beside scikit-learn with two threads, and the largest
difference between the two. Run it on a machine that does nothing else::

    python benchmarks/w4.py [--rows 1000000] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

FEATURES = 10
TRAINING_ROWS = 20_000
ONE_ROW_CALLS = 2_000


def _data(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    x = chance.normal(size=(rows, FEATURES))
    y = (x[:, 0] * x[:, 1] + 0.5 * x[:, 2] + chance.normal(size=rows) > 0.0).astype(np.int64)
    return x, y


def _median(call: Callable[[int], Any], calls: int) -> tuple[float, float]:
    """Median and 99th percentile of one call, microseconds."""
    spent = np.empty(calls)
    for number in range(calls):
        start = time.perf_counter()
        call(number)
        spent[number] = time.perf_counter() - start
    return float(np.median(spent) * 1e6), float(np.quantile(spent, 0.99) * 1e6)


def _best(call: Callable[[], Any], times: int) -> float:
    found = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


def measure(estimator: Any, rows: int) -> dict[str, float]:
    """Time one fitted estimator both ways."""
    from septet._learn.extract import extract
    from septet._learn.flat import Scaler, assemble

    x, _ = _data(rows, 2)
    member = extract(estimator, "probability")
    if member is None:
        raise TypeError(f"{type(estimator).__name__} has no flat form")
    model = assemble(FEATURES, Scaler(), [member])
    model.predict_row(x[0])
    model.predict(x[:100])
    ours = model.predict(x)
    theirs = estimator.predict_proba(x)[:, 1]
    one, tail = _median(lambda k: model.predict_row(x[k]), ONE_ROW_CALLS)
    slow, _ = _median(lambda k: estimator.predict_proba(x[k : k + 1]), 50)
    return {
        "one_row_us": one,
        "one_row_p99_us": tail,
        "sklearn_one_row_us": slow,
        "rows_s": _best(lambda: model.predict(x), 3),
        "rows_one_thread_s": _best(lambda: model.predict(x, threads=1), 1),
        "sklearn_rows_s": _best(lambda: estimator.predict_proba(x), 2),
        "largest_difference": float(np.abs(ours - theirs).max()),
    }


def main() -> None:
    """Measure and print."""
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    x, y = _data(TRAINING_ROWS, 1)
    forest = RandomForestClassifier(300, max_depth=6, random_state=1, n_jobs=2).fit(x, y)
    boosting = HistGradientBoostingClassifier(random_state=1).fit(x, y)
    found = {
        "forest": measure(forest, asked.rows),
        "histogram_boosting": measure(boosting, asked.rows),
    }
    if asked.json:
        json.dump(found, sys.stdout, indent=2)
        print()
        return
    for name, figures in found.items():
        print(name)
        for key, value in figures.items():
            print(f"  {key:<22} {value:.4g}")


if __name__ == "__main__":
    main()
