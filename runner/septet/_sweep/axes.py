"""Swept keys for display: short names, values as written in the file, positions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from septet._sweep.table_verdict import swept_keys
from septet_schemas.sweep import parse_quantity

if TYPE_CHECKING:
    import polars as pl

    from septet._data.bars import Floats, Ints

__all__ = ["ShownAxis", "axes_of", "mapped", "write_value"]

# With more values than this, neighbouring values are joined for display.
MAX_PLACES: Final = 40
JOINED_PLACES: Final = 24
# There is one map for each pair of these keys.
MAPPED_KEYS: Final = 6
_DURATIONS: Final = (
    (604_800_000_000_000, "w"),
    (86_400_000_000_000, "d"),
    (3_600_000_000_000, "h"),
    (60_000_000_000, "min"),
    (1_000_000_000, "s"),
    (1_000_000, "ms"),
)


@dataclass(frozen=True, slots=True)
class ShownAxis:
    """One swept key.

    `values` are the different values, ascending; `place` gives for each row of the table its index
    in `labels`: one label per value, or one for several neighbouring values if there are many.
    `ticks` are shorter labels, equal in number: the lowest of the neighbouring values.
    """

    key: str
    name: str
    family: str
    texts: Mapping[float, str]
    values: Floats
    place: Ints
    labels: tuple[str, ...]
    ticks: tuple[str, ...]
    drawn: bool

    def text(self, value: float) -> str:
        """Format a value as in the file, or in its unit."""
        return self.texts.get(float(value)) or write_value(float(value), self.family)


def write_value(value: float, family: str, digits: int = 6) -> str:
    """Format a number of the table in its unit: 0.1 as a fraction is ``10 %``.

    Whole numbers are exact. Others have as many digits as a sweep draws, so that a file with this
    text is that setting; or fewer, for display only.
    """
    if family == "fraction":
        return f"{_plain(round(value * 100, 12), digits)} %"
    if family == "duration":
        fits = [(value / size, unit) for size, unit in _DURATIONS if abs(value) >= size]
        exact = [(length, unit) for length, unit in fits if length == int(length)]
        length, unit = (exact or fits or [(value / 1e6, "ms")])[0]
        return f"{_plain(length, digits)} {unit}"
    unit = f" {family}" if family in ("bars", "trades") else ""
    return f"{_plain(value, digits)}{unit}"


def _plain(value: float, digits: int) -> str:
    is_whole = value == int(value) and abs(value) < 1e12
    return f"{value:.0f}" if is_whole else f"{value:.{digits}g}"


def _short_names(keys: Sequence[str]) -> list[str]:
    """Return the last two parts of each key, or more if two keys would have the same name."""
    names = []
    for key in keys:
        parts = key.split(".")
        ends = [".".join(parts[-count:]) for count in range(min(2, len(parts)), len(parts) + 1)]
        others = [other_key for other_key in keys if other_key != key]
        alone = (end for end in ends if not any(o.endswith(f".{end}") or o == end for o in others))
        names.append(next(alone, key))
    return names


def _written(manifest: Mapping[str, Any], key: str) -> tuple[str, dict[float, str], bool]:
    """Return the unit, the texts of the values, and whether they were drawn, from the manifest."""
    over = (manifest.get("space") or {}).get("over") or []
    axis_document: Mapping[str, Any] = next((axis for axis in over if axis.get("key") == key), {})
    listed = [parse_quantity(text) for text in axis_document.get("values", [])]
    ends = [parse_quantity(text) for text in axis_document.get("ends", [])]
    family = next((each.family for each in [*listed, *ends]), "number")
    return family, {each.value: str(each) for each in listed}, bool(ends)


def _axis(table: pl.DataFrame, key: str, name: str, manifest: Mapping[str, Any]) -> ShownAxis:
    family, texts, drawn = _written(manifest, key)
    values, place = np.unique(table.get_column(key).to_numpy(), return_inverse=True)
    bare = ShownAxis(key, name, family, texts, values, place, (), (), drawn)
    if len(values) <= MAX_PLACES:
        labels = tuple(bare.text(value) for value in values.tolist())
        return ShownAxis(key, name, family, texts, values, place, labels, labels, drawn)
    parts = np.array_split(np.arange(len(values)), JOINED_PLACES)
    group = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    ends = [(_end(bare, values[part[0]]), _end(bare, values[part[-1]])) for part in parts]
    labels = tuple(f"{low} to {high}" for low, high in ends)
    ticks = tuple(low for low, _ in ends)
    return ShownAxis(key, name, family, texts, values, group[place], labels, ticks, drawn)


def _end(axis: ShownAxis, value: float) -> str:
    return axis.texts.get(float(value)) or write_value(float(value), axis.family, 3)


def axes_of(table: pl.DataFrame, manifest: Mapping[str, Any]) -> list[ShownAxis]:
    """Return every swept key, in the order of the table."""
    keys = swept_keys(table)
    pairs = zip(keys, _short_names(keys), strict=True)
    return [_axis(table, key, name, manifest) for key, name in pairs]


def mapped(axes: Iterable[ShownAxis]) -> list[ShownAxis]:
    """Return the keys for which a map is drawn, those with most values first.

    Keys whose values exceed the places count as equal, because numbers of draws differ by chance.
    """
    worth = [axis for axis in axes if len(axis.values) > 1]
    worth.sort(key=lambda axis: -min(len(axis.values), MAX_PLACES + 1))
    return worth[:MAPPED_KEYS]
