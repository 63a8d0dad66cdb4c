"""Whether the values of a feature lie in the range that it declares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from septet._host.declare import Step
from septet._host.guarded_arrays import StepError
from septet.testing.evaluate import OWN_NAME
from septet_schemas.base import Config

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["require_range"]


def require_range(
    step: Step,
    config: Config,
    outputs: Mapping[str, npt.NDArray[np.float64]],
    columns: Mapping[str, npt.NDArray[Any]],
) -> None:
    """Require of every value that it lies in the range that is declared for it.

    `outputs` are the values by output, `columns` what they were computed from: a range may be
    that of an input.

    Raises
    ------
    StepError
        With the first value outside.
    """
    for name, values in outputs.items():
        declared: Any = step.range_of(config, "" if name == OWN_NAME else name)
        low, high = _bounds(declared, config, columns)
        outside = np.flatnonzero((values < _below(low)) | (values > _above(high)))
        if len(outside):
            at = int(outside[0])
            raise StepError(
                f"{name} is {values[at]:.10g} at bar {at}, and its value_range is "
                f"{low:.10g} to {high:.10g}"
            )


def _bounds(
    declared: Any, config: Config, columns: Mapping[str, npt.NDArray[Any]]
) -> tuple[float, float]:
    """Return a declared range; that of an input's values where one is named."""
    if not isinstance(declared, str):
        return declared[0], declared[1]
    column = columns.get(getattr(config, declared, declared))
    if column is None:
        return -math.inf, math.inf
    return float(np.nanmin(column)), float(np.nanmax(column))


def _below(low: float) -> float:
    """Return a bound with room for rounding."""
    return low - 1e-9 * max(1.0, abs(low)) if math.isfinite(low) else low


def _above(high: float) -> float:
    return high + 1e-9 * max(1.0, abs(high)) if math.isfinite(high) else high
