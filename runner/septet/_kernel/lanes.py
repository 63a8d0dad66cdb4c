"""SIMD lanes: four blocks of the time grid computed at once, one instruction for four bars.

A step that restarts at every multiple of its period on the time grid computes blocks of that
many bars that do not depend on each other. Four of them are computed at once, a bar of each, with
the same operations in the same order as the step: the bits are the same.

No rule is written twice. The source of the step is compiled a second time, for other types: a
number that differs between blocks is a vector of four, an array is read at four addresses, and
a state holds four. Its branches must not depend on such a number, and the compiler refuses those
that do, except in the helpers that `forms` names: they select for each block separately, or
`usual` records that a block is not as usual. Then the four blocks are computed bar by bar.

numba is imported here as in `step`: only when something is compiled.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, Final

from septet._kernel import maths, moments, sums
from septet._kernel.maths import NAN
from septet._kernel.numba_inside import instruction, kinds_of_numba, lowering

__all__ = ["WIDTH", "forms", "instructions", "natives"]

WIDTH: Final = 4
"""Blocks that are taken at once."""


@cache
def _kinds() -> SimpleNamespace:
    """Return the types: a number of each block, a boolean of each, an array, and a state."""
    kinds = kinds_of_numba()
    ir = lowering().ir
    Conversion = lowering().Conversion
    models, register_model = lowering().models, lowering().register_model

    class Kind(kinds.Type):  # type: ignore[misc, name-defined]
        lanes = WIDTH

    class Numbers(Kind):
        def can_convert_from(self, typing_context: Any, other: Any) -> Any:
            return Conversion.safe if isinstance(other, kinds.Float | kinds.Integer) else None

    class Flags(Kind): ...

    class Array(Kind): ...

    class State(Kind): ...

    def held_as(kind: Any, element: Any) -> Any:
        @register_model(kind)
        class Model(models.PrimitiveModel):  # type: ignore[misc, name-defined]
            def __init__(self, manager: Any, each: Any) -> None:
                super().__init__(manager, each, element)

        return kind(kind.__name__)

    @register_model(Array)
    class ArrayModel(models.StructModel):  # type: ignore[misc, name-defined]
        def __init__(self, manager: Any, kind: Any) -> None:
            members = [("data", kinds.CPointer(kinds.float64)), ("apart", kinds.int64)]
            super().__init__(manager, kind, members)

    vector = ir.VectorType(ir.DoubleType(), WIDTH)
    return SimpleNamespace(
        numbers=held_as(Numbers, vector),
        flags=held_as(Flags, ir.VectorType(ir.IntType(1), WIDTH)),
        array=Array("Array"),
        state=held_as(State, vector.as_pointer()),
        vector=vector,
        undefined=ir.Constant(vector, ir.Undefined),
    )


def _word(number: int) -> Any:
    ir = lowering().ir

    return ir.IntType(32)(number)


def _filled(builder: Any, value: Any) -> Any:
    """Return a vector that holds a number in every lane."""
    vector = _kinds().undefined
    for lane in range(WIDTH):
        vector = builder.insert_element(vector, value, _word(lane))
    return vector


def _all(context: Any, builder: Any, number: float) -> Any:
    kinds = kinds_of_numba()

    return _filled(builder, context.get_constant(kinds.float64, number))


@cache
def _conversions() -> None:
    """Define the conversion of a number to a vector that holds it in every lane."""
    kinds = kinds_of_numba()
    lower_cast = lowering().lower_cast

    def cast(context: Any, builder: Any, source: Any, target: Any, value: Any) -> Any:
        return _filled(builder, context.cast(builder, value, source, kinds.float64))

    for number in (kinds.Float, kinds.Integer):
        lower_cast(number, type(_kinds().numbers))(cast)


def _define(key: Any, shape: Callable[..., Any], code: Callable[..., Any], *given: Any) -> None:
    """Define an operator over `given` types: `shape` returns its signature for others, or None."""
    infer_global = lowering().infer_global
    lower_builtin = lowering().lower_builtin

    @infer_global(key)
    class Template(lowering().AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            return shape(*args)

    lower_builtin(key, *given)(code)


@cache
def _operators() -> None:
    """Define the operators that a step may apply to numbers of four blocks."""
    kinds = kinds_of_numba()
    signature = lowering().signature

    our = _kinds()

    def number(kind: Any) -> bool:
        return isinstance(kind, kinds.Float | kinds.Integer)

    def both(result: Any) -> Callable[..., Any]:
        def shape(*args: Any) -> Any:
            if our.numbers in args and all(each == our.numbers or number(each) for each in args):
                return signature(result, *(our.numbers for _ in args))
            return None

        return shape

    def arithmetic(name: str) -> Callable[..., Any]:
        return lambda context, builder, sig, values: getattr(builder, name)(*values)

    def comparison(sign: str) -> Callable[..., Any]:
        return lambda context, builder, sig, values: builder.fcmp_ordered(sign, *values)

    for word, name in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("truediv", "fdiv")):
        for key in (getattr(operator, word), getattr(operator, f"i{word}")):
            _define(key, both(our.numbers), arithmetic(name), our.numbers, our.numbers)
    _define(operator.neg, both(our.numbers), arithmetic("fneg"), our.numbers)
    for key, sign in ((operator.gt, ">"), (operator.eq, "==")):
        _define(key, both(our.flags), comparison(sign), our.numbers, our.numbers)


@cache
def _reading() -> None:
    """Define how arrays and states are read, and states written."""
    kinds = kinds_of_numba()
    cgutils = lowering().cgutils
    signature = lowering().signature

    our = _kinds()

    def get_of(kind: Any) -> Callable[..., Any]:
        def get(target: Any, index: Any) -> Any:
            is_known = target == kind and isinstance(index, kinds.Integer)
            return signature(our.numbers, target, kinds.int64) if is_known else None

        return get

    def put(target: Any, index: Any, value: Any) -> Any:
        is_known = target == our.state and isinstance(index, kinds.Integer)
        return signature(kinds.none, target, kinds.int64, our.numbers) if is_known else None

    def slot(builder: Any, state: Any, index: Any) -> Any:
        return builder.gep(state, [builder.add(index, index.type(1))])  # the first slot is a note

    def fetch(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return builder.load(slot(builder, *values))

    def read(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        array = cgutils.create_struct_proxy(our.array)(context, builder, value=values[0])
        vector = our.undefined
        for lane, address in enumerate(_addresses(builder, array.data, values[1], array.apart)):
            vector = builder.insert_element(vector, builder.load(address), _word(lane))
        return vector

    def write(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        builder.store(values[2], slot(builder, values[0], values[1]))
        return context.get_dummy_value()

    _define(operator.getitem, get_of(our.array), read, our.array, kinds.int64)
    _define(operator.getitem, get_of(our.state), fetch, our.state, kinds.int64)
    _define(operator.setitem, put, write, our.state, kinds.int64, our.numbers)


def _addresses(builder: Any, data: Any, first: Any, apart: Any) -> list[Any]:
    """Return the address of the bar of each block."""
    addresses = [builder.gep(data, [first])]
    for _ in range(WIDTH - 1):
        addresses.append(builder.gep(addresses[-1], [apart]))
    return addresses


def _call(builder: Any, name: str, value: Any) -> Any:
    """Call an LLVM intrinsic on a vector, such as the square root."""
    cgutils = lowering().cgutils
    ir = lowering().ir

    vector = _kinds().vector
    kind = ir.FunctionType(vector, [vector])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{WIDTH}f64")
    return builder.call(function, [value])


_instruction = partial(instruction, literal=True)


@cache
def instructions() -> tuple[Any, Any, Any, Any]:
    """Return what a plan calls: `beside`, `lanes`, `scatter` and `rejoin`.

    ``beside(array, apart)`` is an array read at four addresses, ``lanes(count)`` a zero state of
    four, ``scatter(array, i, apart, numbers)`` writes at four addresses, and ``rejoin(lanes,
    state, count)`` stores the state of the last block, unless a block was not as usual.
    """
    kinds = kinds_of_numba()
    cgutils = lowering().cgutils

    _conversions()
    _operators()
    _reading()
    our = _kinds()

    @_instruction
    def beside(typing_context: Any, array: Any, apart: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            fields = cgutils.create_struct_proxy(our.array)(context, builder)
            fields.data = context.make_array(array)(context, builder, values[0]).data
            fields.apart = values[1]
            return fields._getvalue()

        return our.array(array, kinds.int64), code

    @_instruction
    def lanes(typing_context: Any, count: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            size = count.literal_value + 1
            space = cgutils.alloca_once(builder, our.vector, size=size)
            for slot in range(size):
                builder.store(_all(context, builder, 0.0), builder.gep(space, [_word(slot)]))
            return space

        return our.state(count), code

    @_instruction
    def scatter(typing_context: Any, array: Any, i: Any, apart: Any, numbers: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            data = context.make_array(array)(context, builder, values[0]).data
            for lane, address in enumerate(_addresses(builder, data, values[1], values[2])):
                builder.store(builder.extract_element(values[3], _word(lane)), address)
            return context.get_dummy_value()

        return kinds.void(array, kinds.int64, kinds.int64, our.numbers), code

    @_instruction
    def rejoin(typing_context: Any, state: Any, stored: Any, count: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            note = builder.load(values[0])
            lanes = [builder.extract_element(note, _word(lane)) for lane in range(WIDTH)]
            total = lanes[0]
            for each in lanes[1:]:
                total = builder.fadd(total, each)
            usual = builder.fcmp_ordered("==", total, total.type(0.0))
            data = context.make_array(stored)(context, builder, values[1]).data
            with builder.if_then(usual):
                for slot in range(count.literal_value):
                    value = builder.load(builder.gep(values[0], [_word(slot + 1)]))
                    last = builder.extract_element(value, _word(WIDTH - 1))
                    builder.store(last, builder.gep(data, [_word(slot)]))
            return usual

        return kinds.boolean(state, stored, count), code

    return beside, lanes, scatter, rejoin


@cache
def forms(compile_part: Callable[..., Any]) -> dict[Callable[..., Any], Any]:
    """Return the replacement of each helper that branches, for calls with four blocks.

    `compile_part` compiles each of them.
    """
    kinds = kinds_of_numba()

    our = _kinds()

    @_instruction
    def first(typing_context: Any, numbers: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            return builder.extract_element(values[0], _word(0))

        return kinds.float64(numbers), code

    @_instruction
    def floors(typing_context: Any, numbers: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            return _call(builder, "floor", values[0])

        return our.numbers(numbers), code

    @_instruction
    def quotients(typing_context: Any, over: Any, under: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            none = builder.fcmp_ordered("==", values[1], _all(context, builder, 0.0))
            quotient = builder.fdiv(*values)
            return builder.select(none, _all(context, builder, NAN), quotient)

        return our.numbers(our.numbers, our.numbers), code

    @_instruction
    def roots(typing_context: Any, x: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            real = builder.fcmp_ordered(">=", values[0], _all(context, builder, 0.0))
            root = _call(builder, "sqrt", values[0])
            return builder.select(real, root, _all(context, builder, NAN))

        return our.numbers(our.numbers), code

    @_instruction
    def noted(typing_context: Any, is_usual: Any, state: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            note = builder.load(values[1])
            builder.store(builder.select(values[0], note, _all(context, builder, 1.0)), values[1])
            return context.get_constant(kinds.boolean, True)

        return kinds.boolean(our.flags, our.state), code

    def due(i: Any, slot: Any, period: Any, state: Any, at: Any) -> Any:
        if first(state[at]) != 0.0:  # the blocks are in step, and end where the grid is passed
            return False
        state[at] = (floors(slot[i] / period) + 1) * period
        return True

    def odd_moments(i: Any, x: Any, period: Any, middle: Any, state: Any, at: Any) -> Any:
        return NAN, NAN, NAN  # never asked for

    return {
        sums.due: compile_part(due),
        maths.divide: compile_part(lambda over, under: quotients(over, under)),
        maths.root: compile_part(lambda x: roots(x)),
        maths.usual: compile_part(lambda known, state: noted(known, state)),
        moments.odd_moments: compile_part(odd_moments),
    }


@cache
def natives() -> dict[str, Callable[..., Any]]:
    """Return the implementations of helpers that read a window four values at a time."""
    kinds = kinds_of_numba()

    beside, lanes, _, _ = instructions()
    our = _kinds()

    @_instruction
    def magnitudes(typing_context: Any, numbers: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            return _call(builder, "fabs", values[0])

        return our.numbers(numbers), code

    @_instruction
    def apart(typing_context: Any, numbers: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            each = [builder.extract_element(values[0], _word(lane)) for lane in range(WIDTH)]
            return context.make_tuple(builder, sig.return_type, each)

        return kinds.UniTuple(kinds.float64, WIDTH)(numbers), code

    def four_distances(i: Any, x: Any, fours: Any, middle: Any) -> Any:
        window, sums = beside(x, 1), lanes(1)
        for four in range(fours):
            sums[0] += magnitudes(window[i - 3 - 4 * four] - middle)
        d, c, b, a = apart(sums[0])
        return a, b, c, d

    return {"four_distances": four_distances}
