"""LightGBM's gradient boosting, served by the same arrays as every other tree."""

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
    """LightGBM's own names; what is left out has LightGBM's default."""

    boosting_type: Literal["gbdt", "dart", "rf"] = "gbdt"
    n_estimators: _Count = 100
    learning_rate: Annotated[float, Field(gt=0.0)] = 0.1
    num_leaves: Annotated[int, Field(ge=2, le=131_072)] = 31
    max_depth: Annotated[int, Field(ge=-1)] = -1
    min_child_samples: Annotated[int, Field(ge=0)] = 20
    min_child_weight: _NotNegative = 1e-3
    min_split_gain: _NotNegative = 0.0
    subsample: _Share = 1.0
    subsample_freq: Annotated[int, Field(ge=0)] = 0
    colsample_bytree: _Share = 1.0
    reg_alpha: _NotNegative = 0.0
    reg_lambda: _NotNegative = 0.0
    max_bin: Annotated[int, Field(ge=2, le=65_535)] = 255
    class_weight: Literal["balanced"] | None = None
    n_jobs: int | None = None

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
    """Makes the classifier that a file asks for, new for every window."""

    config: LightGbm

    @property
    def name(self) -> str:
        """The class name."""
        return "LGBMClassifier"

    def estimator(self, seed: int, rows: int) -> Any:
        """Make an unfitted classifier; the same answer for any number of threads."""
        from lightgbm import LGBMClassifier

        params = self.config.params.model_dump()
        params["n_jobs"] = params["n_jobs"] or (os.cpu_count() if rows >= _MANY_ROWS else 1)
        return LGBMClassifier(
            **params, random_state=seed, deterministic=True, force_row_wise=True, verbosity=-1
        )


@model(LightGbm)
def lightgbm_model(config: LightGbm) -> LightGbmRecipe:
    """Build the recipe; LightGBM is imported when the first window is fitted."""
    return LightGbmRecipe(config)
