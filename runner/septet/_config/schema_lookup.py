"""Finds the keys that a mapping of the file may have, by walking the schema along the file."""

from __future__ import annotations

import contextlib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic_core import PydanticCustomError

from septet._config.tree import Key, Node
from septet_schemas.blocks import BlockOf, Resolver, config_of
from septet_schemas.later import is_later

__all__ = [
    "blocks_named", "inner_types", "known_keys", "metadata_of", "own_fields", "type_at", "type_of",
]  # fmt: skip


class _Type(msgspec.Struct, frozen=True):
    """An annotation with the metadata that stands beside it."""

    annotation: Any
    metadata: tuple[Any, ...] = ()


def known_keys(
    model: type[BaseModel], path: Sequence[Key], tree: Node, resolver: Resolver
) -> list[str]:
    """Names that may stand in the mapping at `path`; empty when that is open or unknown."""
    type_of_path = type_at(model, path, tree, resolver)
    node = tree.at(path)
    return (
        _keys(type_of_path, node, path, resolver)
        if type_of_path is not None and node is not None
        else []
    )


def type_at(
    model: type[BaseModel], path: Sequence[Key], tree: Node, resolver: Resolver
) -> _Type | None:
    """Follow a path through the schema; None where the schema does not have it."""
    type_of_path: _Type | None = _Type(model)
    node: Node | None = tree
    for depth, part in enumerate(path):
        if type_of_path is None or node is None:
            return None
        type_of_path = _step(type_of_path, node, part, path[:depth], resolver)
        node = node.children.get(part)
    return type_of_path


def _parts(place: _Type) -> list[_Type]:
    """Take unions and `Annotated` apart."""
    origin = typing.get_origin(place.annotation)
    if origin is typing.Annotated:
        inner, *metadata = typing.get_args(place.annotation)
        return _parts(_Type(inner, (*place.metadata, *metadata)))
    if origin in (typing.Union, types.UnionType):
        return [
            part
            for each in typing.get_args(place.annotation)
            for part in _parts(_Type(each, place.metadata))
        ]
    return [place]


def metadata_of(place: _Type) -> list[Any]:
    """Return the metadata that stands beside an annotation or any arm of its union."""
    return [each for part in _parts(place) for each in part.metadata]


def _block(place: _Type) -> BlockOf | None:
    return next((each for each in place.metadata if isinstance(each, BlockOf)), None)


def _models(place: _Type, node: Node | None) -> list[type[BaseModel]]:
    models = [
        part.annotation
        for part in _parts(place)
        if isinstance(part.annotation, type) and issubclass(part.annotation, BaseModel)
    ]
    use = node.children.get("use") if node is not None else None
    if len(models) > 1 and use is not None:
        named = [model for model in models if model.model_fields["use"].default == use.value]
        return named or models
    return models


def _block_models(
    place: _Type, node: Node, path: Sequence[Key], resolver: Resolver
) -> list[type[BaseModel]] | None:
    """Return generic and own model of a block; None when the place holds no block."""
    block = next((block_of for part in _parts(place) if (block_of := _block(part))), None)
    if block is None:
        return None
    use = node.children.get("use")
    name = use.value if use is not None else (path[-1] if block.named and path else None)
    models: list[type[BaseModel]] = [block.generic] if block.generic else []
    try:
        declaration, _ = resolver.resolve(block.layer, block.kind, str(name))
    except PydanticCustomError:
        return models
    return [*models, config_of(declaration)]


def _keys(place: _Type, node: Node, path: Sequence[Key], resolver: Resolver) -> list[str]:
    blocks = _block_models(place, node, path, resolver)
    models = blocks if blocks is not None else _models(place, node)
    names = ["use"] if blocks is not None else []
    return names + [name for model in models for name in model.model_fields]


def _step(
    place: _Type, node: Node, part: Key, path: Sequence[Key], resolver: Resolver
) -> _Type | None:
    blocks = _block_models(place, node, path, resolver)
    for model in blocks if blocks is not None else _models(place, node):
        if part in model.model_fields:
            field = model.model_fields[str(part)]
            return _Type(field.annotation, tuple(field.metadata))
        extra = typing.get_type_hints(model, include_extras=True).get("__pydantic_extra__")
        if extra is not None and model.model_config.get("extra") == "allow":
            arguments = typing.get_args(extra)
            if len(arguments) == 2:
                return _Type(arguments[1])
    for each in _parts(place):
        origin, arguments = typing.get_origin(each.annotation), typing.get_args(each.annotation)
        if origin is dict and len(arguments) == 2:
            return _Type(arguments[1])
        if origin in (tuple, list) and arguments:
            return _Type(arguments[0])
    return None


def type_of(model: type[BaseModel]) -> _Type:
    """Return a model as the type of a place."""
    return _Type(model)


def blocks_named(place: _Type) -> list[BlockOf]:
    """Return the kinds of blocks that a mapping holds under the names of their plugins."""
    arguments = [
        typing.get_args(part.annotation)[1]
        for part in _parts(place)
        if typing.get_origin(part.annotation) is dict
    ]
    blocks = (_block(part) for each in arguments for part in _parts(_Type(each)))
    return [each for each in blocks if each is not None and each.named]


def inner_types(place: _Type) -> list[_Type]:
    """Return a place itself: lists hold many of a kind, and nothing is looked for in them."""
    lists = (tuple, list)
    return (
        []
        if any(typing.get_origin(part.annotation) in lists for part in _parts(place))
        else [place]
    )


def own_fields(
    place: _Type,
    node: Node | None,
    path: Sequence[Key],
    resolver: Resolver,
    usual: Mapping[str, str],
) -> Iterator[tuple[str, _Type]]:
    """Yield the keys of a block that are served, each with its type.

    `usual` names the plugin of a kind where the file names none.
    """
    block = next((block_of for part in _parts(place) if (block_of := _block(part))), None)
    use = node.children.get("use") if node is not None else None
    if block is None:
        models = _models(place, node)
    else:
        name = str(use.value) if use is not None else usual.get(block.kind, "")
        models = [block.generic] if block.generic else []
        with contextlib.suppress(PydanticCustomError):
            models.append(config_of(resolver.resolve(block.layer, block.kind, name)[0]))
    for model in models:
        for key, field in model.model_fields.items():
            inner = _Type(field.annotation, tuple(field.metadata))
            if not any(is_later(each) for each in metadata_of(inner)):
                yield key, inner
