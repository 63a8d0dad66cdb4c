"""The wrapper around numba: it compiles plain steps and their helpers.

numba is imported only when something is compiled; its private parts come from `numba_inside`. A
step and its helpers stay plain functions: compiling one makes a copy whose helpers are compiled
too, and the plain function remains the reference.
"""

from __future__ import annotations

import os
import types
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final

from septet._kernel import lanes, layout
from septet._kernel.marks import index
from septet._kernel.numba_inside import instruction, kinds_of_numba, lowering
from septet._kernel.part_compiler import entry_compiler, part_compiler

__all__ = [
    "compile_part",
    "compile_step",
    "jit",
    "jit_entry",
    "jit_inner",
    "local_maker",
    "outside_maker",
    "prefetcher",
    "read_only_maker",
    "unit_caller",
    "view_maker",
    "with_compiled_helpers",
]

# SVML answers differ from libm's in the last bit; it must be off before numba is imported.
os.environ.setdefault("NUMBA_DISABLE_INTEL_SVML", "1")

_OPTIONS: Final[dict[str, Any]] = {
    "error_model": "numpy",
    "_nrt": False,
    "fastmath": False,
    "boundscheck": None,
}


@cache
def _numba() -> Any:
    import numba

    return numba


def jit(function: Callable[..., Any], **options: Any) -> Any:
    """Compile with our options: no reference counting, no fastmath, x/0 is inf."""
    return _numba().njit(**{**_OPTIONS, **options})(function)


def jit_inner(function: Callable[..., Any], *, inline: bool) -> Any:
    """Compile a function that only compiled code calls, without a wrapper for Python.

    `inline` is always set explicitly: otherwise a function has that of its first caller, and
    all that a kernel calls would be inlined.
    """
    return _of_types(jit(function, forceinline=inline, **_inner()))


def _of_types(dispatcher: Any, function: Callable[..., Any] | None = None) -> Any:
    """Select a compiled form by the types of the arguments of a call, not by constants.

    numba compiles a function again for every constant it is called with; inlined code sees its
    constants in any case. Without this a plan takes a third longer to compile. Called with the
    types of `lanes`, a helper may have a form of its own.
    """
    kinds = kinds_of_numba()

    unliteral: Any = kinds.unliteral
    choose = dispatcher.get_call_template

    def by_types(args: Any, kws: Any) -> Any:
        unliteral_types = tuple(unliteral(each) for each in args)
        if unliteral_types not in dispatcher.overloads and any(
            hasattr(each, "lanes") for each in unliteral_types
        ):
            form = function and lanes.forms(compile_part).get(function)
            if form is not None:
                form.compile(unliteral_types)
                dispatcher.overloads[unliteral_types] = form.overloads[unliteral_types]
        return choose(unliteral_types, {name: unliteral(each) for name, each in kws.items()})

    dispatcher.get_call_template = by_types
    return dispatcher


def jit_entry(function: Callable[..., Any], signature: str, **options: Any) -> Any:
    """Compile one entry for one signature; kept on disk where its source can be located."""
    chosen = {**_OPTIONS, **_compiled_by(entry_compiler()), **options}
    try:
        return _numba().njit(signature, cache=True, **chosen)(function)
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
        return _numba().njit(signature, **chosen)(function)


@cache
def prefetcher() -> Any:
    """Return the intrinsic ``prefetch(row, i)``, which loads an element of a row into the cache.

    It reads nothing and its address may be invalid. Rows that are read at few times are not in
    the cache at one of these times.
    """
    kinds = kinds_of_numba()
    ir = lowering().ir

    @instruction
    def prefetch(typing_context: Any, row: Any, i: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            array = context.make_array(row)(context, builder, values[0])
            address = builder.gep(array.data, [values[1]])
            byte = ir.IntType(8).as_pointer()
            word = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
            function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
            numbers = [ir.Constant(word, each) for each in (0, 3, 1)]  # read, keep, data
            builder.call(function, [builder.bitcast(address, byte), *numbers])
            return context.get_dummy_value()

        return kinds.void(row, kinds.int64), code

    return prefetch


@cache
def view_maker(dtype: str, dimensions: int) -> Any:
    """Return the intrinsic that makes an array of a row of an address table.

    ``view(table, row)`` is the C-contiguous array of `dtype` whose address and shape are
    ``table[row]`` (int64: address, then up to three lengths). Passing one table costs a call from
    Python a tenth of passing the arrays; and the writer of the table may shift an address, so
    that one cursor reads the full history of one array and a short window of another.
    """
    kinds = kinds_of_numba()
    arrayobj = lowering().arrayobj

    populate: Any = arrayobj.populate_array

    scalar = getattr(kinds, dtype)
    array = kinds.Array(scalar, dimensions, "C")
    table_type = kinds.Array(kinds.int64, 2, "C")

    @instruction
    def view(typing_context: Any, table: Any, row: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            fields = context.make_array(array)(context, builder)
            words = context.make_array(table_type)(context, builder, values[0])
            width = builder.extract_value(words.shape, 1)
            first = builder.mul(builder.trunc(values[1], width.type), width)

            def word(column: int) -> Any:
                index = builder.add(first, context.get_constant(kinds.intp, column))
                return builder.load(builder.gep(words.data, [index]))

            pointer = context.get_data_type(scalar).as_pointer()
            shape = [word(1 + axis) for axis in range(dimensions)]
            size = context.get_constant(kinds.intp, scalar.bitwidth // 8)
            stride, strides = size, list[Any]()
            for length in reversed(shape):
                strides.insert(0, stride)
                stride = builder.mul(stride, length)
            populate(
                fields, data=builder.inttoptr(word(0), pointer), shape=shape, strides=strides,
                itemsize=size, meminfo=None,
            )  # fmt: skip
            return fields._getvalue()

        return array(table_type, kinds.int64), code

    return view


@cache
def local_maker() -> Any:
    """Return the intrinsic that makes a small array of float64 on the stack.

    ``local(count)``, `count` a literal: its slots become registers where they are addressed by
    constants, which an array that other arrays may overlap with never can.
    """
    kinds = kinds_of_numba()
    cgutils = lowering().cgutils
    arrayobj = lowering().arrayobj

    allocate: Any = cgutils.alloca_once
    populate: Any = arrayobj.populate_array
    array = kinds.Array(kinds.float64, 1, "C")

    @partial(instruction, literal=True)
    def local(typing_context: Any, count: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            fields = context.make_array(array)(context, builder)
            length = context.get_constant(kinds.intp, count.literal_value)
            size = context.get_constant(kinds.intp, 8)
            space = allocate(builder, context.get_data_type(kinds.float64), size=length)
            populate(
                fields, data=space, shape=[length], strides=[size], itemsize=size, meminfo=None
            )
            return fields._getvalue()

        return array(count), code

    return local


@cache
def read_only_maker() -> Any:
    """Return the intrinsic that makes an array read-only for the compiler.

    ``read_only(array)`` is the same array under a type to which nothing can be written: a step
    that writes to it does not compile.
    """

    @instruction
    def read_only(typing_context: Any, array: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return values[0]

        return array.copy(readonly=True)(array), code

    return read_only


@cache
def outside_maker() -> Any:
    """Return the intrinsic that calls a function of this process at an address.

    ``outside(address, number, k, i0, first, stop, M, X, F, S, P)`` passes the integers and, of
    each array, its address and lengths. The address is data, so that the code can be cached.
    """
    kinds = kinds_of_numba()
    ir = lowering().ir

    @instruction
    def outside(
        typing_context: Any, address: Any, number: Any, k: Any, i0: Any, first: Any, stop: Any,
        M: Any, X: Any, F: Any, S: Any, P: Any,
    ) -> Any:  # fmt: skip
        def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            word = ir.IntType(64)
            arguments = list(values[1:6])
            for kind, value in zip(signature.args[6:], values[6:], strict=True):
                array = context.make_array(kind)(context, builder, value)
                arguments.append(builder.ptrtoint(array.data, word))
                arguments += [builder.extract_value(array.shape, axis) for axis in range(kind.ndim)]
            form = ir.FunctionType(word, [word] * len(arguments))
            return builder.call(builder.inttoptr(values[0], form.as_pointer()), arguments)

        integers = [kinds.int64] * 6
        return kinds.int64(*integers, M, X, F, S, P), code

    return outside


@cache
def unit_caller() -> Any:
    """Return the intrinsic that calls an entry of another unit of the plan.

    ``call_unit(H, place, a, b)`` calls the entry whose address is ``H[place]`` with two integers
    and the table of arrays, and returns its result. An exception of the entry is raised.
    """
    kinds = kinds_of_numba()
    cgutils, arrayobj = lowering().cgutils, lowering().arrayobj
    table = kinds.Array(kinds.int64, 2, "C")

    @instruction
    def call_unit(typing_context: Any, calls: Any, place: Any, a: Any, b: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            words = context.make_array(calls)(context, builder, values[0])

            def word(at: Any) -> Any:
                return builder.load(builder.gep(words.data, [at]))

            def number(value: int) -> Any:
                return context.get_constant(kinds.intp, value)

            fields, width = context.make_array(table)(context, builder), layout.TABLE_COLUMNS
            pointer = context.get_data_type(kinds.int64).as_pointer()
            arrayobj.populate_array(
                fields, data=builder.inttoptr(word(number(layout.CALL_TABLE)), pointer),
                shape=[word(number(layout.CALL_ROWS)), number(width)],
                strides=[number(8 * width), number(8)], itemsize=number(8), meminfo=None,
            )  # fmt: skip
            kind = (kinds.int64, kinds.int64, table)
            convention = context.call_conv
            form = convention.get_function_type(kinds.int64, kind)
            entry = builder.inttoptr(word(values[1]), form.as_pointer())
            result = cgutils.alloca_once(builder, form.args[0].pointee)
            failure = cgutils.alloca_once(builder, form.args[1].pointee)
            packed = context.get_arg_packer(kind).as_arguments(
                builder, [values[2], values[3], fields._getvalue()]
            )
            returned = builder.call(entry, [result, failure, *packed])
            status = convention._get_return_status(builder, returned, builder.load(failure))
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            return builder.load(result)

        return kinds.int64(calls, kinds.int64, kinds.int64, kinds.int64), code

    return call_unit


_compiled: dict[tuple[Callable[..., Any], str], Any] = {}


def _inner() -> dict[str, Any]:
    """Return the options of functions that only compiled code calls."""
    without_wrappers = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return {**without_wrappers, **_compiled_by(part_compiler())}


def _compiled_by(compiler: Any) -> dict[str, Any]:
    """Return the option that names a compiler; none for numba's own."""
    return {} if compiler is None else {"pipeline_class": compiler}


def with_compiled_helpers(function: Callable[..., Any]) -> Callable[..., Any]:
    """Copy a function so that the helpers it names are the compiled ones."""
    names = set(function.__code__.co_names)
    scope = dict(function.__globals__)
    for name in names:
        value: Any = scope.get(name)
        if getattr(value, "__septet_helper__", False):
            scope[name] = compile_part(value)
    copy = types.FunctionType(
        function.__code__, scope, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__module__ = function.__module__
    return copy


def _native(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """Return the implementation that a helper is compiled from, or None if it is its own."""
    if function is index:
        import numpy as np

        return lambda i: np.uint64(i)
    if getattr(function, "__septet_native__", False):
        return lanes.natives()[function.__name__]
    if text := getattr(function, "__septet_text__", None):
        return with_compiled_helpers(text)
    return None


def _once(function: Callable[..., Any], purpose: str, **options: Any) -> Any:
    key = (function, purpose)
    if key not in _compiled:
        source = _native(function) or with_compiled_helpers(function)
        compiled = jit(source, **options)
        _compiled[key] = compiled if purpose == "step" else _of_types(compiled, function)
    return _compiled[key]


def compile_part(function: Callable[..., Any]) -> Any:
    """Compile a step or helper to be inlined into compiled code; Python cannot call it."""
    return _once(function, "part", forceinline=True, **_inner())


def compile_step(function: Callable[..., Any]) -> Any:
    """Compile a plain step once in a process, with the helpers it calls, to be called by Python.

    It releases the GIL, so that a step that never ends can be reported by another thread.
    """
    return _once(function, "step", nogil=True)
