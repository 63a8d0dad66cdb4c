"""How much training an agent's file may ask for: one fit cannot be interrupted.

The bounds are of numbers that a file writes, not of a time: they hold what would go on for hours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from septet.errors import ConfigError, Problem

__all__ = ["MOST_OF_A_FIT", "insist_bounded_training"]

MOST_OF_A_FIT: Final = 10_000
"""Trees, iterations, leaves and the like of one model."""
_MOST: Final = {"hidden_layer_sizes": 1_000, "n_jobs": 64}
_KEY: Final = re.compile(
    r"n_.*|num_.*|max_(iter|leaf_nodes|bin|bins|fun)|hidden_layer_sizes|rounds"
)
_NUMBER: Final = re.compile(r"\d+(?:\.\d*)?(?:[eE]\+?\d+)?")


def insist_bounded_training(resolved: Mapping[str, Any], axes: Mapping[str, object]) -> None:
    """Refuse a model that one fit of which would go on for very long.

    Parameters
    ----------
    resolved
        The effective values of a file, of which those of its `model` are looked at.
    axes
        What its sweep goes over, by key.

    Raises
    ------
    ConfigError
        With every number that is too large.
    """
    swept = [(key, each) for key, axis in axes.items() for _, each in _numbers(str(axis), "")]
    problems = []
    for key, value in [*_numbers(resolved.get("model") or {}, "model"), *swept]:
        name = key.rpartition(".")[2]
        most = _MOST.get(name, MOST_OF_A_FIT)
        if key.startswith("model.") and _KEY.fullmatch(name) and value > most:
            problems.append(
                Problem(
                    "one fit of this model would go on for too long, and cannot be interrupted",
                    key=key, found=f"{value:,.0f}", expected=f"at most {most:,}",
                    hint="a smaller model; a person runs larger ones with `septet run`",
                )
            )  # fmt: skip
    if problems:
        raise ConfigError(problems)


def _numbers(part: Any, key: str) -> Iterator[tuple[str, float]]:
    """Yield every number of a tree with its key, also those written in a text."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            yield from _numbers(value, f"{key}.{name}")
    elif isinstance(part, list | tuple):
        for value in part:
            yield from _numbers(value, key)
    elif isinstance(part, str):
        yield from ((key, float(each)) for each in _NUMBER.findall(part))
    elif isinstance(part, int | float) and not isinstance(part, bool):
        yield key, float(part)
