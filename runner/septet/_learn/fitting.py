"""What a model plugin is given and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from septet._data.bars import Floats, Ints

__all__ = ["Fitted", "Served", "Trainer", "Untrainable", "Window"]


class Untrainable(Exception):
    """A window gives no model; the walk records why and goes on."""


@dataclass(frozen=True, slots=True)
class Window:
    """The rows one model is fitted on: finite features, labels known, in time order.

    `x` is float64 (n, f), `y` int64 (n,) of 0 and 1, `time_ns` and `known_ns` int64 (n,): when
    the row and when its label became known. `seed` is the model's own.
    """

    x: Floats
    y: Ints
    time_ns: Ints
    known_ns: Ints
    feature_names: tuple[str, ...]
    seed: int


class Served(Protocol):
    """A fitted model as it decides: arrays, no scikit-learn."""

    @property
    def format(self) -> str:
        """``flat`` (our arrays) or ``onnx``."""
        ...

    @property
    def width(self) -> int:
        """Number of features."""
        ...

    def predict(self, x: Floats) -> Floats:
        """Probability up of every row of float64 (n, f), finite values only; float64 (n,)."""
        ...

    def predict_row(self, vector: Floats) -> float:
        """Probability up of one vector; the same bits as `predict` gives for that row."""
        ...

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Everything the model is, as plain arrays."""
        ...


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted model, and what its card says about the fit.

    `importance` is the estimator's own impurity importance, float64 (f,), where it has one.
    `notes` are warnings of the fit; `facts` go into the card (estimator, versions, check).
    """

    model: Served
    importance: npt.NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


class Trainer(Protocol):
    """What a model plugin builds: it fits windows, one after the other."""

    @property
    def name(self) -> str:
        """Short name for reports: ``RandomForestClassifier``."""
        ...

    def fit(self, window: Window) -> Fitted:
        """Fit one window; the same window gives the same bits."""
        ...
