"""Serving a model in float64: scaler, trees, linear models, links and calibration.

One row and a batch go through the same arithmetic in the same order, so their bits are equal.
Trees come in two layouts. `complete`: every tree is padded to a complete one, node k's children
are 2k + 1 and 2k + 2, and no branch is taken. `linked`: the left child is looked up, the right
one stands beside it, and a leaf is its own child. A batch goes through 64 rows at a time, one
tree after the other, so that a tree stays in the first cache.

scikit-learn's trees compare inputs cast to float32 with float64 thresholds. A float32 is at or
below such a threshold exactly when it is at or below the largest float32 that is, so thresholds
are stored rounded down to float32, and the comparison is the same. Histogram boosting and
LightGBM compare in float64.

Arguments: `plan` int64, see `flat.HEADER`; `numbers` float64: scaler, members, weights,
calibration; `trees` int64 (t, 3): depth, first node, first leaf; `feature`, `threshold`, `left`
by node; `value` by leaf (complete) or node (linked). Nothing is allocated here.
"""
# Numeric steps carry no annotations: numba reads the types of the call.

from __future__ import annotations

import math

from septet._kernel.step import helper

__all__ = ["BLOCK", "finish", "linked_row", "serve_row", "serve_rows"]

BLOCK = 64


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
def weighted(vector, m, plan, numbers):  # type: ignore[no-untyped-def]
    """A linear member's sum over the scaled vector."""
    start = int(numbers[m + 8])
    total = 0.0
    for j in range(plan[0]):
        total += vector[j] * numbers[start + j]
    return total + numbers[m + 1]


@helper
def complete_row(x, first, last, total, trees, feature, threshold, value):  # type: ignore[no-untyped-def]
    """Add the leaves of one row, complete trees."""
    for t in range(first, last):
        depth, node = trees[t, 0], trees[t, 1]
        k = 0
        for _ in range(depth):
            k = 2 * k + 1 + int(x[feature[node + k]] > threshold[node + k])
        total += value[trees[t, 2] + k - ((1 << depth) - 1)]
    return total


@helper
def linked_row(x, first, last, total, trees, feature, threshold, left, value):  # type: ignore[no-untyped-def]
    """Add the leaves of one row, linked trees."""
    for t in range(first, last):
        k = trees[t, 1]
        for _ in range(trees[t, 0]):
            k = left[k] + int(x[feature[k]] > threshold[k])
        total += value[k]
    return total


def serve_row(vector, plan, numbers, trees, feature, threshold, left, value, x64, xt):  # type: ignore[no-untyped-def]
    """Probability up of one vector; `x64` and `xt` are scratch of its length."""
    width, members, base = plan[0], plan[2], plan[3]
    for j in range(width):
        x64[j] = scaled(vector[j], j, plan, numbers)
        xt[j] = x64[j]
    total = 0.0
    for each in range(members):
        m = base + each * plan[4]
        first, last = int(numbers[m + 9]), int(numbers[m + 10])
        if numbers[m] == 1.0:
            raw = weighted(x64, m, plan, numbers)
        elif plan[5] == 0:
            raw = complete_row(xt, first, last, numbers[m + 1], trees, feature, threshold, value)
        else:
            raw = linked_row(
                xt, first, last, numbers[m + 1], trees, feature, threshold, left, value
            )
        total += finish(raw, m, numbers)
    return total / members


@helper
def complete_block(xt, count, first, last, trees, feature, threshold, value, place, sums):  # type: ignore[no-untyped-def]
    """Add the leaves of up to 64 rows, complete trees."""
    for t in range(first, last):
        depth, node = trees[t, 0], trees[t, 1]
        for r in range(count):
            place[r] = 0
        for _ in range(depth):
            for r in range(count):
                k = place[r]
                place[r] = 2 * k + 1 + int(xt[r, feature[node + k]] > threshold[node + k])
        leaf = trees[t, 2] - ((1 << depth) - 1)
        for r in range(count):
            sums[r] += value[leaf + place[r]]


@helper
def linked_block(xt, count, first, last, trees, feature, threshold, left, value, place, sums):  # type: ignore[no-untyped-def]
    """Add the leaves of up to 64 rows, linked trees."""
    for t in range(first, last):
        for r in range(count):
            place[r] = trees[t, 1]
        for _ in range(trees[t, 0]):
            for r in range(count):
                k = place[r]
                place[r] = left[k] + int(xt[r, feature[k]] > threshold[k])
        for r in range(count):
            sums[r] += value[place[r]]


@helper
def prepare(x, start, count, out, plan, numbers, x64, xt):  # type: ignore[no-untyped-def]
    """Scale up to 64 rows and clear their answers."""
    for r in range(count):
        out[start + r] = 0.0
        for j in range(plan[0]):
            x64[r, j] = scaled(x[start + r, j], j, plan, numbers)
            xt[r, j] = x64[r, j]


def serve_rows(  # type: ignore[no-untyped-def]
    x, begin, end, out, plan, numbers, trees, feature, threshold, left, value, x64, xt, place, sums
):
    """Probability up of rows `begin` to `end`; scratch: x64, xt (64, f), place, sums (64,)."""
    members, base = plan[2], plan[3]
    for start in range(begin, end, 64):
        count = min(64, end - start)
        prepare(x, start, count, out, plan, numbers, x64, xt)
        for each in range(members):
            m = base + each * plan[4]
            first, last = int(numbers[m + 9]), int(numbers[m + 10])
            for r in range(count):
                sums[r] = numbers[m + 1]
            if numbers[m] == 1.0:
                for r in range(count):
                    sums[r] = weighted(x64[r], m, plan, numbers)
            elif plan[5] == 0:
                complete_block(
                    xt, count, first, last, trees, feature, threshold, value, place, sums
                )
            else:
                linked_block(
                    xt, count, first, last, trees, feature, threshold, left, value, place, sums
                )
            for r in range(count):
                out[start + r] += finish(sums[r], m, numbers)
        for r in range(count):
            out[start + r] /= members
