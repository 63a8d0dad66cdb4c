"""The ten features of W3 by TA-Lib, where it has them, and numpy for the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["talib_features"]


def talib_features(close: Any, volume: Any, lags: Sequence[int]) -> Callable[[], dict[str, Any]]:
    """Return what computes them from arrays; TA-Lib's deviation is that of a population."""
    import talib

    sample = float(np.sqrt(10.0 / 9.0))

    def late(values: Any, count: int) -> Any:
        moved = np.empty_like(values)
        moved[:count], moved[count:] = np.nan, values[:-count]
        return moved

    def run() -> dict[str, Any]:
        logs = np.log(close)
        ret = np.empty_like(close)
        ret[0], ret[1:] = np.nan, logs[1:] - logs[:-1]
        upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
        found = {
            "ret_1": ret,
            "rsi_14": talib.RSI(close, 14),
            "bb_width": (upper - lower) / middle,
            "vol_10": talib.STDDEV(ret, 10) * sample,
            "volume_z": (volume - talib.SMA(volume, 20)) / talib.STDDEV(volume, 20),
        }
        return found | {f"lags_{count}": late(ret, count) for count in lags}

    return run
