"""Bounds on the training of a file that an agent wrote: a fit cannot be interrupted.

The bounds apply to numbers in the file, not to time: they reject fits that would take hours.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from septet.errors import ConfigError, Problem

__all__ = ["MOST_MULTIPLIED", "MOST_OF_A_FIT", "require_bounded_training"]

MOST_OF_A_FIT: Final = 10_000
"""Largest number of trees, iterations, leaves and the like of one model."""
MOST_MULTIPLIED: Final = 1_000_000
"""Largest product of a model: trees or iterations, times leaves or units, times nested fits."""
_UNITS: Final = "hidden_layer_sizes"
_MOST: Final = {
    _UNITS: 1_000, "n_jobs": 64, "cv": 100, "Cs": 100, "code_size": 100, "thresholds": 1_000,
    "cache_size": 2_000,
}  # fmt: skip
"""Largest values of some keys; the units of all hidden layers are summed."""
_KEY: Final = re.compile(
    r"n_.*|num_.*|max_(iter|leaf_nodes|bin|bins|fun|iter_predict)|min_categories|rounds|"
    + "|".join(_MOST)
)
_LISTED: Final = frozenset({"Cs", "thresholds", "alphas", "l1_ratios"})
"""Keys whose list causes one fit for each of its values."""
_ROUNDS: Final = ("n_estimators", "max_iter", "max_fun", "rounds", "k_best")
_REPEATED: Final = (
    "max_leaf_nodes", "num_leaves", _UNITS, "cv", "code_size", "n_restarts_optimizer", *_LISTED,
)  # fmt: skip
_UNSTATED: Final = 100
"""Trees or iterations of a nested model that states none."""
_INNER: Final = ("estimator", "final_estimator", "init", "covariance_estimator")
_NUMBER: Final = re.compile(r"\d+(?:\.\d*)?(?:[eE]\+?\d+)?")
_TOO_LONG: Final = "one fit of this model would go on for too long, and cannot be interrupted"
_SMALLER: Final = "a smaller model; a person runs larger ones with `septet run`"


def require_bounded_training(resolved: Mapping[str, Any], axes: Mapping[str, object]) -> None:
    """Reject a model if one fit would take very long.

    Parameters
    ----------
    resolved
        The effective values of a file, of which those of its `model` are checked.
    axes
        The axes of its sweep, by key.

    Raises
    ------
    ConfigError
        With every number that is too large; if none is, with their product.
    """
    model = _with_largest(resolved.get("model") or {}, axes)
    problems = []
    for key, value in _numbers(model, "model"):
        name = key.rpartition(".")[2]
        most = _MOST.get(name, MOST_OF_A_FIT)
        if _KEY.fullmatch(name) and value > most:
            problems.append(
                Problem(
                    _TOO_LONG, key=key, found=f"{value:,.0f}", expected=f"at most {most:,}",
                    hint=_SMALLER,
                )
            )  # fmt: skip
    product = _multiplied(model.get("params") or {}, outermost=True)
    if not problems and product > MOST_MULTIPLIED:
        problems.append(
            Problem(
                _TOO_LONG, key="model.params", found=f"{product:,.0f}",
                expected=f"at most {MOST_MULTIPLIED:,}, trees or iterations times leaves or units "
                "times the fits inside each other",
                hint=_SMALLER,
            )
        )  # fmt: skip
    if problems:
        raise ConfigError(problems)


def _with_largest(model: Mapping[str, Any], axes: Mapping[str, object]) -> dict[str, Any]:
    """Return a model with the largest value of each axis of a sweep."""
    enlarged: dict[str, Any] = copy.deepcopy(dict(model))
    for key, axis in axes.items():
        first, *path = key.split(".")
        largest = max((each for _, each in _numbers(str(axis), "")), default=0.0)
        if first != "model" or not path:
            continue
        parent: Any = enlarged
        for name in path[:-1]:
            if isinstance(parent.get(name), str):  # an estimator given by its name only
                parent[name] = {"estimator": parent[name]}
            if not isinstance(parent.get(name), dict):
                parent[name] = {}
            parent = parent[name]
        present = max((each for _, each in _numbers(parent.get(path[-1]), "")), default=0.0)
        if largest > present:
            parent[path[-1]] = largest
    return enlarged


def _multiplied(params: Any, *, outermost: bool = False) -> float:
    """Return the product of the counts of an estimator and its nested estimators."""
    if not isinstance(params, Mapping):
        return 1.0
    rounds = [_count(params[name]) for name in _ROUNDS if name in params]
    product = max(rounds, default=1.0 if outermost else float(_UNSTATED))
    for name in _REPEATED:
        if name in params:
            product *= max(1.0, _size(name, params[name]))
    several = params.get("estimators")
    estimators = list(several.values()) if isinstance(several, Mapping) else []
    estimators += [params[name] for name in _INNER if _is_estimator(params.get(name))]
    fits = [_multiplied(_params_of(each)) for each in estimators]
    return product * max(1.0, sum(fits))


def _is_estimator(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, str) and value[:1].isupper())


def _params_of(block: Any) -> Any:
    return (block.get("params") or {}) if isinstance(block, Mapping) else {}


def _count(value: Any) -> float:
    return max((each for _, each in _numbers(value, "")), default=1.0)


def _size(name: str, value: Any) -> float:
    """Return the count that a value means: the length of a list of penalties, units of layers."""
    if name == _UNITS:
        return sum(each for _, each in _numbers(value, ""))
    if name in _LISTED:
        return float(len(value)) if isinstance(value, list | tuple) else _count(value)
    return _count(value)


def _numbers(part: Any, key: str) -> Iterator[tuple[str, float]]:
    """Yield every number of a tree with its key, including numbers in texts."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            if name == _UNITS:
                yield f"{key}.{name}", sum(each for _, each in _numbers(value, ""))
            elif name in _LISTED and isinstance(value, list | tuple):
                yield f"{key}.{name}", float(len(value))
            else:
                yield from _numbers(value, f"{key}.{name}")
    elif isinstance(part, list | tuple):
        for value in part:
            yield from _numbers(value, key)
    elif isinstance(part, str):
        yield from ((key, float(each)) for each in _NUMBER.findall(part))
    elif isinstance(part, int | float) and not isinstance(part, bool):
        yield key, float(part)
