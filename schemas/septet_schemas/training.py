"""Labels of a model, and its training schedule."""

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
    """The label."""
    horizon: Span = _ONE_BAR
    """Number of bars, or time, after which the close is compared."""


class ThresholdLabel(Config):
    """1 if the return over `horizon` is above `above`, else 0."""

    use: Literal["threshold"] = "threshold"
    """The label."""
    horizon: Span = _ONE_BAR
    """How far ahead the close is compared."""
    above: Fraction
    """Threshold that the return must exceed."""


class TripleBarrierLabel(Config):
    """Label by the barrier that is touched first: 1 for `take_profit`, 0 for `stop_loss`.

    If none is touched by `time_limit`, the sign of the return decides; a tie is down.
    """

    use: Literal["triple_barrier"] = "triple_barrier"
    """The label."""
    take_profit: Fraction = Field(gt=0.0)
    """Distance of the upper barrier from the close, as a share."""
    stop_loss: Fraction = Field(gt=0.0)
    """Distance of the lower barrier from the close, as a share."""
    time_limit: Span = Span(bar_count=24)
    """When the sign of the return decides, if no barrier was touched."""

    @property
    def horizon(self) -> Span:
        """Longest time that the label looks ahead."""
        return self.time_limit


Label = Annotated[DirectionLabel | ThresholdLabel | TripleBarrierLabel, Field(discriminator="use")]


class Training(Config):
    """Training schedule and training rows of a model.

    Model k has data up to T_k and decides from T_k + `ready_after`. With a duration for `step`, T_k
    is a multiple of it since the Unix epoch; else it is a time of a cron expression in UTC. `purge`
    None is the label's horizon; `expire_after` None means never. `scheme: stored` fits nothing and
    decides with the model stored at `path`; `scheme: none` belongs to a model that is not fitted,
    which decides from the first bar.
    """

    scheme: Literal["walk_forward", "stored", "none"] = "walk_forward"
    """Fit repeatedly on past data, use a stored model, or fit nothing."""
    window: Literal["rolling", "expanding"] = "rolling"
    """Whether the training window moves, or grows from the beginning."""
    train: MarketDuration = Field(default="180d")  # type: ignore[assignment]
    """Length of the training window in market time."""
    step: Step = Field(default="30d")  # type: ignore[assignment]
    """Time between two fits: a duration, or a cron expression in UTC."""
    purge: Span | None = None
    """The newest bars of each symbol, or time, excluded from training; by default the label's
    horizon."""
    embargo: Span = Span()
    """Rows excluded after test rows; no effect in walk_forward."""
    expire_after: MarketDuration | None = None
    """A model no longer decides when this time has passed since its T_k."""
    ready_after: Span = _ONE_BAR
    """Bars, or time, from the end of a model's data to its first decision."""
    on_drift: bool = False
    """Refit after three bad readings in a row."""
    min_rows: int = Field(default=500, ge=10, le=100_000_000)
    """Rows that a training window needs; a smaller window gives no model."""
    min_class: int = Field(default=50, ge=2, le=100_000_000)
    """Rows of each class that a training window needs."""
    path: str | None = None
    """Folder of a stored model, with `scheme: stored`."""

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
        """Market time before the first decision on which the first models of a walk are fitted."""
        return self.train + 2 * self.longest_step_ns if self.scheme == "walk_forward" else 0

    @property
    def longest_step_ns(self) -> int:
        """Longest time between two fits, nanoseconds."""
        return self.step.longest_ns if isinstance(self.step, Cron) else self.step
