"""Converts the strategy file's blocks to the plain rules of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from septet._learn.fitting import Trainer
from septet._learn.health import HealthRule
from septet._learn.labels import LabelRule
from septet._learn.schedule import TrainingRule
from septet._learn.trainer import complete

if TYPE_CHECKING:
    from septet_schemas.blocks import UseBlock
    from septet_schemas.monitoring import ModelMonitoring
    from septet_schemas.training import Label, Training

__all__ = [
    "health_rule",
    "is_retrained",
    "label_rule",
    "restore_of",
    "stored_folder",
    "trainer_of",
    "training_rule",
]


def label_rule(label: Label, bar_ns: int) -> LabelRule:
    """Read `model.label`."""
    horizon = label.horizon.bars(bar_ns)
    if label.use == "triple_barrier":
        return LabelRule("triple_barrier", horizon, upper=label.take_profit, lower=label.stop_loss)
    above = label.above if label.use == "threshold" else 0.0
    return LabelRule(label.use, horizon, threshold=above)


def training_rule(training: Training, bar_ns: int, calendar: str = "24x7") -> TrainingRule:
    """Read `model.training`; `calendar` is that by whose bars a model becomes ready."""
    once, purge, ready = training.scheme == "none", training.purge, training.ready_after
    in_sessions = ready.bar_count > 0 and calendar != "24x7" and not once
    return TrainingRule(
        train_ns=0 if once else training.train,
        step_ns=training.longest_step_ns,
        ready_after_ns=0 if in_sessions else ready.ns(bar_ns),
        purge_ns=purge.duration_ns if purge is not None and purge.duration_ns else None,
        purge_bars=purge.bar_count if purge is not None and not purge.duration_ns else None,
        ready_bars=ready.bar_count if in_sessions else 0,
        calendar=calendar,
        bar_ns=bar_ns,
        embargo_ns=training.embargo.ns(bar_ns),
        window=training.window,
        min_rows=training.min_rows,
        min_class=training.min_class,
        expire_after_ns=training.expire_after,
        on_drift=training.on_drift,
        cron=None if isinstance(training.step, int) else training.step,
        once=once,
    )


def health_rule(monitoring: ModelMonitoring, block: UseBlock | None) -> HealthRule:
    """Read `monitoring.model`; `block` is that of the model, None without one."""
    return HealthRule(
        retrains=block is not None and is_retrained(block),
        auc_window=monitoring.auc_window,
        auc_floor=monitoring.auc_floor,
        auc_warn=monitoring.auc_warn,
        psi_window=monitoring.psi_window,
        psi_warn=monitoring.psi_warn,
        psi_retrain=monitoring.psi_retrain,
    )


def is_retrained(block: UseBlock) -> bool:
    """Whether a run trains the model of a `model:` block, and so trains it again."""
    if stored_folder(block) is not None:
        return False
    return type(block.config).learns and block.extra["training"].scheme != "none"


def stored_folder(block: UseBlock) -> str | None:
    """Folder of the stored model a `model:` block decides with, as written; None: it trains.

    Both notations count: `use: stored` and `training: {scheme: stored, path: ...}`.
    """
    if block.use == "stored":
        path: str | None = getattr(block.config, "path", None)
        return path
    training = block.extra.get("training")
    return training.path if training is not None and training.scheme == "stored" else None


def trainer_of(block: UseBlock) -> Trainer:
    """Build the trainer of a `model:` block: the plugin's, with the file's scale and calibrate.

    Raises
    ------
    InputError
        If the plugin trains by itself and the file asks for scaling or calibration.
    """
    built = block.declaration(block.config)
    return complete(built, block.extra.get("scale", "none"), block.extra.get("calibrate", "none"))


def restore_of(block: UseBlock) -> Any:
    """Return what reads stored models of a `model:` block's own format; None for septet's."""
    return getattr(block.declaration(block.config), "restore", None)
