"""Checks the declarations of a package's manifest before they enter the table of plugins.

A manifest is code of another package: it may raise anything and return anything. Whatever is wrong
with it is a `PluginError`, so that its package is set aside and the others work.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import inspect
import re
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, Final

from septet._host.plugin_calls import words_of
from septet.errors import PluginError
from septet.hookspecs import HOOK_OF_LAYER, PROJECT, Component, Layer
from septet_schemas.late_patterns import late_pattern

__all__ = [
    "KINDS", "StrangersError", "components_of", "name_of", "require_valid_distribution",
    "strangers_code",
]  # fmt: skip

KINDS: Final[Mapping[Layer, tuple[str | None, ...]]] = {
    "data": ("candles", "series"),
    "features": ("feature", None),
    "models": ("model", None),
    "signals": ("signal", "regime"),
    "risk": ("sizing", "limit", "stop", "halt"),
    "execution": ("venue", "order"),
    "monitoring": ("monitor", "alerts"),
    "commands": ("command", None),
}
"""The kinds of each layer; None where the kind may be left out because there is one."""
MOST_COMPONENTS: Final = 10_000
"""So many components one hook may declare: a generator without an end is set aside as well."""
LONGEST_SUMMARY: Final = 1_000
_NAME: Final = late_pattern(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_DISTRIBUTION: Final = late_pattern(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_VERSION: Final = late_pattern(r"[A-Za-z0-9][A-Za-z0-9.!+_-]{0,127}")
_TARGET: Final = late_pattern(r"(?=.{3,512}\Z)[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


_IMPORTERS: Final = (
    str(Path(__file__).parent),
    "<frozen ",
    str(importlib.__file__),
    str(importlib.metadata.__file__),
)


class StrangersError(PluginError):
    """Code of another package raised something; the message has its type, words and place."""


@contextmanager
def strangers_code() -> Iterator[None]:
    """Run code of another package: whatever it raises is a `StrangersError`.

    That includes KeyboardInterrupt and SystemExit which it raises itself. An interrupt from the
    keyboard meanwhile stays what it is.
    """
    pressed = False
    previous = signal.getsignal(signal.SIGINT)
    is_default = previous is signal.default_int_handler and (
        threading.current_thread() is threading.main_thread()
    )

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    if is_default:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except BaseException as error:  # code of another package may raise anything
        if pressed:
            raise
        text = " ".join(words_of(error).split())  # of a library they may be a page
        raise StrangersError(f"{type(error).__name__}: {text}{_line(error)}") from error
    finally:
        if is_default:
            signal.signal(signal.SIGINT, previous)


def _line(error: BaseException) -> str:
    """Return where in the stranger's file an exception arose."""
    frames = inspect.getinnerframes(error.__traceback__, context=0) if error.__traceback__ else []
    outside = [each for each in frames if not each.filename.startswith(_IMPORTERS)]
    return f" ({outside[-1].filename}:{outside[-1].lineno})" if outside else ""


def name_of(manifest: object) -> str:
    """Return the name of a manifest module, or of the type of what stands for one."""
    name = getattr(manifest, "__name__", None)
    return name if type(name) is str else type(manifest).__name__


def require_valid_distribution(distribution: object, version: object) -> None:
    """Refuse a name or version of a distribution that no index would take.

    Names become parts of paths and of messages.

    Raises
    ------
    PluginError
        If one is not text, is too long or has other characters.
    """
    _require_match(distribution, _DISTRIBUTION, "the name of the distribution", 128)
    _require_match(version, _VERSION, "its version", 128)


def components_of(manifest: object) -> list[Component]:
    """Call every hook of a manifest and return what they declare.

    Raises
    ------
    PluginError
        The first fault: a hook that raises, returns something else or is misspelt; a component
        with a name, layer, kind or target that is none; a name declared twice.
    """
    with strangers_code():
        names = [each for each in dir(manifest) if each.startswith(f"{PROJECT}_")]
        values = {each: getattr(manifest, each) for each in names}
    components: list[Component] = []
    for name, value in values.items():
        if name not in HOOK_OF_LAYER.values():
            _refuse_misspelt(name, value)
    for layer, name in HOOK_OF_LAYER.items():
        if values.get(name) is not None:
            components += _called(values[name], layer)
    if not set(HOOK_OF_LAYER.values()) & {name for name in values if values[name] is not None}:
        raise PluginError(
            f"it declares no hook of septet; expected one of {', '.join(HOOK_OF_LAYER.values())}, "
            "a function that returns a list of Component"
        )
    declared: set[tuple[str, str | None, str]] = set()
    for each in components:
        key = (each.layer, each.kind, each.name)
        if key in declared:
            raise PluginError(f"{HOOK_OF_LAYER[each.layer]} declares {each.name!r} twice")
        declared.add(key)
    return components


def _refuse_misspelt(name: str, value: object) -> None:
    """Refuse a function that is marked as a hook, or nearly has the name of one.

    Raises
    ------
    PluginError
        With the closest hook.
    """
    close = difflib.get_close_matches(name, HOOK_OF_LAYER.values(), n=1, cutoff=0.8)
    if hasattr(value, f"{PROJECT}_impl") or (inspect.isfunction(value) and close):
        expected = close[0] if close else ", ".join(HOOK_OF_LAYER.values())
        raise PluginError(f"{name[:80]} is no hook of septet; expected {expected}")


def _called(hook: Any, layer: Layer) -> list[Component]:
    """Call one hook and check what it returns.

    Raises
    ------
    PluginError
        If it raises, returns anything but components, or a component does not fit its layer.
    """
    name = HOOK_OF_LAYER[layer]
    try:
        with strangers_code():
            returned = hook()
            is_list = isinstance(returned, Iterable) and not isinstance(returned, str | Mapping)
            components = list(islice(returned, MOST_COMPONENTS + 1)) if is_list else []
    except StrangersError as error:
        raise PluginError(f"{name} failed: {error.message}") from None
    if not is_list:
        returned_type = "nothing" if returned is None else f"a {type(returned).__name__}"
        raise PluginError(f"{name} returned {returned_type}; expected a list of Component")
    if len(components) > MOST_COMPONENTS:
        raise PluginError(f"{name} returned more than {MOST_COMPONENTS:,} components")
    for each in components:
        if type(each) is not Component:
            raise PluginError(f"{name} returned a {type(each).__name__} among its components")
        _require_component(each, layer, name)
    return components


def _require_component(component: Component, layer: Layer, hook: str) -> None:
    """Refuse a component of which a part is not of its declared type.

    Raises
    ------
    PluginError
        With what was found.
    """
    _require_match(component.name, _NAME, f"{hook} declares a component whose name", 64)
    declared = f"{hook} declares {component.name!r}"
    if type(component.layer) is not str or component.layer != layer:
        raise PluginError(f"{declared} for layer {component.layer!r:.80}, expected {layer!r}")
    kind: object = component.kind
    if not (kind is None or type(kind) is str) or kind not in KINDS[layer]:
        kinds = ", ".join(str(kind) for kind in KINDS[layer] if kind)
        raise PluginError(f"{declared} of kind {kind!r:.80}; kinds: {kinds}")
    _require_match(
        component.target, _TARGET, f"{declared} with a target that", 512, "module:attribute, in"
    )
    summary: object = component.summary
    if type(summary) is not str or len(summary) > LONGEST_SUMMARY:
        raise PluginError(
            f"{declared} with a summary that is {_short(summary)}; expected a text of at most "
            f"{LONGEST_SUMMARY:,} characters"
        )


def _require_match(
    value: object, pattern: re.Pattern[str], part: str, longest: int, form: str = ""
) -> None:
    if type(value) is not str or not pattern.fullmatch(value):
        raise PluginError(
            f"{part} is {_short(value)}; expected {form or 'text of'} at most {longest} letters, "
            "digits, dots, dashes and underscores, beginning with a letter"
        )


def _short(value: object) -> str:
    """Return a description of what was found in place of a text, shortened."""
    if type(value) is not str:
        return f"a {type(value).__name__}"
    return f"{value!r}" if len(value) <= 80 else f"of {len(value):,} characters"
