"""Fitting a scikit-learn style estimator: scaler, calibration, and the served copy."""

from __future__ import annotations

import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final, Literal

import msgspec
import numpy as np

from septet._data.bars import Floats, Ints
from septet._learn.extract import (
    Response,
    calibration_of,
    extract,
    has_reader,
    response_of,
    scaler_of,
)
from septet._learn.fitting import Fitted, Recipe, Served, Trainer, Untrainable, Window
from septet._learn.flat_model import Calibration, Member, Scaler, assemble
from septet._learn.onnx_model import (
    Exported,
    OnnxModel,
    ServingError,
    convert,
    require_onnx_packages,
)
from septet.errors import InputError, RunError, SeptetError

__all__ = [
    "CopyError", "EstimatorTrainer", "Recipe", "Scaling", "calibration_folds", "complete",
    "served_copy",
]  # fmt: skip

Scaling = Literal["none", "standard", "robust", "minmax"]
Calibrating = Literal["none", "sigmoid", "isotonic"]

LARGEST_DIFFERENCE: Final = 1e-5
_BLOCKS: Final = 5
_COMPARED_ROWS: Final = 200


class CopyError(RunError):
    """A served copy that answers otherwise than the estimator does."""


def complete(built: Any, scale: Scaling, calibrate: Calibrating) -> Trainer:
    """Turn what a model plugin built into a trainer.

    Raises
    ------
    InputError
        If the plugin trains by itself and the file asks for scaling or calibration, or if what
        it built cannot be fitted at all.
    """
    if hasattr(built, "estimator"):
        return EstimatorTrainer(built, scale, calibrate)
    if not hasattr(built, "fit"):
        raise InputError(
            f"{type(built).__name__} fits nothing: it is no model to train",
            hint="a stored model is read with load_model",
        )
    trainer: Trainer = built
    if (scale, calibrate) != ("none", "none"):
        raise InputError(
            f"the model {trainer.name} fits itself: it takes no scale ({scale}) and no "
            f"calibrate ({calibrate})",
            hint="write scale: none and calibrate: none",
        )
    return trainer


def calibration_folds(window: Window) -> list[tuple[Ints, Ints]]:
    """Time-ordered folds inside a window: fit on what came before, calibrate on a later block.

    The window is cut into five blocks of rows; the last three are calibrated on, each with
    everything before it whose label was known by the block's first row. Rows of one time stay
    together. Folds in which a class is missing are left out.

    Raises
    ------
    Untrainable
        If no fold has both classes on both sides.
    """
    n = len(window.time_ns)
    edges = [n * k // _BLOCKS for k in range(2, _BLOCKS + 1)]
    edges = [int(np.searchsorted(window.time_ns, window.time_ns[min(e, n - 1)])) for e in edges]
    edges[-1] = n
    folds = []
    for low, high in pairwise(edges):
        if low >= high:
            continue
        fit = np.flatnonzero(window.known_ns[:low] <= window.time_ns[low])
        test = np.arange(low, high)
        if all(len(np.unique(window.y[part])) == 2 for part in (fit, test)):
            folds.append((fit, test))
    if not folds:
        raise Untrainable("no calibration fold inside the window has both classes")
    return folds


@contextmanager
def _one_thread() -> Iterator[list[warnings.WarningMessage]]:
    """Fit with one thread of linear algebra, so that no sum depends on the machine's cores."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def _scaler(scale: Scaling) -> Any:
    from sklearn import preprocessing

    makers = {
        "none": lambda: None,
        "standard": preprocessing.StandardScaler,
        "robust": preprocessing.RobustScaler,
        "minmax": preprocessing.MinMaxScaler,
    }
    return makers[scale]()


def unwrapped(estimator: Any) -> Any:
    """Look through a wrapper to the estimator whose probabilities it gives."""
    if type(estimator).__name__ in _WRAPPERS:
        return unwrapped(estimator.estimator_)
    return getattr(estimator, "septet_inner_", estimator)


_WRAPPERS: Final = (
    "FixedThresholdClassifier",
    "TunedThresholdClassifierCV",
    "SelfTrainingClassifier",
)
_OF_SEPTET: Final = "Balanced"
"""The wrapper that `class_weight` at the top of a model makes."""


def _require_served(estimator: Any) -> None:
    """Refuse, before its fit, an estimator that this installation could not serve after it."""
    inner = estimator
    while inner is not None and type(inner).__name__ in (*_WRAPPERS, _OF_SEPTET):
        inner = getattr(inner, "estimator", None)
    if inner is not None and not has_reader(inner):
        require_onnx_packages(inner)


class Calibrated(msgspec.Struct, frozen=True):
    """An estimator fitted on all rows, behind a calibrator fitted on rows it came to later."""

    estimator: Any
    calibrator: Any

    def predict_proba(self, x: Floats) -> Floats:
        """Probability down and up of every row, shape (n, 2)."""
        up = self.calibrator.predict(_response(self.estimator, x))
        return np.column_stack((1.0 - up, up))


def _response(estimator: Any, x: Floats) -> Floats:
    """What a calibrator reads of an estimator, one number a row."""
    if response_of(estimator) == "score":
        return np.asarray(estimator.decision_function(x), dtype=np.float64)
    return np.asarray(estimator.predict_proba(x)[:, 1], dtype=np.float64)


def _calibrator(method: str, response: Floats, y: Ints, weight: Floats | None) -> Any:
    """Fit scikit-learn's calibrator of a method on responses to rows that were not fitted."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    class Given(FrozenEstimator):  # type: ignore[misc]
        """What was fitted, with its weights: it declares that it takes some, and fits nothing."""

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:  # noqa: N803
            return self

    given = Given(_given_responses(response[:, None], y))
    classifier = CalibratedClassifierCV(given, method=method, cv=2, ensemble=False)
    classifier.fit(response[:, None], y, sample_weight=weight)
    return classifier.calibrated_classifiers_[0].calibrators[0]


def _given_responses(x: Floats, y: Ints) -> Any:
    """Return a fitted classifier whose decision function is the one column it is given."""
    from sklearn.linear_model import LogisticRegression

    classifier = LogisticRegression().fit(x, y)
    classifier.coef_, classifier.intercept_ = np.ones((1, 1)), np.zeros(1)
    return classifier


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was fitted, and whether the rows' weights were used."""

    model: Any
    is_weighted: bool


@dataclass(frozen=True, slots=True)
class EstimatorTrainer:
    """Fits a recipe's estimator on scaled rows, calibrated or not, and serves it exactly."""

    recipe: Recipe
    scale: Scaling = "none"
    calibrate: Calibrating = "none"

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.recipe.name

    def fit(self, window: Window) -> Fitted:
        """Fit scaler, estimator and calibration on one window.

        Raises
        ------
        InputError
            If the estimator gives no probabilities and is not calibrated, or refuses its
            parameters.
        CopyError
            If the served copy differs from the estimator by more than 1e-5.
        """
        with _one_thread() as caught:
            scaler = _scaler(self.scale)
            x = window.x if scaler is None else scaler.fit_transform(window.x)
            rows = _held_out(window)
            try:
                fitted = self._fit(x, window)
                answer = fitted.model
                held_out = rows if scaler is None else scaler.transform(rows)
                expected = answer.predict_proba(held_out)[:, 1]
            except (SeptetError, Untrainable):
                raise
            except Exception as error:  # an estimator raises what it likes
                raise self._refused(error) from error
            served, difference = self._serve(scaler_of(scaler), answer, rows, expected)
        notes = tuple(dict.fromkeys(f"{each.category.__name__}: {each.message}" for each in caught))
        facts = {
            "served_by": served.format,
            "scale": self.scale,
            "calibrate": self.calibrate,
            "weights": "uniqueness" if fitted.is_weighted else "none",
            "largest_difference": difference,
            "rows_compared": len(rows),
            "versions": _versions(answer, served.format),
        }
        return Fitted(served, _importance(answer), notes[:5], facts)

    def _fit(self, x: Floats, window: Window) -> _Answer:
        """Fit the estimator on all rows; its calibrator on later rows than copies of it saw."""
        if self.calibrate == "none":
            return self._fit_rows(x, window, slice(None))
        responses, tested = [], []
        for fit, test in calibration_folds(window):
            part = self._fit_rows(x, window, fit)
            responses.append(self._calibrated_on(part.model, x[test]))
            tested.append(test)
        rows = np.concatenate(tested)
        if np.bincount(window.y[rows], minlength=2).min() < 2:
            raise Untrainable("the calibration folds have one row of a class")
        weight = None if window.weight is None else window.weight[rows]
        found = _calibrator(self.calibrate, np.concatenate(responses), window.y[rows], weight)
        whole = self._fit_rows(x, window, slice(None))
        return _Answer(Calibrated(whole.model, found), whole.is_weighted)

    def _fit_rows(self, x: Floats, window: Window, rows: Any) -> _Answer:
        """Fit a new estimator on some rows, with their weights if it takes them."""
        from sklearn.utils.validation import has_fit_parameter

        y, weight = window.y[rows], window.weight
        estimator = self.recipe.estimator(window.seed, len(y))
        _require_served(estimator)
        if weight is not None and has_fit_parameter(estimator, "sample_weight"):
            try:
                estimator.fit(x[rows], y, sample_weight=weight[rows])
            except (TypeError, ValueError):
                # one inside it takes no weights: what is wrong with the rows comes up again below
                estimator = self.recipe.estimator(window.seed, len(y))
            else:
                return self._checked(estimator, is_weighted=True)
        try:
            estimator.fit(x[rows], y)
        except (TypeError, ValueError) as error:
            raise self._refused(error) from error
        return self._checked(estimator, is_weighted=False)

    def _refused(self, error: Exception) -> InputError:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        return InputError(f"{self.name} cannot be fitted: {first}", hint="check model.params")

    def _calibrated_on(self, estimator: Any, x: Floats) -> Floats:
        """Ask an estimator for what its calibrator reads, of rows it was not fitted on."""
        try:
            return _response(estimator, x)
        except (AttributeError, ValueError) as error:
            first = str(error).strip().splitlines()[0]
            raise InputError(
                f"{self.name} cannot be calibrated: {first}", hint="write calibrate: none"
            ) from error

    def _checked(self, estimator: Any, *, is_weighted: bool) -> _Answer:
        if self.calibrate == "none" and not hasattr(estimator, "predict_proba"):
            raise InputError(f"{self.name} gives no probabilities", hint="write calibrate: sigmoid")
        return _Answer(estimator, is_weighted)

    def _serve(
        self, scaler: Scaler, answer: Any, rows: Floats, wanted: Floats
    ) -> tuple[Served, float]:
        """Serve by our own arrays, or else by ONNX; whatever it is has to agree."""
        smallest = np.inf
        for served in _candidates(answer, scaler, rows.shape[1]):
            difference = served_difference(served, rows, wanted)
            if difference <= LARGEST_DIFFERENCE:
                return served, difference
            smallest = min(smallest, difference)
        raise CopyError(
            f"{self.name}: its served copy differs from scikit-learn by {smallest:.2g} on "
            f"{len(rows)} held-out rows, more than {LARGEST_DIFFERENCE:g}",
            hint="choose an estimator of trees, boosting or a linear kind, or add scale: standard",
        )


def served_difference(served: Served, rows: Floats, wanted: Floats) -> float:
    """Largest difference from the estimator's own probability; infinite if it cannot answer."""
    try:
        return float(np.abs(served.predict(rows) - wanted).max())
    except ServingError:
        return float("inf")


def served_copy(answer: Any, scaler: Any, width: int) -> Served:
    """Serve a fitted classifier behind a fitted scaler (None: no scaling), exactly if possible.

    Nobody has compared the two yet: see `served_difference`.
    """
    return next(_candidates(answer, scaler_of(scaler), width))


def _candidates(answer: Any, scaler: Scaler, width: int) -> Iterator[Served]:
    parts = _parts(answer)
    members = [extract(unwrapped(each.estimator), each.response) for each in parts]
    known = [each for each in members if each is not None]
    if len(known) == len(parts):
        calibrated = [
            replace(member, calibration=part.calibration)
            for member, part in zip(known, parts, strict=True)
        ]
        yield assemble(width, scaler, calibrated)
        return
    reasons = []
    for double in (True, False):
        try:
            exported = [
                Exported(
                    convert(unwrapped(each.estimator), each.response, width, double=double),
                    Member(calibration=each.calibration),
                )
                for each in parts
            ]
        except RunError as error:
            reasons.append(error)
        else:
            yield OnnxModel.build(width, scaler, exported)
    if len(reasons) == 2:
        raise reasons[1]


class _Part(msgspec.Struct, frozen=True):
    """One fitted estimator, what its calibrator reads, and the calibration."""

    estimator: Any
    response: Response
    calibration: Calibration


def _parts(answer: Any) -> list[_Part]:
    if isinstance(answer, Calibrated):
        calibration = calibration_of(answer.calibrator)
        return [_Part(answer.estimator, response_of(answer.estimator), calibration)]
    folds = getattr(answer, "calibrated_classifiers_", None)
    if folds is None:
        return [_Part(answer, "probability", Calibration())]
    return [
        _Part(each.estimator, response_of(each.estimator), calibration_of(each.calibrators[0]))
        for each in folds
    ]


def _held_out(window: Window) -> Floats:
    """Rows that were never fitted: points between pairs of the window's rows."""
    chance = np.random.default_rng(window.seed)
    one, other = chance.integers(0, len(window.x), (2, _COMPARED_ROWS))
    share = chance.random((_COMPARED_ROWS, 1))
    return np.ascontiguousarray(window.x[one] * share + window.x[other] * (1.0 - share))


def _importance(answer: Any) -> Floats | None:
    """The estimator's own importance, averaged over calibration folds."""
    found = [
        getattr(unwrapped(part.estimator), "feature_importances_", None) for part in _parts(answer)
    ]
    known = [np.asarray(each, dtype=np.float64) for each in found if each is not None]
    if len(known) != len(found):
        return None
    total = np.mean([each / (each.sum() or 1.0) for each in known], axis=0)
    return np.ascontiguousarray(total)


def _versions(answer: Any, served_by: str) -> dict[str, str]:
    """Versions of what took part in the fit, whatever else this process has imported."""
    found = {"python": platform.python_version(), "numpy": np.__version__}
    fitted = getattr(answer, "estimator", answer)
    took_part = {"sklearn", type(fitted).__module__.partition(".")[0]}
    if served_by == "onnx":
        took_part |= {"onnxruntime", "skl2onnx"}
    for name in ("sklearn", "lightgbm", "onnxruntime", "skl2onnx"):
        if name in took_part and name in sys.modules:
            found[name] = str(getattr(sys.modules[name], "__version__", "unknown"))
    return found
