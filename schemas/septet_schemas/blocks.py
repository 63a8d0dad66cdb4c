"""Blocks that name a plugin: `use:` picks it, its own config model reads the rest.

A validated block is a `UseBlock`. Keys that mean the same for every plugin of a kind (a halt's
`then`, a candle source's `stamp`) are split off first and stored in `UseBlock.extra`; the plugin's
config model validates the rest. The errors of both parts are raised together, each with its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

import msgspec
from pydantic import Field, GetCoreSchemaHandler, ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from septet_schemas.base import Config

__all__ = ["BlockName", "BlockOf", "NamedBlocks", "Resolver", "UseBlock", "config_of"]

BlockName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
"""A name that a file gives to a block: letters, digits and underscores."""


class Resolver(Protocol):
    """Interface that finds plugins.

    It is passed as ``context={"resolver": ...}`` when a strategy is validated.
    """

    def resolve(self, layer: str, kind: str, name: str) -> tuple[Any, str]:
        """Return the declaration and its distribution, or raise `PydanticCustomError`."""
        ...


@dataclass(frozen=True, slots=True)
class UseBlock:
    """One validated block: the plugin, its config, and the generic keys.

    `use` is the plugin's name as written in the file, without the prefix ``septet:`` of built-ins.

    `extra` holds the generic keys by name, defaults filled in; `bar_ns` is the bar length of a
    feature with a higher time frame (`bar: 4h`), None for the bar of the universe.
    """

    use: str
    layer: str
    kind: str
    config: Config
    declaration: Any
    distribution: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    bar_ns: int | None = None


class _Named(msgspec.Struct, frozen=True):
    """A block whose key may serve as its `use`."""

    name: str
    value: Any


def config_of(declaration: Any) -> type[Config]:
    """Return the config model of a plugin's declaration."""
    model: type[Config] = declaration.config
    return model


def _line_errors(error: ValidationError) -> list[InitErrorDetails]:
    """Convert a validation error to line errors, so that it can be raised together with others."""
    details: list[InitErrorDetails] = []
    for each in error.errors(include_url=False):
        kind: Any = each["type"]
        context = each.get("ctx", {})
        try:
            detail = InitErrorDetails(
                type=kind, loc=each["loc"], input=each["input"], ctx=dict(context)
            )
            ValidationError.from_exception_data("block", [detail])
        except (KeyError, TypeError):  # pydantic does not know the types of custom errors
            message = each["msg"].replace("{", "(").replace("}", ")")
            custom = PydanticCustomError(kind, message, dict(context))
            detail = InitErrorDetails(type=custom, loc=each["loc"], input=each["input"])
        details.append(detail)
    return details


def _at(key: str, value: Any, error: PydanticCustomError) -> InitErrorDetails:
    return InitErrorDetails(type=error, loc=(key,), input=value)


class BlockOf(msgspec.Struct, frozen=True):
    """Annotation of a field that holds one block: ``Annotated[UseBlock, BlockOf(...)]``.

    `generic` is the model of the generic keys, None if the kind has none.
    """

    layer: str
    kind: str
    generic: type[Config] | None = None
    named: bool = False

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self.validate,
            serialization=core_schema.plain_serializer_function_ser_schema(self.dump),
        )

    def __get_pydantic_json_schema__(self, schema: object, handler: object) -> dict[str, Any]:
        """Return a marker; `septet schema` replaces it by the models of all installed plugins."""
        generic = self.generic.__name__ if self.generic else None
        marker = {"layer": self.layer, "kind": self.kind, "generic": generic, "named": self.named}
        return {"type": "object", "x-septet-plugin": marker}

    def validate(self, value: Any, info: ValidationInfo) -> UseBlock:
        """Find the plugin and validate both parts of the block; raise the errors of both."""
        if isinstance(value, UseBlock):
            return value
        name = value.name if isinstance(value, _Named) else None
        raw = value.value if isinstance(value, _Named) else value
        use = self._use(raw, name).strip()
        declaration, distribution = self._resolve(
            use, info, written=isinstance(raw, Mapping) and "use" in raw
        )
        model = config_of(declaration)
        keys = self._keys(raw, use, model)
        generic, config, errors = {}, None, []
        names = set(self.generic.model_fields) if self.generic else set()
        try:
            if self.generic is not None:
                part = {key: keys[key] for key in keys if key in names}
                checked = self.generic.model_validate(part, context=info.context)
                generic = {key: getattr(checked, key) for key in self.generic.model_fields}
        except ValidationError as error:
            errors += _line_errors(error)
        try:
            own_keys = {key: keys[key] for key in keys if key not in names}
            config = model.model_validate(own_keys, context=info.context)
        except ValidationError as error:
            errors += _line_errors(error)
        if errors or config is None:
            raise ValidationError.from_exception_data(use, errors)
        bar_ns = generic.pop("bar", None) if self.layer == "features" else None
        # the names of built-ins have no prefix: rules elsewhere compare these names
        use = use.removeprefix("septet:")
        return UseBlock(
            use, self.layer, self.kind, config, declaration, distribution, generic, bar_ns
        )

    def dump(self, block: UseBlock) -> dict[str, Any]:
        """Write a block as in a strategy file: `use`, generic keys, the plugin's keys."""
        extra = dict(block.extra)
        if self.layer == "features":
            extra["bar"] = block.bar_ns
        generic = (
            self.generic.model_construct(**extra).model_dump(mode="json") if (self.generic) else {}
        )
        own_keys = block.config.model_dump(mode="json")
        # a key of both models is read as the generic one, so it is written as the generic one
        return {
            "use": block.use,
            **generic,
            **{k: own_keys[k] for k in own_keys if k not in generic},
        }

    def _use(self, raw: Any, name: str | None) -> str:
        use = raw.get("use", name) if isinstance(raw, Mapping) else name
        if use is None:
            if isinstance(raw, Mapping):
                message = "this block does not state which {kind} to use"
                raise PydanticCustomError("use_missing", message, self._expected())
            raise PydanticCustomError("use_block", "expected {expected}", self._expected())
        if not isinstance(use, str) or not use.strip():
            error = PydanticCustomError(
                "use_name", "use: takes the name of one plugin", {"expected": "a plugin's name"}
            )
            raise ValidationError.from_exception_data("use", [_at("use", use, error)])
        return use

    def _expected(self) -> dict[str, Any]:
        name = "alert channel" if self.kind == "alerts" else self.kind
        article = "an" if name[0] in "aeiou" else "a"
        return {
            "kind": name,
            "layer": self.layer,
            "expected": f"a block such as {{use: <name of {article} {name}>, ...}}",
        }

    def _resolve(self, use: str, info: ValidationInfo, *, written: bool) -> tuple[Any, str]:
        if not info.context or "resolver" not in info.context:
            raise TypeError('validate a strategy with context={"resolver": ...}')
        resolver: Resolver = info.context["resolver"]
        try:
            return resolver.resolve(self.layer, self.kind, use)
        except PydanticCustomError as error:
            if not written:
                raise
            raise ValidationError.from_exception_data(use, [_at("use", use, error)]) from None

    def _keys(self, raw: Any, use: str, model: type[Config]) -> Mapping[str, Any]:
        if isinstance(raw, Mapping):
            return {key: raw[key] for key in raw if key != "use"}
        if model.shorthand is not None and raw is not None and not isinstance(raw, list):
            return {model.shorthand: raw}
        fields = ", ".join(model.model_fields) or "no keys of its own"
        raise PydanticCustomError(
            "use_short",
            "{use} has no short form",
            {"use": use, "expected": f"a block with the keys of {use}: {fields}"},
        )


class NamedBlocks(msgspec.Struct, frozen=True):
    """Annotation of a mapping name -> block in which the name is the default of `use`."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self.wrap, handler(source))

    def wrap(self, value: Any) -> Any:
        """Pass every entry's key down to its block."""
        if not isinstance(value, Mapping):
            return value
        return {
            key: each if isinstance(each, UseBlock) else _Named(str(key), each)
            for key, each in value.items()
        }
