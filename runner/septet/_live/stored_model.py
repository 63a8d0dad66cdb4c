"""The stored model of a file, which the run never fits: read before the start, copied into the run.

The run serves the copy in its own folder. The journal announces it like any other model, with its
hash, so that recovery, replay and shadow need neither the file's folder nor its model.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from septet import _learn as learn
from septet import messages as m
from septet._config.load import relabelled
from septet._config.stored_label import label_layer
from septet._journal.reader import Reader
from septet._learn.labels import NEVER_NS
from septet._learn.stored import CARD, StoredModel, iso_time, load_model, store_model
from septet._live.run_location import RunLocation
from septet._plan.plan import Plan
from septet._shell.stored_model import read_stored
from septet.errors import InputError, ModelError

__all__ = [
    "announce_stored", "changed_source", "fact_of", "idle_now", "mended_copy", "stored_of",
    "with_label_of_run",
]  # fmt: skip

_MODELS = "models"


def stored_of(loaded: Any, plan: Plan) -> StoredModel | None:
    """Read the model that a file names; None where it names none.

    Parameters
    ----------
    loaded
        The file.
    plan
        What computes its features: the model's inputs where the file lists none.

    Raises
    ------
    ModelError
        It is missing, damaged or changed, or of other features, bars or labels than the file's.
    """
    block = loaded.strategy.model
    if block is None or learn.stored_folder(block) is None:
        return None
    names = list(block.extra.get("inputs") or plan.assembly.features)
    stored: StoredModel = read_stored(loaded, names, plan.assembly.graph)
    return stored


def fact_of(stored: StoredModel | None) -> dict[str, Any]:
    """Return the entry of a stored model in the head of a journal; empty without one."""
    if stored is None:
        return {}
    names = ("model_sha256", "card_sha256", "last_label_ns")
    return {"stored_model": {name: stored.card[name] for name in names}}


def announce_stored(loaded: Any, stored: StoredModel, run_folder: Path, at_ns: int) -> m.ModelReady:
    """Copy the model into the run's folder, and return the event that announces the copy.

    It decides after the last label of its card, and until `expire_after` has passed since then.

    Raises
    ------
    InputError
        The copy cannot be written.
    """
    card, last_ns = stored.card, stored.last_label_ns
    fingerprint = str(card["model_sha256"])
    place = _copy_of(fingerprint)
    try:
        store_model(run_folder / place, stored.model, card, within=run_folder)
    except OSError as problem:
        raise InputError(
            f"the stored model cannot be copied to {run_folder / place}: {problem.strerror}",
            hint="make room there, or name another folder with --out",
        ) from problem
    after_ns = loaded.strategy.model.extra["training"].expire_after
    reference = tuple(
        (name, tuple(each["edges"]), tuple(each["share"]), each["chance"])
        for name, each in card.get("reference", {}).items()
    )
    return m.ModelReady(
        at_ns=at_ns, number=0, fingerprint=fingerprint,
        trained_to_ns=int(card.get("trained_to_ns", last_ns)), ready_ns=last_ns + 1,
        expires_ns=int(NEVER_NS) if after_ns is None else last_ns + after_ns, folder=place,
        rows=int(card.get("rows", 0)), rows_up=int(card.get("rows_up", 0)),
        first_row_ns=card.get("first_row_ns"), reference=reference,
    )  # fmt: skip


def _copy_of(fingerprint: str) -> str:
    return f"{_MODELS}/000-{fingerprint[:12]}"


def idle_now(event: m.ModelReady, now_ns: int) -> str:
    """Return a notice if a stored model decides nothing at a market time; empty if it does."""
    if now_ns < event.ready_ns:
        return f"the stored model decides from {iso_time(event.ready_ns)} on: no entries until then"
    if now_ns > event.expires_ns:
        return f"the stored model expired at {iso_time(event.expires_ns)}: no entries"
    return ""


def with_label_of_run(loaded: Any, location: RunLocation) -> Any:
    """Return the file of a resumed run, with the label of the run if it names none.

    It takes the label from the card of its model, and the folder may hold another model by now,
    or none: the run goes on with its copy, and with that one's label.

    Raises
    ------
    JournalError
        The journal cannot be read.
    """
    block = loaded.strategy.model
    named = block is not None and learn.stored_folder(block) is not None
    if location.fresh or not named or not label_layer(loaded.tree).startswith("derived:"):
        return loaded
    with Reader(location.journal) as journal:
        model = journal.head.facts.get("resolved", {}).get("model") or {}
    label = model.get("label")
    return relabelled(loaded, label) if isinstance(label, Mapping) else loaded


def mended_copy(loaded: Any, run_folder: Path, known: Mapping[str, Any] | None) -> str:
    """Make a damaged copy of the run's model again from the file's own; return a notice of that.

    The folder that the file names often still has the model with the hash of the journal. Without
    the copy a run that holds positions could not start.

    Raises
    ------
    ModelError
        The copy is damaged, and the folder has no model of that hash, or it cannot be written.
    """
    block = loaded.strategy.model
    folder = learn.stored_folder(block) if block is not None else None
    if folder is None or known is None:
        return ""
    copy = run_folder / _copy_of(str(known["model_sha256"]))
    if not copy.exists():  # the run was stopped before it announced its model
        return ""
    home, restore = Path(loaded.base_dir) / folder, learn.restore_of(block)
    try:
        load_model(copy, None, restore)
        return ""
    except ModelError as error:
        damage = error.message
    hint = (
        f"restore {copy} from a backup, or {home}: the model with the hash {known['model_sha256']}"
    )
    try:
        source = load_model(home, None, restore)
    except ModelError as error:
        raise ModelError(f"{damage}; {error.message}", hint=hint) from None
    if source.card["model_sha256"] != known["model_sha256"]:
        raise ModelError(f"{damage}; {home} has another model", hint=hint)
    try:
        store_model(copy, source.model, source.card, within=run_folder)
    except OSError as problem:
        raise ModelError(f"{damage}; it cannot be written: {problem.strerror}", hint=hint) from None
    return f"{damage}: made again from {home}, whose model has the same hash"


def changed_source(loaded: Any, known: Mapping[str, Any] | None) -> str:
    """Return a notice if a file's folder no longer has the run's model; empty if it has.

    The run continues with its copy: its positions must not wait for a person because of this.
    """
    block = loaded.strategy.model
    folder = learn.stored_folder(block) if block is not None else None
    if folder is None or known is None:
        return ""
    home, goes_on = Path(loaded.base_dir) / folder, "the run goes on with its own copy"
    try:
        current_sha256 = load_model(home, None, learn.restore_of(block)).card["model_sha256"]
    except ModelError as error:
        return f"{error.message}; {goes_on}"
    if current_sha256 == known["model_sha256"]:
        return ""
    before = str(known["model_sha256"])[:12]
    return (
        f"{home / CARD} is of model {str(current_sha256)[:12]}, and the run began with {before}: "
        f"{goes_on}; begin another run with --fresh to decide with the new one"
    )
