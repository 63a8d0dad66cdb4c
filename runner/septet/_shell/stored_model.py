"""The stored model of a file: its path, and its contents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from septet import _learn as learn
from septet._config.error_places import placed
from septet._plan.graph import Graph
from septet._shell.model_subject import subject_of

__all__ = ["read_stored", "refuse_seen", "stored_key"]


def stored_key(block: Any) -> tuple[str, ...]:
    """Return the key that names a stored model's folder."""
    return ("model", "path") if block.use == "stored" else ("model", "training", "path")


def read_stored(loaded: Any, inputs: Sequence[str], graph: Graph) -> Any:
    """Read the stored model of a file, and check that it matches the file.

    Parameters
    ----------
    loaded
        A file with a stored model.
    inputs
        Names of what the file's model reads, in order.
    graph
        The graph that computes the features of the file.

    Raises
    ------
    ModelError
        It is missing, damaged or changed, or does not match; with its place in the file.
    """
    block = loaded.strategy.model
    folder = learn.stored_folder(block)
    assert folder is not None, "the file has a stored model"
    with placed(loaded, *stored_key(block)):
        home, subject = Path(loaded.base_dir) / folder, subject_of(loaded.strategy, graph, inputs)
        return learn.load_model(home, inputs, learn.restore_of(block), subject)


def refuse_seen(loaded: Any, stored: Any, end_ns: int) -> None:
    """Reject a model fitted on labels of the span of a backtest, which ends at the given time.

    Raises
    ------
    ModelError
        With its place in the file.
    """
    with placed(loaded, *stored_key(loaded.strategy.model)):
        learn.require_unseen_span(stored, loaded.strategy.universe.start, end_ns)
