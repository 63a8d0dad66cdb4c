"""A fitted model as flat arrays, and how it answers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from septet._data.bars import Floats, Ints
from septet._learn import kernels
from septet._learn.entry import compiled
from septet.errors import ModelError

__all__ = ["Calibration", "FlatModel", "Member", "Scaler", "Tree", "assemble"]

STRIDE: Final = 11
_PLAN: Final = 6
_PADDED_DEPTH: Final = 8
_MANY_ROWS: Final = 8_192
_THREADS: Final = 2
Link = Literal["none", "logistic", "huber"]
_LINKS: Final[tuple[Link, ...]] = ("none", "logistic", "huber")
_NAMES: Final = ("plan", "numbers", "trees", "feature", "threshold", "left", "value")


@dataclass(frozen=True, slots=True)
class Scaler:
    """``difference``: (v - a) / b; ``product``: v·a + b."""

    kind: Literal["none", "difference", "product"] = "none"
    a: Floats | None = None
    b: Floats | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
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


def _complete(tree: Tree, depth: int) -> tuple[Ints, Floats, Floats]:
    """Pad a tree: nodes (2^d - 1) by feature and threshold, and leaves (2^d)."""
    size = (1 << depth) - 1
    feature, threshold = np.zeros(size, dtype=np.int64), np.full(size, np.inf)
    source = np.zeros(2 * size + 1, dtype=np.int64)
    for place in range(size):
        node = source[place]
        leaf = tree.left[node] < 0
        if not leaf:
            feature[place], threshold[place] = tree.feature[node], tree.threshold[node]
        source[2 * place + 1] = node if leaf else tree.left[node]
        source[2 * place + 2] = node if leaf else tree.right[node]
    return feature, threshold, tree.value[source[size:]]


def _linked(tree: Tree, offset: int) -> tuple[Ints, Floats, Floats, Ints]:
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
        np.where(leaf, own, child) + offset,
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
        depths = [int(_depths(each).max()) for each in trees]
        self.layout = 1 if depths and max(depths) > _PADDED_DEPTH else 0
        index, features, thresholds, lefts, values = [], [], [], [], []
        nodes = leaves = 0
        for tree, depth in zip(trees, depths, strict=True):
            index.append((depth, nodes, leaves))
            if self.layout:
                feature, threshold, value, left = _linked(tree, nodes)
                lefts.append(left)
            else:
                feature, threshold, value = _complete(tree, depth)
            features.append(feature)
            thresholds.append(threshold)
            values.append(value)
            nodes, leaves = nodes + len(feature), leaves + len(value)
        self.index = np.array(index, dtype=np.int64).reshape(-1, 3)
        self.feature = np.concatenate([np.zeros(0, np.int64), *features]).astype(np.int32)
        self.left = np.concatenate([np.zeros(0, np.int64), *lefts]).astype(np.int32)
        self.value = np.concatenate([np.zeros(0), *values])
        joined = np.concatenate([np.zeros(0), *thresholds])
        self.threshold = _round_down(joined) if single else joined


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
    plan = np.array([width, scale, len(members), base, STRIDE, forest.layout], dtype=np.int64)
    numbers = np.concatenate([*head, table.ravel(), *tail])
    parts = (plan, numbers, forest.index, forest.feature, forest.threshold, forest.left)
    return FlatModel.from_arrays(dict(zip(_NAMES, (*parts, forest.value), strict=True)))


_SHARED: Final = (
    "int64[::1], float64[::1], int64[:,::1], int32[::1], {t}[::1], int32[::1], float64[::1]"
)
_ROW: Final = f"float64(float64[::1], {_SHARED}, float64[::1], {{t}}[::1])"
_ROWS: Final = (
    f"void(float64[:,::1], int64, int64, float64[::1], {_SHARED}, float64[:,::1], {{t}}[:,::1], "
    "int32[::1], float64[::1])"
)


class FlatModel:
    """A model served by the compiled kernels; `predict` and `predict_row` agree bit for bit."""

    format = "flat"

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._arrays = dict(arrays)
        self._parts = tuple(self._arrays[name] for name in _NAMES)
        self._width = int(self._arrays["plan"][0])
        kind = self._arrays["threshold"].dtype
        self._row = compiled(kernels.serve_row, _ROW.format(t=kind))
        self._row_scratch = np.empty(self._width), np.empty(self._width, dtype=kind)

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
        """Probability up of float64 (f,), finite values only; 0 to 1."""
        if len(vector) != self._width:
            raise ValueError(f"expected {self._width} features, found {len(vector)}")
        try:
            return float(self._row(vector, *self._parts, *self._row_scratch))
        except TypeError:  # read-only, strided or of another type: a copy has the same values
            own = np.array(vector, dtype=np.float64)
            return float(self._row(own, *self._parts, *self._row_scratch))

    def predict(self, x: Floats, threads: int | None = None) -> Floats:
        """Probability up of float64 (n, f), finite values only.

        Parameters
        ----------
        x : float64 (n, f)
            Rows; copied if not C-contiguous and writable.
        threads : int, optional
            Two where there are rows and cores for it; the answer is the same for any number.

        Returns
        -------
        float64 (n,)
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
        kind, block = self._arrays["threshold"].dtype, kernels.BLOCK
        scratch = np.empty((block, self._width)), np.empty((block, self._width), dtype=kind)
        place, sums = np.empty(block, dtype=np.int32), np.empty(block)
        entry = compiled(kernels.serve_rows, _ROWS.format(t=kind))
        entry(rows, low, high, out, *self._parts, *scratch, place, sums)


def _refuse(what: str) -> ModelError:
    return ModelError(f"the stored model is damaged: {what}", hint="train and store it again")


def check(arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Refuse arrays whose indices leave them: kernels read without looking."""
    kinds = {
        "plan": ("i8",), "numbers": ("f8",), "trees": ("i8",), "feature": ("i4",),
        "threshold": ("f4", "f8"), "left": ("i4",), "value": ("f8",),
    }  # fmt: skip
    for name, allowed in kinds.items():
        if name not in arrays:
            raise _refuse(f"the array {name!r} is missing")
        found = arrays[name]
        if found.dtype.str[1:] not in allowed or found.ndim != (2 if name == "trees" else 1):
            raise _refuse(f"{name!r} is {found.dtype} of shape {found.shape}")
    plan, numbers = arrays["plan"], arrays["numbers"]
    if len(plan) != _PLAN or plan[0] < 1 or plan[1] not in (0, 1, 2) or plan[5] not in (0, 1):
        raise _refuse(f"its plan reads {plan.tolist()}")
    width, members = int(plan[0]), int(plan[2])
    end = 2 * width + STRIDE * members
    if members < 1 or plan[3] != 2 * width or plan[4] != STRIDE or end > len(numbers):
        raise _refuse(f"its plan reads {plan.tolist()} for {len(numbers)} numbers")
    if not np.isfinite(numbers).all() or arrays["trees"].shape[1] != 3:
        raise _refuse("numbers are not finite, or trees have no depth, node and leaf")
    _check_members(numbers[2 * width : end].reshape(members, STRIDE), width, arrays)
    _check_trees(width, int(plan[5]), arrays)


def _check_members(table: Floats, width: int, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    total, trees = len(arrays["numbers"]), len(arrays["trees"])
    for line in table:
        whole = line[[0, 3, 5, 8, 9, 10]]
        if (whole != np.floor(whole)).any() or not 0 <= line[9] <= line[10] <= trees:
            raise _refuse("a member names trees that are not there")
        if line[0] == 1.0 and not 0 <= line[8] <= total - width:
            raise _refuse("a member names weights that are not there")
        if line[5] == 2.0 and not (line[7] >= 1 and 0 <= line[6] <= total - 2 * line[7]):
            raise _refuse("a member names a calibration that is not there")
        if line[2] == 0.0:
            raise _refuse("a member divides by zero")


def _check_trees(width: int, layout: int, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    trees, feature, left = arrays["trees"], arrays["feature"], arrays["left"]
    value, nodes = arrays["value"], len(feature)
    if len(arrays["threshold"]) != nodes or (
        nodes and not 0 <= feature.min() <= feature.max() < width
    ):
        raise _refuse("a tree reads a feature that is not there")
    if not np.isfinite(value).all() or np.isnan(arrays["threshold"]).any():
        raise _refuse("a tree holds values that are not finite")
    if not len(trees):
        return
    depth, first, leaf = trees.T
    if depth.min() < 0 or depth.max() > 100_000 or first.min() < 0 or leaf.min() < 0:
        raise _refuse("a tree starts outside its nodes")
    if layout == 0:
        inside = depth.max() <= _PADDED_DEPTH
        inside = inside and (first + 2**depth - 1 <= nodes).all()
        inside = inside and (leaf + 2**depth <= len(value)).all()
    else:
        inside = len(left) == nodes == len(value) and first.max() < nodes
        inside = inside and _linked_inside(left, arrays["threshold"])
    if not inside:
        raise _refuse("a tree points outside its nodes")


def _linked_inside(left: Ints, threshold: Floats) -> bool:
    """Children stay among the nodes, and a leaf, its own child, never sends a row past it."""
    inner = left != np.arange(len(left))
    children = left[inner].astype(np.int64)
    if len(children) and not 0 <= children.min() <= children.max() + 1 < len(left):
        return False
    return bool(np.isposinf(threshold[~inner]).all())
