"""Inputs and results of trainers, and the check of models of other packages."""

from __future__ import annotations

from typing import Final

import numpy as np

from septet._data.bars import Floats
from septet._host.models import Fitted, Recipe, Restores, Served, Trainer, Untrainable, Window
from septet.errors import RunError

__all__ = [
    "Fitted",
    "Recipe",
    "Restores",
    "Served",
    "Trainer",
    "Untrainable",
    "Window",
    "check_served",
]

_COMPARED_ROWS: Final = 64


def check_served(name: str, served: Served, x: Floats) -> None:
    """Ask a stranger's model for the same rows together and alone.

    Parameters
    ----------
    name : str
        The trainer's name, for the message.
    served : Served
        The model.
    x : float64 (n, f)
        The rows it was fitted on; 64 of them are asked for alone.

    Raises
    ------
    RunError
        If it does not answer with one probability a row, or a row alone gives other bits.
    """
    hint = "this is a fault of the model's plugin; see Served in septet.plugin"
    if served.width != x.shape[1]:
        raise RunError(
            f"the model {name} states that it reads {served.width} features, and was fitted on "
            f"{x.shape[1]}",
            hint=hint,
        )
    up = np.asarray(served.predict(x))
    if up.shape != (len(x),) or up.dtype != np.float64 or not bool(((up >= 0) & (up <= 1)).all()):
        raise RunError(
            f"the model {name} has to answer {len(x)} rows with as many probabilities from 0 to 1, "
            f"float64; it gave shape {up.shape} of {up.dtype}, from {np.min(up, initial=np.inf):g} "
            f"to {np.max(up, initial=-np.inf):g}",
            hint=hint,
        )
    shown = np.linspace(0, len(x) - 1, _COMPARED_ROWS if len(x) else 0)
    for row in np.unique(shown.astype(np.int64)).tolist():
        alone, among = float(served.predict_row(np.ascontiguousarray(x[row]))), float(up[row])
        if alone != among:
            raise RunError(
                f"the model {name} answers a row alone with {alone!r} and among others with "
                f"{among!r}: a backtest and a session would differ",
                hint=hint,
            )
