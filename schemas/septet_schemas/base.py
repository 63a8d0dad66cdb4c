"""Base classes and annotations of the config models of all blocks."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar

import msgspec
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from septet_schemas.docstrings import field_docstrings

__all__ = [
    "Config", "Expression", "ExpressionMark", "Input", "InputMark", "LazySchema", "Secret",
    "SecretRef", "marks_of",
]  # fmt: skip


class Config(BaseModel):
    """A block of the strategy file: frozen, no unknown keys, defaults validated.

    `shorthand` names the field that a bare value stands for: with ``shorthand = "max"``,
    ``position: 10%`` reads as ``position: {max: 10%}``. `required_keys` lists the generic keys for
    which this plugin has no default (a CSV file must state its ``stamp``). `gives_known_time` means
    that a series brings the time each value became known, `gives_probability` that the output of a
    model is a probability without calibration, `learns` that a model is fitted; a model that is not
    fitted has no `training`.

    pydantic builds the validator of a class at its first use instead of at import; the settings of
    a plugin are built when the plugin is loaded.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, defer_build=True
    )
    shorthand: ClassVar[str | None] = None
    required_keys: ClassVar[tuple[str, ...]] = ()
    gives_known_time: ClassVar[bool] = False
    gives_probability: ClassVar[bool] = False
    learns: ClassVar[bool] = True

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe each key by the docstring that follows its field."""
        described = handler(schema)
        properties = handler.resolve_ref_schema(described).get("properties", {})
        for name, text in field_docstrings(cls).items():
            field = cls.model_fields.get(name)
            key = name if field is None else field.alias or name
            if key in properties:
                written = properties[key].get("description")  # the form of its values
                form = f" Written as {written}." if written else ""
                properties[key]["description"] = text + form
        return described

    @model_validator(mode="before")
    @classmethod
    def _no_bool_for_a_number(cls, data: Any) -> Any:
        """Reject a boolean for a numeric field; Python would convert `true` to 1."""
        if not isinstance(data, Mapping):
            return data
        errors = [
            InitErrorDetails(
                type=PydanticCustomError("number", "expected a number", {"expected": "a number"}),
                loc=(name,),
                input=data[name],
            )
            for name, info in cls.model_fields.items()
            if isinstance(data.get(name), bool)
            and info.annotation in (int, float, int | None, float | None)
        ]
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return data


class LazySchema(msgspec.Struct, frozen=True):
    """Gives a field a JSON Schema that is built when a schema is written, not at import."""

    make: Callable[[], dict[str, Any]]

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return self.make()


class InputMark(msgspec.Struct, frozen=True):
    """Marks a field that names a column: a bar column, a feature, or `column@SYMBOL`."""


class ExpressionMark(msgspec.Struct, frozen=True):
    """Marks a field that holds an expression over columns, compiled into the plan."""


@cache
def marks_of(config: type[Config]) -> Mapping[str, str]:
    """Return the fields that name columns (`input`) or hold expressions (`expression`)."""

    def mark(annotation: Any, metadata: list[Any]) -> str:
        for each in metadata:
            if isinstance(each, InputMark):
                return "input"
            if isinstance(each, ExpressionMark):
                return "expression"
        for part in typing.get_args(annotation):
            inner = mark(part, list(getattr(part, "__metadata__", ())))
            if inner:
                return inner
        return ""

    marks = {
        name: mark(info.annotation, info.metadata) for name, info in config.model_fields.items()
    }
    return {name: kind for name, kind in marks.items() if kind}


def _column(value: Any) -> Any:
    if not isinstance(value, str) or not value.strip():
        raise PydanticCustomError(
            "column",
            "expected the name of a column or feature, found {found}",
            {"expected": "the name of a column or feature", "found": repr(value)},
        )
    return value.strip()


def _expression(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    if not isinstance(value, str) or not value.strip():
        raise PydanticCustomError(
            "expression",
            "expected an expression such as 'fast > slow', found {found}",
            {"expected": "an expression such as 'fast > slow'", "found": repr(value)},
        )
    return value.strip()


Input = Annotated[str, InputMark(), BeforeValidator(_column), WithJsonSchema({"type": "string"})]
"""Name of a column: `close`, a feature, a feature's output, or `close@ETH/USDT`."""
Expression = Annotated[
    str,
    ExpressionMark(),
    BeforeValidator(_expression),
    WithJsonSchema({"type": ["string", "number"]}),
]
"""Expression over columns, such as `crosses_above(fast, slow)`."""


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Reference to a secret (`env:NAME` or `file:/path`); it never holds the secret itself."""

    scheme: str
    name: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.name}"

    @classmethod
    def parse(cls, value: object) -> SecretRef:
        """Read `env:NAME` or `file:/path`; a literal secret is rejected and not repeated."""
        if isinstance(value, SecretRef):
            return value
        if isinstance(value, str):
            scheme, colon, name = value.partition(":")
            if colon and scheme in ("env", "file") and name:
                return cls(scheme, name)
        raise PydanticCustomError(
            "secret",
            "expected env:NAME or file:/path, found a value written in the file (not shown)",
            {"expected": "env:NAME or file:/path", "found": "a literal value (not shown)"},
        )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, object]:
        return {"type": "string", "pattern": "^(env|file):.+$"}


Secret = SecretRef
"""The type of a secret in a plugin's config: `env:NAME` or `file:/path`."""
