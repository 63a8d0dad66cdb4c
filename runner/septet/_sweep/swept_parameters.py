"""Swept keys that change only numbers of the plan, and those numbers.

Each value is loaded once by itself and its plan compared with that of the file as it is: the text,
the tables and the sizes of the arrays must be the same, and the numbers that differ are kept. Keys
that touch the same number (the warm-up of a feature over a feature does) are joined, and their
combinations loaded too. The numbers of any setting are then those of the file with the changes of
its values laid over them, and nothing else has to be loaded or compiled.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from septet._config.load import Loaded, variant
from septet._config.overlay import Setting as FileSetting
from septet._config.tree import dotted
from septet._host.plugin_registry import BUILT_IN
from septet._plan.plan import Plan
from septet._shell.session import plan_of
from septet._sweep.space import Axis, Setting, Space
from septet._sweep.value_checks import check_values
from septet.errors import ConfigError

__all__ = ["AxisNumbers", "Joint", "Numbers", "numbers_of"]

Floats = npt.NDArray[np.float64]
CAPITAL: Final = ("account", "capital")
_PLANNED: Final = (
    ("features",), ("signal",), ("risk",), ("execution", "simulation"), ("execution", "order"),
    ("execution", "venues"), ("perpetual", "leverage"), ("perpetual", "maintenance"),
    ("perpetual", "liquidation_fee"), CAPITAL,
)  # fmt: skip
"""Keys that affect a backtest only through the plan, or as its initial cash."""
MAX_JOINT: Final = 5_000
"""Most combinations of keys that touch the same numbers to be loaded one by one."""
_MAX_LISTED: Final = 2_000_000
"""Most settings searched for the values that occur together."""

Changes = Mapping[int, float]
"""Numbers of the plan by their index."""


@dataclass(frozen=True, slots=True)
class AxisNumbers:
    """Changes that the values of one key make, with all other keys as in the file.

    `reason` states why the key changes more than numbers of the plan; it is empty if it does not.
    `changes` has for each value its numbers by index, `capital` its initial cash. `warmup_bars` and
    `memory_bars` are those of the plan with that value; for a drawn value that was not loaded, they
    are those of the nearest larger one that was.
    """

    key: str
    reason: str
    changes: tuple[Changes, ...]
    capital: tuple[float | None, ...]
    warmup_bars: tuple[int, ...]
    memory_bars: tuple[int, ...]

    @property
    def touched(self) -> frozenset[int]:
        """Every number that some value of the key changes."""
        return frozenset(index for change in self.changes for index in change)


@dataclass(frozen=True, slots=True)
class Joint:
    """Keys that change some number together, by their indices in the space.

    `changes` has the numbers of each combination of values, `refused` the findings of the file's
    check if it rejects the combination.
    """

    axes: tuple[int, ...]
    keys: tuple[str, ...]
    parameters: tuple[str, ...]
    changes: Mapping[tuple[int, ...], Changes]
    refused: Mapping[tuple[int, ...], str]
    reason: str = ""

    def of(self, setting: Setting) -> tuple[int, ...]:
        """Return the value indices of a setting on these keys."""
        return tuple(setting.places[axis] for axis in self.axes)


@dataclass(frozen=True)
class Numbers:
    """Changes that the keys of a sweep make in the plan of its file."""

    plan: Plan
    axes: tuple[AxisNumbers, ...]
    joints: tuple[Joint, ...]
    base_capital: float
    _base: Floats = field(repr=False)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons why a setting is more than a list of numbers; empty if it is not."""
        parts: Iterable[AxisNumbers | Joint] = (*self.axes, *self.joints)
        return tuple(each.reason for each in parts if each.reason)

    @property
    def enough(self) -> bool:
        """Whether `vector` and `capital` are all that a setting changes."""
        return not self.reasons

    @property
    def memory_bars(self) -> int:
        """The most bars of history that any setting needs."""
        own = self.plan.memory_bars
        return own + sum(max(0, max(axis.memory_bars, default=0) - own) for axis in self.axes)

    def vector(self, setting: Setting) -> Floats:
        """Return the numbers of the plan for a setting, shape (parameters,); valid if `enough`."""
        vector = self._base.copy()
        for axis, place in zip(self.axes, setting.places, strict=True):
            _apply(vector, axis.changes[place])
        for joint in self.joints:
            _apply(vector, joint.changes.get(joint.of(setting), {}))
        return vector

    def vectors(self, block: Sequence[Setting]) -> Floats:
        """Return the numbers of a block of settings, shape (settings, parameters)."""
        if not block:
            return np.empty((0, len(self._base)))
        return np.stack([self.vector(each) for each in block])

    def refused(self, setting: Setting) -> str:
        """Return the findings of the file's check against a setting, as far as it was checked."""
        reasons = (joint.refused.get(joint.of(setting), "") for joint in self.joints)
        return next((each for each in reasons if each), "")

    def capital(self, setting: Setting) -> float:
        """Return the initial cash of a setting."""
        for axis, place in zip(self.axes, setting.places, strict=True):
            value = axis.capital[place]
            if value is not None:
                return value
        return self.base_capital


def _apply(vector: Floats, changes: Changes) -> None:
    for index, value in changes.items():
        vector[index] = value


def numbers_of(
    loaded: Loaded, space: Space, *, tables: bool = True, calendar: str = "24x7"
) -> Numbers:
    """Check every value of every key, and determine what each changes in the plan.

    `tables` and `calendar` are those of the plan that the numbers are meant for.

    Raises
    ------
    ConfigError
        With the errors of the values, each at the place where it was written.
    """
    return _SpaceAnalysis(loaded, space, tables, calendar).answer()


@dataclass(frozen=True, slots=True)
class _PlanChange:
    """Changes made by one value, or by one combination of values."""

    reason: str
    changes: Changes
    capital: float | None
    warmup_bars: int
    memory_bars: int


class _SpaceAnalysis:
    """Loads values and combinations of a space and compares their plans with the file's."""

    def __init__(self, loaded: Loaded, space: Space, tables: bool, calendar: str) -> None:
        self.loaded, self.space = loaded, space
        self.tables, self.calendar = tables, calendar
        self.base = self._plan(loaded)

    def _plan(self, loaded: Loaded) -> Plan:
        return plan_of(loaded, tables=self.tables, calendar=self.calendar)

    def answer(self) -> Numbers:
        seen: list[dict[int, _PlanChange]] = [{} for _ in self.space.axes]
        ends: list[list[_PlanChange]] = [[] for _ in self.space.axes]

        def visit(number: int, place: int, changed: Loaded) -> None:
            changes = self._compare([number], changed)
            if place < 0:
                ends[number].append(changes)
            else:
                seen[number][place] = changes

        check_values(self.loaded, self.space, visit)
        axes = tuple(self._axis(n, seen[n], ends[n]) for n in range(len(self.space.axes)))
        joints: tuple[Joint, ...] = ()
        if not any(axis.reason for axis in axes):
            joints = tuple(self._joint(group, axes) for group in self._groups(axes))
        capital = self.loaded.strategy.account.capital
        return Numbers(self.base, axes, joints, capital, np.array(self.base.parameters))

    def _load(self, places: Mapping[int, int]) -> _PlanChange:
        """Load one combination of axes and value indices."""
        axes = self.space.axes
        changes = [FileSetting(axes[n].path, axes[n].values[p].node) for n, p in places.items()]
        return self._compare(list(places), variant(self.loaded, changes))

    def _compare(self, numbers: Sequence[int], changed: Loaded) -> _PlanChange:
        axes = [self.space.axes[number] for number in numbers]
        plan = self._plan(changed)
        reason = next(filter(None, (_outside_plan(axis, changed) for axis in axes)), "")
        if not reason and (more := _structural_change(self.base, plan)):
            nodes = [(axis.key, changed.tree.at(axis.path)) for axis in axes]
            texts = [f"{key}={node.text if node is not None else ''}" for key, node in nodes]
            reason = f"{' with '.join(texts)} changes {more}"
        changes = {} if reason else _differences(self.base.parameters, plan.parameters)
        capital = changed.strategy.account.capital
        pays = any(axis.path == CAPITAL for axis in axes)
        return _PlanChange(
            reason, changes, capital if pays else None, plan.warmup_bars, plan.memory_bars
        )

    # ------------------------------------------------- one key

    def _axis(
        self, number: int, seen: dict[int, _PlanChange], ends: Sequence[_PlanChange]
    ) -> AxisNumbers:
        axis = self.space.axes[number]
        if not any(each.reason for each in (*seen.values(), *ends)):
            missing = [place for place in range(len(axis.values)) if place not in seen]
            if missing and (self._is_third_party(axis) or not self._is_value_itself(axis, seen)):
                seen.update({place: self._load({number: place}) for place in missing})
        reason = next((each.reason for each in (*ends, *seen.values()) if each.reason), "")
        rows = _filled(axis, seen, ends)
        return AxisNumbers(
            axis.key,
            reason,
            tuple(each.changes for each in rows),
            tuple(each.capital for each in rows),
            tuple(each.warmup_bars for each in rows),
            tuple(each.memory_bars for each in rows),
        )

    def _is_value_itself(self, axis: Axis, seen: Mapping[int, _PlanChange]) -> bool:
        """Return whether each number changed is the value itself, under the key's own name."""
        parameters = self.base.assembly.parameters
        touched = {index for each in seen.values() for index in each.changes}
        if any(parameters[index].key != dotted(axis.path) for index in touched):
            return False
        return all(
            each.changes.get(index, parameters[index].value) == axis.values[place].number
            for place, each in seen.items()
            for index in touched
        )

    def _is_third_party(self, axis: Axis) -> bool:
        """Return whether the key's feature is third-party: its reads are checked per value."""
        block = (
            self.loaded.strategy.features.get(str(axis.path[1]))
            if self._feature_path(axis)
            else None
        )
        return block is not None and block.distribution != BUILT_IN

    def _feature_path(self, axis: Axis) -> tuple[Any, ...]:
        """Return the path of the feature to which a key belongs; empty if it belongs to none."""
        return axis.path[:2] if axis.path[0] == "features" and len(axis.path) > 1 else ()

    # ------------------------------------------------- keys that change a number together

    def _groups(self, axes: Sequence[AxisNumbers]) -> list[tuple[int, ...]]:
        """Return groups of keys that change a number together; other keys are left out."""
        group = list(range(len(axes)))
        for left, right in itertools.combinations(range(len(axes)), 2):
            if group[left] != group[right] and self._change_together(left, right, axes):
                old, new = group[right], group[left]
                group = [new if each == old else each for each in group]
        members = [tuple(n for n, of in enumerate(group) if of == g) for g in sorted(set(group))]
        return [each for each in members if len(each) > 1]

    def _change_together(self, left: int, right: int, axes: Sequence[AxisNumbers]) -> bool:
        """Return whether two keys change a number together.

        Either each changes it alone, or a pair of their smallest and largest values yields other
        numbers than the two changes combined (the larger of two windows), or is rejected.
        """
        if axes[left].touched & axes[right].touched:
            return True
        left_axis, right_axis = self.space.axes[left], self.space.axes[right]
        if self._is_third_party(left_axis) and self._feature_path(left_axis) == self._feature_path(
            right_axis
        ):
            return True
        for places in itertools.product(self._extreme_places(left), self._extreme_places(right)):
            try:
                together = self._load(dict(zip((left, right), places, strict=True)))
            except ConfigError:
                return True
            laid = {**axes[left].changes[places[0]], **axes[right].changes[places[1]]}
            if together.reason or dict(together.changes) != laid:
                return True
        return False

    def _extreme_places(self, number: int) -> set[int]:
        values = [each.number for each in self.space.axes[number].values]
        return {values.index(min(values)), values.index(max(values))}

    def _joint(self, group: tuple[int, ...], axes: Sequence[AxisNumbers]) -> Joint:
        keys = tuple(axes[number].key for number in group)
        combinations = self._combinations(group)
        if len(combinations) > MAX_JOINT:
            many = f"{' and '.join(keys)} change the same numbers in {len(combinations):,} ways"
            return Joint(group, keys, (), {}, {}, many)
        changes: dict[tuple[int, ...], Changes] = {}
        refused: dict[tuple[int, ...], str] = {}
        reason = ""
        for places in combinations:
            try:
                loaded_changes = self._load(dict(zip(group, places, strict=True)))
            except ConfigError as error:
                refused[places] = error.problems[0].message
                continue
            reason = reason or loaded_changes.reason
            # with other keys, a number changed by one key may be as in the file again
            alone = {index for number in group for index in axes[number].touched}
            unchanged = {index: self.base.assembly.parameters[index].value for index in alone}
            changes[places] = {**unchanged, **loaded_changes.changes}
        together = {index for change in changes.values() for index in change}
        names = tuple(self.base.assembly.parameters[index].key for index in sorted(together))
        return Joint(group, keys, names, changes, refused, reason)

    def _combinations(self, group: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return value indices that occur together on some keys.

        More than `MAX_JOINT` are too many.
        """
        sizes = [range(len(self.space.axes[number].values)) for number in group]
        if self.space.method == "tpe" or len(self.space) > _MAX_LISTED:
            return list(itertools.islice(itertools.product(*sizes), MAX_JOINT + 1))
        rows = np.unique(self.space.places()[:, list(group)], axis=0)
        return [tuple(map(int, row)) for row in rows]


def _differences(base: Floats, changed: Floats) -> dict[int, float]:
    """Return the numbers whose bits differ, by index."""
    same = changed.view(np.int64) == base.view(np.int64)
    return {int(at): float(changed[at]) for at in np.flatnonzero(~same)}


def _outside_plan(axis: Axis, changed: Loaded) -> str:
    """Return what a key changes besides the plan; empty if nothing."""
    if not any(axis.path[: len(each)] == each for each in _PLANNED):
        return f"{axis.key} reaches beyond the plan: data, training or instruments"
    if axis.path[0] == "features" and axis.path[-1] == "bar":
        return f"{axis.key} changes the bars that are read"
    if changed.strategy.model is not None and axis.path[0] == "features":
        return f"{axis.key} changes what the model learns from"
    return ""


def _structural_change(base: Plan, plan: Plan) -> str:
    """Return why another plan differs in more than numbers; empty if it does not."""
    if plan.assembly.text != base.assembly.text:
        return "the text of the plan"
    if not _same_tables(base.assembly.tables, plan.assembly.tables):
        return "constant tables of the plan"
    if _sizes(base) != _sizes(plan) or len(base.parameters) != len(plan.parameters):
        return "how much the plan remembers"
    if base.assembly.terms.hours != plan.assembly.terms.hours:
        return "at which decision times may be entered"
    return ""


def _sizes(plan: Plan) -> tuple[Any, ...]:
    a = plan.assembly
    reaches = tuple(each.reach for each in a.outside)  # for steps whose reads are checked
    return plan.rows, a.rows.state, a.a_slots, a.c_slots, a.explained, a.reasons, reaches


def _same_tables(left: Sequence[Any], right: Sequence[Any]) -> bool:
    pairs = zip(left, right, strict=False)
    return len(left) == len(right) and all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def _filled(
    axis: Axis, seen: Mapping[int, _PlanChange], ends: Sequence[_PlanChange]
) -> list[_PlanChange]:
    """Return one row per value.

    Values that were not loaded are themselves the numbers they change.
    """
    touched = {index for each in seen.values() for index in each.changes}
    numbers = [value.number for value in axis.values]
    known = sorted(seen, key=lambda place: numbers[place])
    rows = []
    for place, number in enumerate(numbers):
        if place in seen:
            rows.append(seen[place])
            continue
        above = [seen[each] for each in known if numbers[each] >= number][:1]
        near = [seen[known[0]], *(above or ends)]
        change = dict.fromkeys(touched, number)
        capital = number if axis.path == CAPITAL else None
        warmup = max(each.warmup_bars for each in near)
        rows.append(
            _PlanChange("", change, capital, warmup, max(each.memory_bars for each in near))
        )
    return rows
