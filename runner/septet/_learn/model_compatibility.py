"""Compatibility of a stored model: its bar, symbols, label, and the source of each feature.

A name does not define what is behind it: `rsi` of 14 bars and of 200 are two inputs with one name.
A card therefore holds the steps of every input with their settings, and a start compares them.

    {"bar": "1h", "symbols": [...], "label": {"use": "direction", "horizon": "4 bars"},
     "features": {NAME: COLUMN},
     "steps": {STEP: {"use", "bar", "settings", "reads": {SETTING: [COLUMN]}, "code"}}}

A column is that of a bar (``close``, ``close@ETH/USD``), a series (``series NAME``), or an output
of a step (``@STEP:0``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from septet.errors import ModelError

__all__ = ["OWN_CODE", "compare_subjects", "of_other_length"]

OWN_CODE: Final = "septet "
"""What the digest of a step of septet's own begins with."""
_HINT: Final = "train it again with this file, or put the file back as it was"
_MAX_CHARACTERS: Final = 120


class _Step(msgspec.Struct):
    use: str
    bar: str
    settings: dict[str, Any]
    reads: dict[str, list[str]]
    code: str


class _Subject(msgspec.Struct):
    bar: str
    symbols: list[str]
    label: dict[str, Any]
    features: dict[str, str]
    steps: dict[str, _Step]


def compare_subjects(home: Path, stored: Any, wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """Refuse a model of something else than a file describes; return what is only doubtful.

    Another bar, label, plugin, setting, input, or other code of a package beside septet means other
    numbers, and is refused. Symbols that the model has not seen may be meant (is the model good
    for others?), and other code of septet's own step may differ in words alone: both are doubts.

    Parameters
    ----------
    home
        Where the model is stored.
    stored
        `subject` of its card.
    wanted
        The same of the file.

    Raises
    ------
    ModelError
        With the key of the file, the card's value and the file's.
    """
    if stored is None:
        raise ModelError(
            f"the card of the model stored at {home} does not state what its features are, only "
            "their names: it was made by an older version of septet",
            hint="train and store it again: septet train FILE",
        )
    try:
        before = msgspec.convert(stored, _Subject)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ModelError(
            f"the card of the model stored at {home} holds values of the wrong kind: {error}",
            hint="train and store it again: septet train FILE",
        ) from error
    now = msgspec.convert(json.loads(json.dumps(wanted)), _Subject)
    of_other_length(home, before.bar, now.bar)
    doubts = _Comparison(home, before, now).run()
    if before.label != now.label:
        raise _differs(home, ".model.label", "its label", before.label, now.label)
    unseen = [each for each in now.symbols if each not in before.symbols]
    if unseen:
        doubts.append(
            f"the model stored at {home} was fitted on {_shown(before.symbols)} and has seen "
            f"nothing of {', '.join(unseen)}"
        )
    return tuple(doubts)


def of_other_length(home: Path, stored: str, wanted: str) -> None:
    """Refuse a model of bars of another length.

    Raises
    ------
    ModelError
        With both.
    """
    if stored != wanted:
        raise _differs(home, ".universe.bar", "its bar", stored, wanted)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        text = ", ".join(map(str, value[:12])) + (", ..." if len(value) > 12 else "")
    elif isinstance(value, dict):
        text = ", ".join(f"{name}: {each}" for name, each in value.items())
    else:
        text = "nothing" if value is None else str(value)
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}..."


def _differs(home: Path, key: str, what: str, stored: Any, found: Any) -> ModelError:
    return ModelError(
        f"the model stored at {home} does not fit the file: {what} was {_shown(stored)} when it "
        f"was trained, and the file has {_shown(found)}",
        hint=_HINT,
        key=key,
    )


class _Comparison:
    """One walk over the steps of both, from the model's inputs down to the bars."""

    def __init__(self, home: Path, before: _Subject, now: _Subject) -> None:
        self._home, self._before, self._now = home, before, now
        self._doubts: list[str] = []
        self._seen: set[tuple[str, str]] = set()
        self._waiting: list[tuple[str, str, str]] = []

    def run(self) -> list[str]:
        for name, column in self._now.features.items():
            found = self._before.features.get(name)
            if found is None:
                raise _differs(self._home, f".features.{name}", f"the input {name}", None, column)
            self._waiting.append((name, found, column))
        while self._waiting:
            name, stored, wanted = self._waiting.pop()
            if (stored, wanted) not in self._seen:
                self._seen.add((stored, wanted))
                self._columns(name, stored, wanted)
        return self._doubts

    def _columns(self, name: str, stored: str, current: str) -> None:
        (before, place), (now, current_place) = _parts(stored), _parts(current)
        if not now or not before:
            if stored != current:
                raise self._refused(name, "what it reads", stored, current)
            return
        if before not in self._before.steps:
            raise ModelError(
                f"the card of the model stored at {self._home} names a step {before!r} and does "
                "not describe it",
                hint="train and store it again: septet train FILE",
            )
        if place != current_place:
            raise self._refused(name, "its output", place, current_place)
        self._steps(now, self._before.steps[before], self._now.steps[now])

    def _steps(self, name: str, before: _Step, now: _Step) -> None:
        for setting_name, stored, current in (
            ("use", before.use, now.use),
            ("bar", before.bar, now.bar),
        ):
            if stored != current:
                raise self._refused(name, setting_name, stored, current)
        for setting in sorted({*before.settings, *now.settings}):
            old, new = before.settings.get(setting), now.settings.get(setting)
            if old != new:
                raise self._refused(name, setting, old, new)
        for setting in sorted({*before.reads, *now.reads}):
            old, new = before.reads.get(setting, []), now.reads.get(setting, [])
            if len(old) != len(new):
                raise self._refused(name, setting, old, new)
            self._waiting += [(name, *pair) for pair in zip(old, new, strict=True)]
        self._codes(name, before, now)

    def _codes(self, name: str, before: _Step, now: _Step) -> None:
        if before.code == now.code:
            return
        if before.code.startswith(OWN_CODE) and now.code.startswith(OWN_CODE):
            self._doubts.append(
                f"the code of {now.use} ({name}) is not that with which the model stored at "
                f"{self._home} was trained: its values may differ"
            )
            return
        raise self._refused(name, f"the code of {now.use}", before.code[:20], now.code[:20])

    def _refused(self, name: str, what: str, stored: Any, current: Any) -> ModelError:
        feature = name.partition(".")[0]
        text = f"{what} of the feature {feature}"
        return _differs(self._home, f".features.{feature}", text, stored, current)


def _parts(column: str) -> tuple[str, str]:
    """Split ``@STEP:0`` into the step and the output; no step for other columns."""
    if not column.startswith("@"):
        return "", ""
    step, _, output = column[1:].rpartition(":")
    return step, output
