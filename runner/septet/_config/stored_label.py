"""Takes the label of a file with a stored model from the model, and disables training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from septet._config.tree import Key, Mark, Node
from septet._files import open_regular
from septet._text import decode_json

__all__ = ["label_layer", "with_label", "with_stored"]

_CARD: Final = "card.json"
_LARGEST_CARD: Final = 16 * 1024**2
_LAYER: Final = "derived:"


def with_stored(tree: Node, base_dir: Path) -> Node:
    """Return what follows from the path of a stored model: no training, and its label.

    A missing or damaged card is ignored here: whatever reads the model refuses it.
    """
    model = tree.children.get("model")
    if model is None or model.kind != "map":
        return tree
    use, training = model.children.get("use"), model.children.get("training")
    by_name = use is not None and str(use.value).removeprefix("septet:") == "stored"
    path = model.children.get("path") if by_name else None
    if not by_name and training is not None and training.kind == "map":
        scheme = training.children.get("scheme")
        if scheme is not None and scheme.value == "stored":
            path = training.children.get("path")
    if path is None or path.kind != "scalar" or not isinstance(path.value, str):
        return tree
    layer = f"{_LAYER}model.path" if by_name else f"{_LAYER}model.training.path"
    if by_name:
        model = _untrained(model, path, layer)
    if "label" not in model.children:
        label = _label_of(base_dir / path.value)
        if label:
            label_node = _node(label, path.mark, layer)
            model = replace(model, children={**model.children, "label": label_node})
    return replace(tree, children={**tree.children, "model": model})


def label_layer(tree: Node) -> str:
    """Return which part of a file defines the label of its model: empty if the file itself does."""
    node = tree.at(("model", "label"))
    return _LAYER if node is None else node.layer


def with_label(tree: Node, label: Mapping[str, Any]) -> Node:
    """Return a tree with another label, as one that was derived."""
    model = tree.children["model"]
    label_node = _node(label, model.mark, f"{_LAYER}model.path")
    model = replace(model, children={**model.children, "label": label_node})
    return replace(tree, children={**tree.children, "model": model})


def _untrained(model: Node, path: Node, layer: str) -> Node:
    """Write `scheme: stored` where the file does not state how its stored model is trained."""
    training = model.children.get("training")
    if training is None:
        training = Node("map", path.mark, key=path.key, layer=layer)
    if training.kind != "map" or "scheme" in training.children:
        return model
    added: dict[Key, Node] = {
        "scheme": _node("stored", path.mark, layer),
        "path": _node(path.value, path.mark, layer),
    }
    training = replace(training, children={**added, **training.children})
    return replace(model, children={**model.children, "training": training})


def _label_of(folder: Path) -> dict[str, Any]:
    """Read the label of a model's card; empty where there is none."""
    path = folder if folder.name == _CARD else folder / _CARD
    try:
        with open_regular(path) as file:
            data = file.read(_LARGEST_CARD + 1)
        if len(data) > _LARGEST_CARD:
            return {}
        label = decode_json(data)["subject"]["label"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}
    is_plain = isinstance(label, dict) and all(
        isinstance(each, str | int | float) for each in label.values()
    )
    return label if is_plain else {}


def _node(value: Any, mark: Mark, layer: str) -> Node:
    if isinstance(value, Mapping):
        children: dict[Key, Node] = {
            str(name): _node(each, mark, layer) for name, each in value.items()
        }
        return Node("map", mark, key=mark, children=children, layer=layer)
    return Node("scalar", mark, value, key=mark, text=str(value), layer=layer)
