"""Sum tree of prioritized replay: every node is the sum of its two children, transitions are the leaves.

The tree of L leaves (a power of two) is one float64 array of 2 L numbers: node n has the children 2 n and 2 n + 1, the
root is 1, leaf i is L + i; number 0 is not used. All kernels loop over the levels outside and over the batch inside, so
that the loads of different transitions overlap. A parent is always recomputed from its children and never by adding
a difference, so no rounding error builds up: the tree is a function of its leaves only.
"""

from __future__ import annotations

import math
from typing import Any

from engine.base.compiled import inlined, kernel


@inlined
def _sum_up(tree: Any, index: Any) -> None:
    nodes = len(tree) // 2
    level = 1
    while nodes >> level > 0:
        for i in range(len(index)):
            node = (nodes + index[i]) >> level
            tree[node] = tree[2 * node] + tree[2 * node + 1]
        level += 1


@kernel
def set_all(tree: Any, index: Any, priority: float) -> None:
    """Give some transitions the same priority.

    Args:
        tree: The tree, shape (2 L,); changed.
        index: Transitions, int64, shape (n,).
        priority: Of each.
    """
    leaves = len(tree) // 2
    for i in range(len(index)):
        tree[leaves + index[i]] = priority
    _sum_up(tree, index)


@kernel
def set_from_errors(tree: Any, index: Any, errors: Any, alpha: float, least: float, top: Any) -> bool:
    """Give transitions the priority |error| ** alpha + least; where one is listed twice, the later error counts.

    Args:
        tree: The tree, shape (2 L,); changed.
        index: Transitions, int64, shape (n,).
        errors: Temporal-difference errors, float64, shape (n,).
        alpha: How much priorities matter; 0 makes all equal.
        least: What every priority has at least.
        top: Largest priority ever given, shape (1,); raised.

    Returns:
        Whether all errors were finite; otherwise nothing was changed.
    """
    for i in range(len(errors)):
        if not math.isfinite(errors[i]):
            return False
    leaves = len(tree) // 2
    for i in range(len(index)):
        priority = abs(errors[i]) ** alpha + least
        tree[leaves + index[i]] = priority
        top[0] = max(top[0], priority)
    _sum_up(tree, index)
    return True


@kernel
def build(tree: Any) -> None:
    """Sum up a whole tree whose leaves are set; shape (2 L,), changed."""
    for node in range(len(tree) // 2 - 1, 0, -1):
        tree[node] = tree[2 * node] + tree[2 * node + 1]


@kernel
def draw(tree: Any, draws: Any, size: int, beta: float, index: Any, weight: Any) -> None:
    """Stratified sample in proportion to priorities, and its importance weights (Schaul et al., 2016, section 3.3-3.4).

    The sum of all priorities is cut into n equal parts and one point is taken in each. Weights are
    (size * probability) ** -beta, divided by the largest of the sample. A leaf of priority 0 is never drawn, however
    sums are rounded.

    Args:
        tree: The tree, shape (2 L,), with a positive sum.
        draws: Uniform in [0, 1), float64, shape (n,); overwritten.
        size: Transitions in the buffer.
        beta: How much of the bias of sampling is corrected: 0 none, 1 all of it.
        index: Drawn transitions, int64, shape (n,); written.
        weight: Their weights, float32, shape (n,); written.
    """
    count, leaves, total = len(draws), len(tree) // 2, tree[1]
    part = total / count
    for i in range(count):
        draws[i] = (i + draws[i]) * part
        index[i] = 1
    level = leaves
    while level > 1:
        for i in range(count):
            node = 2 * index[i]
            left = tree[node]
            # to the right only where something is: a rounded point may lie beyond the last priority
            right = (draws[i] >= left) & (tree[node + 1] > 0.0)
            draws[i] -= right * left
            index[i] = node + right
        level >>= 1
    largest = 0.0
    for i in range(count):
        draws[i] = (size * tree[index[i]] / total) ** -beta
        largest = max(largest, draws[i])
        index[i] -= leaves
    for i in range(count):
        weight[i] = draws[i] / largest
