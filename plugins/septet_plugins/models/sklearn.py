"""Any classifier of scikit-learn by its class name; its parameters are checked."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import ValidationError, ValidationInfo, WithJsonSchema, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from septet.plugin import Config
from septet.plugin.model import model
from septet_plugins.models.registry import UNSUITED, allowed, classifier, expectation, table

__all__ = ["Sklearn", "SklearnRecipe", "sklearn_model"]

_SEED: Final = "seed"
_SEVERAL: Final = "estimators"
_WEIGHTS: Final = "class_weight"
_SIDE_BY_SIDE: Final = frozenset({"RandomForestClassifier", "ExtraTreesClassifier"})
"""Estimators whose fit does not depend on the number of threads."""
_MANY_ROWS: Final = 20_000
"""Number of rows from which on fitting a tree takes longer than starting a thread for it."""
_Names = WithJsonSchema({"type": "string", "enum": sorted(table())})


def _unknown_estimator(name: str) -> PydanticCustomError:
    if name in UNSUITED:
        return PydanticCustomError(
            "estimator_unsuited", "{name} is not a model here: {why}",
            {"name": name, "why": UNSUITED[name], "expected": "another classifier", "found": name},
        )  # fmt: skip
    names = table()
    short = {each.removesuffix("Classifier").lower(): each for each in names}
    close = difflib.get_close_matches(name, names, n=1)
    close = close or [
        short[each]
        for each in difflib.get_close_matches(name.lower().removesuffix("classifier"), short, n=1)
    ]
    hint = f"did you mean {close[0]}?" if close else "see scikit-learn's list of classifiers"
    return PydanticCustomError(
        "estimator_unknown", "scikit-learn has no classifier {found}",
        {"expected": "a classifier's class name, such as RandomForestClassifier", "found": name,
         "hint": hint},
    )  # fmt: skip


def _unknown_parameter(estimator: str, name: str) -> PydanticCustomError:
    names = list(table()[estimator])
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(names)}"
    return PydanticCustomError(
        "parameter_unknown", "{estimator} has no parameter {found}",
        {"estimator": estimator, "expected": f"a parameter of {estimator}", "found": name,
         "hint": hint},
    )  # fmt: skip


def _wrong_value(estimator: str, name: str, value: Any) -> PydanticCustomError:
    kinds = table()[estimator][name]
    if _SEED in kinds:
        return PydanticCustomError(
            "parameter_seed", "{name} is set by the run: write seed: at the top of the file",
            {"name": name, "expected": "no random_state here", "found": repr(value)},
        )  # fmt: skip
    return PydanticCustomError(
        "parameter_value", "{estimator} takes {expected} for {name}, found {found}",
        {"estimator": estimator, "name": name, "expected": expectation(kinds),
         "found": repr(value)},
    )  # fmt: skip


def _problems(
    estimator: str, params: Mapping[str, Any], at: tuple[str, ...] = ()
) -> Iterator[InitErrorDetails]:
    """Return all errors in an estimator's parameters, including those of nested estimators."""
    parameters = table()[estimator]
    for name, value in params.items():
        location = (*at, str(name))
        if name not in parameters:
            error = _unknown_parameter(estimator, str(name))
            yield InitErrorDetails(type=error, loc=location, input=value)
        elif name == _WEIGHTS and isinstance(value, Mapping):
            yield from _weight_problems(value, location)
        elif name == _SEVERAL and isinstance(value, Mapping):
            for key, each in value.items():
                yield from _inner_problems(each, (*location, str(key)))
        elif not allowed(_whole(value, parameters[name]), parameters[name]):
            yield InitErrorDetails(
                type=_wrong_value(estimator, name, value), loc=location, input=value
            )
        elif _is_inner(value, parameters[name]):
            yield from _inner_problems(value, location)


def _label(key: Any) -> int | None:
    """Return the label of a key of `class_weight`; the keys of a file are read as texts."""
    if isinstance(key, str):
        return {"0": 0, "1": 1}.get(key)
    return key if type(key) is int and key in (0, 1) else None


def _weight_problems(weights: Mapping[Any, Any], at: tuple[str, ...]) -> Iterator[InitErrorDetails]:
    """Return errors in weights of classes: unknown labels, and weights that exclude a class."""
    labels = [_label(key) for key in weights]
    for label, (key, weight) in zip(labels, weights.items(), strict=True):
        once = label is not None and labels.count(label) == 1
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if once and number and 0.0 < weight < math.inf:
            continue
        error = PydanticCustomError(
            "class_weight", "class_weight takes {expected}, found {found}",
            {"expected": "a number above 0 for each label: 0 (down) and 1 (up)",
             "found": f"{key}: {weight}", "hint": "class_weight: {0: 1.0, 1: 2.0}, or balanced"},
        )  # fmt: skip
        yield InitErrorDetails(type=error, loc=at, input=weights)


def _whole(value: Any, kinds: list[str]) -> Any:
    """Return 3 for 3.0 where a parameter accepts no fraction: columns of numbers are floats."""
    if isinstance(value, float) and value.is_integer() and not allowed(value, kinds):
        return int(value)
    return value


def _is_inner(value: Any, kinds: list[str]) -> bool:
    """Whether a value is a nested estimator rather than an option of the parameter itself."""
    named = isinstance(value, str | Mapping) and f"={value}" not in kinds
    return named and "estimator" in kinds


def _inner_problems(value: Any, at: tuple[str, ...]) -> Iterator[InitErrorDetails]:
    block = {"estimator": value} if isinstance(value, str) else value
    if not isinstance(block, Mapping) or not set(block) <= {"estimator", "params"}:
        expected = "an estimator's name, or {estimator: NAME, params: {...}}"
        error = PydanticCustomError(
            "estimator_block", "expected {expected}, found {found}",
            {"expected": expected, "found": repr(value)},
        )  # fmt: skip
        yield InitErrorDetails(type=error, loc=at, input=value)
        return
    name, params = block.get("estimator"), block.get("params", {})
    if not isinstance(name, str) or name not in table():
        error = _unknown_estimator(str(name))
        yield InitErrorDetails(type=error, loc=at, input=value)
    elif isinstance(params, Mapping):
        yield from _problems(name, params, (*at, "params"))


class Sklearn(Config):
    """A classifier of scikit-learn: its class name and its own parameters.

    Nested estimators are written ``{estimator: NAME, params: {...}}``; `estimators` of a voting or
    stacking classifier maps names to such blocks. `class_weight: balanced` weighs the rows of both
    classes alike, also where the estimator has no such parameter.
    """

    estimator: Annotated[str, _Names]
    """Class name of a classifier of scikit-learn."""
    params: dict[str, Any] = {}
    """Parameters of the estimator, under scikit-learn's own names."""
    class_weight: Literal["balanced"] | None = None
    """`balanced` weighs both classes alike, for every estimator."""

    @field_validator("estimator")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in table():
            raise _unknown_estimator(value)
        return value

    @field_validator("params")
    @classmethod
    def _own(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        estimator = info.data.get("estimator")
        errors = list(_problems(estimator, value)) if estimator else []
        if errors:
            raise ValidationError.from_exception_data("params", errors)
        return value

    @field_validator("class_weight")
    @classmethod
    def _once(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and info.data.get("params", {}).get("class_weight"):
            raise PydanticCustomError(
                "class_weight_twice", "class_weight is written twice",
                {"expected": "class_weight here or in params", "found": "both"},
            )  # fmt: skip
        return value


@dataclass(frozen=True, slots=True)
class SklearnRecipe:
    """Builds the estimator that a file configures, new for every window."""

    config: Sklearn

    @property
    def name(self) -> str:
        """Name of the class."""
        return self.config.estimator

    def estimator(self, seed: int, rows: int) -> Any:
        """Build an unfitted estimator with the model's seed, for this number of rows."""
        params = dict(self.config.params)
        weighs = self.config.class_weight
        if weighs and "class_weight" in table()[self.name]:
            params["class_weight"], weighs = weighs, None
        if self.name in _SIDE_BY_SIDE and rows >= _MANY_ROWS:
            params.setdefault("n_jobs", os.cpu_count())
        made = _make(self.name, params, seed)
        if weighs:
            from septet_plugins.models.balanced import balanced

            made = balanced(made)
        return made


def _make(name: str, params: Mapping[str, Any], seed: int) -> Any:
    parameters = table()[name]
    ready = {key: _value(key, each, parameters[key], seed) for key, each in params.items()}
    if type(ready.get("n_jobs")) is int:  # more processes than cores take a minute to start
        ready["n_jobs"] = min(ready["n_jobs"], os.cpu_count() or 1)
    if "random_state" in parameters:
        ready["random_state"] = seed
    return classifier(name)(**ready)


def _value(name: str, value: Any, kinds: list[str], seed: int) -> Any:
    if name == _SEVERAL:
        return [(key, _inner(each, seed)) for key, each in value.items()]
    if name == _WEIGHTS and isinstance(value, Mapping):
        return {_label(key): weight for key, weight in value.items()}
    if _is_inner(value, kinds):
        return _inner(value, seed)
    return _whole(value, kinds)


def _inner(value: Any, seed: int) -> Any:
    block: Mapping[str, Any] = {"estimator": value} if isinstance(value, str) else value
    return _make(block["estimator"], block.get("params", {}), seed)


@model(Sklearn)
def sklearn_model(config: Sklearn) -> SklearnRecipe:
    """Return the recipe; scikit-learn is imported when the first window is fitted."""
    return SklearnRecipe(config)
