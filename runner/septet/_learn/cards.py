"""Cards of models: septet's own facts, those of a trainer, and the check that they agree.

septet writes what it knows itself: the rows, when their labels were known, the hashes, the checks
of plugins. A trainer of a plugin adds facts of its own under one key, ``facts``, and can neither
replace one of septet's nor take the name of one: a stored model decides after the last label of its
card, and a plugin that moved it back would let it decide on the rows it was fitted on.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from septet._host.sources import place_of
from septet._learn.fitting import Fitted, Window
from septet._learn.trainer import EstimatorTrainer
from septet._text import decode_json, one_line
from septet.errors import ModelError, RunError

__all__ = ["OWN_NAMES", "TRAIN_AGAIN", "check_card", "fitted_rows", "iso_time", "trainer_facts"]

TRAIN_AGAIN: Final = "train and store it again: septet train FILE"
_FIRST_NS: Final = -3_786_825_600_000_000_000
_LAST_NS: Final = 2**62
"""The years 1850, where data may begin, to 2116: later leaves no room for arithmetic in int64."""
_MAX_FACTS: Final = 1024**2
_FACTS: Final = "facts"

OWN_NAMES: Final = frozenset({
    "version", "format", "estimator", "features", "subject", "seed", "notes", _FACTS,
    "trained_to_ns", "trained_to", "first_row_ns", "first_row", "last_row_ns", "last_row",
    "last_label_ns", "last_label", "rows", "rows_up", "rows_down", "data_sha256", "model_sha256",
    "card_sha256", "served_by", "scale", "calibrate", "weights", "largest_difference",
    "rows_compared", "versions", "strategy", "symbols", "configuration_sha256", "scores",
    "reference", "plugin_sources", "plugin_checks", "model_id", "ready_ns", "until_ns",
    "expires_ns", "importance",
})  # fmt: skip
"""Every name that septet writes into a card, of a run or of `septet train`."""


def iso_time(time_ns: int) -> str:
    """Write a time the way cards and messages do."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}Z" if rest else f"{text}Z"


def fitted_rows(window: Window, trained_to_ns: int) -> dict[str, Any]:
    """Describe the rows of a window before a trainer is given it, which may write to its arrays."""
    data = hashlib.sha256(window.x.tobytes() + window.y.tobytes() + window.time_ns.tobytes())
    known, times = window.known_ns, window.time_ns
    last_label = int(known.max()) if len(known) else trained_to_ns  # one that learns nothing
    first_row, last_row = (
        (int(times[0]), int(times[-1])) if len(times) else (trained_to_ns, trained_to_ns)
    )
    ups = int(window.y.sum())
    return {
        "features": list(window.feature_names),
        "trained_to_ns": trained_to_ns,
        "trained_to": iso_time(trained_to_ns),
        "first_row_ns": first_row,
        "first_row": iso_time(first_row),
        "last_row_ns": last_row,
        "last_row": iso_time(last_row),
        "last_label_ns": last_label,
        "last_label": iso_time(last_label),
        "rows": len(window.y),
        "rows_up": ups,
        "rows_down": len(window.y) - ups,
        "seed": window.seed,
        "data_sha256": data.hexdigest(),
    }


def trainer_facts(trainer: Any, fitted: Fitted) -> dict[str, Any]:
    """Return the facts of a fit for a card: of septet's own trainer, or a plugin's under a key.

    Parameters
    ----------
    trainer : Trainer
        What fitted the window.
    fitted : Fitted
        What it gave.

    Raises
    ------
    RunError
        If a plugin's facts are no JSON, too many, or one has the name of one of septet's.
    """
    if type(trainer) is EstimatorTrainer:  # a subclass is a plugin's
        return dict(fitted.facts)
    fit, name = type(trainer).fit, one_line(trainer.name)[:200]
    place = place_of(fit) or one_line(type(trainer).__module__)
    try:
        facts = dict(fitted.facts)
        reserved = sorted(OWN_NAMES.intersection(facts))
        text = json.dumps(facts)
        facts = decode_json(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise RunError(
            f"the facts of the model {name} cannot stand on its card: {error} (fitted at {place})",
            hint="facts are a mapping of names to values that JSON can hold: text, numbers, lists",
        ) from error
    if reserved:
        raise RunError(
            f"the facts of the model {name} have names that septet writes on a card itself: "
            f"{', '.join(reserved)} (fitted at {place})",
            hint="give them other names: what septet knows of a model, no plugin may state",
        )
    if len(text) > _MAX_FACTS:
        raise RunError(
            f"the facts of the model {name} take {len(text):,} bytes of its card, more than "
            f"{_MAX_FACTS:,} (fitted at {place})",
            hint="keep what the model needs in its arrays(), and on the card what a person reads",
        )
    return {_FACTS: facts} if facts else {}


class _Column(msgspec.Struct):
    """What a column looked like in training, see `health.reference_of`."""

    edges: list[float]
    share: list[float]
    chance: float | None


_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Card(msgspec.Struct):
    """What of a card is read again; everything else in it is only shown."""

    format: str
    features: list[str]
    model_sha256: str
    trained_to_ns: int
    trained_to: str
    first_row_ns: int
    first_row: str
    last_row_ns: int
    last_row: str
    last_label_ns: int
    last_label: str
    rows: _Count
    rows_up: _Count
    rows_down: _Count
    reference: dict[str, _Column] = {}


def check_card(path: Path, card: Mapping[str, Any]) -> None:
    """Refuse a card whose values are of another kind than septet's, or contradict each other.

    Raises
    ------
    ModelError
        With what is wrong.
    """
    try:
        converted = msgspec.convert(card, _Card)
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        raise ModelError(
            f"{path} holds values of the wrong kind: {error}", hint=TRAIN_AGAIN
        ) from error
    contradiction = _contradiction(converted)
    if contradiction:
        raise ModelError(
            f"{path} holds values that contradict each other: {contradiction}", hint=TRAIN_AGAIN
        )


def _contradiction(card: _Card) -> str:
    """Return the contradiction in a card; empty if there is none."""
    for name in ("trained_to", "first_row", "last_row", "last_label"):
        text, time_ns = getattr(card, name), getattr(card, f"{name}_ns")
        if not _FIRST_NS <= time_ns <= _LAST_NS:
            return f"{name}_ns, {time_ns}, lies outside of the years 1850 to 2116"
        if text != iso_time(time_ns):
            shown = one_line(text)[:60]
            return f"{name} is {shown}, and {name}_ns is {time_ns}, which is {iso_time(time_ns)}"
    order = ("first_row", "last_row", "last_label", "trained_to")
    for earlier, later in pairwise(order):
        if getattr(card, f"{earlier}_ns") > getattr(card, f"{later}_ns"):
            return f"{earlier} ({getattr(card, earlier)}) is after {later} ({getattr(card, later)})"
    if card.rows != card.rows_up + card.rows_down:
        return (
            f"the numbers of its rows: {card.rows}, of them {card.rows_up} up and "
            f"{card.rows_down} down"
        )
    for name, each in card.reference.items():
        if (
            len(each.share) != len(each.edges) + 1
            or not all(map(math.isfinite, [*each.edges, *each.share]))
            or min(each.share) <= 0.0
            or each.edges != sorted(set(each.edges))
        ):
            return f"the reference of {name!r}"
    return ""
