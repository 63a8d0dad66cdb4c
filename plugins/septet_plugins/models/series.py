"""Probabilities from outside: a feature is the probability, and nothing is fitted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from septet.plugin import Config, Input
from septet.plugin.model import Fitted, Untrainable, Window, model

__all__ = ["SeriesModel", "SeriesProbability", "SeriesTrainer", "series_model"]

Floats = npt.NDArray[np.float64]


class SeriesModel(Config):
    """The feature `of` is the probability up, from 0 to 1, such as an outside series.

    Nothing is fitted, and there is no `training`: the model decides from the first bar.
    """

    shorthand: ClassVar[str | None] = "of"
    gives_probability: ClassVar[bool] = True
    learns: ClassVar[bool] = False
    of: Input
    """The feature with the probability up, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class SeriesProbability:
    """Returns one column; values that are not probabilities are missing."""

    column: int
    width: int
    format: str = "septet/series"

    def predict(self, x: Floats) -> Floats:
        """Return the column of a float64 (n, f) array as float64 (n,)."""
        values = x[:, self.column]
        return np.where((values >= 0.0) & (values <= 1.0), values, np.nan)

    def predict_row(self, vector: Floats) -> float:
        """Return the value of one vector."""
        value = float(vector[self.column])
        return value if 0.0 <= value <= 1.0 else math.nan

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return the index of the column and the number of columns."""
        return {"place": np.array([self.column, self.width], dtype=np.int64)}


@dataclass(frozen=True, slots=True)
class SeriesTrainer:
    """Selects the column of the feature."""

    of: str

    @property
    def name(self) -> str:
        """Short name for reports."""
        return f"series {self.of}"

    def fit(self, window: Window) -> Fitted:
        """Find the column, and check that its known values are probabilities.

        Raises
        ------
        Untrainable
            If the feature is not among the inputs, or has values below 0 or above 1.
        """
        if self.of not in window.feature_names:
            raise Untrainable(f"{self.of} is not among the inputs of the model")
        column = window.feature_names.index(self.of)
        values = window.x[:, column]
        out_of_range = values[(values < 0.0) | (values > 1.0)]
        if len(out_of_range):
            raise Untrainable(
                f"{self.of} holds values such as {out_of_range[0]:.6g}, expected 0 to 1"
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
    """Return the trainer of the feature."""
    return SeriesTrainer(config.of)
