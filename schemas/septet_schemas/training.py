"""What a model learns and when: labels and the training schedule."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from septet_schemas.base import Config
from septet_schemas.cron import Cron, Step
from septet_schemas.units import Fraction, MarketDuration, Span

__all__ = ["DirectionLabel", "Label", "ThresholdLabel", "Training", "TripleBarrierLabel"]

_ONE_BAR = Span(bar_count=1)


class DirectionLabel(Config):
    """1 if the close `horizon` later is above this close, else 0 (a tie is down)."""

    use: Literal["direction"] = "direction"
    horizon: Span = _ONE_BAR


class ThresholdLabel(Config):
    """1 if the return over `horizon` is above `above`, else 0."""

    use: Literal["threshold"] = "threshold"
    horizon: Span = _ONE_BAR
    above: Fraction


class TripleBarrierLabel(Config):
    """Which barrier is touched first: 1 for `take_profit`, 0 for `stop_loss`.

    At `time_limit` the sign of the return decides, a tie is down.
    """

    use: Literal["triple_barrier"] = "triple_barrier"
    take_profit: Fraction = Field(gt=0.0)
    stop_loss: Fraction = Field(gt=0.0)
    time_limit: Span = Span(bar_count=24)

    @property
    def horizon(self) -> Span:
        """How far ahead the label looks at most."""
        return self.time_limit


Label = Annotated[DirectionLabel | ThresholdLabel | TripleBarrierLabel, Field(discriminator="use")]


class Training(Config):
    """When a model is fitted and on what.

    Model k has data up to T_k and decides from T_k + `ready_after`. With a duration for `step`,
    T_k is a multiple of it since the Unix epoch; else it is a time of a cron expression in UTC.
    `purge` None is the label's horizon; `expire_after` None never expires. `scheme: stored` fits
    nothing and decides with the model stored at `path`; `scheme: none` is that of a model that
    learns nothing, which decides from the first bar.
    """

    scheme: Literal["walk_forward", "stored", "none"] = "walk_forward"
    window: Literal["rolling", "expanding"] = "rolling"
    train: MarketDuration = Field(default="180d")  # type: ignore[assignment]
    step: Step = Field(default="30d")  # type: ignore[assignment]
    purge: Span | None = None
    embargo: Span = Span()
    expire_after: MarketDuration | None = None
    ready_after: Span = _ONE_BAR
    on_drift: bool = False
    min_rows: int = Field(default=500, ge=10, le=100_000_000)
    min_class: int = Field(default=50, ge=2, le=100_000_000)
    path: str | None = None

    @model_validator(mode="after")
    def _stored_has_path(self) -> Self:
        if self.scheme == "stored" and not self.path:
            raise PydanticCustomError(
                "stored_path",
                "scheme: stored needs the model's folder",
                {"expected": "path: FOLDER, as septet train writes it"},
            )
        return self

    @property
    def lead_ns(self) -> int:
        """Market time before the first decision that the first models of a walk are fitted on."""
        return self.train + 2 * self.longest_step_ns if self.scheme == "walk_forward" else 0

    @property
    def longest_step_ns(self) -> int:
        """Longest time from one model to the next, nanoseconds."""
        return self.step.longest_ns if isinstance(self.step, Cron) else self.step
