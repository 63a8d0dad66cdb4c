"""Blocks: `use`, generic keys, the plugin's keys, short forms; errors with their locations."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from septet.plugin import Config, Fraction, halt, limit
from septet_schemas.blocks import BlockOf, NamedBlocks, UseBlock
from septet_schemas.keys import HaltKeys
from septet_schemas.simulation import Fee, Simulation, Slippage


class Cap(Config):
    """A cap."""

    shorthand = "max"
    max: Annotated[Fraction, Field(gt=0.0)]
    count: int = 1


class Fall(Config):
    """A fall."""

    above: Fraction
    odds: Cap | None = None


cap = limit(Cap)(lambda requested, max, count: requested)  # noqa: A006 - the key in the file
fall = halt(Fall)(lambda equity, above: False)


class Resolver:
    """Knows two plugins."""

    def resolve(self, layer: str, kind: str, name: str) -> tuple[Any, str]:
        found = {("limit", "cap"): cap, ("halt", "fall"): fall}.get((kind, name))
        if found is None:
            raise PydanticCustomError("plugin", "unknown {name}", {"name": name})
        return found, "ours"


LIMITS = TypeAdapter(
    Annotated[
        dict[str, Annotated[UseBlock, BlockOf("risk", "limit", None, True)]], NamedBlocks()
    ]
)  # fmt: skip
HALT: TypeAdapter[UseBlock] = TypeAdapter(Annotated[UseBlock, BlockOf("risk", "halt", HaltKeys)])
CONTEXT = {"resolver": Resolver()}


def locations(adapter: TypeAdapter[Any], value: Any) -> set[tuple[Any, ...]]:
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(value, context=CONTEXT)
    return {error["loc"] for error in caught.value.errors()}


def test_short_form_is_the_long_form() -> None:
    short = LIMITS.validate_python({"cap": "10%"}, context=CONTEXT)["cap"]
    long = LIMITS.validate_python({"cap": {"use": "cap", "max": "10%"}}, context=CONTEXT)["cap"]
    assert short == long
    assert (short.use, short.distribution) == ("cap", "ours")


def test_another_name_needs_use() -> None:
    found = LIMITS.validate_python({"tight": {"use": "cap", "max": "1%"}}, context=CONTEXT)
    assert found["tight"].use == "cap"
    assert locations(LIMITS, {"tight": {"max": "1%"}}) == {("tight",)}
    assert locations(LIMITS, {"tight": {"use": "cp"}}) == {("tight", "use")}


def test_errors_of_both_halves_rise_at_once() -> None:
    value = {"use": "fall", "then": "panic", "above": "much", "odds": {"count": "x"}, "extra": 1}
    assert locations(HALT, value) == {
        ("then",), ("above",), ("odds", "max"), ("odds", "count"), ("extra",),
    }  # fmt: skip


def test_written_as_it_was_read() -> None:
    block = HALT.validate_python(
        {"use": "fall", "above": "10%", "resume": "12h", "odds": {"max": "5%"}}, context=CONTEXT
    )
    assert block.extra == {"then": "flatten", "resume": 12 * 3_600 * 10**9}
    written = HALT.dump_python(block, mode="json")
    assert written["resume"] == "12h"
    assert HALT.validate_python(written, context=CONTEXT) == block


@pytest.mark.parametrize("value", [None, "fall", 3, [], {}, {"use": None}, {"use": ["fall"]}])
def test_not_a_block(value: object) -> None:
    assert locations(HALT, value)


def test_without_a_resolver_it_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="resolver"):
        HALT.validate_python({"use": "fall", "above": "1%"})


def test_true_is_no_number() -> None:
    with pytest.raises(ValidationError, match="expected a number"):
        Cap.model_validate({"max": "1%", "count": True})


def test_simulation_short_forms_and_defaults() -> None:
    default = Simulation()
    assert default.fee == Fee(maker="10bps", taker="10bps")
    assert default.slippage == Slippage(fraction="5bps")
    assert (default.latency, default.participation, default.fills) == (0, None, "next_open")
    short = Simulation.model_validate({"fee": "1bps", "slippage": 0, "latency": 2})
    assert (short.fee.maker, short.fee.taker, short.slippage.fraction) == (0.0001, 0.0001, 0.0)
    rebate = Simulation.model_validate({"fee": {"maker": "-1bps", "fee_currency": "base"}})
    assert (rebate.fee.maker, rebate.fee.taker) == (-0.0001, 0.001)
