"""What every trial of an object has: how its methods are called, and what it is tried with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from septet._host.doors import is_theirs
from septet._host.guards import StepError, located
from septet._host.models import Untrainable
from septet.testing.bars import HOUR_NS
from septet.testing.local import LocalServer, Trial

__all__ = ["Case", "NotTried", "called", "takes"]


class NotTried(Exception):
    """Why the kit cannot exercise a component; it is then neither kept nor failed."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a component is tried with.

    Features a model reads, a local server, the bar of the file, and what an author's trial says.
    """

    names: Sequence[str]
    local: LocalServer
    build: Callable[[Any], Any]
    trial: Trial | None = None
    bar_ns: int = HOUR_NS


def called(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Call a stranger's method; what it raises says where."""
    try:
        return function(*arguments, **named)
    except (NotTried, Untrainable):
        raise
    except BaseException as error:  # a stranger's method may raise anything
        if not is_theirs(error):
            raise
        raise located(error) from error


def takes(built: Any, method: str, *arguments: str, **named: str) -> Any:
    """Require a method that takes these arguments."""
    found = getattr(built, method, None)
    if not callable(found):
        raise StepError(f"{type(built).__name__} has no {method}({', '.join(arguments)})")
    try:
        inspect.signature(found).bind(*arguments, **named)
    except TypeError as error:
        raise StepError(f"{type(built).__name__}.{method}: {error}") from None
    return found
