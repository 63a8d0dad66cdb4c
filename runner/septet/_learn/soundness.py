"""Checks the arrays of a model before serving: compiled kernels read without bounds checks.

A stored model may come from a stranger, so nothing in it is taken for granted. Every value that is
an index, a count or an offset is compared as a whole number that cannot overflow (Python's, or
int64 after its range was checked) before it is used, and a tree's depth is found by walking it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from septet._data.bars import Floats, Ints
from septet._learn.kernels import CHILD_BITS, FEATURE_BITS
from septet.errors import ModelError, RunError

__all__ = ["DAMAGED", "MAX_DEPTH", "STRIDE", "check", "check_frame", "probabilities", "probability"]

STRIDE: Final = 11
"""Numbers of one member, see `flat.assemble`."""
MAX_DEPTH: Final = 10_000
"""No estimator grows such a tree from data; one that claims to would be served for ever."""
_PLAN: Final = 5
_KINDS: Final[Mapping[str, tuple[tuple[str, ...], int]]] = {
    "plan": (("int64",), 1), "numbers": (("float64",), 1), "trees": (("int64",), 2),
    "feature": (("int32",), 1), "threshold": (("float32", "float64"), 1),
    "left": (("int32",), 1), "value": (("float64",), 1),
}  # fmt: skip
_FRAME: Final = ("plan", "numbers")
_SCALES: Final = (0, 1, 2)
_DIFFERENCE: Final = 1
_LINKS: Final = (0.0, 1.0, 2.0)
_NO_CALIBRATION, _SIGMOID, _ISOTONIC = 0.0, 1.0, 2.0
DAMAGED: Final = "the stored model is damaged: "
"""How a message about arrays that cannot be served begins."""
ROUNDING: Final = 1e-4
"""How far beyond 0 and 1 an answer may be for its arithmetic: sums of float32 in a forest."""
Arrays = Mapping[str, npt.NDArray[Any]]


def _refuse(fault: str) -> ModelError:
    return ModelError(f"{DAMAGED}{fault}", hint="train and store it again")


def probability(answer: float) -> float:
    """Return what a model answered as a probability: 0 to 1, or NaN where it is none."""
    if not -ROUNDING <= answer <= 1.0 + ROUNDING:
        return math.nan
    return float(min(1.0, max(0.0, answer)))


def probabilities(answers: Floats) -> Floats:
    """Return the same for float64 (n,)."""
    sound = (answers >= -ROUNDING) & (answers <= 1.0 + ROUNDING)
    found: Floats = np.where(sound, np.clip(answers, 0.0, 1.0), np.nan)
    return found


def check(arrays: Arrays) -> None:
    """Reject arrays of a flat model that a kernel could overrun, or whose values are not valid.

    Raises
    ------
    ModelError
        If an array is missing, of another type, or points outside another.
    RunError
        If there are more features, or larger or deeper trees, than can be served.
    """
    _check_kinds(arrays, tuple(_KINDS))
    width = _check_plan(arrays, trees=len(arrays["trees"]))
    _check_trees(width, arrays)


def check_frame(arrays: Arrays) -> tuple[int, int]:
    """Check `plan` and `numbers` of a model whose members are served elsewhere.

    Returns
    -------
    tuple of int
        The number of features and of members.
    """
    _check_kinds(arrays, _FRAME)
    return _check_plan(arrays, trees=0), int(arrays["plan"][2])


def _check_kinds(arrays: Arrays, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in arrays:
            raise _refuse(f"the array {name!r} is missing")
        array = arrays[name]
        allowed, dimensions = _KINDS[name]
        native = array.dtype.isnative and array.dtype.name in allowed
        if not native or array.ndim != dimensions:
            raise _refuse(f"{name!r} is {array.dtype.str} of shape {array.shape}")


def _check_plan(arrays: Arrays, *, trees: int) -> int:
    """Check the head and the members; return the number of features."""
    plan, numbers = arrays["plan"].tolist(), arrays["numbers"]
    if len(plan) != _PLAN:
        raise _refuse(f"its plan has {len(plan)} values, expected {_PLAN}")
    width, scale, members, base, stride = plan
    end = 2 * width + STRIDE * members
    sound = width >= 1 and members >= 1 and scale in _SCALES and end <= len(numbers)
    if not sound or base != 2 * width or stride != STRIDE:
        raise _refuse(f"its plan reads {plan} for {len(numbers)} numbers")
    if not np.isfinite(numbers).all():
        raise _refuse("numbers are not finite")
    if scale == _DIFFERENCE and not numbers[width : 2 * width].all():
        raise _refuse("its scaler divides by zero")
    at = 0
    for line in numbers[2 * width : end].reshape(members, STRIDE).tolist():
        at = _check_member(line, width, numbers, end, at)
    if at != trees:
        raise _refuse(f"its members name {at} of {trees} trees")
    return int(width)


def _whole_number(value: float, what: str) -> int:
    if not value.is_integer():
        raise _refuse(f"{what} is {value!r}, expected a whole number")
    return int(value)


def _check_member(line: list[float], width: int, numbers: Floats, end: int, at: int) -> int:
    """Check one member, whose trees begin with number `at`; return where they end."""
    weighted, _, divide, link, _, calibration = line[:6]
    total = len(numbers)
    if weighted not in (0.0, 1.0) or link not in _LINKS:
        raise _refuse(f"a member is of kind {weighted!r} with link {link!r}")
    if divide == 0.0:
        raise _refuse("a member divides by zero")
    if calibration not in (_NO_CALIBRATION, _SIGMOID, _ISOTONIC):
        raise _refuse(f"a member has a calibration of kind {calibration!r}")
    if calibration == _ISOTONIC:
        start, count = (
            _whole_number(line[6], "a calibration's place"),
            _whole_number(line[7], "its length"),
        )
        if count < 1 or not end <= start <= total - 2 * count:
            raise _refuse("a member names a calibration that is not there")
        if (np.diff(numbers[start : start + count]) < 0.0).any():
            raise _refuse("the knots of a calibration do not rise")
        answers = numbers[start + count : start + 2 * count]
        if answers.min() < -ROUNDING or answers.max() > 1.0 + ROUNDING:
            raise _refuse("a calibration answers values that are no probabilities")
    if weighted:
        start = _whole_number(line[8], "a member's first weight")
        if not end <= start <= total - width:
            raise _refuse("a member names weights that are not there")
    first, last = (
        _whole_number(line[9], "a member's first tree"),
        _whole_number(line[10], "its last tree"),
    )
    if first != at or last < first:
        raise _refuse("a member names trees that are not its own")
    return last


def _check_trees(width: int, arrays: Arrays) -> None:
    trees, feature, left = arrays["trees"], arrays["feature"], arrays["left"].astype(np.int64)
    threshold, value, nodes = arrays["threshold"], arrays["value"], len(feature)
    if not len(threshold) == len(left) == len(value) == nodes or trees.shape[1] != 2:
        raise _refuse("its nodes are not all there")
    depth, first = trees.T
    if not nodes:
        if len(trees):
            raise _refuse("trees without nodes")
        return
    if width > 1 << FEATURE_BITS:
        raise RunError(
            f"the model has {width} features, and at most {1 << FEATURE_BITS} can be served",
            hint="list the model's inputs",
        )
    if feature.min() < 0 or feature.max() >= width:
        raise _refuse("a tree reads a feature that is not there")
    if not np.isfinite(value).all() or np.isnan(threshold).any():
        raise _refuse("a tree holds values that are not finite")
    # Compared, not subtracted: a difference of int64 may wrap around.
    rising = (first[1:] > first[:-1]).all()
    if not len(trees) or first[0] != 0 or not rising or first[-1] >= nodes:
        raise _refuse("a tree starts outside its nodes")
    sizes = np.diff(first, append=nodes)
    if sizes.max() > 1 << CHILD_BITS:
        raise RunError(
            f"the model has {sizes.max()} nodes in one tree, and at most {1 << CHILD_BITS} can be "
            "served",
            hint="set max_depth or min_samples_leaf",
        )
    _check_links(first, sizes, left, threshold)
    depths = _depths(first, sizes, left)
    if (depth != depths).any():
        raise _refuse("a tree is not as deep as it states")
    if depths.max() > MAX_DEPTH:
        raise RunError(
            f"a tree of the model is {depths.max()} nodes deep, and at most {MAX_DEPTH} can be "
            "served",
            hint="set max_depth",
        )


def _inner(first: Ints, sizes: Ints, left: Ints) -> tuple[npt.NDArray[np.bool_], Ints]:
    """Which nodes have children (a leaf is its own child), and the number of each in its tree."""
    own = np.arange(len(left)) - np.repeat(first, sizes)
    return left != own, own


def _check_links(
    first: Ints, sizes: Ints, left: Ints, threshold: npt.NDArray[np.floating[Any]]
) -> None:
    """Refuse links other than those of trees written level by level.

    The k-th node that has children has them at 2k + 1 and 2k + 2: so each node but the root has
    one parent, which stands before it, and nothing points outside.
    """
    inner, own = _inner(first, sizes, left)
    counts = np.add.reduceat(inner.astype(np.int64), first)
    if (sizes != 2 * counts + 1).any():
        raise _refuse("the nodes of a tree are not all linked")
    before = np.repeat(np.cumsum(counts) - counts, sizes)
    place = np.cumsum(inner) - 1 - before
    if (left[inner] != 2 * place[inner] + 1).any() or (left[inner] <= own[inner]).any():
        raise _refuse("a tree points outside its nodes, or at what is not its child")
    if not np.isposinf(threshold[~inner]).all():
        raise _refuse("a leaf has a threshold")


def _depths(first: Ints, sizes: Ints, left: Ints) -> Ints:
    """Walk every node up to its root, all at once; return the depth of each tree."""
    inner, own = _inner(first, sizes, left)
    root = np.repeat(first, sizes)
    above = np.arange(len(left))
    parents = np.flatnonzero(inner)
    children = root[parents] + left[parents]
    above[children] = above[children + 1] = parents
    steps = (own > 0).astype(np.int64)
    while (above != root).any():  # doubles the stride each time
        steps += steps[above]
        above = above[above]
    depth: Ints = np.maximum.reduceat(steps, first)
    return depth
