"""Fits one model on all the data, for `septet train`."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from septet._learn.column_references import reference_of
from septet._learn.dataset import Dataset
from septet._learn.fitting import Trainer
from septet._learn.labels import Labels, make_labels
from septet._learn.rules_of_file import (
    label_rule,
    restore_of,
    stored_folder,
    trainer_of,
    training_rule,
)
from septet._learn.schedule import TrainingRule
from septet._learn.scores import auc, brier
from septet._learn.stored import Restore, load_model, require_readable, store_model
from septet._learn.trainer import EstimatorTrainer
from septet._learn.walk_forward_models import fit_window
from septet.errors import InputError, RunError

if TYPE_CHECKING:
    from septet_schemas.strategy import Strategy

__all__ = ["fit_all", "held_out_scores"]

_FITTED: Final = 0.8


def held_out_scores(
    dataset: Dataset, trainer: Trainer, labels: Labels, rule: TrainingRule, seed: int
) -> dict[str, Any]:
    """Scores of a model fitted on the first four fifths, tested on the rest; empty for none."""
    moment = int(dataset.time_ns[int(len(dataset) * _FITTED)])
    fitted = fit_window(dataset, trainer, labels, rule, seed=seed, trained_to_ns=moment)
    later = np.isfinite(dataset.x).all(axis=1) & np.isfinite(labels.value)
    rows = np.flatnonzero(later & (dataset.time_ns >= fitted.ready_ns))
    if fitted.model is None or not len(rows):
        return {}
    up, label = fitted.model.predict(np.ascontiguousarray(dataset.x[rows])), labels.value[rows]
    area = auc(up, label)
    if not math.isfinite(area):
        return {}
    hits = float(np.mean((up > 0.5) == (label == 1.0)))
    return {"rows": len(rows), "auc": area, "brier": brier(up, label), "hit_rate": hits}


def _trainable(strategy: Strategy) -> tuple[Trainer, Restore | None]:
    """Return the trainer of a strategy's model, and what reads its models back.

    Raises
    ------
    InputError
        If there is none to train, or its models could not be read back.
    """
    block = strategy.model
    if block is None:
        raise InputError(
            f"{strategy.name} has no model: there is nothing to train",
            hint="add a model: block, or run the file as it is",
        )
    if stored_folder(block) is not None:
        raise InputError(
            f"{strategy.name} decides with a stored model: there is nothing to train",
            hint="train a file with scheme: walk_forward",
        )
    if not type(block.config).learns:
        raise InputError(
            f"{block.use} is a model that learns nothing: there is nothing to train",
            hint="run the file as it is",
        )
    trainer = trainer_of(block)
    restore = restore_of(block)
    if not isinstance(trainer, EstimatorTrainer) and restore is None:
        raise InputError(
            f"models of {trainer.name} cannot be read back: {block.use} of {block.distribution} "
            "has no restore(arrays)",
            hint="run the file with scheme: walk_forward, which stores none to decide with",
        )
    return trainer, restore


def fit_all(
    strategy: Strategy,
    resolved: Mapping[str, Any],
    features: Callable[[], Dataset],
    folder: Path,
    *,
    within: Path | None = None,
    **further: Any,
) -> dict[str, Any]:
    """Fit a strategy's model on all its rows and store it; return the card.

    `further` goes into the card; below `within` no folder may be a link.

    Raises
    ------
    InputError
        If the strategy has no model, decides with a stored one, or could not read this one:
        nothing is stored then.
    RunError
        If there are too few rows, or a class is missing.
    """
    trainer, restore = _trainable(strategy)
    block, bar_ns = strategy.model, strategy.universe.bar
    assert block is not None
    dataset = features()
    if not len(dataset):
        raise RunError("there are no rows to train on", hint="check the span and the data")
    labels = make_labels(dataset, label_rule(block.extra["label"], bar_ns))
    rule = replace(training_rule(block.extra["training"], bar_ns), window="expanding")
    last = int(dataset.time_ns[-1])
    fitted = fit_window(dataset, trainer, labels, rule, seed=strategy.seed, trained_to_ns=last)
    if fitted.model is None or fitted.train_rows is None:
        raise RunError(
            f"the model cannot be trained: {fitted.reason}",
            hint="extend the span, or check features that are never finite",
        )
    require_readable(trainer.name, fitted.model, restore)
    text = json.dumps(resolved, sort_keys=True, default=str)
    rows = dataset.x[fitted.train_rows]
    window = strategy.monitoring.model.psi_window
    scores = held_out_scores(dataset, trainer, labels, rule, strategy.seed)
    try:
        store_model(
            folder,
            fitted.model,
            fitted.card,
            within=within,
            strategy=strategy.name,
            symbols=list(dataset.symbols),
            configuration_sha256=hashlib.sha256(text.encode()).hexdigest(),
            scores=scores,
            reference=reference_of(rows, dataset.feature_names, window),
            **further,
        )
    except OSError as problem:
        raise InputError(
            f"the model cannot be stored in {folder}: {problem.strerror}",
            hint="make room there, or name another folder with --out",
        ) from problem
    return dict(load_model(folder, dataset.feature_names, restore).card)
