"""What `check` says of training before it runs: windows, classes of labels, parameters."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from septet import _learn as learn
from septet._config.check import problem_at
from septet._data.stamps import iso
from septet._host.register import BUILT_IN
from septet._learn.schedule import training_rows, training_times
from septet._shell.learning import label_bars
from septet._shell.session import Session
from septet.errors import Problem
from septet_schemas.units import format_duration

__all__ = ["parameter_problems", "window_problems"]

_MOST_WINDOWS: Final = 500


def window_problems(session: Session) -> list[Problem]:
    """Say that no training window fits into the data, or that none has rows of both classes."""
    strategy = session.strategy
    training = strategy.model.extra["training"]
    known = session.tape.T[0]
    if training.scheme != "walk_forward" or not len(known):
        return []
    rule = learn.training_rule(training, strategy.universe.bar)
    first, last = int(known[0]), int(known[-1])
    times = training_times(rule, first + rule.train_ns, last, strategy.universe.start)
    if times:
        return _class_problems(session, rule, times)
    path = ("model", "training", "train")
    return [
        problem_at(
            session.loaded.tree,
            path,
            f"no training window fits into the data, which is from {iso(first)} to {iso(last)}",
            expected="a window shorter than the data, and a step after it",
            found=format_duration(rule.train_ns),
            hint="ask for a longer span, or shorten training.train or training.step",
        )
    ]


def _class_problems(session: Session, rule: Any, times: list[int]) -> list[Problem]:
    """Say that every window lacks rows, or rows of a class, even if no feature is missing."""
    block = session.strategy.model
    bars = label_bars(session)
    bar_ns = session.strategy.universe.bar
    rows = learn.pool(bars, [np.zeros((len(each), 0)) for each in bars], (), bar_ns)
    labels = learn.make_labels(rows, learn.label_rule(block.extra["label"], bar_ns))
    step = -(-len(times) // _MOST_WINDOWS)
    most = np.zeros(3, np.int64)  # rows, of the class up, of the class down
    for moment in times[::step]:
        value = labels.value[training_rows(rows, labels, rule, moment)]
        ups = int(value.sum())
        if len(value) >= rule.min_rows and min(ups, len(value) - ups) >= rule.min_class:
            return []
        most = np.maximum(most, (len(value), ups, len(value) - ups))
    tree, severity = session.loaded.tree, "error" if step == 1 else "warning"
    if most[0] < rule.min_rows:
        text = f"no window can be trained: the fullest holds {most[0]:,} rows with a label"
        return [
            problem_at(
                tree, ("model", "training", "train"), text, severity=severity,
                expected=f"{rule.min_rows:,} rows (min_rows) or more",
                hint="make train longer, the label's horizon or purge shorter, or min_rows smaller",
            )
        ]  # fmt: skip
    name, count = ("up", most[1]) if most[1] <= most[2] else ("down", most[2])
    said = f"the most in one window is {count:,}" if count else "there is none in any window"
    return [
        problem_at(
            tree, ("model", "label"), severity=severity,
            message=f"no window can be trained: too few rows are labelled {name}; {said}",
            expected=f"{rule.min_class:,} rows of each class (training.min_class) or more",
            hint=f"let the label ask for what happens oftener ({_of_label(block.extra['label'])}), "
            "or make training.train longer",
        )
    ]  # fmt: skip


def _of_label(label: Any) -> str:
    if label.use == "threshold":
        return f"above: {label.above * 100:g}% in {label.horizon}"
    if label.use == "triple_barrier":
        barriers = f"take_profit {label.take_profit * 100:g}%, stop_loss {label.stop_loss * 100:g}%"
        return f"now {barriers} in {label.horizon}"
    return f"now a higher close after {label.horizon}"


def parameter_problems(loaded: Any, names: list[str]) -> list[Problem]:
    """Say which parameters of a model's trainer do not fit each other, by a fit of made-up rows.

    `names` are the features that the model reads.
    """
    strategy = loaded.strategy
    block = strategy.model
    if block is None or not type(block.config).learns or learn.stored_folder(block) is not None:
        return []
    training = block.extra["training"]
    held = training.train // strategy.universe.bar * len(strategy.universe.symbols)
    rows = max(training.min_rows, held)
    refused = learn.trial_fit(learn.trainer_of(block), tuple(names), rows) if names else None
    if refused is None:
        return []
    certain = refused.is_certain and block.distribution == BUILT_IN
    path = ("model", "params") if loaded.tree.at(("model", "params")) is not None else ("model",)
    message = refused.error.message
    return [
        problem_at(
            loaded.tree, path, message if certain else f"{message} (on made-up rows)",
            hint=refused.error.hint, severity="error" if certain else "warning",
        )
    ]  # fmt: skip
