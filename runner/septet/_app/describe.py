"""Describes the settings, outputs and memory of a plugin, as data."""

from __future__ import annotations

import inspect
import math
from typing import Any, get_args, get_origin

from pydantic_core import PydanticUndefined

from septet._host.declare import Step
from septet_schemas.base import Config
from septet_schemas.blocks import config_of
from septet_schemas.docstrings import field_docstrings
from septet_schemas.training import Label

__all__ = ["describe", "label_documents"]


def label_documents() -> list[dict[str, Any]]:
    """Describe the labels of a model, which are built in and not plugins."""
    from importlib.metadata import version

    documents = []
    for model in get_args(get_args(Label)[0]):
        about = inspect.cleandoc(model.__doc__ or "")
        documents.append(
            {
                "layer": "models",
                "kind": "label",
                "name": model.model_fields["use"].default,
                "distribution": "septet",
                "version": version("septet"),
                "summary": about.splitlines()[0],
                "about": f"{about}\n\nWritten in a model's block: label: {{use: ...}}.",
                "short_form": model.shorthand,
                "keys": [each for each in _keys(model) if each["key"] != "use"],
            }
        )
    return documents


def describe(declaration: Any) -> dict[str, Any]:
    """Describe a declaration: its keys with types and defaults, and what its steps declare."""
    if not hasattr(declaration, "config"):
        return {"about": (getattr(declaration, "help", None) or "").strip(), "keys": []}
    model = config_of(declaration)
    document: dict[str, Any] = {
        "about": inspect.cleandoc(model.__doc__ or ""),
        "short_form": model.shorthand,
        "keys": _keys(model),
    }
    if isinstance(declaration, Step):
        document["reads"] = list(declaration.parameters)
        document["compiled"] = declaration.compiled
        try:
            config = model()
        except ValueError:  # some keys have no default: values that depend on them are not shown
            return document
        document["outputs"] = list(declaration.output_names(config))
        if declaration.kind == "feature":
            from septet.testing.evaluate import memory_of

            memory = memory_of(declaration, config)
            forgets = memory.kind != "unbounded"
            document["ranges"] = _ranges(declaration, config)
            document["memory"] = (memory.anchor or memory.bars) if forgets else memory.kind
    return document


def _ranges(step: Step, config: Config) -> dict[str, str]:
    """Return the declared range of each output that has one.

    The name of a single output is ``""``.
    """
    texts = {}
    for name in step.output_names(config) or ("",):
        declared = step.range_of(config, name)
        if isinstance(declared, str):
            texts[name] = f"that of {declared}"
        elif declared != (-math.inf, math.inf):
            texts[name] = f"{declared[0]:.6g} to {declared[1]:.6g}"
    return texts


def _keys(model: type[Config], prefix: str = "") -> list[dict[str, Any]]:
    """Describe the keys of a model; keys of nested blocks have their path."""
    schema, docstrings = model.model_json_schema(), field_docstrings(model)
    keys = []
    for field, info in model.model_fields.items():
        name = info.alias or field
        shape = schema.get("properties", {}).get(name, {})
        block, prefix_of_block = _block(info.annotation, prefix + name)
        default = "required" if info.is_required() else _plain(info.get_default())
        keys.append(
            {
                "key": prefix + name,
                "type": "block" if block is not None else _type(shape),
                "default": "see its keys" if block is not None else default,
                "about": str(shape.get("description") or docstrings.get(field, "")),
            }
        )
        if block is not None:
            keys += _keys(block, prefix_of_block)
    return keys


def _block(annotation: Any, path: str) -> tuple[type[Config] | None, str]:
    """Return the model of a block, or of blocks by name, and the prefix of its keys' paths."""
    if get_origin(annotation) is dict:
        block, _ = _block(get_args(annotation)[1], path)
        return block, f"{path}.NAME."
    is_model = isinstance(annotation, type) and issubclass(annotation, Config)
    return (annotation if is_model else None), f"{path}."


def _plain(value: Any) -> str:
    if value is PydanticUndefined or value is None:
        return "none"
    return str(value)


def _type(shape: dict[str, Any]) -> str:
    if "enum" in shape:
        return " | ".join(str(each) for each in shape["enum"])
    if "const" in shape:
        return str(shape["const"])
    if "anyOf" in shape:
        kinds = [_type(each) for each in shape["anyOf"]]
        return " or ".join(dict.fromkeys(each for each in kinds if each != "null"))
    if "$ref" in shape:
        return "block"
    return {"object": "block", "array": "list", "string": "text"}.get(
        str(shape.get("type", "any")), str(shape.get("type", "any"))
    )
