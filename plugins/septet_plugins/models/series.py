"""Probabilities that were made outside: a feature is the probability, and nothing is learnt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from septet.plugin import Config, Fitted, Input, Untrainable, Window, model

__all__ = ["SeriesModel", "SeriesProbability", "SeriesTrainer", "series_model"]

Floats = npt.NDArray[np.float64]


class SeriesModel(Config):
    """The feature `of` is the probability up, from 0 to 1, such as an outside series.

    Nothing is fitted: a window of `training` says whether there are probabilities, and the model
    decides from then on.
    """

    shorthand: ClassVar[str | None] = "of"
    gives_probability: ClassVar[bool] = True
    of: Input


@dataclass(frozen=True, slots=True)
class SeriesProbability:
    """Passes one column on, held between 0 and 1."""

    column: int
    width: int
    format: str = "septet/series"

    def predict(self, x: Floats) -> Floats:
        """Return the column of float64 (n, f) as float64 (n,)."""
        return np.ascontiguousarray(np.clip(x[:, self.column], 0.0, 1.0))

    def predict_row(self, vector: Floats) -> float:
        """Return the value of one vector."""
        return min(max(float(vector[self.column]), 0.0), 1.0)

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return which column of how many it is."""
        return {"place": np.array([self.column, self.width], dtype=np.int64)}


@dataclass(frozen=True, slots=True)
class SeriesTrainer:
    """Makes the same model for every window that holds probabilities."""

    of: str

    @property
    def name(self) -> str:
        """Short name for reports."""
        return f"series {self.of}"

    def fit(self, window: Window) -> Fitted:
        """Find the column, and see that its values are probabilities.

        Raises
        ------
        Untrainable
            If the feature is not among the inputs, or has values below 0 or above 1.
        """
        if self.of not in window.feature_names:
            raise Untrainable(f"{self.of} is not among the inputs of the model")
        column = window.feature_names.index(self.of)
        low, high = float(window.x[:, column].min()), float(window.x[:, column].max())
        if low < 0.0 or high > 1.0:
            raise Untrainable(
                f"{self.of} holds values from {low:.6g} to {high:.6g}, expected 0 to 1"
            )
        return Fitted(SeriesProbability(column, len(window.feature_names)))

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> SeriesProbability:
        """Return the model from its arrays."""
        column, width = (int(each) for each in arrays["place"])
        if not 0 <= column < width:
            raise ValueError(f"column {column} of {width}")
        return SeriesProbability(column, width)


@model(SeriesModel)
def series_model(config: SeriesModel) -> SeriesTrainer:
    """Return what hands the feature on."""
    return SeriesTrainer(config.of)
