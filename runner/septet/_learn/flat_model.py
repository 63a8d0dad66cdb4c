"""A fitted model as flat arrays, and its predictions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from septet._data.bars import Floats, Ints
from septet._learn import kernels
from septet._learn.compiled_entries import compiled
from septet._learn.serving_tables import serving
from septet._learn.soundness import STRIDE, check

__all__ = ["Calibration", "FlatModel", "Member", "Scaler", "Tree", "assemble"]

_MANY_ROWS: Final = 8_192
_THREADS: Final = 2
Link = Literal["none", "logistic", "huber"]
_LINKS: Final[tuple[Link, ...]] = ("none", "logistic", "huber")
_NAMES: Final = ("plan", "numbers", "trees", "feature", "threshold", "left", "value")


class Scaler(msgspec.Struct, frozen=True):
    """``difference``: (v - a) / b; ``product``: v·a + b."""

    kind: Literal["none", "difference", "product"] = "none"
    a: Floats | None = None
    b: Floats | None = None


class Calibration(msgspec.Struct, frozen=True):
    """``sigmoid``: logistic(-(a·z + b)); ``isotonic``: linear between knots, flat outside."""

    kind: Literal["none", "sigmoid", "isotonic"] = "none"
    a: float = 0.0
    b: float = 0.0
    x: Floats | None = None
    y: Floats | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree by node: a leaf has `left` -1 and its `value`; others go left at or below."""

    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    value: Floats


@dataclass(frozen=True, slots=True)
class Member:
    """One estimator: ``base`` plus trees or weights, divided, linked, calibrated."""

    trees: Sequence[Tree] = ()
    weights: Floats | None = None
    base: float = 0.0
    divide: float = 1.0
    link: Link = "none"
    slope: float = 1.0
    single: bool = False
    calibration: Calibration = field(default_factory=Calibration)


def _as_float64(array: npt.ArrayLike) -> Floats:
    return np.ascontiguousarray(array, dtype=np.float64)


def _depths(tree: Tree) -> Ints:
    depth = np.zeros(len(tree.left), dtype=np.int64)
    inner = np.array([0])
    while len(inner := inner[tree.left[inner] >= 0]):
        for child in (tree.left[inner], tree.right[inner]):
            depth[child] = depth[inner] + 1
        inner = np.concatenate([tree.left[inner], tree.right[inner]])
    return depth


def _linked(tree: Tree) -> tuple[Ints, Floats, Floats, Ints]:
    """Renumber a tree so that siblings stand together and a leaf is its own child."""
    order, left = [0], []
    for node in order:  # grows while it is walked, so children follow their parents in pairs
        if tree.left[node] < 0:
            left.append(-1)
        else:
            left.append(len(order))
            order += [int(tree.left[node]), int(tree.right[node])]
    nodes, child = np.array(order), np.array(left, dtype=np.int64)
    leaf = child < 0
    own = np.arange(len(nodes), dtype=np.int64)
    return (
        np.where(leaf, 0, tree.feature[nodes]),
        np.where(leaf, np.inf, tree.threshold[nodes]),
        tree.value[nodes],
        np.where(leaf, own, child),
    )


def _round_down(threshold: Floats) -> npt.NDArray[np.float32]:
    """Largest float32 at or below each threshold."""
    with np.errstate(over="ignore"):
        near = threshold.astype(np.float32)
    above = near.astype(np.float64) > threshold
    return np.where(above, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)


class _Forest:
    """Trees of all members, laid out one after the other."""

    def __init__(self, trees: Sequence[Tree], single: bool) -> None:
        index, parts, nodes = [], list[tuple[Ints, Floats, Floats, Ints]](), 0
        for tree in trees:
            index.append((int(_depths(tree).max()), nodes))
            parts.append(_linked(tree))
            nodes += len(tree.left)
        self.index = np.array(index, dtype=np.int64).reshape(-1, 2)
        nothing = np.zeros(0)
        feature, threshold, value, left = (
            np.concatenate([nothing, *(part[place] for part in parts)]) for place in range(4)
        )
        self.feature, self.left = feature.astype(np.int32), left.astype(np.int32)
        self.value = value
        self.threshold = _round_down(threshold) if single else threshold


def assemble(width: int, scaler: Scaler, members: Sequence[Member]) -> FlatModel:
    """Lay a scaler and members out as one model; their probabilities are averaged.

    Parameters
    ----------
    width : int
        Number of features.
    scaler : Scaler
        Applied in float64 before every member.
    members : sequence of Member
        One, or one for each calibration fold; all of the same kind.
    """
    forest = _Forest([tree for each in members for tree in each.trees], members[0].single)
    zeros = np.zeros(width)
    head = [zeros if part is None else _as_float64(part) for part in (scaler.a, scaler.b)]
    base = 2 * width
    tail: list[Floats] = []
    after, tree = base + STRIDE * len(members), 0
    table = np.zeros((len(members), STRIDE))
    for line, each in zip(table, members, strict=True):
        line[0] = 0.0 if each.weights is None else 1.0
        line[1:5] = each.base, each.divide, _LINKS.index(each.link), each.slope
        kind = each.calibration
        if kind.kind == "sigmoid":
            line[5:8] = 1.0, kind.a, kind.b
        elif kind.kind == "isotonic" and kind.x is not None and kind.y is not None:
            line[5:8] = 2.0, after, len(kind.x)
            tail += [_as_float64(kind.x), _as_float64(kind.y)]
            after += 2 * len(kind.x)
        if each.weights is not None:
            line[8] = after
            tail.append(_as_float64(each.weights))
            after += len(each.weights)
        line[9:11] = tree, tree + len(each.trees)
        tree += len(each.trees)
    scale = ("none", "difference", "product").index(scaler.kind)
    plan = np.array([width, scale, len(members), base, STRIDE], dtype=np.int64)
    numbers = np.concatenate([*head, table.ravel(), *tail])
    parts = (plan, numbers, forest.index, forest.feature, forest.threshold, forest.left)
    return FlatModel.from_arrays(dict(zip(_NAMES, (*parts, forest.value), strict=True)))


_ROW: Final = "float64(float64[::1], int64[::1], float64[::1], int64[::1])"
_ROWS: Final = (
    "void(float64[:,::1], int64, int64, float64[::1], int64[::1], float64[::1], int64[::1], "
    "float64[::1])"
)


class FlatModel:
    """A model served by the compiled kernels; `predict` and `predict_row` agree bit for bit."""

    format = "flat"

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._arrays = dict(arrays)
        self._table, self._numbers = serving(self._arrays)
        self._width = int(self._table[0])
        self._keys = np.zeros(self._width, dtype=np.int64)
        self._row = compiled(kernels.serve_row, _ROW)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> FlatModel:
        """Take arrays as `arrays` gave them, checked so that no index leaves them.

        Raises
        ------
        ModelError
            If an array is missing, of another type, or points outside another.
        """
        check(arrays)
        return cls({name: np.ascontiguousarray(arrays[name]).copy() for name in _NAMES})

    @property
    def width(self) -> int:
        """Number of features."""
        return self._width

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Everything the model is, as plain arrays."""
        return dict(self._arrays)

    def predict_row(self, vector: Floats) -> float:
        """Return the probability up of a `vector`, float64 (f,); NaN if a value is not finite."""
        if len(vector) != self._width:
            raise ValueError(f"expected {self._width} features, found {len(vector)}")
        answer: float
        try:
            answer = self._row(vector, self._table, self._numbers, self._keys)
        except TypeError:  # read-only, strided or of another type: a copy has the same values
            own = np.array(vector, dtype=np.float64)
            answer = self._row(own, self._table, self._numbers, self._keys)
        return answer

    def predict(self, x: Floats, threads: int | None = None) -> Floats:
        """Probability up of float64 (n, f).

        Parameters
        ----------
        x : float64 (n, f)
            Rows; copied if not C-contiguous and writable.
        threads : int, optional
            Two where there are rows and cores for it; the answer is the same for any number.

        Returns
        -------
        float64 (n,)
            NaN for a row with a value that is not finite.
        """
        if x.ndim != 2 or x.shape[1] != self._width:
            raise ValueError(f"expected rows of {self._width} features, found shape {x.shape}")
        rows = np.require(x, dtype=np.float64, requirements=["C", "W"])
        n, out = len(rows), np.empty(len(rows))
        if threads is None:
            threads = min(_THREADS, os.cpu_count() or 1) if n >= _MANY_ROWS else 1
        size = -(-n // threads // kernels.BLOCK) * kernels.BLOCK or kernels.BLOCK
        spans = [(low, min(n, low + size)) for low in range(0, n, size)]
        if len(spans) < 2:
            for low, high in spans:
                self._span(rows, low, high, out)
            return out
        with ThreadPoolExecutor(threads) as pool:
            for each in [pool.submit(self._span, rows, low, high, out) for low, high in spans]:
                each.result()
        return out

    def _span(self, rows: Floats, low: int, high: int, out: Floats) -> None:
        keys = np.zeros(kernels.BLOCK * self._width, dtype=np.int64)
        sums = np.zeros(kernels.BLOCK)
        entry = compiled(kernels.serve_rows, _ROWS)
        entry(rows, low, high, out, self._table, self._numbers, keys, sums)
