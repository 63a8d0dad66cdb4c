"""Text of a value for hashing: equal values have equal texts in every process."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import inspect
import pathlib
import re
import types
from collections.abc import Callable
from typing import Any, Final

__all__ = ["Unhashable", "encoded"]

DEEPEST: Final = 30
"""Values inside values; one that holds itself has no end."""
_PLAIN: Final = frozenset(
    {
        bool, complex, str, bytes, type(None), type(...), decimal.Decimal, datetime.date,
        datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone,
    }
)  # fmt: skip
_HEAP, _IMMUTABLE = 1 << 9, 1 << 8


class Unhashable(Exception):
    """A value of which no hash can be made; its text names it."""


def encoded(
    value: Any, visit: Callable[[Any], None], *, strict: bool = True, depth: int = 0
) -> str:
    """Write a value as text.

    Parameters
    ----------
    value
        Anything that code reaches by a name.
    found
        Called with functions and classes inside the value, which the caller follows.
    strict
        False: of what can change (lists, maps, objects) the type counts alone, and of what has
        no text as well.
    depth
        How many values it lies in.

    Raises
    ------
    Unhashable
        If the value is nothing that two processes could compare.
    """
    if depth > DEEPEST:
        raise Unhashable("a value inside too many others")
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"

    def inside(value_inside: Any) -> str:
        return encoded(value_inside, visit, strict=strict, depth=depth + 1)

    if isinstance(value, enum.Enum):
        visit(kind)
        return f"{name}.{value.name}"
    if kind is float:
        return f"float {value.hex()}"
    if kind is int:
        return f"int {value:x}"  # no limit on its digits, and the same for every process
    if kind in _PLAIN or isinstance(value, pathlib.PurePath):
        return f"{name} {value!r}"
    if kind in (range, fractions.Fraction):
        parts = ("start", "stop", "step") if kind is range else ("numerator", "denominator")
        return f"{name}({','.join(inside(getattr(value, each)) for each in parts)})"
    if inspect.isfunction(value) or inspect.isclass(value):
        visit(value)
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, tuple):
        return f"{name}({','.join(map(inside, tuple.__iter__(value)))})"
    if isinstance(value, frozenset):
        return f"{name}({','.join(sorted(map(inside, value)))})"
    if isinstance(value, re.Pattern):
        return f"{name} {value.pattern!r} {value.flags}"
    if isinstance(value, functools.partial):
        return f"{name}({inside(value.func)},{inside(value.args)},{inside(value.keywords)})"
    if isinstance(value, types.BuiltinFunctionType | types.ModuleType):
        return f"{name} {getattr(value, '__module__', '')}.{value.__name__}"
    if isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType):
        return name  # a slot of a class
    frozen = dataclasses.is_dataclass(value) and kind.__dataclass_params__.frozen
    if not (strict or frozen):
        return name
    return _changeable(value, name, inside, visit, strict)


def _changeable(
    value: Any, name: str, inside: Callable[[Any], str], visit: Callable[[Any], None], strict: bool
) -> str:
    """Write what holds others, or is an object of some class."""
    if isinstance(value, list):
        return f"{name}[{','.join(map(inside, value))}]"
    if isinstance(value, set):
        return f"{name}({','.join(sorted(map(inside, value)))})"
    if isinstance(value, dict | types.MappingProxyType):
        pairs = sorted(f"{inside(key)}:{inside(each)}" for key, each in dict(value).items())
        return f"{name}{{{','.join(pairs)}}}"
    if isinstance(value, bytearray | memoryview):
        return f"{name} {bytes(value)!r}"
    if hasattr(value, "dtype") and hasattr(value, "tobytes"):
        return _array(value, name)
    if name.partition(".")[0] in ("numpy", "numba", "typing", "types"):
        text = str(getattr(value, "__name__", "") or value)  # a function or a type of theirs
        if " at 0x" in text:
            raise Unhashable(f"a {name}")
        return f"{name} {text}"
    fields = _fields(value)
    if fields is None:
        if strict:
            raise Unhashable(f"a {name.removeprefix('builtins.')}")
        return name
    visit(type(value))
    return f"{name}{inside(fields)}"


def _array(value: Any, name: str) -> str:
    if value.dtype.hasobject:
        raise Unhashable("an array of Python objects")
    digest = hashlib.sha256(value.tobytes()).hexdigest()
    return f"{name} {value.dtype.str} {value.shape} {digest}"


def _fields(value: Any) -> dict[str, Any] | None:
    """Return the attributes of an object of a Python class; None for one that keeps them hidden."""
    classes = type(value).__mro__[:-1]
    made_in_python = all(
        each.__flags__ & _HEAP and not each.__flags__ & _IMMUTABLE for each in classes
    )
    slots = [name for each in classes for name in _slots(each)]
    attributes = getattr(value, "__dict__", None)
    declared = attributes is not None or any("__slots__" in vars(each) for each in classes)
    if not made_in_python or not declared:
        return None
    slot_values = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return {**slot_values, **(attributes or {})}


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))
