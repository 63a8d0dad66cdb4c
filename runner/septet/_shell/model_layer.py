"""The model layer of a run: rows from the features, a walk forward, its health."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from septet import _learn as learn
from septet._config.check_context import readings
from septet._config.error_places import placed
from septet._data.day_calendars import market_day_calendar
from septet._data.series import check_probabilities
from septet._kernel import layout
from septet._shell.model_subject import subject_of
from septet._shell.session import Session
from septet._shell.stored_model import read_stored, stored_key
from septet.errors import InputError, RunError

__all__ = [
    "Learned", "dataset_of", "features", "health_of", "label_bars", "learn_walk", "model_columns",
    "move_first", "observed_features",
]  # fmt: skip


class Learned(msgspec.Struct, frozen=True):
    """The walk of a run, and the findings about its models.

    `doubts` are those of a stored model.
    """

    walk: Any
    labels: Any
    dataset: Any
    health: Any = None
    doubts: tuple[str, ...] = ()


def model_columns(session: Session) -> list[str]:
    """Return the names of the features that the model reads, in order."""
    block = session.strategy.model
    chosen = block.extra.get("inputs") if block is not None else None
    return list(chosen or session.plan.assembly.features)


def dataset_of(session: Session, F: np.ndarray) -> Any:
    """Pool the features of all symbols into the rows from which a model learns."""
    names = model_columns(session)
    columns = session.plan.assembly.features
    graph = session.plan.assembly.graph
    rows = [
        columns[name] if name in columns else _row(session, graph.named[name]) for name in names
    ]
    bars = label_bars(session)
    tables = [learn.gather(F[k], rows, len(each)) for k, each in enumerate(bars)]
    pooled = learn.pool(bars, tables, names, session.strategy.universe.bar)
    return replace(pooled, subject=subject_of(session.strategy, graph, names))


def label_bars(session: Session) -> list[Any]:
    """Return the bars of all symbols as labels need them, in the parts between gaps."""
    bars = []
    for k, symbol in enumerate(session.market.symbols):
        table = session.market.bars[symbol]
        ages = session.aligned.M[k, layout.AGE, : len(table)]
        bars.append(learn.symbol_bars(table, np.cumsum(ages == 0).astype(np.int64)))
    return bars


def _row(session: Session, column: Any) -> int:
    return int(session.plan.assembly.rows.f[column.node, column.output])


def features(loaded: Any, market: Any = None) -> Any:
    """Compute the features of a loaded file over all its data: the rows of `septet train`."""
    from septet._shell.session import open_session

    session = open_session(loaded)
    return dataset_of(session, observed_features(session))


def observed_features(session: Session) -> np.ndarray:
    """Compute the features of a session over all its data, compiled if that is faster."""
    from septet._core.batch import Batch
    from septet._shell.compile_policy import choose_plain, ran_plain_first
    from septet._shell.never_known import refuse_never_known

    refuse_never_known(session)
    choose_plain(session)

    def observed() -> np.ndarray:
        state = session.plan.state(1.0, session.instruments)
        batch = Batch(session.plan, session.aligned, state)
        with np.errstate(all="ignore"):
            batch.observe(0, session.aligned.times)
        return batch.F

    return ran_plain_first(session, observed)


def learn_walk(
    session: Session,
    F: np.ndarray,
    progress: Any = None,
    *,
    asked: Sequence[int] = (),
    fitted: dict[int, Any] | None = None,
) -> Learned:
    """Fit and predict out of sample, as set in the file's `model:` block; write `up` into F.

    `asked` and `fitted` are those of `septet._learn.walk_forward`.
    """
    strategy = session.strategy
    block = strategy.model
    bar_ns = strategy.universe.bar
    dataset = dataset_of(session, F)
    if not type(block.config).learns:
        _check_probabilities(session, dataset)
    labels = learn.make_labels(dataset, learn.label_rule(block.extra["label"], bar_ns))
    training = block.extra["training"]
    start = int(session.aligned.T[layout.KNOWN, session.first])
    start_ns = start if strategy.universe.start is not None else None
    doubts: tuple[str, ...] = ()
    health_rule = learn.health_rule(strategy.monitoring.model, block)
    if learn.stored_folder(block) is not None:
        stored = read_stored(session.loaded, dataset.feature_names, session.plan.assembly.graph)
        doubts = stored.doubts
        with placed(session.loaded, *stored_key(block)):
            walk = learn.stored_walk(
                dataset, stored, start_ns=start_ns, expire_after_ns=training.expire_after
            )
    else:
        rule = learn.training_rule(training, bar_ns, market_day_calendar(session.market))
        drift = learn.DriftWatch(dataset, labels, health_rule) if training.on_drift else None
        with placed(session.loaded, "model", "training", "train"), _params(session.loaded):
            walk = learn.walk_forward(
                dataset, learn.trainer_of(block), labels, rule, seed=strategy.seed,
                start_ns=start_ns, drift=drift, asked=asked, fitted=fitted,
                progress=progress if type(block.config).learns else None,
            )  # fmt: skip
    row = session.plan.assembly.model_row
    assert row is not None
    for k in range(len(session.market.symbols)):
        n = session.aligned.lengths[k]
        F[k, row, :n] = walk.up[k]
        F[k, row + 1, :n] = walk.state[k]
    health = learn.monitor_walk(walk, dataset, labels, health_rule)
    return Learned(walk, labels, dataset, health, doubts)


@contextmanager
def _params(loaded: Any) -> Iterator[None]:
    """Add the place in the file to errors of an estimator: its parameters, not the window."""
    try:
        yield
    except InputError as error:
        with placed(loaded, "model", "params"):
            raise error from error.__cause__


def _check_probabilities(session: Session, dataset: Any) -> None:
    """Reject values outside of [0, 1] that a model without training reads as probabilities.

    Raises
    ------
    DataError
        With the first value, its time, and a hint.
    """
    for reading in readings(("model",), session.strategy.model.config):
        if reading.text in dataset.feature_names:
            column = dataset.x[:, dataset.feature_names.index(reading.text)]
            with placed(session.loaded, *map(str, reading.path)):
                check_probabilities(reading.text, column, dataset.time_ns)


def health_of(learned: Learned | None) -> Sequence[Any]:
    """Return the readings of a run's models, in time order; empty without a model."""
    return () if learned is None else learned.health.readings


def move_first(session: Session, learned: Learned) -> None:
    """Delay the first decision until the first model is ready."""
    first = learned.walk.first_decision_ns
    broken = learned.walk.row_state == learn.NOT_FINITE
    if first is None and broken.any():
        finite = int(np.isfinite(learned.dataset.x[broken]).all(axis=1).sum())
        if finite:
            raise RunError(
                f"the model gives no probabilities: not one of {finite:,} rows is answered with a "
                "number from 0 to 1",
                hint="train the model again; its arrays are no classifier's",
            )
        raise RunError(
            f"the model decides nothing: in each of {len(broken):,} rows a feature is not finite",
            hint="start later, or check features that are never finite",
        )
    if first is None:
        raise RunError(
            "no decision falls into a time with a model",
            hint="start later, lengthen the data, or shorten model.training.train",
        )
    at = int(np.searchsorted(session.aligned.T[layout.KNOWN], first, side="left"))
    session.first = max(session.first, at)
