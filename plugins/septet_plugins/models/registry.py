"""Table of scikit-learn's classifiers and their parameters, readable without scikit-learn.

Checking a file must not import scikit-learn, which is slow. So its registry of estimators and its
parameter constraints are written to ``estimators.json`` beside this file::

    python -m septet_plugins.models.registry

A test compares the table with the installed scikit-learn.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from septet.plugin.data import decode_json

__all__ = ["TABLE", "UNSUITED", "allowed", "classifier", "describe", "expectation", "table"]

TABLE: Final = Path(__file__).with_name("estimators.json")

UNSUITED: Final[Mapping[str, str]] = {
    "ClassifierChain": "it predicts several targets at once, and a label is one",
    "MultiOutputClassifier": "it predicts several targets at once, and a label is one",
}
"""Classifiers of the registry that cannot predict a single binary label, and why."""


@cache
def _entries() -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = decode_json(TABLE.read_bytes())
    return entries


@cache
def table() -> dict[str, dict[str, list[str]]]:
    """Return the constraints of every parameter of every classifier: name -> parameter -> kinds."""
    return {name: entry["parameters"] for name, entry in _entries().items()}


def classifier(name: str) -> Any:
    """Import one classifier of the table from its public module of scikit-learn."""
    return getattr(importlib.import_module(_entries()[name]["module"]), name)


def describe() -> dict[str, dict[str, Any]]:
    """Build the table from the installed scikit-learn."""
    import inspect
    import warnings

    from sklearn.utils import all_estimators

    estimators = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, kind in all_estimators(type_filter="classifier"):
            if name in UNSUITED:
                continue
            constraints = kind._parameter_constraints
            names = [each for each in inspect.signature(kind).parameters if each in constraints]
            module = ".".join(kind.__module__.split(".")[:2])
            parameters = {each: _kinds(constraints[each]) for each in sorted(names)}
            estimators[name] = {"module": module, "parameters": parameters}
    return estimators


def _kinds(constraints: Any) -> list[str]:
    """Return one parameter's constraints as short texts, without those that no file can meet."""
    if isinstance(constraints, str):
        return ["any"]
    words = [word for each in constraints for word in _words(each)]
    return sorted(dict.fromkeys(words))


def _words(constraint: Any) -> list[str]:
    from sklearn.utils import _param_validation as checks

    simple = {
        None: "none", "boolean": "bool", "array-like": "list", "random_state": "seed",
        "verbose": "int[0,inf)", "cv_object": "int[2,inf)", dict: "dict", list: "list",
        tuple: "list", str: "str", "nan": "real[nan,nan]",
    }  # fmt: skip
    if isinstance(constraint, str | None) or constraint in (dict, list, tuple, str):
        return [simple[constraint]]
    constraint_made = checks.make_constraint(constraint)
    if isinstance(constraint_made, checks.Interval):
        kind = {"Integral": "int", "Real": "real", "RealNotInt": "float"}[
            constraint_made.type.__name__
        ]
        low = -math.inf if constraint_made.left is None else constraint_made.left
        high = math.inf if constraint_made.right is None else constraint_made.right
        opening = "[" if constraint_made.closed in ("left", "both") else "("
        closing = "]" if constraint_made.closed in ("right", "both") else ")"
        return [f"{kind}{opening}{low:g},{high:g}{closing}"]
    if isinstance(constraint_made, checks.StrOptions):
        return [f"={each}" for each in sorted(constraint_made.options - constraint_made.deprecated)]
    if isinstance(constraint_made, checks.HasMethods):
        return ["estimator"]
    if isinstance(constraint_made, checks._InstancesOf) and constraint_made.type.__name__ in (
        "Integral",
        "Real",
    ):
        return [
            "int(-inf,inf)" if constraint_made.type.__name__ == "Integral" else "real(-inf,inf)"
        ]
    return []


def allowed(value: Any, kinds: list[str]) -> bool:
    """Whether a value from a file meets one of a parameter's constraints."""
    return any(_meets(value, kind) for kind in kinds)


def _meets(value: Any, kind: str) -> bool:
    if kind.startswith("="):
        return bool(isinstance(value, str) and value == kind[1:])
    by_kind = {
        "none": value is None,
        "bool": isinstance(value, bool),
        "list": isinstance(value, list | tuple),
        "dict": isinstance(value, dict),
        "str": isinstance(value, str),
        "any": True,
        "estimator": isinstance(value, str | dict),
    }
    if kind in by_kind:
        return by_kind[kind]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and kind.startswith(("int", "real", "float")) and _within(value, kind)


def _within(value: float, kind: str) -> bool:
    """Whether a number is in ``int[1,inf)``, ``real(0,1]`` or ``float(0,1)``."""
    opening = min(kind.find(each) for each in "[(" if each in kind)
    name, (low, high) = kind[:opening], kind[opening + 1 : -1].split(",")
    if (name == "int" and not isinstance(value, int)) or (
        name == "float" and isinstance(value, int)
    ):
        return False
    is_above = value >= float(low) if kind[opening] == "[" else value > float(low)
    is_below = value <= float(high) if kind[-1] == "]" else value < float(high)
    return is_above and is_below


def expectation(kinds: list[str]) -> str:
    """Return a text that describes the accepted values of a parameter."""
    options = [kind[1:] for kind in kinds if kind.startswith("=")]
    parts = []
    for kind in kinds:
        if kind.startswith(("int", "real", "float")):
            word = "a whole number" if kind.startswith("int") else "a number"
            parts.append(f"{word} in {kind[kind.find('t') + 1 :] if kind[0] != 'r' else kind[4:]}")
    words = {
        "none": "null", "bool": "true or false", "list": "a list", "dict": "a mapping",
        "str": "text", "estimator": "an estimator's name or {estimator, params}",
    }  # fmt: skip
    if options:
        parts.append("one of " + ", ".join(options) if len(options) > 1 else options[0])
    parts += [words[kind] for kind in kinds if kind in words]
    return ", or ".join(parts) or "nothing that a file can write"


def _main() -> None:
    rows = [
        f"{json.dumps(name)}: {json.dumps(parameters, sort_keys=True)}"
        for name, parameters in sorted(describe().items())
    ]
    TABLE.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    _main()
