"""Labels, walk-forward training, stored models, model health.

What the shells call, in order::

    bars     = [symbol_bars(table, segment) for each symbol]      # segment: int64 (n,)
    features = [gather(F[k], rows, n) for each symbol]            # rows of F, in order
    dataset  = pool(bars, features, names, bar_ns)                # features: float64 (n, f) each
    labels   = make_labels(dataset, label_rule(label, bar_ns))    # from the file's `label:`
    plan     = training_rule(training, bar_ns)                    # from the file's `training:`
    trainer  = trainer_of(model_block)                            # scale, calibrate: block.extra
    watch    = DriftWatch(dataset, labels, health_rule(monitoring, block))
    walk     = walk_forward(dataset, trainer, labels, plan, seed=seed, start_ns=start,
                            drift=watch, progress=progress)
    walk     = stored_walk(dataset, load_model(base / stored_folder(block), names),
                           start_ns=start)                        # where it is not None
    health   = monitor_walk(walk, dataset, labels, health_rule(monitoring, block))

`Walk.up[k]` and `Walk.state[k]` are arrays over the bars of symbol k (states `OK NO_MODEL
EXPIRED NOT_FINITE`; `REASONS` names them), `Walk.predict_row(time_ns, vector)` gives the same
bits for one row, `Walk.at(time_ns)` the model in force. `Health.monitoring()` and
`Health.predictions()` are the two Parquet tables, `Health.calibration` and `Health.importance`
what the report draws; `fill_readings` (slippage against the decision price) and
`readings_frame` make further rows of the first table. `store_model` writes a model
and its card, `load_model` reads one back.

Nothing here reads YAML, a clock or a file, but for `stored`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from septet._learn.column_references import reference_of
    from septet._learn.dataset import Dataset, SymbolBars, gather, pool, segments, symbol_bars
    from septet._learn.estimator_trial import Refusal
    from septet._learn.fill_costs import fill_readings
    from septet._learn.fitting import Fitted, Served, Trainer, Window
    from septet._learn.health import (
        DriftWatch,
        Health,
        HealthRule,
        Reading,
        monitor_walk,
        readings_frame,
    )
    from septet._learn.labels import NEVER_NS, LabelRule, Labels, make_labels
    from septet._learn.rules_of_file import (
        health_rule,
        label_rule,
        restore_of,
        stored_folder,
        trainer_of,
        training_rule,
    )
    from septet._learn.schedule import TrainingRule, model_seed
    from septet._learn.stored import load_model, pack_model, store_model
    from septet._learn.trial_fit_cache import trial_fit_once
    from septet._learn.walk_forward_models import (
        EXPIRED,
        NO_MODEL,
        NOT_FINITE,
        OK,
        REASONS,
        Walk,
        WalkModel,
        fit_window,
        require_unseen_span,
        stored_walk,
        walk_forward,
    )

__all__ = [
    "EXPIRED",
    "NEVER_NS",
    "NOT_FINITE",
    "NO_MODEL",
    "OK",
    "REASONS",
    "Dataset",
    "DriftWatch",
    "Fitted",
    "Health",
    "HealthRule",
    "LabelRule",
    "Labels",
    "Reading",
    "Refusal",
    "Served",
    "SymbolBars",
    "Trainer",
    "TrainingRule",
    "Walk",
    "WalkModel",
    "Window",
    "fill_readings",
    "fit_window",
    "gather",
    "health_rule",
    "require_unseen_span",
    "label_rule",
    "load_model",
    "make_labels",
    "model_seed",
    "monitor_walk",
    "pack_model",
    "pool",
    "readings_frame",
    "reference_of",
    "restore_of",
    "segments",
    "store_model",
    "stored_folder",
    "stored_walk",
    "symbol_bars",
    "trainer_of",
    "training_rule",
    "trial_fit_once",
    "walk_forward",
]

_HOMES: Final[dict[str, tuple[str, ...]]] = {
    "column_references": ("reference_of",),
    "dataset": ("Dataset", "SymbolBars", "gather", "pool", "segments", "symbol_bars"),
    "fill_costs": ("fill_readings",),
    "fitting": ("Fitted", "Served", "Trainer", "Window"),
    "health": (
        "DriftWatch",
        "Health",
        "HealthRule",
        "Reading",
        "monitor_walk",
        "readings_frame",
    ),
    "labels": ("NEVER_NS", "LabelRule", "Labels", "make_labels"),
    "rules_of_file": (
        "health_rule",
        "label_rule",
        "restore_of",
        "stored_folder",
        "trainer_of",
        "training_rule",
    ),
    "schedule": ("TrainingRule", "model_seed"),
    "stored": ("load_model", "pack_model", "store_model"),
    "estimator_trial": ("Refusal",),
    "trial_fit_cache": ("trial_fit_once",),
    "walk_forward_models": (
        "EXPIRED",
        "NO_MODEL",
        "NOT_FINITE",
        "OK",
        "REASONS",
        "Walk",
        "WalkModel",
        "fit_window",
        "require_unseen_span",
        "stored_walk",
        "walk_forward",
    ),
}


def __getattr__(name: str) -> Any:
    """Import a name's module when it is first asked for: a run without a model needs none."""
    for home, names in _HOMES.items():
        if name in names:
            found = getattr(importlib.import_module(f"{__name__}.{home}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
