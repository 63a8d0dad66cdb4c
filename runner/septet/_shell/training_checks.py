"""Findings of `check` on training before it runs: windows, classes of labels, parameters."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np

from septet import _learn as learn
from septet._config.pydantic_problems import problem_at
from septet._data.day_calendars import market_day_calendar
from septet._data.stamps import iso
from septet._host.plugin_registry import BUILT_IN
from septet._kernel import layout
from septet._learn.schedule import TrainingRule, training_rows, training_times
from septet._results.number_texts import when
from septet._shell.late_start import ModelWindow
from septet._shell.model_layer import label_bars, model_columns
from septet._shell.session import Session
from septet.errors import Problem
from septet_schemas.units import format_duration

__all__ = ["WindowRows", "Windows", "parameter_problems", "window_problems", "windows_of"]

_MOST_WINDOWS: Final = 500


class WindowRows(msgspec.Struct, frozen=True):
    """Rows with a label and warmed-up features, in the window that ends at `trained_to_ns`."""

    trained_to_ns: int
    ready_ns: int
    rows: int
    ups: int

    @property
    def downs(self) -> int:
        """Number of rows labelled down."""
        return self.rows - self.ups


class Windows(msgspec.Struct, frozen=True):
    """The training windows of a walk forward, in time order; `step` is 1 if all were checked."""

    rule: TrainingRule
    rows: tuple[WindowRows, ...]
    step: int = 1

    def trains(self, each: WindowRows) -> bool:
        """Return whether a window has enough rows, and enough rows of each class."""
        enough = each.rows >= self.rule.min_rows
        return enough and min(each.ups, each.downs) >= self.rule.min_class

    def reason(self, each: WindowRows) -> str:
        """Return why a window yields no model; empty if it does."""
        if each.rows < self.rule.min_rows:
            return f"{each.rows:,} rows to train on, fewer than {self.rule.min_rows:,}"
        for count, name in ((each.ups, "up"), (each.downs, "down")):
            if count < self.rule.min_class:
                return f"{count:,} rows labelled {name}, fewer than {self.rule.min_class:,}"
        return ""

    def document(self) -> dict[str, Any]:
        """Return the counts of the first, the smallest and the last window as plain data."""
        smallest = min(self.rows, key=lambda each: each.rows)
        named = {"first": self.rows[0], "smallest": smallest, "last": self.rows[-1]}
        windows = {
            name: {"trained_to": iso(each.trained_to_ns), "rows": each.rows, "up": each.ups}
            for name, each in named.items()
        }
        least = {"min_rows": self.rule.min_rows, "min_class": self.rule.min_class}
        untrained = sum(not self.trains(each) for each in self.rows)
        return {"looked_at": len(self.rows), **windows, **least, "without_model": untrained}

    def text(self) -> str:
        """Return the same counts as one line."""
        first, last = self.rows[0], self.rows[-1]
        smallest = min(self.rows, key=lambda each: each.rows)
        windows = f"{len(self.rows):,} training window" + "s" * (len(self.rows) != 1)
        sampled = " looked at" if self.step > 1 else ""
        return (
            f"training: {windows}{sampled}; usable rows: {first.rows:,} in the first (to "
            f"{when(first.trained_to_ns)}), {smallest.rows:,} in the smallest (to "
            f"{when(smallest.trained_to_ns)}), {last.rows:,} in the last (to "
            f"{when(last.trained_to_ns)}); min_rows {self.rule.min_rows:,}"
        )

    def served(self) -> list[ModelWindow]:
        """Return the windows in the format of `late_start`."""
        return [ModelWindow(w.trained_to_ns, w.ready_ns, self.reason(w)) for w in self.rows]


def windows_of(session: Session) -> Windows | None:
    """Return the rows of each training window used by a decision; None without a walk forward.

    Of more than 500 windows, every second, third, ... is checked, including the first and the last.
    """
    strategy = session.strategy
    block, known_ns = strategy.model, session.aligned.T[layout.KNOWN]
    if block is None or not type(block.config).learns or not len(known_ns):
        return None
    training = block.extra["training"]
    if training.scheme != "walk_forward":
        return None
    bar_ns = strategy.universe.bar
    rule = learn.training_rule(training, bar_ns, market_day_calendar(session.market))
    first, last = int(known_ns[0]), int(known_ns[-1])
    start = strategy.universe.start
    times = training_times(rule, rule.first_whole_ns(first, bar_ns), last, start)
    step = -(-len(times) // _MOST_WINDOWS)
    bars = label_bars(session)
    rows = learn.pool(bars, _warm(session, bars), ("warm",), bar_ns)
    labels = learn.make_labels(rows, learn.label_rule(block.extra["label"], bar_ns))
    window_rows = []
    for moment in sorted({*times[:: max(1, step)], *times[-1:]}):
        value = labels.value[training_rows(rows, labels, rule, moment)]
        ready = rule.ready_at(moment)
        window_rows.append(WindowRows(moment, ready, len(value), int(value.sum())))
    return Windows(rule, tuple(window_rows), step)


def _warm(session: Session, bars: list[Any]) -> list[Any]:
    """Return one column per symbol that is finite once the model's inputs have warmed up."""
    graph = session.plan.assembly.graph
    ready = max((graph.base_ready(graph.named[n]) for n in model_columns(session)), default=0)
    ages = session.aligned.M[:, layout.AGE]
    return [
        np.where(ages[k, : len(each)] >= ready, 0.0, np.nan)[:, None] for k, each in enumerate(bars)
    ]


def window_problems(session: Session, windows: Windows | None) -> list[Problem]:
    """Return the problem that no window fits into the data, or none has rows of both classes."""
    if windows is None:
        return []
    if windows.rows:
        return _class_problems(session, windows)
    known_ns = session.aligned.T[layout.KNOWN]
    path = ("model", "training", "train")
    return [
        problem_at(
            session.loaded.tree,
            path,
            "no training window fits into the data, which is from "
            f"{iso(known_ns[0])} to {iso(known_ns[-1])}",
            expected="a window shorter than the data, and a step after it",
            found=format_duration(windows.rule.train_ns),
            hint="ask for a longer span, or shorten training.train or training.step",
        )
    ]


def _class_problems(session: Session, windows: Windows) -> list[Problem]:
    """Return the problem that windows lack rows, or a class, even without missing features."""
    block, rule = session.strategy.model, windows.rule
    if any(windows.trains(each) for each in windows.rows):
        return _some_problems(session, windows)
    most = max(each.rows for each in windows.rows)
    ups, downs = (max(getattr(w, name) for w in windows.rows) for name in ("ups", "downs"))
    tree, severity = session.loaded.tree, "error" if windows.step == 1 else "warning"
    if most < rule.min_rows:
        text = f"no window can be trained: the fullest holds {most:,} rows with a label"
        return [
            problem_at(
                tree, ("model", "training", "train"), text, severity=severity,
                expected=f"{rule.min_rows:,} rows (min_rows) or more",
                hint="make train longer, the label's horizon or purge shorter, or min_rows smaller",
            )
        ]  # fmt: skip
    name, count = ("up", ups) if ups <= downs else ("down", downs)
    most_text = f"the most in one window is {count:,}" if count else "there is none in any window"
    return [
        problem_at(
            tree, ("model", "label"), severity=severity,
            message=f"no window can be trained: too few rows are labelled {name}; {most_text}",
            expected=f"{rule.min_class:,} rows of each class (training.min_class) or more",
            hint=f"let the label ask for what happens oftener ({_of_label(block.extra['label'])}), "
            "or make training.train longer",
        )
    ]  # fmt: skip


def _some_problems(session: Session, windows: Windows) -> list[Problem]:
    """Warn of windows that yield no model, if others do."""
    failing = [each for each in windows.rows if not windows.trains(each)]
    if not failing:
        return []
    first = failing[0]
    count_text = f"{len(failing):,} of {len(windows.rows):,} training windows"
    sampled = " looked at" if windows.step > 1 else ""
    return [
        problem_at(
            session.loaded.tree, ("model", "training", "train"), severity="warning",
            message=f"{count_text}{sampled} give no model: decisions are rejected (no_model) until "
            "another window does",
            found=f"the first of them, to {when(first.trained_to_ns)}: {windows.reason(first)}",
            hint="make train longer, the label's horizon or purge shorter, or min_rows smaller",
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
    """Return contradicting parameters of a model's trainer, found by a fit on synthetic rows.

    `names` are the features that the model reads.
    """
    strategy = loaded.strategy
    block = strategy.model
    if block is None or not type(block.config).learns or learn.stored_folder(block) is not None:
        return []
    training = block.extra["training"]
    window_rows = training.train // strategy.universe.bar * len(strategy.universe.symbols)
    rows = max(training.min_rows, window_rows)
    refused = learn.trial_fit_once(block, tuple(names), rows) if names else None
    if refused is None:
        return []
    if refused.is_of_storage:
        return [
            problem_at(
                loaded.tree, ("model",), f"{refused.error.message}: septet train refuses it",
                hint="a walk forward runs; septet train needs another estimator",
                severity="warning",
            )
        ]  # fmt: skip
    is_certain = refused.is_certain and block.distribution == BUILT_IN
    path = ("model", "params") if loaded.tree.at(("model", "params")) is not None else ("model",)
    message = refused.error.message
    return [
        problem_at(
            loaded.tree, path, message if is_certain else f"{message} (on synthetic rows)",
            hint=refused.error.hint, severity="error" if is_certain else "warning",
        )
    ]  # fmt: skip
