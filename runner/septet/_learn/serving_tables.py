"""Converts a model's stored arrays to the two tables that the kernels read.

The stored arrays define the model; the tables hold it in the shape that is quickest to walk, see
`kernels`. They are made anew whenever a model is loaded, and are never stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from septet._data.bars import Floats, Ints
from septet._learn.kernels import FEATURE_BITS, KEY_BITS

__all__ = ["HEADER", "serving"]

HEADER: Final = (
    "width", "scale", "members", "base", "stride",  # as in the stored plan
    "keys", "trees", "heaps", "nodes", "leaves",  # kind of key; where each part begins
)  # fmt: skip
_NO_KEYS, _SINGLE, _RANK = 0, 1, 2
_LEAF: Final = (1 << (KEY_BITS - 1)) - 1
"""Larger than any key: nothing goes right on a leaf."""


def serving(arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[Ints, Floats]:
    """Return the kernels' `table` and `numbers` for arrays that `soundness.check` accepted."""
    plan, trees, feature = arrays["plan"], arrays["trees"], arrays["feature"]
    width, nodes = int(plan[0]), len(feature)
    sizes = np.diff(trees[:, 1], append=nodes)
    threshold, leaf = arrays["threshold"], _is_leaf(arrays["left"], trees[:, 1], sizes)
    numbers, kind = [arrays["numbers"]], _NO_KEYS
    heaps = np.zeros((width, 2), dtype=np.int64)
    if nodes and threshold.dtype == np.float32:
        kind, keys = _SINGLE, _ordered(threshold)
    else:
        kind, keys = (_RANK if nodes else _NO_KEYS), np.zeros(nodes, dtype=np.int64)
        after = len(numbers[0])
        for j in range(width if nodes else 0):
            of_feature = (feature == j) & ~leaf
            cuts, keys[of_feature] = np.unique(threshold[of_feature], return_inverse=True)
            levels, heap = _heap(cuts)
            heaps[j] = levels, after
            after += len(heap)
            numbers.append(heap)
    keys = np.where(leaf, _LEAF, keys)
    words = keys << KEY_BITS | arrays["left"].astype(np.int64) << FEATURE_BITS | feature
    trees_at = len(HEADER)
    heaps_at = trees_at + trees.size
    leaves_at = sum(len(each) for each in numbers)
    header = [*plan.tolist(), kind, trees_at, heaps_at, heaps_at + heaps.size, leaves_at]
    table = np.concatenate([np.array(header, np.int64), trees.ravel(), heaps.ravel(), words])
    return table, np.concatenate([*numbers, arrays["value"]])


def _is_leaf(left: Ints, first: Ints, sizes: Ints) -> npt.NDArray[np.bool_]:
    """A leaf is its own child."""
    found: npt.NDArray[np.bool_] = left == np.arange(len(left)) - np.repeat(first, sizes)
    return found


def _ordered(threshold: npt.NDArray[np.float32]) -> Ints:
    """Bits of float32 values, put in the order of the values; what `single_key` does."""
    bits = (threshold + np.float32(0.0)).view(np.int32).astype(np.int64)
    found: Ints = np.where(bits < 0, bits ^ _LEAF, bits)
    return found


def _heap(cuts: Floats) -> tuple[int, Floats]:
    """Rising numbers as a heap: the root at 1, the children of k at 2k and 2k + 1."""
    levels = len(cuts).bit_length()
    size = 1 << levels
    padded = np.full(size, np.inf)
    padded[: len(cuts)] = cuts
    heap = np.full(size, np.inf)
    for level in range(levels):
        row, apart = 1 << level, size >> level
        heap[row : 2 * row] = padded[apart // 2 - 1 :: apart]
    return levels, heap
