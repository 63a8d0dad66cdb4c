"""Probabilities of a walk forward, computed anew from the text of docs/yaml.md.

Of septet only what it is given is used: rows, labels, the rule. scikit-learn fits the estimator;
the calibrations are written out, and compared with scikit-learn's as well.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pytest

from septet._data.bars import Floats, Ints
from septet._learn.dataset import Dataset
from septet._learn.labels import LabelRule, make_labels
from septet._learn.walk_forward_models import walk_forward
from tests.learn.sample import HOUR_NS, dataset, rule, trainer

SEED, HORIZON, TRAIN, STEP = 7, 6, 200, 200
NEAR = 2e-5
"""How near a fit that stops by its tolerance is to the minimum."""


def label_of(data: Dataset, k: int, i: int) -> tuple[int, int] | None:
    """Return the label of bar i of symbol k, and when it is known."""
    bars = data.bars[k]
    if i + HORIZON >= len(bars.close):
        return None
    up = bars.close[i + HORIZON] > bars.close[i]
    return int(up), int(bars.known_ns[i + HORIZON])


class Rows:
    """Rows of one window, in order: features, label, T, when the label was known, weight."""

    def __init__(self, data: Dataset, trained_to_ns: int) -> None:
        found = []
        places = {
            at: n for n, at in enumerate(zip(data.symbol.tolist(), data.row.tolist(), strict=True))
        }
        for k, bars in enumerate(data.bars):
            for i, at in enumerate(bars.known_ns.tolist()):
                label = label_of(data, k, i)
                inside = trained_to_ns - TRAIN * HOUR_NS < at <= trained_to_ns - HORIZON * HOUR_NS
                if not inside or label is None or label[1] > trained_to_ns:
                    continue
                x = data.x[places[k, i]]
                if np.isfinite(x).all():
                    found.append((at, k, i, x, *label))
        found.sort(key=lambda each: each[:2])
        self.x: Floats = np.array([each[3] for each in found])
        self.y: Ints = np.array([each[4] for each in found])
        self.at = [each[0] for each in found]
        self.known = [each[5] for each in found]
        looks: dict[tuple[int, int], int] = {}
        for _, k, i, *_ in found:
            for j in range(i + 1, i + HORIZON + 1):
                looks[k, j] = looks.get((k, j), 0) + 1
        unique = np.array(
            [
                np.mean([1.0 / looks[k, j] for j in range(i + 1, i + HORIZON + 1)])
                for _, k, i, *_ in found
            ]
        )
        self.w: Floats = unique / unique.mean()


def seed_of(trained_to_ns: int) -> int:
    digest = hashlib.sha256(f"{SEED}:{trained_to_ns}".encode()).digest()
    return int.from_bytes(digest[:4], "big") // 2


def scale(rows: Floats, kind: str) -> tuple[Floats, Floats]:
    """Return what is taken off each column and what it is divided by."""
    if kind == "standard":
        off, by = rows.mean(axis=0), rows.std(axis=0)
    elif kind == "minmax":
        off, by = rows.min(axis=0), rows.max(axis=0) - rows.min(axis=0)
    elif kind == "robust":
        low, off, high = np.percentile(rows, [25, 50, 75], axis=0)
        by = high - low
    else:
        off, by = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
    return off, np.where(by == 0.0, 1.0, by)


def platt(z: Floats, y: Ints, w: Floats) -> tuple[float, float]:
    """Minimise by Newton's method; the numbers of rows are sums of weights."""
    ups, downs = w[y == 1].sum(), w[y == 0].sum()
    t = np.where(y == 1, (ups + 1.0) / (ups + 2.0), 1.0 / (downs + 2.0))
    at = np.array([0.0, math.log((downs + 1.0) / (ups + 1.0))])
    columns = np.column_stack((z, np.ones(len(z))))
    for _ in range(200):
        p = 1.0 / (1.0 + np.exp(columns @ at))
        slope = columns.T @ (w * (t - p))
        curve = (columns * (w * p * (1.0 - p))[:, None]).T @ columns
        at = at - np.linalg.solve(curve, slope)
    return float(at[0]), float(at[1])


def isotonic(z: Floats, y: Ints, w: Floats) -> tuple[Floats, Floats]:
    """Pool neighbours that fall; return the points z and the fitted values."""
    points = np.unique(z)
    blocks: list[list[Any]] = []
    for n, point in enumerate(points):
        here = z == point
        blocks.append([float(np.average(y[here], weights=w[here])), float(w[here].sum()), [n]])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            mean, weight, members = blocks.pop()
            before = blocks[-1]
            total = before[1] + weight
            before[0] = (before[0] * before[1] + mean * weight) / total
            before[1], before[2] = total, before[2] + members
    fitted = np.empty(len(points))
    for mean, _, members in blocks:
        fitted[members] = mean
    return points, fitted


def score(estimator: Any, x: Floats) -> Floats:
    if hasattr(estimator, "decision_function"):
        return np.asarray(estimator.decision_function(x))
    return np.asarray(estimator.predict_proba(x)[:, 1])


def folds(rows: Rows) -> list[tuple[list[int], list[int]]]:
    """Return the rows to fit and the rows to calibrate on, of each of the last three blocks."""
    n, found = len(rows.at), []
    cuts = [rows.at.index(rows.at[n * k // 5]) for k in (2, 3, 4)]
    for low, high in zip(cuts, [*cuts[1:], n], strict=True):
        fit = [i for i in range(low) if rows.known[i] <= rows.at[low]]
        test = list(range(low, high))
        if all(len(set(rows.y[part].tolist())) == 2 for part in (fit, test)):
            found.append((fit, test))
    return found


def probabilities(
    data: Dataset, trained_to_ns: int, until_ns: int, kind: Any, method: str, scaling: str,
    weighs: bool, params: dict[str, Any],
) -> dict[tuple[int, int], float]:  # fmt: skip
    """Return p of each row, by T and symbol, in which the model of T_k is in force."""
    rows = Rows(data, trained_to_ns)
    off, by = scale(rows.x, scaling)
    x = (rows.x - off) / by

    def fitted(part: list[int]) -> Any:
        made = kind(**params)
        if "random_state" in made.get_params():
            made.set_params(random_state=seed_of(trained_to_ns))
        weights = {"sample_weight": rows.w[part]} if weighs else {}
        return made.fit(x[part], rows.y[part], **weights)

    whole = fitted(list(range(len(x))))
    parts = folds(rows) if method != "none" else []
    z = np.concatenate([score(fitted(fit), x[test]) for fit, test in parts]) if parts else x[:0, 0]
    tested = np.array([i for _, test in parts for i in test], dtype=np.int64)
    a, b = platt(z, rows.y[tested], rows.w[tested]) if method == "sigmoid" else (0.0, 0.0)
    points, values = isotonic(z, rows.y[tested], rows.w[tested])
    found = {}
    for row in np.flatnonzero(
        (data.time_ns >= trained_to_ns + HOUR_NS) & (data.time_ns < until_ns)
    ).tolist():
        if not np.isfinite(data.x[row]).all():
            continue
        later = ((data.x[row] - off) / by)[None, :]
        if method == "none":
            p = float(whole.predict_proba(later)[0, 1])
        elif method == "sigmoid":
            p = 1.0 / (1.0 + math.exp(a * float(score(whole, later)[0]) + b))
        else:
            p = float(np.interp(float(score(whole, later)[0]), points, values))
        found[int(data.time_ns[row]), int(data.symbol[row])] = p
    return found


def cases() -> list[Any]:
    return [
        pytest.param("LogisticRegression", "none", "standard", True, {}, id="no calibration"),
        pytest.param("LogisticRegression", "sigmoid", "standard", True, {},
                     id="sigmoid of a score"),
        pytest.param("LogisticRegression", "isotonic", "minmax", True, {},
                     id="isotonic of a score"),
        pytest.param("RandomForestClassifier", "sigmoid", "none", True,
                     {"n_estimators": 8, "max_depth": 3}, id="sigmoid of votes, with a seed"),
        pytest.param("RandomForestClassifier", "isotonic", "none", True,
                     {"n_estimators": 5, "max_depth": 2}, id="isotonic with ties"),
        pytest.param("LinearDiscriminantAnalysis", "sigmoid", "robust", False, {},
                     id="an estimator without weights"),
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "method", "scaling", "weighs", "params"), cases())
def test_the_text_gives_the_same_probabilities(
    name: str, method: Any, scaling: Any, weighs: bool, params: dict[str, Any]
) -> None:
    from sklearn import discriminant_analysis, ensemble, linear_model

    modules = (linear_model, ensemble, discriminant_analysis)
    kind = next(getattr(each, name) for each in modules if hasattr(each, name))
    data = dataset(n=850, symbols=2)
    terms = rule(train_ns=TRAIN * HOUR_NS, step_ns=STEP * HOUR_NS)
    walk = walk_forward(
        data,
        trainer(kind, scaling, method, **params),
        make_labels(data, LabelRule(horizon=HORIZON)),
        terms,
        seed=SEED,
    )
    compared = 0
    for each in walk.models:
        assert each.trained_to_ns % (STEP * HOUR_NS) == 0
        expected = probabilities(
            data, each.trained_to_ns, each.until_ns, kind, method, scaling, weighs, params
        )
        for (at, k), p in list(expected.items())[:: 1 if len(expected) < 60 else 11]:
            row = np.flatnonzero((data.time_ns == at) & (data.symbol == k))[0]
            assert walk.row_up[row] == pytest.approx(p, abs=NEAR), (each.number, at)
            compared += 1
    assert compared > 60


def test_the_calibrations_are_those_of_scikit_learn() -> None:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression

    chance = np.random.default_rng(4)
    z = np.round(chance.normal(size=300), 1)
    y = (z * 0.6 + chance.normal(size=300) > 0.0).astype(np.int64)
    w = chance.uniform(0.2, 2.0, size=300)
    points, values = isotonic(z, y, w)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(z, y, sample_weight=w)
    asked = np.linspace(-4.0, 4.0, 333)
    assert np.interp(asked, points, values) == pytest.approx(theirs.predict(asked), abs=1e-12)
    one = LogisticRegression().fit(z[:, None], y)
    one.coef_, one.intercept_ = np.ones((1, 1)), np.zeros(1)
    wrapped = CalibratedClassifierCV(FrozenEstimator(one), method="sigmoid", cv=2, ensemble=False)
    wrapped.fit(z[:, None], y)
    a, b = platt(z, y, np.ones(300))
    p = 1.0 / (1.0 + np.exp(a * asked + b))
    assert p == pytest.approx(wrapped.predict_proba(asked[:, None])[:, 1], abs=NEAR)
