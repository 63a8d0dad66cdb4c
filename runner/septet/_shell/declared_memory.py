"""Tests on the run's own bars that features of other packages forget as they declare.

A run in stretches, the halves of a long one and a live start begin a feature anew as many bars
earlier as it declares. The kit tries that on drawn bars; a condition that is rare there may be
common here. So at a few places of each run the features are computed again from that many bars.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from septet._core.batch import Batch
from septet._data.bars import Floats
from septet._data.stamps import iso
from septet._host.proved_reads import is_septets
from septet._kernel import layout
from septet._plan.graph import Column, Node
from septet._shell.aligned_bars import AlignedBars
from septet._shell.feature_values import cut_of
from septet._shell.session import Session
from septet.errors import RunError

__all__ = ["Boundary", "require_declared_memory", "tried_nodes"]

DRAWS: Final = 4
"""Number of places, besides the newest bar, at which each memory is tested."""
MOST_BARS: Final = 400_000
"""Most bars that all tests of a compiled run compute together."""
MOST_PLAIN: Final = 12_000
"""The same for steps that run as plain Python."""


def tried_nodes(plan: Any) -> list[Node]:
    """Return the features of other packages whose memory is a number of bars of the run.

    Features over all symbols are left out: the same bars of one symbol are other bars of another.
    """
    graph = plan.assembly.graph
    return [
        node
        for node in graph.nodes
        if not is_septets(node.step)
        and node.memory.kind in ("window", "fading")
        and node.level == 0
        and node.bar_ns == graph.bar_ns
        and not any(column.symbol for column in _inputs(node))
    ]


def _inputs(node: Node) -> Iterator[Column]:
    """Yield the columns that a node reads."""
    for each in node.inputs.values():
        yield from each if isinstance(each, tuple) else (each,)
    for _, columns in node.expressions.values():
        yield from columns.values()


def require_declared_memory(session: Session, F: Floats, first: int = 0) -> None:
    """Compute features again from as many bars as they declare, at some bars of the run.

    Parameters
    ----------
    session
        The run.
    F : float64 (symbols, rows, bars)
        Its features, of every bar.
    first
        The first time whose bars are tried.

    Raises
    ------
    RunError
        For the first feature with a longer memory, with its place in the file.
    """
    nodes = tried_nodes(session.plan)
    if not nodes or F.shape[2] < session.aligned.width:
        return
    is_slow = not session.plan.compiled or session.plan.assembly.slow_columns
    most_bars = MOST_PLAIN if is_slow else MOST_BARS
    for bars in sorted({node.memory.bars for node in nodes}):
        same_memory = [node for node in nodes if node.memory.bars == bars]
        for k, n in _places(session.aligned, bars, first):
            most_bars -= bars + 1
            if most_bars < 0:
                return
            restarted = _restarted(session, k, n, bars)
            _compare(session, same_memory, {"whole": F[k, :, n], "again": restarted}, k, n)


def _places(aligned: AlignedBars, bars: int, first: int) -> Iterator[tuple[int, int]]:
    """Yield symbols and bars that have the given number of bars without a gap before them."""
    random = np.random.default_rng(17)
    for draw in range(DRAWS + 1):
        k = int(random.integers(len(aligned.lengths)))
        rows = aligned.T[layout.ROW + k, first:]
        rows = rows[rows >= 0]
        fit = rows[aligned.M[k, layout.AGE, rows] > bars]
        if len(fit):
            yield k, int(fit[-1] if draw == 0 else fit[random.integers(len(fit))])


def _restarted(session: Session, k: int, n: int, bars: int) -> Floats:
    """Return every feature of a bar, computed as if history began `bars` bars before it."""
    rows = session.aligned.T[layout.ROW + k]
    start, end = (int(np.searchsorted(rows, row)) for row in (n - bars, n))
    if rows[end] != n:  # there is a time without a bar of the symbol in between
        start, end = (int(np.flatnonzero(rows == row)[0]) for row in (n - bars, n))
    aligned, firsts = cut_of(session.aligned, start, end + 1)
    batch = Batch(session.plan, aligned, session.plan.state(1.0, session.instruments))
    with np.errstate(all="ignore"):
        batch.observe(0, aligned.times)
    values: Floats = batch.F[k, :, n - firsts[k]]
    return values


def _compare(
    session: Session, nodes: list[Node], values: Mapping[str, Floats], k: int, n: int
) -> None:
    """Require identical bits from both computations, for each node with identical inputs."""
    rows = session.plan.assembly.rows.f
    in_run, restarted = values["whole"], values["again"]
    for node in nodes:
        own_rows = [int(rows[node.number, output]) for output in range(node.width)]
        inputs = [each for each in _inputs(node) if each.kind == "node"]
        input_rows = [int(rows[each.node, each.output]) for each in inputs]
        if not _are_equal(in_run[input_rows], restarted[input_rows]):
            continue  # its inputs differ: another feature is at fault
        if not _are_equal(in_run[own_rows], restarted[own_rows]):
            output = next(at for at in own_rows if not _are_equal(in_run[[at]], restarted[[at]]))
            _refuse(session, node, float(in_run[output]), float(restarted[output]), k, n)


def _are_equal(first: Floats, second: Floats) -> bool:
    both_nan = np.isnan(first) & np.isnan(second)
    return bool(((first == second) | both_nan).all())


def _refuse(session: Session, node: Node, in_run: float, restarted: float, k: int, n: int) -> None:
    market = session.market
    symbol = market.symbols[k]
    at = iso(int(market.bars[symbol].known_ns[n]))
    name = node.step.function.__name__ if node.step.function else node.use
    raise RunError(
        f"the feature {name} of {node.distribution} declares a {node.memory.kind} memory of "
        f"{node.memory.bars} bars, its inputs' included, and remembers more: at {at} of {symbol} "
        f"it is {in_run!r} in the run, and {restarted!r} where history begins so many bars earlier",
        hint="a run in stretches and a live one would trade something else; the author of "
        f"{node.distribution} has to declare a longer memory=, or unbounded()",
        key=f".features.{node.label.split('.')[0]}",
    )


class Boundary:
    """The features at the last bar of a time span, which the next time span computes again."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, Floats]] = {}

    def take(self, session: Session, F: Floats) -> None:
        """Compare with the previous time span, and store the end of this one.

        Raises
        ------
        RunError
            For the first feature that differs.
        """
        nodes, aligned = tried_nodes(session.plan), session.aligned
        if not nodes or F.shape[2] < aligned.width:
            return
        for k, length in enumerate(aligned.lengths):
            bars = session.market.bars[session.market.symbols[k]]
            if k in self._last:
                at_ns, values = self._last[k]
                n = int(np.searchsorted(bars.known_ns, at_ns))
                if n < length and int(bars.known_ns[n]) == at_ns:
                    deep = [e for e in nodes if aligned.M[k, layout.AGE, n] > e.memory.bars]
                    _compare(session, deep, {"whole": values, "again": F[k, :, n]}, k, n)
            if length:
                self._last[k] = int(bars.known_ns[length - 1]), F[k, :, length - 1].copy()
