"""Signals from a model's confidence."""

import math

from pydantic import Field

from septet.plugin import Config, Probability, signal
from septet.plugin.numeric import TOLERANCE

__all__ = ["Confidence", "confidence_threshold"]


class Confidence(Config):
    """Act if the confidence ``2 * |p - 0.5|`` is at or above `threshold`."""

    threshold: Probability = Field(default=0.30)
    """Least confidence 2 * |p - 0.5| to act."""


@signal(Confidence, reasons=("not_finite", "below_threshold"))
def confidence_threshold(up, confidence, threshold):
    """Return long above one half, short below it, none below the threshold."""
    if up != up:
        return math.nan, 0.0, 0
    if confidence < threshold - TOLERANCE or up == 0.5:
        return math.nan, confidence, 1
    return (1.0 if up > 0.5 else -1.0), confidence, -1
