"""Halts: tests of the account at every decision time that stop all trading."""

from typing import Annotated, ClassVar

from pydantic import Field

from septet.plugin import Config, Fraction, halt
from septet.plugin.numeric import TOLERANCE

__all__ = ["DailyLoss", "Drawdown", "LossesInARow", "daily_loss", "drawdown", "losses_in_a_row"]

Share = Annotated[Fraction, Field(gt=0.0, lt=1.0)]


class Drawdown(Config):
    """Equity has fallen by `above` from its largest since the start or the last resume."""

    shorthand: ClassVar[str | None] = "above"
    above: Share
    """Fall of equity from its peak at which trading stops."""


@halt(Drawdown)
def drawdown(equity, peak, above):
    """Return whether the drawdown has reached `above`."""
    return peak - equity >= (above - TOLERANCE) * peak


class DailyLoss(Config):
    """Equity has fallen by `above` since the first step of the day."""

    shorthand: ClassVar[str | None] = "above"
    above: Share
    """Fall of equity within the day at which trading stops."""


@halt(DailyLoss)
def daily_loss(equity, day_base, above):
    """Return whether today's loss has reached `above`."""
    return day_base - equity >= (above - TOLERANCE) * day_base


class LossesInARow(Config):
    """Consecutive losing trades."""

    shorthand: ClassVar[str | None] = "count"
    count: Annotated[int, Field(ge=1)]
    """Number of consecutive closed losing trades at which trading stops."""


@halt(LossesInARow)
def losses_in_a_row(losses_in_a_row, count):
    """Return whether `count` consecutive trades were losses."""
    return losses_in_a_row >= count
