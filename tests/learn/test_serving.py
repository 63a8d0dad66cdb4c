"""Served models are exact to scikit-learn, and one row is the batch, bit for bit."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._learn import kernels
from septet._learn.extract import extract
from septet._learn.fitting import Untrainable, Window
from septet._learn.flat_model import Calibration, FlatModel, Member, Scaler, Tree, assemble
from septet._learn.serving_tables import serving
from septet._learn.trainer import calibration_folds
from septet.errors import InputError, ModelError, RunError
from tests.learn.sample import HOUR_NS, trainer, window
from tests.scale import examples


@pytest.fixture(autouse=True)
def _quiet_estimators() -> Iterator[None]:
    """Estimators announce what will change in their next version; that is not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _kinds() -> dict[str, Callable[[int], Any]]:
    from sklearn import discriminant_analysis, ensemble, linear_model, tree

    return {
        "tree": lambda s: tree.DecisionTreeClassifier(max_depth=5, random_state=s),
        "extra tree": lambda s: tree.ExtraTreeClassifier(random_state=s),
        "forest": lambda s: ensemble.RandomForestClassifier(
            20, max_depth=6, class_weight="balanced", random_state=s
        ),
        "deep forest": lambda s: ensemble.RandomForestClassifier(5, random_state=s),
        "extra trees": lambda s: ensemble.ExtraTreesClassifier(8, max_depth=4, random_state=s),
        "bagging": lambda s: ensemble.BaggingClassifier(max_features=0.5, random_state=s),
        "ada": lambda s: ensemble.AdaBoostClassifier(n_estimators=8, random_state=s),
        "boosting": lambda s: ensemble.GradientBoostingClassifier(
            n_estimators=12, max_depth=3, random_state=s
        ),
        "exponential": lambda s: ensemble.GradientBoostingClassifier(
            n_estimators=8, loss="exponential", init="zero", random_state=s
        ),
        "histogram": lambda s: ensemble.HistGradientBoostingClassifier(max_iter=12, random_state=s),
        "logistic": lambda s: linear_model.LogisticRegression(),
        "discriminant": lambda s: discriminant_analysis.LinearDiscriminantAnalysis(),
        "sgd": lambda s: linear_model.SGDClassifier(loss="log_loss", random_state=s),
        "huber": lambda s: linear_model.SGDClassifier(loss="modified_huber", random_state=s),
    }


def _near_splits(model: FlatModel, rows: np.ndarray) -> np.ndarray:
    """Rows whose values sit on thresholds and one step of float32 or float64 beside them."""
    threshold = model.arrays()["threshold"].astype(np.float64)
    threshold = threshold[np.isfinite(threshold)]
    if not len(threshold):
        return rows
    picked = threshold[np.arange(rows.size) % len(threshold)].reshape(rows.shape)
    up32 = np.nextafter(picked.astype(np.float32), np.float32(np.inf)).astype(np.float64)
    return np.concatenate([rows, picked, np.nextafter(picked, np.inf), up32])


@pytest.mark.parametrize("name", list(_kinds()))
@given(seed=st.integers(0, 10_000), spread=st.sampled_from([1e-3, 1.0, 1e4]))
@settings(max_examples=examples(4))
def test_a_served_model_is_exact_and_one_row_is_the_batch(
    name: str, seed: int, spread: float
) -> None:
    given_rows = window(160, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = _kinds()[name](seed).fit(given_rows.x * spread, given_rows.y)
    member = extract(fitted, "probability")
    assert member is not None
    model = assemble(4, Scaler(), [member])
    fresh = np.random.default_rng(seed + 1).normal(size=(150, 4)) * spread
    rows = _near_splits(model, fresh)
    batch = model.predict(rows)
    assert np.abs(batch - fitted.predict_proba(rows)[:, 1]).max() <= 1e-15
    assert [model.predict_row(row) for row in rows] == batch.tolist()


def _margin(estimator: Any, x: Any) -> Any:
    if hasattr(estimator, "decision_function"):
        return estimator.decision_function(x)
    return estimator.predict_proba(x)[:, 1]


def test_the_newest_rows_of_a_calibrated_window_train_the_model() -> None:
    """Only the last tenth of the window shows what the label follows."""
    from sklearn.ensemble import RandomForestClassifier

    rows = window(1_000)
    dice = np.random.default_rng(2)
    x, y = dice.normal(size=(1_000, 4)), dice.integers(0, 2, 1_000)
    x[900:, 0] = 3.0 + y[900:]
    served = trainer(RandomForestClassifier, calibrate="sigmoid", n_estimators=40).fit(
        replace(rows, x=x, y=y)
    )
    asked = np.zeros((2, 4))
    asked[:, 0] = 3.0, 4.0
    down, up = served.model.predict(asked)
    assert up > down


@pytest.mark.parametrize("calibrate", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("scale", ["none", "standard", "robust", "minmax"])
@pytest.mark.parametrize("name", ["forest", "histogram", "logistic"])
def test_scaling_and_calibration_are_those_of_scikit_learn(
    name: str, scale: Any, calibrate: Any
) -> None:
    from sklearn import preprocessing
    from sklearn.base import clone
    from sklearn.calibration import _SigmoidCalibration
    from sklearn.isotonic import IsotonicRegression

    rows = window(300)
    sample = _kinds()[name](0)
    made = trainer(type(sample), scale, calibrate, **sample.get_params())
    served = made.fit(rows).model
    scaler = {
        "none": preprocessing.FunctionTransformer(),
        "standard": preprocessing.StandardScaler(),
        "robust": preprocessing.RobustScaler(),
        "minmax": preprocessing.MinMaxScaler(),
    }[scale]
    x = scaler.fit_transform(rows.x)
    base = type(sample)(
        **{**sample.get_params(), **made.recipe.estimator(rows.seed, 1).get_params()}
    )
    text, known = [], []
    for fit, test in calibration_folds(rows):
        text.append(_margin(clone(base).fit(x[fit], rows.y[fit]), x[test]))
        known.append(rows.y[test])
    isotonic = IsotonicRegression(out_of_bounds="clip")
    calibrator = _SigmoidCalibration() if calibrate == "sigmoid" else isotonic
    calibrator.fit(np.concatenate(text), np.concatenate(known))
    fresh = np.random.default_rng(5).normal(size=(200, 4))
    whole = clone(base).fit(x, rows.y)  # the newest rows, which calibrated, train as well
    wanted = calibrator.predict(_margin(whole, scaler.transform(fresh)))
    # between the knots of an isotonic calibration the last bit of a score counts several times
    assert np.abs(served.predict(fresh) - wanted).max() <= (2e-15, 1e-14)[calibrate == "isotonic"]


def test_everything_else_goes_through_onnx_and_one_row_is_the_batch() -> None:
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neural_network import MLPClassifier

    rows = window(300)
    for made in (trainer(GaussianNB, "standard"), trainer(MLPClassifier, "standard", max_iter=20)):
        fitted = made.fit(rows)
        assert fitted.model.format == "onnx"
        assert fitted.facts["largest_difference"] <= 1e-5
        fresh = np.random.default_rng(5).normal(size=(40, 4))
        batch = fitted.model.predict(fresh)
        assert [fitted.model.predict_row(row) for row in fresh] == batch.tolist()


@pytest.mark.parametrize("wrapped", ["alone", "weighted", "thresholded"])
def test_a_missing_extra_is_named_before_the_fit(
    monkeypatch: pytest.MonkeyPatch, wrapped: str
) -> None:
    """A network of many units would be fitted for a minute, to be refused after that."""
    from sklearn.model_selection import FixedThresholdClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.tree import DecisionTreeClassifier

    from septet_plugins.models.balanced import balanced

    fitted = []

    class Counting(MLPClassifier):  # type: ignore[misc]
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:  # noqa: N803
            fitted.append(len(X))
            return super().fit(X, y)

    def made(**given: Any) -> Any:
        kinds = {"alone": lambda each: each, "weighted": balanced}
        return kinds.get(wrapped, FixedThresholdClassifier)(Counting(max_iter=1))

    monkeypatch.setitem(sys.modules, "skl2onnx", None)  # as if it were not installed
    with pytest.raises(InputError, match="a fitted Counting needs the package skl2onnx") as caught:
        trainer(made).fit(window(300))
    assert "septet[onnx]" in caught.value.hint
    assert fitted == []
    assert trainer(DecisionTreeClassifier).fit(window(300)).model.format == "flat"


def test_an_export_that_differs_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.naive_bayes import GaussianNB

    from septet._learn.onnx_model import OnnxModel

    monkeypatch.setattr(OnnxModel, "predict", lambda self, x: np.full(len(x), 0.5))
    with pytest.raises(RunError, match=r"GaussianNB: its served copy differs .* by 0\.") as caught:
        trainer(GaussianNB).fit(window(300))
    assert "more than 1e-05" in str(caught.value)


def test_an_estimator_without_probabilities_needs_calibration() -> None:
    from sklearn.svm import LinearSVC

    with pytest.raises(InputError, match="LinearSVC gives no probabilities"):
        trainer(LinearSVC).fit(window())
    served = trainer(LinearSVC, "standard", "sigmoid").fit(window()).model
    assert served.format == "flat"


def test_parameters_that_scikit_learn_refuses_are_an_input_error() -> None:
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(InputError, match="cannot be fitted"):
        trainer(LogisticRegression, solver="liblinear", l1_ratio=2.0).fit(window())


def test_folds_are_in_time_order_and_no_label_crosses_them() -> None:
    rows = window(500)
    late = Window(rows.x, rows.y, rows.time_ns, rows.time_ns + 5 * HOUR_NS, rows.feature_names, 1)
    folds = calibration_folds(late)
    assert [len(test) for _, test in folds] == [100, 100, 100]
    for fit, test in folds:
        assert late.known_ns[fit].max() <= late.time_ns[test[0]]
        assert fit.max() == test[0] - 5


def test_a_fold_without_both_classes_is_no_fold() -> None:
    rows = window(100)
    flat = np.zeros(100, dtype=np.int64)
    flat[0] = 1
    one = Window(rows.x, flat, rows.time_ns, rows.known_ns, rows.feature_names, 1)
    with pytest.raises(Untrainable):
        calibration_folds(one)


def test_the_same_window_gives_the_same_arrays() -> None:
    from sklearn.ensemble import RandomForestClassifier

    made = trainer(RandomForestClassifier, n_estimators=6, max_depth=4, n_jobs=2)
    first, second = (made.fit(window()).model.arrays() for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_threads_do_not_change_the_answer() -> None:
    model = _forest()
    rows = np.random.default_rng(2).normal(size=(10_000, 4))
    assert np.array_equal(model.predict(rows, threads=1), model.predict(rows, threads=2))
    assert np.array_equal(model.predict(rows), model.predict(rows, threads=3))
    assert model.predict(rows[:0]).shape == (0,)


def _forest(depth: int | None = 3) -> FlatModel:
    from sklearn.ensemble import RandomForestClassifier

    rows = window(200)
    fitted = RandomForestClassifier(4, max_depth=depth, random_state=1).fit(rows.x, rows.y)
    member = extract(fitted, "probability")
    assert member is not None
    knots = Calibration("isotonic", x=np.array([0.1, 0.4, 0.8]), y=np.array([0.2, 0.3, 0.9]))
    scaler = Scaler("difference", np.full(4, 0.1), np.full(4, 1.5))
    sigmoid = Calibration("sigmoid", -2.0, 0.4)
    parts = [
        Member(trees=member.trees, divide=4.0, single=True, calibration=each)
        for each in (knots, sigmoid)
    ]
    return assemble(4, scaler, parts)


@pytest.mark.parametrize("depth", [3, None])
def test_the_compiled_row_is_the_plain_text(depth: int | None) -> None:
    model = _forest(depth)
    keys = np.zeros(4, dtype=np.int64)
    for row in np.random.default_rng(8).normal(size=(40, 4)):
        plain = kernels.serve_row(row, *serving(model.arrays()), keys)
        assert plain == model.predict_row(row)


@pytest.mark.parametrize("name", ["forest", "histogram", "logistic"])
def test_the_compiled_batch_is_the_plain_text(name: str) -> None:
    rows = window(160)
    member = extract(_kinds()[name](3).fit(rows.x, rows.y), "probability")
    assert member is not None
    model = assemble(4, Scaler("product", np.full(4, 1.25), np.full(4, -0.5)), [member])
    fresh = np.random.default_rng(8).normal(size=(67, 4))
    fresh[5, 2] = np.nan
    keys, sums, out = np.zeros(64 * 4, dtype=np.int64), np.zeros(64), np.zeros(67)
    with np.errstate(invalid="ignore"):
        kernels.serve_rows(fresh, 0, 67, out, *serving(model.arrays()), keys, sums)
    assert np.array_equal(out, model.predict(fresh), equal_nan=True)


def test_read_only_and_strided_rows_are_the_same_rows() -> None:
    model = _forest()
    rows = np.random.default_rng(4).normal(size=(5, 8))
    view = rows[:, ::2]
    wanted = model.predict(np.ascontiguousarray(view))
    assert model.predict(view).tolist() == wanted.tolist()
    frozen = np.ascontiguousarray(view)
    frozen.setflags(write=False)
    assert model.predict(frozen).tolist() == wanted.tolist()
    assert [model.predict_row(row) for row in view] == wanted.tolist()
    assert [model.predict_row(row) for row in frozen] == wanted.tolist()


@pytest.mark.parametrize("name", ["forest", "histogram", "logistic"])
def test_a_row_that_is_not_finite_has_no_probability(name: str) -> None:
    rows = window(160)
    member = extract(_kinds()[name](3).fit(rows.x, rows.y), "probability")
    assert member is not None
    model = assemble(4, Scaler(), [member])
    fresh = np.random.default_rng(6).normal(size=(90, 4))
    holes = [(3, 0, np.nan), (40, 3, np.inf), (89, 1, -np.inf)]
    whole = model.predict(fresh)
    for row, column, value in holes:
        fresh[row, column] = value
    batch = model.predict(fresh)
    assert np.flatnonzero(np.isnan(batch)).tolist() == [3, 40, 89]
    assert np.isnan([model.predict_row(fresh[row]) for row, _, _ in holes]).all()
    sound = np.isfinite(batch)
    assert batch[sound].tolist() == whole[sound].tolist()


_EDGES = [0.0, -0.0, 5e-324, -5e-324, 1e-46, -1e-46, 1.5, -2.5, 3.4e38, -3.4e38, 1e39, -1e39]


@given(
    threshold=st.one_of(st.sampled_from(_EDGES), st.floats(allow_nan=False)),
    value=st.one_of(st.sampled_from(_EDGES), st.floats(allow_nan=False, allow_infinity=False)),
    single=st.booleans(),
)
@settings(max_examples=examples(300))
def test_a_split_compares_as_floating_point_does(
    threshold: float, value: float, single: bool
) -> None:
    """One stump: a value goes right exactly when it, cast or not, is above the threshold."""
    below, leaf = np.array([1, -1, -1]), np.zeros(3, dtype=np.int64)
    stump = Tree(leaf, np.full(3, threshold), below, np.array([2, -1, -1]), np.array([0, 1.0, 2.0]))
    model = assemble(1, Scaler(), [Member(trees=[stump], single=single)])
    with np.errstate(over="ignore"):
        seen = float(np.float32(value)) if single else value
    assert model.predict_row(np.array([value])) == (2.0 if seen > threshold else 1.0)


def test_a_model_too_large_for_its_words_is_refused() -> None:
    width = 2_049
    assemble(width, Scaler(), [Member(weights=np.zeros(width))])  # a linear model has no words
    nothing = np.zeros(1, dtype=np.int64)
    leaf = Tree(nothing, np.zeros(1), nothing - 1, nothing - 1, np.ones(1))
    with pytest.raises(RunError, match="has 2049 features, and at most 2048 can be served"):
        assemble(width, Scaler(), [Member(trees=[leaf])])


def test_wrong_width_is_refused() -> None:
    model = _forest()
    with pytest.raises(ValueError, match="expected 4 features, found 3"):
        model.predict_row(np.zeros(3))
    with pytest.raises(ValueError, match="expected rows of 4 features"):
        model.predict(np.zeros((2, 3)))


@pytest.mark.parametrize("depth", [3, None])
@given(data=st.data())
@settings(max_examples=examples(30))
def test_damaged_arrays_are_refused_or_harmless(depth: int | None, data: st.DataObject) -> None:
    """Whatever is written into an index array, no kernel reads outside its arrays."""
    arrays = {name: array.copy() for name, array in _forest(depth).arrays().items()}
    name = data.draw(st.sampled_from(["plan", "trees", "feature", "left", "numbers"]))
    flat = arrays[name].reshape(-1)
    if not len(flat):
        return
    place = data.draw(st.integers(0, len(flat) - 1))
    flat[place] = data.draw(st.sampled_from([-1, 0, 1, 7, 100, 100_000, 2**31 - 1]))
    try:
        model = FlatModel.from_arrays(arrays)
    except ModelError:
        return
    assert model.predict(np.zeros((3, model.width))).shape == (3,)
