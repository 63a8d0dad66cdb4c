"""Models on disk: arrays without pickle, or ONNX bytes, and a card that describes them."""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
import numpy as np
import numpy.typing as npt

from septet._files import make_folders, open_regular, read_bounded, replace_file, require_file_size
from septet._learn.cards import TRAIN_AGAIN, check_card, iso_time, trainer_facts
from septet._learn.fitting import Fitted, Served
from septet._learn.flat_model import FlatModel
from septet._learn.model_compatibility import compare_subjects, of_other_length
from septet._learn.onnx_model import OnnxModel
from septet._learn.soundness import DAMAGED
from septet._text import decode_json, one_line
from septet.errors import InputError, ModelError

__all__ = [
    "CARD",
    "MODEL",
    "Restore",
    "StoredModel",
    "fingerprint",
    "iso_time",
    "load_model",
    "pack_model",
    "make_card",
    "require_readable",
    "store_model",
]

CARD: Final = "card.json"
MODEL: Final = "model.npz"
_VERSION: Final = 2
_LARGEST_BYTES: Final = 1024**3
_LARGEST_CARD: Final = 16 * 1024**2
_MAX_ARRAYS: Final = 10_000
_AGAIN: Final = TRAIN_AGAIN
Restore = Callable[[Mapping[str, npt.NDArray[Any]]], Served]


def fingerprint(model: Served) -> str:
    """SHA-256 over a model's format and arrays: names, types, shapes and bytes."""
    total = hashlib.sha256(model.format.encode())
    arrays = model.arrays()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name}:{array.dtype.str}:{array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def make_card(
    trainer: Any,
    fitted: Fitted,
    rows: Mapping[str, Any],
    subject: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe a fitted model: what it reads, what it was fitted on, and how.

    `rows` is what `fitted_rows` returned for the window before the fit; `subject` what computes its
    features and labels.
    """
    return {
        **trainer_facts(trainer, fitted),
        "version": _VERSION,
        "format": fitted.model.format,
        "estimator": trainer.name,
        **rows,
        "model_sha256": fingerprint(fitted.model),
        "notes": list(fitted.notes),
        **({"subject": dict(subject)} if subject else {}),
    }


def _seal(card: Mapping[str, Any]) -> str:
    open_part = {key: card[key] for key in card if key != "card_sha256"}
    text = json.dumps(open_part, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def store_model(
    folder: Path,
    model: Served,
    card: Mapping[str, Any],
    *,
    within: Path | None = None,
    **further: Any,
) -> Path:
    """Write a model and its card into a folder; `further` goes into the card.

    Nothing that runs code is written: NumPy arrays without pickle, ONNX bytes among them. Below
    `within`, the part of the folder that a person named, no folder may be a link.
    """
    top = folder if within is None else within
    make_folders(top, *folder.relative_to(top).parts)
    for name, data in pack_model(model, card, **further).items():
        replace_file(folder / name, data)
    return folder


def pack_model(model: Served, card: Mapping[str, Any], **further: Any) -> dict[str, bytes]:
    """Return the files of a stored model by name: its arrays and its sealed card."""
    data = _packed(model)
    sealed = json.loads(json.dumps({**card, **further}))
    sealed["card_sha256"] = _seal(sealed)
    return {MODEL: data, CARD: (json.dumps(sealed, indent=2) + "\n").encode()}


def _packed(model: Served) -> bytes:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = dict(model.arrays())
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def require_readable(name: str, model: Served, restore: Restore | None) -> None:
    """Refuse a model that could be stored and not read back; nothing is written.

    `name` is that of its trainer, `restore` the reader of a plugin.

    Raises
    ------
    InputError
        With what is not supported, or what the reader makes of the arrays.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(_packed(model))) as archive:
            arrays = {
                part.filename.removesuffix(".npy"): _array(archive, part)
                for part in archive.infolist()
            }
        read = _restored(Path(name), model.format, arrays, restore)
        wrong = _differences(name, model, read)
    except ModelError as error:
        reason = error.message.removeprefix(DAMAGED).removeprefix("ValueError: ")
        wrong = reason if model.format in _READERS else f"{name}.restore: {reason}"
    except Exception as error:  # a stranger's arrays or model may raise anything
        wrong = f"{type(error).__name__}: {str(error)[:200]}"
    if wrong:
        raise InputError(
            f"models of {name} cannot be stored and read back: {wrong}",
            hint="run the file with scheme: walk_forward, or choose another model",
        )


def _differences(name: str, model: Served, read: Served) -> str:
    """Return how a model that was read back differs; empty if it does not."""
    if read.width != model.width:
        return f"{name}.restore gives a model of {read.width} features, and {model.width} went in"
    if read.format != model.format:
        return f"{name}.restore gives the format {read.format!r}, and {model.format!r} went in"
    if fingerprint(read) != fingerprint(model):
        return f"{name}.restore gives a model of other arrays than those it was given"
    return ""


class StoredModel(msgspec.Struct, frozen=True):
    """A model read back, its card, and what makes it doubtful that it fits the file."""

    model: Served
    card: Mapping[str, Any]
    path: Path
    doubts: tuple[str, ...] = ()

    @property
    def last_label_ns(self) -> int:
        """When the last label it was fitted on became known: it decides only after that."""
        return int(self.card["last_label_ns"])


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card = decode_json(read_bounded(path, _LARGEST_CARD, follow=False))
    except OSError as error:
        raise ModelError(
            f"no stored model at {path.parent}: {error.strerror}",
            hint="septet train FILE makes one",
        ) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not a model's card: {error}", hint=_AGAIN) from error
    needed = ("version", "format", "features", "last_label_ns", "model_sha256", "card_sha256")
    missing = [key for key in needed if not isinstance(card, dict) or key not in card]
    if missing:
        raise ModelError(f"{path} lacks {', '.join(missing)}", hint=_AGAIN)
    if card["version"] != _VERSION:
        raise ModelError(f"{path} has version {card['version']}, expected {_VERSION}", hint=_AGAIN)
    if _seal(card) != card["card_sha256"]:
        raise ModelError(f"{path} was changed after it was written", hint=_AGAIN)
    check_card(path, card)
    found: dict[str, Any] = card
    return found


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with open_regular(path, follow=False) as file, _archive(file) as archive:
            parts = archive.infolist()
            size = sum(each.file_size for each in parts)
            if size > _LARGEST_BYTES or len(parts) > _MAX_ARRAYS:
                raise ValueError(
                    f"it unpacks to {size} bytes in {len(parts)} arrays, more than "
                    f"{_LARGEST_BYTES} or {_MAX_ARRAYS}"
                )
            names = [each.filename for each in parts]
            if len(set(names)) < len(names) or not all(each.endswith(".npy") for each in names):
                raise ValueError("it holds members that are no arrays, or two of one name")
            return {each.filename.removesuffix(".npy"): _array(archive, each) for each in parts}
    except Exception as e:  # a damaged archive raises whatever its part of the format does
        reason = getattr(e, "strerror", None) or str(e) or type(e).__name__
        raise ModelError(f"{path} cannot be read: {str(reason)[:200]}", hint=_AGAIN) from e


def _archive(file: BinaryIO) -> zipfile.ZipFile:
    require_file_size(file, _LARGEST_BYTES)
    return zipfile.ZipFile(file)


def _array(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """Read one array; its header must name as many bytes as follow it, and no objects."""
    data = archive.read(part)
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, kind = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, fortran, kind = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"{part.filename} has version {version} of NumPy's format")
    at = stream.tell()
    if kind.hasobject or kind.itemsize == 0 or any(each < 0 for each in shape):
        raise ValueError(f"{part.filename} holds {kind} of shape {shape}")
    if math.prod(shape) * kind.itemsize != len(data) - at:
        raise ValueError(f"{part.filename} has {len(data) - at} bytes for shape {shape}")
    flat = np.frombuffer(data, kind, offset=at)
    return flat.reshape(shape, order="F" if fortran else "C").copy()


_READERS: Final[Mapping[str, Restore]] = {
    "flat": FlatModel.from_arrays, "onnx": OnnxModel.from_arrays
}  # fmt: skip


def load_model(
    folder: Path,
    feature_names: Sequence[str] | None = None,
    restore: Restore | None = None,
    subject: Mapping[str, Any] | None = None,
) -> StoredModel:
    """Read a stored model back.

    Parameters
    ----------
    folder : Path
        Where `store_model` wrote it (the card itself is accepted too).
    feature_names : sequence of str, optional
        The file's features, in order: a model that reads others is refused.
    restore : callable, optional
        Of the plugin that made it: reads arrays of a format that is not septet's.
    subject : mapping, optional
        What the file's model is a model of: one of something else is refused.

    Raises
    ------
    ModelError
        If it is missing, damaged or changed, or is not a model of what the file describes.
    """
    home = folder.parent if folder.name == CARD else folder
    card = _read_card(home / CARD)
    if feature_names is not None:
        if subject is not None and isinstance(before := card.get("subject"), dict):
            of_other_length(home, str(before.get("bar")), str(subject["bar"]))
        _same_features(home, card["features"], list(feature_names))
    doubts = () if subject is None else compare_subjects(home, card.get("subject"), subject)
    arrays = _read_arrays(home / MODEL)
    model = _restored(home, str(card["format"]), arrays, restore)
    if further := sorted(set(arrays) - set(model.arrays())):
        shown = one_line(", ".join(further[:6]))[:200]
        raise ModelError(
            f"{home / MODEL} holds arrays that its model does not have: {shown}", hint=_AGAIN
        )
    if fingerprint(model) != card["model_sha256"]:
        raise ModelError(f"{home / MODEL} is not the model its card describes", hint=_AGAIN)
    if model.width != len(card["features"]):
        raise ModelError(
            f"{home} reads {model.width} features and names {len(card['features'])}", hint=_AGAIN
        )
    return StoredModel(model, card, home, doubts)


def _restored(
    home: Path, kind: str, arrays: Mapping[str, npt.NDArray[Any]], restore: Restore | None
) -> Served:
    if kind in _READERS:
        return _READERS[kind](arrays)
    if restore is None:
        raise ModelError(
            f"{home} has format {kind!r}, expected flat or onnx; only the plugin that made it can "
            "read it",
            hint="name that plugin in `use:`, with training: {scheme: stored}; it needs "
            "restore(arrays)",
        )
    try:
        return restore(arrays)
    except Exception as error:  # a stranger's reader may raise anything
        raise ModelError(
            f"{home} cannot be read by its plugin: {type(error).__name__}: {error}", hint=_AGAIN
        ) from error


def _same_features(home: Path, stored: list[str], current: list[str]) -> None:
    if stored == current:
        return
    missing = [name for name in stored if name not in current]
    further = [name for name in current if name not in stored]
    parts = [f"it reads {', '.join(missing)}, which the file has not"] if missing else []
    parts += [f"the file has {', '.join(further)}, which it does not read"] if further else []
    text = "; ".join(parts) or f"the order differs: expected {', '.join(stored)}"
    raise ModelError(
        f"the model stored at {home} does not fit the file's features: {text}",
        hint="train it again with this file, or list the model's inputs",
    )
