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

import numpy as np

from septet._data.bars import Floats, Ints
from septet._learn.extract import Response, calibration_of, extract, response_of, scaler_of
from septet._learn.fitting import Fitted, Recipe, Served, Trainer, Untrainable, Window
from septet._learn.flat import Calibration, Member, Scaler, assemble
from septet._learn.portable import Exported, OnnxModel, ServingError, convert
from septet.errors import InputError, RunError

__all__ = ["EstimatorTrainer", "Recipe", "Scaling", "calibration_folds", "complete", "served_copy"]

Scaling = Literal["none", "standard", "robust", "minmax"]
Calibrating = Literal["none", "sigmoid", "isotonic"]

LARGEST_DIFFERENCE: Final = 1e-5
_BLOCKS: Final = 5
_COMPARED: Final = 200


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
        RunError
            If the served copy differs from the estimator by more than 1e-5.
        """
        with _one_thread() as caught:
            scaler = _scaler(self.scale)
            x = window.x if scaler is None else scaler.fit_transform(window.x)
            answer = self._fit(x, window)
            rows = _held_out(window)
            wanted = answer.predict_proba(rows if scaler is None else scaler.transform(rows))[:, 1]
            served, difference = self._serve(scaler_of(scaler), answer, rows, wanted)
        notes = tuple(dict.fromkeys(f"{each.category.__name__}: {each.message}" for each in caught))
        facts = {
            "served_by": served.format,
            "scale": self.scale,
            "calibrate": self.calibrate,
            "largest_difference": difference,
            "rows_compared": len(rows),
            "versions": _versions(answer, served.format),
        }
        return Fitted(served, _importance(answer), notes[:5], facts)

    def _fit(self, x: Floats, window: Window) -> Any:
        estimator = self.recipe.estimator(window.seed, len(window.y))
        if self.calibrate != "none":
            from sklearn.calibration import CalibratedClassifierCV

            estimator = CalibratedClassifierCV(
                estimator, method=self.calibrate, cv=calibration_folds(window), ensemble=True
            )
        try:
            estimator.fit(x, window.y)
        except (TypeError, ValueError) as error:
            first = str(error).strip().splitlines()[0]
            raise InputError(
                f"{self.name} cannot be fitted: {first}", hint="check model.params"
            ) from error
        if not hasattr(estimator, "predict_proba"):
            raise InputError(f"{self.name} gives no probabilities", hint="write calibrate: sigmoid")
        return estimator

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
        raise RunError(
            f"{self.name}: its served copy differs from scikit-learn by {smallest:.2g} on "
            f"{len(rows)} held-out rows, more than {LARGEST_DIFFERENCE:g}",
            hint="choose an estimator of trees, boosting or a linear kind, or add scale: standard",
        )


def served_difference(served: Served, rows: Floats, wanted: Floats) -> float:
    """Largest difference from what the estimator says; infinite if it cannot answer."""
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


@dataclass(frozen=True, slots=True)
class _Part:
    """One fitted estimator, what its calibrator reads, and the calibration."""

    estimator: Any
    response: Response
    calibration: Calibration


def _parts(answer: Any) -> list[_Part]:
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
    one, other = chance.integers(0, len(window.x), (2, _COMPARED))
    share = chance.random((_COMPARED, 1))
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
