"""LightGBM's gradient boosting, served from the same arrays as all other tree models."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from septet.plugin import Config
from septet.plugin.model import model

__all__ = ["LightGbm", "LightGbmRecipe", "Parameters", "lightgbm_model"]

_Share = Annotated[float, Field(gt=0.0, le=1.0)]
_Count = Annotated[int, Field(ge=1, le=1_000_000)]
_MANY_ROWS: Final = 20_000
_NotNegative = Annotated[float, Field(ge=0.0)]


class Parameters(Config):
    """LightGBM parameters under LightGBM's names; those not given have LightGBM's defaults."""

    boosting_type: Literal["gbdt", "dart", "rf"] = "gbdt"
    """Boosting method."""
    n_estimators: _Count = 100
    """Number of trees."""
    learning_rate: Annotated[float, Field(gt=0.0)] = 0.1
    """Learning rate: share of each tree's correction that is used."""
    num_leaves: Annotated[int, Field(ge=2, le=131_072)] = 31
    """Largest number of leaves of a tree."""
    max_depth: Annotated[int, Field(ge=-1)] = -1
    """Largest depth of a tree; -1 is no bound."""
    min_child_samples: Annotated[int, Field(ge=0)] = 20
    """Least number of rows of a leaf."""
    min_child_weight: _NotNegative = 1e-3
    """Least sum of second derivatives of a leaf."""
    min_split_gain: _NotNegative = 0.0
    """Least gain of a split."""
    subsample: _Share = 1.0
    """Share of the rows that a tree is fitted on."""
    subsample_freq: Annotated[int, Field(ge=0)] = 0
    """Number of trees after which those rows are drawn again; 0 is never."""
    colsample_bytree: _Share = 1.0
    """Share of the inputs that a tree is fitted on."""
    reg_alpha: _NotNegative = 0.0
    """L1 penalty of the leaves."""
    reg_lambda: _NotNegative = 0.0
    """L2 penalty of the leaves."""
    max_bin: Annotated[int, Field(ge=2, le=65_535)] = 255
    """Largest number of bins of an input's values."""
    class_weight: Literal["balanced"] | None = None
    """`balanced` weighs both classes alike."""
    n_jobs: int | None = None
    """Number of threads of a fit."""

    @model_validator(mode="after")
    def _forest_draws(self) -> Self:
        if self.boosting_type == "rf" and not (self.subsample < 1.0 and self.subsample_freq > 0):
            raise PydanticCustomError(
                "lightgbm_forest", "boosting_type rf draws rows for every tree",
                {"expected": "subsample below 1 and subsample_freq 1 or more",
                 "found": f"subsample {self.subsample:g}, subsample_freq {self.subsample_freq}"},
            )  # fmt: skip
        return self


class LightGbm(Config):
    """A LightGBM classifier; it needs the extra `lightgbm`."""

    params: Parameters = Parameters()
    """Parameters of the classifier, under LightGBM's own names."""

    @model_validator(mode="after")
    def _installed(self) -> Self:
        if importlib.util.find_spec("lightgbm") is None:
            raise PydanticCustomError(
                "extra_missing", "lightgbm is not installed",
                {"expected": "the extra: pip install 'septet[lightgbm]'", "found": "no lightgbm"},
            )  # fmt: skip
        return self


@dataclass(frozen=True, slots=True)
class LightGbmRecipe:
    """Builds the classifier that a file configures, new for every window."""

    config: LightGbm

    @property
    def name(self) -> str:
        """Name of the class."""
        return "LGBMClassifier"

    def estimator(self, seed: int, rows: int) -> Any:
        """Build an unfitted classifier; its result does not depend on the number of threads."""
        from lightgbm import LGBMClassifier

        params = self.config.params.model_dump()
        params["n_jobs"] = params["n_jobs"] or (os.cpu_count() if rows >= _MANY_ROWS else 1)
        return LGBMClassifier(
            **params, random_state=seed, deterministic=True, force_row_wise=True, verbosity=-1
        )


@model(LightGbm)
def lightgbm_model(config: LightGbm) -> LightGbmRecipe:
    """Return the recipe; LightGBM is imported when the first window is fitted."""
    return LightGbmRecipe(config)
