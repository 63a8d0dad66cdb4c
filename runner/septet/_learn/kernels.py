"""Serving a model in float64: scaler, trees, linear models, links and calibration.

One row and a batch go through the same arithmetic in the same order, so their bits are equal.

Trees are walked in whole numbers. A value becomes a key, a threshold another, and the value is
above the threshold exactly when its key is. A node is one word of 64 bits, from the top: the
threshold's key (32), the left child (21), the feature (11). A value's key stands in the same top
bits over zeros, so that one comparison of whole words decides; the right child stands beside the
left one, and a leaf is its own child with a key that no value exceeds. No branch depends on the
data, a step is seven instructions, and several rows are on their way at once.

scikit-learn's trees compare inputs cast to float32 with float64 thresholds. A float32 is at or
below such a threshold exactly when it is at or below the largest float32 that is, so the key is
that float32's bits put in order. Histogram boosting and LightGBM compare in float64: there the
key is the rank among the thresholds of the feature, found in a heap of them.

Arguments: `table` int64: the words of `serve.HEADER`, trees, heaps and nodes; `numbers` float64:
scaler, members, weights, calibration, then heaps and leaves; `keys` int64: scratch, one for each
feature and row. Nothing is allocated here.
"""
# Numeric steps carry no annotations: numba reads the types of the call.

from __future__ import annotations

import math

import numpy as np

from septet._kernel.marks import helper

__all__ = [
    "BLOCK",
    "CHILD_BITS",
    "FEATURE_BITS",
    "KEY_BITS",
    "finish",
    "scaled",
    "serve_row",
    "serve_rows",
]

BLOCK = 64
KEY_BITS = 32
CHILD_BITS = 21
FEATURE_BITS = 11
_CHILD = (1 << CHILD_BITS) - 1
_FEATURE = (1 << FEATURE_BITS) - 1


@helper
def logistic(z):  # type: ignore[no-untyped-def]
    """1 / (1 + exp(-z)), without overflow."""
    if z >= 0.0:
        return 1.0 / (1.0 + math.exp(-z))
    e = math.exp(z)
    return e / (1.0 + e)


@helper
def scaled(v, j, plan, numbers):  # type: ignore[no-untyped-def]
    """One value through the scaler: (v - a) / b, or v·a + b."""
    width, kind = plan[0], plan[1]
    if kind == 1:
        return (v - numbers[j]) / numbers[width + j]
    if kind == 2:
        return v * numbers[j] + numbers[width + j]
    return v


@helper
def interpolated(v, numbers, start, count):  # type: ignore[no-untyped-def]
    """Isotonic calibration: linear between knots, flat outside; knots x, then knots y."""
    if count == 1 or v <= numbers[start]:
        return numbers[start + count]
    if v >= numbers[start + count - 1]:
        return numbers[start + 2 * count - 1]
    low, high = 0, count - 1
    while high - low > 1:
        middle = (low + high) // 2
        if numbers[start + middle] <= v:
            low = middle
        else:
            high = middle
    x0, x1 = numbers[start + low], numbers[start + low + 1]
    y0, y1 = numbers[start + count + low], numbers[start + count + low + 1]
    return (y1 - y0) / (x1 - x0) * (v - x0) + y0


@helper
def finish(raw, m, numbers):  # type: ignore[no-untyped-def]
    """One member's sum to a probability: divide, link, calibrate; `m` is where it starts."""
    z = raw / numbers[m + 2]
    link = int(numbers[m + 3])
    if link == 1:
        z = logistic(z * numbers[m + 4])
    elif link == 2:
        z = (min(1.0, max(-1.0, z)) + 1.0) / 2.0
    calibration = int(numbers[m + 5])
    if calibration == 1:
        z = logistic(-(numbers[m + 6] * z + numbers[m + 7]))
    elif calibration == 2:
        z = interpolated(z, numbers, int(numbers[m + 6]), int(numbers[m + 7]))
    return z


@helper
def weighted(vector, m, table, numbers):  # type: ignore[no-untyped-def]
    """A linear member's sum over the scaled vector."""
    start = int(numbers[m + 8])
    total = 0.0
    for j in range(table[0]):
        total += scaled(vector[j], j, table, numbers) * numbers[start + j]
    return total + numbers[m + 1]


@helper
def single_key(v):  # type: ignore[no-untyped-def]
    """Key of a value cast to float32: its bits, put in the order of the numbers."""
    bits = np.float32(np.float32(v) + np.float32(0.0)).view(np.int32)  # + 0.0: no minus zero
    return np.int64(bits ^ ((bits >> 31) & 0x7FFFFFFF)) << KEY_BITS


@helper
def rank_key(v, levels, first, numbers):  # type: ignore[no-untyped-def]
    """Key of a float64 value: how many thresholds are below it; `first` is their heap's root."""
    k = np.uint64(1)
    for _ in range(levels):
        k = k + k + np.uint64(numbers[np.uint64(first) + k] < v)
    return (np.int64(k) - (np.int64(1) << levels)) << KEY_BITS


@helper
def put_keys(vector, at, table, numbers, keys):  # type: ignore[no-untyped-def]
    """Write one row's keys; 0.0, or NaN if a value is not finite (v - v is 0 or NaN)."""
    sound = 0.0
    for j in range(table[0]):
        v = vector[j]
        sound += v - v
        x = scaled(v, j, table, numbers)
        if table[5] == 1:
            keys[at + j] = single_key(x)
        elif table[5] == 2:
            heap = table[7] + 2 * j
            keys[at + j] = rank_key(x, table[heap], table[heap + 1], numbers)
    return sound


@helper
def child(k, first, at, table, keys):  # type: ignore[no-untyped-def]
    """Go from node `k` of a tree to its left or right child, or stay on a leaf."""
    word = table[first + k]
    over = keys[at + np.uint64(word & _FEATURE)] > word
    return np.uint64((word >> FEATURE_BITS) & _CHILD) + np.uint64(over)


@helper
def deepest(tree, count, table):  # type: ignore[no-untyped-def]
    """Depth of the deepest of some trees; a walk that has come to a leaf stays there."""
    depth = table[tree]
    for each in range(1, count):
        depth = max(depth, table[tree + 2 * each])
    return depth


@helper
def add_trees(first, last, total, table, numbers, keys):  # type: ignore[no-untyped-def]
    """Add the leaves of one row, tree after tree; eight are walked side by side.

    A step waits for the memory and for the step before it; those of other trees do not.
    """
    o, nodes, leaves = np.uint64(0), np.uint64(table[8]), np.uint64(table[9])
    eights = first + (last - first) // 8 * 8
    for t in range(first, eights, 8):
        tree = np.uint64(table[6] + 2 * t)
        a0, b0 = table[tree + np.uint64(1)], table[tree + np.uint64(3)]
        c0, d0 = table[tree + np.uint64(5)], table[tree + np.uint64(7)]
        e0, f0 = table[tree + np.uint64(9)], table[tree + np.uint64(11)]
        g0, h0 = table[tree + np.uint64(13)], table[tree + np.uint64(15)]
        a = b = c = d = e = f = g = h = o
        for _ in range(deepest(table[6] + 2 * t, 8, table)):
            a = child(a, nodes + np.uint64(a0), o, table, keys)
            b = child(b, nodes + np.uint64(b0), o, table, keys)
            c = child(c, nodes + np.uint64(c0), o, table, keys)
            d = child(d, nodes + np.uint64(d0), o, table, keys)
            e = child(e, nodes + np.uint64(e0), o, table, keys)
            f = child(f, nodes + np.uint64(f0), o, table, keys)
            g = child(g, nodes + np.uint64(g0), o, table, keys)
            h = child(h, nodes + np.uint64(h0), o, table, keys)
        total += numbers[leaves + np.uint64(a0) + a]
        total += numbers[leaves + np.uint64(b0) + b]
        total += numbers[leaves + np.uint64(c0) + c]
        total += numbers[leaves + np.uint64(d0) + d]
        total += numbers[leaves + np.uint64(e0) + e]
        total += numbers[leaves + np.uint64(f0) + f]
        total += numbers[leaves + np.uint64(g0) + g]
        total += numbers[leaves + np.uint64(h0) + h]
    for t in range(eights, last):
        node, k = np.uint64(table[table[6] + 2 * t + 1]), o
        for _ in range(table[table[6] + 2 * t]):
            k = child(k, nodes + node, o, table, keys)
        total += numbers[leaves + node + k]
    return total


def serve_row(vector, table, numbers, keys):  # type: ignore[no-untyped-def]
    """Probability up of one vector; NaN if a value is not finite."""
    members, base = table[2], table[3]
    total = put_keys(vector, 0, table, numbers, keys)
    for each in range(members):
        m = base + each * table[4]
        if numbers[m] == 1.0:
            raw = weighted(vector, m, table, numbers)
        else:
            first, last = int(numbers[m + 9]), int(numbers[m + 10])
            raw = add_trees(first, last, numbers[m + 1], table, numbers, keys)
        total += finish(raw, m, numbers)
    return total / members


@helper
def add_trees_block(count, first, last, table, numbers, keys, sums):  # type: ignore[no-untyped-def]
    """Add the leaves of up to 64 rows, one tree after the other, four rows side by side.

    Rows beyond `count` hold what was there before: any key leads to some leaf.
    """
    width = np.uint64(table[0])
    for t in range(first, last):
        tree = table[6] + 2 * t
        depth, node = table[tree], np.uint64(table[tree + 1])
        root, leaf = node + np.uint64(table[8]), node + np.uint64(table[9])
        for r in range(0, count, 4):
            at_a = np.uint64(r) * width
            at_b = at_a + width
            at_c = at_b + width
            at_d = at_c + width
            a = b = c = d = np.uint64(0)
            for _ in range(depth):
                a = child(a, root, at_a, table, keys)
                b = child(b, root, at_b, table, keys)
                c = child(c, root, at_c, table, keys)
                d = child(d, root, at_d, table, keys)
            place = np.uint64(r)
            sums[place] += numbers[leaf + a]
            sums[place + np.uint64(1)] += numbers[leaf + b]
            sums[place + np.uint64(2)] += numbers[leaf + c]
            sums[place + np.uint64(3)] += numbers[leaf + d]


def serve_rows(x, begin, end, out, table, numbers, keys, sums):  # type: ignore[no-untyped-def]
    """Probability up of rows `begin` to `end`; scratch: keys (64 f,), sums (64,)."""
    members, base = table[2], table[3]
    for start in range(begin, end, 64):
        count = min(64, end - start)
        for r in range(count):
            out[start + r] = put_keys(x[start + r], r * table[0], table, numbers, keys)
        for each in range(members):
            m = base + each * table[4]
            if numbers[m] == 1.0:
                for r in range(count):
                    sums[r] = weighted(x[start + r], m, table, numbers)
            else:
                sums[:] = numbers[m + 1]
                first, last = int(numbers[m + 9]), int(numbers[m + 10])
                add_trees_block(count, first, last, table, numbers, keys, sums)
            for r in range(count):
                out[start + r] += finish(sums[r], m, numbers)
        for r in range(count):
            out[start + r] /= members
