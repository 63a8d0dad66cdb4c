"""The arguments and results of a model plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

__all__ = ["Fitted", "Recipe", "Restores", "Served", "Trainer", "Untrainable", "Window"]

if TYPE_CHECKING:  # `septet check` reads declarations without numpy
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]


class Untrainable(Exception):
    """A window gives no model; the walk records why and goes on without one."""


@dataclass(frozen=True, slots=True)
class Window:
    """The rows one model is fitted on: finite features, labels known, in time order.

    `x` is float64 (n, f), `y` int64 (n,) of 0 and 1, `time_ns` and `known_ns` int64 (n,): when
    the row and when its label became known. `seed` is the model's own: the only source of chance.
    `weight` is float64 (n,) with mean 1: how much of each label is its own where labels look ahead
    over the same bars; None where they weigh the same.

    The arrays are copies, made for one fit: what a trainer writes to them changes nothing else.
    """

    x: Floats
    y: Ints
    time_ns: Ints
    known_ns: Ints
    feature_names: tuple[str, ...]
    seed: int
    weight: Floats | None = None


class Served(Protocol):
    """A fitted model that predicts: plain arrays, and nothing that runs code when it is read.

    A model answers a row the same to the last bit whether it comes alone or among others; septet
    checks that after each fit. Products of whole matrices often do not: their sums depend on
    the number of rows. `format` names what the arrays mean; ``flat`` and ``onnx`` are septet's.
    """

    @property
    def format(self) -> str:
        """Short name of what `arrays` holds: ``septet-weekend/centroid``."""
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
        """Everything the model is, as plain arrays; stored with the run, without pickle."""
        ...


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted model, and the facts of the fit on its card.

    `importance` is the estimator's own impurity importance, float64 (f,), where it has one.
    `notes` are warnings of the fit. `facts` stand on the card under ``facts``: values JSON can
    hold, with names that septet does not use there itself (``last_label_ns``, ``rows``, ...).
    """

    model: Served
    importance: Floats | None = None
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


class Trainer(Protocol):
    """What a model plugin builds: it fits windows, one after the other."""

    @property
    def name(self) -> str:
        """Short name for reports: ``RandomForestClassifier``."""
        ...

    def fit(self, window: Window) -> Fitted:
        """Fit one window; the same window gives the same bits.

        Raises
        ------
        Untrainable
            If this window gives no model, and why.
        """
        ...


class Restores(Trainer, Protocol):
    """A trainer that reads its models back: what `septet train` and stored models need."""

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Served:
        """Make the model again from what its `arrays` gave."""
        ...


class Recipe(Protocol):
    """What a model plugin may build instead of a `Trainer`: it names an estimator.

    septet scales, calibrates, fits and serves it, as it does for the built-in ``sklearn``.
    """

    @property
    def name(self) -> str:
        """Short name for reports."""
        ...

    def estimator(self, seed: int, rows: int) -> Any:
        """Make a new, unfitted classifier with scikit-learn's interface, for so many rows.

        The number of rows may choose how many threads fit it, never what it answers.
        """
        ...
