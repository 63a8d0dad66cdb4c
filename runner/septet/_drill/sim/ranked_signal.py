"""A signal, the more confident the further two averages are apart: it gives entries an order."""

import math

from septet.hookspecs import Component
from septet.plugin import Config, Expression, signal

__all__ = ["RankedSignal", "septet_signals", "ranked"]


class RankedSignal(Config):
    """Long while `lead` is above zero, flat below; confidence grows with it up to `most`."""

    lead: Expression
    most: float = 0.01


@signal(RankedSignal, reasons=("not_finite",))
def ranked(lead: float, most: float) -> tuple[float, float, int]:
    """Return the target side and its confidence."""
    if lead != lead:
        return math.nan, 0.0, 0
    if lead <= 0.0:
        return 0.0, 1.0, -1
    return 1.0, (lead / most if lead < most else 1.0), -1


def septet_signals() -> list[Component]:
    """List it as a package lists its own."""
    return [Component("signals", "ranked", f"{__name__}:ranked", "signal", "ranked by distance")]
