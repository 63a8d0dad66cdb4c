"""The space of a sweep: its settings and their numbers.

A grid numbers its settings as an odometer counts, the last key turning fastest; `where` leaves
numbers out and moves none. A random space numbers its draws in order. Either way the number of a
setting, the file and the seed determine its values, on every machine. A guided search numbers its
settings as it comes upon them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from septet._config.cross_sweep import parse_where, plain_keys, swept_key
from septet._config.load import Loaded
from septet._config.overlay import Setting as FileSetting
from septet._config.pydantic_problems import problem_at
from septet._config.tree import Node, dotted
from septet._sweep.setting_filter import holds
from septet._sweep.value_ranges import draw_of, levels_of, range_of
from septet.errors import ConfigError, InputError
from septet_schemas.sweep import Quantity, Sweep, SweepDraw, SweepRange

__all__ = [
    "GUIDED_TRIALS",
    "MAX_SETTINGS",
    "TRIALS",
    "Axis",
    "Setting",
    "Space",
    "Value",
    "space_of",
]

MAX_SETTINGS: Final = 100_000_000
TRIALS: Final = 1_000
GUIDED_TRIALS: Final = 100
_CHUNK: Final = 1 << 20
_EMPTY_ROUNDS: Final = 50

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a key: as a number, as written in a file, and its place in the file."""

    number: float
    text: str
    node: Node = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Axis:
    """A swept key and its values. `ends` are the first and last of the range of a draw."""

    key: str
    path: tuple[str, ...]
    values: tuple[Value, ...]
    kind: str
    ends: tuple[Value, ...] = ()
    log: bool = False
    step: str = ""

    @property
    def drawn(self) -> bool:
        """Whether its values were drawn between two ends."""
        return self.kind == "draw"

    def document(self) -> dict[str, Any]:
        """Return the axis as plain data for the manifest."""
        if self.drawn:
            ends = [each.text for each in self.ends]
            shape = {"ends": ends, "log": self.log, "step": self.step}
            return {"key": self.key, "kind": self.kind, **shape}
        return {"key": self.key, "kind": self.kind, "values": [each.text for each in self.values]}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its number in the space, and the index of its value on each axis."""

    number: int
    places: tuple[int, ...]


@dataclass(frozen=True)
class Space:
    """Every setting of a sweep.

    `numbers` are the settings permitted by `where`, in order. `drawn` holds the value indices of
    random settings, one row per number; it is not used for a grid, and a guided search writes each
    row when it has chosen it.
    """

    axes: tuple[Axis, ...]
    method: str
    goal: str
    where: str
    seed: int
    trials: int
    numbers: Ints = field(repr=False)
    drawn: npt.NDArray[np.int32] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def keys(self) -> tuple[str, ...]:
        """Swept keys, as the columns of the table are named."""
        return tuple(axis.key for axis in self.axes)

    def setting(self, number: int) -> Setting:
        """Return a setting by its number."""
        return Setting(number, tuple(int(each) for each in self._places(np.array([number]))[0]))

    def settings(self, start: int = 0, stop: int | None = None) -> Iterator[Setting]:
        """Yield the settings with index from `start` up to but excluding `stop`, in order."""
        chosen = self.numbers[start:stop]
        for first in range(0, len(chosen), 4_096):
            part = chosen[first : first + 4_096]
            for number, row in zip(part.tolist(), self._places(part).tolist(), strict=True):
                yield Setting(number, tuple(row))

    def places(self) -> Ints:
        """Return the value indices of every setting, shape (settings, axes)."""
        return self._places(self.numbers)

    def _places(self, numbers: Ints) -> Ints:
        if self.drawn is not None:
            return self.drawn[numbers].astype(np.int64)
        return _odometer(numbers, [len(axis.values) for axis in self.axes])

    def values(self, setting: Setting) -> dict[str, float]:
        """Return the numbers of a setting by key: a row of the table."""
        pairs = zip(self.axes, setting.places, strict=True)
        return {axis.key: axis.values[place].number for axis, place in pairs}

    def columns(self, numbers: Ints) -> dict[str, npt.NDArray[np.float64]]:
        """Return the numbers of many settings by key: columns of the table."""
        places = self._places(numbers)
        return {
            axis.key: np.array([each.number for each in axis.values])[places[:, at]]
            for at, axis in enumerate(self.axes)
        }

    def sets(self, setting: Setting) -> list[str]:
        """Return a setting in the form of `--set`."""
        pairs = zip(self.axes, setting.places, strict=True)
        return [f"{axis.key}={axis.values[place].text}" for axis, place in pairs]

    def changes(self, setting: Setting) -> list[FileSetting]:
        """Return a setting as changes of the loaded file."""
        pairs = zip(self.axes, setting.places, strict=True)
        return [FileSetting(axis.path, axis.values[place].node) for axis, place in pairs]

    def document(self) -> dict[str, Any]:
        """Return the definition of the space as plain data for the manifest."""
        return {
            "over": [axis.document() for axis in self.axes],
            "where": self.where,
            "method": self.method,
            "trials": self.trials,
            "seed": self.seed,
            "settings": len(self),
        }


def _odometer(numbers: Ints, sizes: Sequence[int]) -> Ints:
    places = np.empty((len(numbers), len(sizes)), np.int64)
    rest = numbers
    for axis in range(len(sizes) - 1, -1, -1):
        rest, places[:, axis] = np.divmod(rest, sizes[axis])
    return places


def space_of(loaded: Loaded, *, seed: int | None = None) -> Space:
    """Return the settings of the `sweep:` section of a loaded file.

    Raises
    ------
    ConfigError
        If the space is too large to number, or `where` excludes every setting.
    InputError
        If the file has no such section.
    """
    sweep = loaded.strategy.sweep
    if sweep is None:
        raise InputError(
            f"{loaded.path} has nothing to sweep",
            hint="name keys with --sweep features.fast.period=5,10,20, or write a sweep: section",
        )
    chosen = loaded.strategy.seed if seed is None else seed
    parts = _parts(loaded, sweep)
    space = _SpaceBuilder(loaded, sweep, parts, chosen)
    methods = {"grid": space.grid, "random": space.random, "tpe": space.guided}
    return methods[sweep.chosen_method]()


@dataclass(frozen=True, slots=True)
class _Part:
    """A key with its values as written, before anything is drawn."""

    key: str
    path: tuple[str, ...]
    written: Any
    node: Node


def _parts(loaded: Loaded, sweep: Sweep) -> list[_Part]:
    values = plain_keys(loaded.strategy)
    parts = []
    for key, written in sweep.over.items():
        swept = swept_key(key, loaded.strategy, values, loaded.tree)
        node = loaded.tree.at(("sweep", "over", key))
        assert node is not None, "the cross-checks have seen this key"
        assert not swept.message, "the cross-checks have refused this key"
        parts.append(_Part(dotted(swept.path), swept.path, written, node))
    return parts


def _value(quantity: Quantity, place: Node) -> Value:
    """Return a value with the place where it, or its range, was written."""
    text = str(quantity)
    if quantity.unit or quantity.number != quantity.number.to_integral_value():
        plain: Any = text if quantity.unit else float(quantity.number)
    else:
        plain = int(quantity.number)
    node = Node(
        "scalar", place.mark, plain, key=place.mark, text=text, layer="--set", alias=place.alias
    )
    return Value(quantity.value, text, node)


def _listed(part: _Part) -> tuple[str, tuple[Value, ...]]:
    """Return the values of a list or a range, each with its place."""
    if isinstance(part.written, SweepRange):
        return "range", tuple(_value(each, part.node) for each in range_of(part.written))
    nodes = list(part.node.children.values())
    return "list", tuple(_value(q, n) for q, n in zip(part.written, nodes, strict=True))


class _SpaceBuilder:
    """Builds a space from its parts."""

    def __init__(self, loaded: Loaded, sweep: Sweep, parts: Sequence[_Part], seed: int) -> None:
        self.loaded, self.sweep, self.parts, self.seed = loaded, sweep, parts, seed
        keys = [part.key for part in parts]
        self.condition = parse_where(sweep.where, keys) if sweep.where is not None else None

    def grid(self) -> Space:
        """Return the space of every combination permitted by `where`."""
        axes = tuple(self._sampler(part).axis() for part in self.parts)
        count = math.prod(len(axis.values) for axis in axes)
        if count > MAX_SETTINGS:
            self._refuse(
                ("sweep", "over"),
                f"this grid has {count:,} settings",
                expected=f"at most {MAX_SETTINGS:,}",
                hint="take larger steps, or draw some: method: random with trials",
            )
        sizes = [len(axis.values) for axis in axes]
        tables = [np.array([each.number for each in axis.values]) for axis in axes]
        accepted = []
        for first in range(0, count, _CHUNK):
            numbers = np.arange(first, min(first + _CHUNK, count), dtype=np.int64)
            accepted.append(numbers[self._holds(_odometer(numbers, sizes), tables)])
        numbers = np.concatenate(accepted)
        if not len(numbers):
            self._refuse_empty(count)
        return self._space(axes, "grid", numbers, 0)

    def random(self) -> Space:
        """Draw in order until there are enough different settings permitted by `where`.

        Each key uses a random stream of its own, so that more trials start with the same settings.
        """
        trials = self.sweep.trials or TRIALS
        drawers = [self._sampler(part) for part in self.parts]
        seeds = np.random.SeedSequence(self.seed).spawn(len(drawers))
        chances = [np.random.Generator(np.random.PCG64(each)) for each in seeds]
        rows: list[tuple[int, ...]] = []
        seen: set[tuple[int, ...]] = set()
        barren = drawn = 0
        while len(rows) < trials and barren < _EMPTY_ROUNDS:
            size = min(max(2 * (trials - len(rows)), 64), _CHUNK)
            pairs = zip(drawers, chances, strict=True)
            places = np.stack([each.draw(chance, size) for each, chance in pairs], axis=1)
            drawn += size
            keep = self._holds(places, [each.numbers() for each in drawers])
            before = len(rows)
            for row in map(tuple, places[keep].tolist()):
                if row not in seen and len(rows) < trials:
                    seen.add(row)
                    rows.append(row)
            barren = barren + 1 if len(rows) == before else 0
        if not rows:
            self._refuse_empty(drawn)
        axes = tuple(each.axis() for each in drawers)
        table = np.array(rows, dtype=np.int32)
        return self._space(axes, "random", np.arange(len(rows), dtype=np.int64), trials, table)

    def guided(self) -> Space:
        """Return a space for settings that are chosen while the sweep runs.

        A draw has so many values that their number makes no difference. There are at most as many
        settings as `where` permits, as far as they can be counted.
        """
        axes = tuple(self._sampler(part).all_levels().axis() for part in self.parts)
        trials = self.sweep.trials or GUIDED_TRIALS
        sizes = [len(axis.values) for axis in axes]
        if (count := math.prod(sizes)) <= _CHUNK:
            tables = [np.array([each.number for each in axis.values]) for axis in axes]
            places = _odometer(np.arange(count, dtype=np.int64), sizes)
            accepted = int(np.count_nonzero(self._holds(places, tables)))
            if not accepted:
                self._refuse_empty(count)
            trials = min(trials, accepted)
        drawn = np.zeros((trials, len(axes)), np.int32)
        return self._space(axes, "tpe", np.arange(trials, dtype=np.int64), trials, drawn)

    def _sampler(self, part: _Part) -> _ValueSampler:
        if isinstance(part.written, SweepDraw):
            return _ValueSampler(part, part.written)
        kind, values = _listed(part)
        return _ValueSampler(part, None, kind, list(values))

    def _space(
        self, axes: tuple[Axis, ...], method: str, numbers: Ints, trials: int, drawn: Any = None
    ) -> Space:
        where = " ".join((self.sweep.where or "").split())
        return Space(axes, method, self.sweep.goal, where, self.seed, trials, numbers, drawn)

    def _holds(self, places: Ints, tables: Sequence[npt.NDArray[np.float64]]) -> Any:
        if self.condition is None:
            return np.ones(len(places), bool)
        columns = {
            part.key: table[places[:, axis]]
            for axis, (part, table) in enumerate(zip(self.parts, tables, strict=True))
        }
        return holds(self.condition, columns, len(places))

    def _refuse_empty(self, count: int) -> None:
        self._refuse(
            ("sweep", "where"),
            f"this condition leaves none of {count:,} settings",
            expected="a condition that holds for some of them",
            found=f"'{' '.join((self.sweep.where or '').split())[:60]}'",
        )

    def _refuse(self, path: Sequence[str], message: str, **words: Any) -> None:
        raise ConfigError([problem_at(self.loaded.tree, path, message, **words)])


class _ValueSampler:
    """Draws indices on one axis; a value between two ends is added to the axis when it is drawn."""

    def __init__(
        self,
        part: _Part,
        written: SweepDraw | None,
        kind: str = "draw",
        values: list[Value] | None = None,
    ) -> None:
        self.part, self.written, self.kind = part, written, kind
        self.values = values or []
        self._places: dict[str, int] = {}

    def draw(self, chance: np.random.Generator, size: int) -> Ints:
        """Draw `size` indices."""
        if self.written is None:
            return (chance.random(size) * len(self.values)).astype(np.int64)
        return np.array(
            [self._place(each) for each in draw_of(self.written, chance, size)], np.int64
        )

    def _place(self, quantity: Quantity) -> int:
        text = str(quantity)
        if text not in self._places:
            self._places[text] = len(self.values)
            self.values.append(_value(quantity, self.part.node))
        return self._places[text]

    def all_levels(self) -> _ValueSampler:
        """Add every value that a guided search may choose, in ascending order."""
        if self.written is not None:
            for quantity in levels_of(self.written):
                self._place(quantity)
        return self

    def numbers(self) -> npt.NDArray[np.float64]:
        """Numbers of the values so far."""
        return np.array([each.number for each in self.values])

    def axis(self) -> Axis:
        """The axis with all values drawn so far."""
        key, path, values = self.part.key, self.part.path, tuple(self.values)
        if self.written is None:
            return Axis(key, path, values, self.kind)
        low, high, step = self.written.low, self.written.high, self.written.step
        ends = (_value(low, self.part.node), _value(high, self.part.node))
        shown = str(step) if step is not None else ""
        return Axis(key, path, values, self.kind, ends, self.written.log, shown)
