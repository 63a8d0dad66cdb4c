"""Mapping from keys of a sweep to the features they affect, for sharing between settings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from septet._plan.graph import Column, Node
from septet._plan.plan import Plan
from septet._sweep.space import Setting
from septet._sweep.swept_parameters import Numbers

__all__ = ["Groups", "groups_of"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Groups:
    """Keys that affect some feature together, by their indices in the space.

    `rows` are the rows of F that a group determines, `parameters` the numbers of the plan that its
    keys change.
    """

    axes: tuple[tuple[int, ...], ...]
    rows: tuple[Ints, ...]
    parameters: tuple[Ints, ...]
    sizes: tuple[int, ...]

    @property
    def numbers(self) -> range:
        """The groups, counted."""
        return range(len(self.axes))

    def of(self, group: int, setting: Setting) -> tuple[int, ...]:
        """Return the variant of a group that a setting needs."""
        return tuple(setting.places[axis] for axis in self.axes[group])


def groups_of(plan: Plan, numbers: Numbers) -> Groups:
    """Join the keys that affect a feature together; keys that affect only trading are left out."""
    reached = _reached(plan)
    nodes = [
        {number for number, reads in reached.items() if reads & axis.touched}
        for axis in numbers.axes
    ]
    for joint in numbers.joints:
        together = set().union(*(nodes[axis] for axis in joint.axes))
        touched = {index for change in joint.changes.values() for index in change}
        together |= {number for number, reads in reached.items() if reads & touched}
        for axis in joint.axes:
            nodes[axis] = together
    groups: list[tuple[set[int], set[int]]] = []
    for axis, reached_nodes in enumerate(nodes):
        if not reached_nodes:
            continue
        meets = [each for each in groups if each[1] & reached_nodes]
        groups = [each for each in groups if not each[1] & reached_nodes]
        groups.append(
            (
                {axis}.union(*(axes for axes, _ in meets)),
                reached_nodes.union(*(others for _, others in meets)),
            )
        )
    axes = tuple(tuple(sorted(members)) for members, _ in groups)
    every = [{*numbers.axes[axis].touched} for axis in range(len(nodes))]
    for joint in numbers.joints:
        for axis in joint.axes:
            every[axis] |= {index for change in joint.changes.values() for index in change}
    return Groups(
        axes,
        tuple(_rows(plan, nodes_of_group) for _, nodes_of_group in groups),
        tuple(_array(set().union(*(every[axis] for axis in members))) for members in axes),
        tuple(_size(numbers, members) for members in axes),
    )


def _size(numbers: Numbers, axes: Iterable[int]) -> int:
    size = 1
    for axis in axes:
        size *= max(1, len(numbers.axes[axis].changes))
    return size


def _array(numbers: set[int]) -> Ints:
    return np.array(sorted(numbers), dtype=np.int64)


def _rows(plan: Plan, nodes: set[int]) -> Ints:
    rows = plan.assembly.rows.f
    return _array({row for (number, _), row in rows.items() if number in nodes})


def _reached(plan: Plan) -> dict[int, set[int]]:
    """Return the numbers of the plan that determine each node of the graph and its inputs."""
    keys = [each.key for each in plan.assembly.parameters]
    reads_by_node: dict[int, set[int]] = {}
    for node in plan.assembly.graph.nodes:  # ordered so that inputs come first
        starts = (f"features.{node.label}.", f"warmup.{node.label}.")
        warmup_key = f"warmup.{node.label}"
        reads = {at for at, key in enumerate(keys) if key.startswith(starts) or key == warmup_key}
        for number in _inputs(node):
            reads |= reads_by_node[number]
        reads_by_node[node.number] = reads
    return reads_by_node


def _inputs(node: Node) -> set[int]:
    columns = [each for each in node.inputs.values() if isinstance(each, Column)]
    for _, named in node.expressions.values():
        columns += named.values()
    return {column.node for column in columns if column.kind == "node"}
