"""A numba compiler for the parts of a plan: they are typed and lowered, and not optimised.

numba optimises every function when it is compiled, and makes machine code of it; then it links
it into those that call it and optimises it there again. What is only ever linked needs neither:
an entry optimises all of its parts at once. A plan of one symbol compiles in three quarters of the
time, one of several in two thirds, and their code is as fast to within the noise of a few percent.

numba compares the options of what it compiles some tens of thousands of times for a plan, and reads
all of them one by one each time. Options that are set alike are equal without that: a tenth less.

numba also tries some seven definitions of every operator at each of its uses, to find the one
that accepts the types. The result for an operator and its types is cached: a sixth less.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from septet._kernel.numba_inside import compiler

__all__ = ["entry_compiler", "part_compiler"]


class _NoEnvironments:
    """Replaces the code generator where it would pass its environment to machine code.

    An environment holds Python's objects, and a part has no machine code.
    """

    def set_env(self, name: str, environment: Any) -> None:
        """Do nothing."""


@contextmanager
def _operators_kept() -> Iterator[None]:
    """Resolve the definition of an operator or a function of numba once for the same types.

    Only while a function of ours is compiled, which is within numba's lock. A function for which
    another definition is registered is another object, of which nothing is kept.
    """
    inside = compiler()
    assert inside is not None
    base: Any = inside.BaseFunction
    numba_call_type = base.get_call_type

    def kept(function: Any, context: Any, args: Any, kws: Any) -> Any:
        call_types = vars(function).setdefault("_septet_found", {})
        key = context, tuple(args), tuple(sorted(kws.items())) if kws else ()
        if key not in call_types:
            call_types[key] = numba_call_type(function, context, args, kws)
        return call_types[key]

    base.get_call_type = kept
    try:
        yield
    finally:
        base.get_call_type = numba_call_type


@cache
def entry_compiler() -> Any:
    """Return numba's compiler for functions that Python calls, with a fast comparison of options.

    None where the internals of this numba are not known: then its own compiler is used.
    """
    inside = compiler()
    if inside is None:
        return None
    Compiler, Flags = inside.Compiler, inside.Flags
    common: int = hash(Flags())  # numba hashes the names of its options, not their values

    class Options(Flags):  # type: ignore[misc, valid-type]
        """numba's options, equal to those of numba that are set alike."""

        def __hash__(self) -> int:
            return common

        def __eq__(self, other: object) -> bool:
            is_equal = isinstance(other, Options) and self._values == other._values
            return is_equal or bool(super().__eq__(other))

    class EntryCompiler(Compiler):  # type: ignore[misc, valid-type]
        """The usual steps."""

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.state.flags = Options(self.state.flags)

        def compile_extra(self, function: Any) -> Any:
            """Compile a function, and what it calls first."""
            with _operators_kept():
                return super().compile_extra(function)

    return EntryCompiler


@cache
def part_compiler() -> Any:
    """Return numba's compiler for functions that only compiled code calls.

    It overrides private methods of numba. None where the internals of this numba are not known:
    then parts are optimised and compiled to machine code as well: slower, to the same bits.
    """
    inside = compiler()
    if inside is None:
        return None

    class Part(inside.JITCodeLibrary):  # type: ignore[misc, name-defined]
        """A library of code that is linked into its callers as it was lowered."""

        codegen = _NoEnvironments()

        def _optimize_final_module(self) -> None:
            """Do nothing: the entry is optimised with all of its parts."""

        def _finalize_final_module(self) -> None:
            """Do nothing: a part has no machine code."""
            self._finalized = True

        def get_pointer_to_function(self, name: str) -> int:
            """Finish the part, and return 0: it has no machine code."""
            self._ensure_finalized()
            return 0

    class PartCompiler(entry_compiler()):  # type: ignore[misc]
        """The same steps, into a library of another kind."""

        def define_pipelines(self) -> Any:
            """Bring the library along; numba makes one only where there is none."""
            name = self.state.func_id.func_qualname
            self.state.library = Part(self.state.targetctx.codegen(), name)
            self.state.library.enable_object_caching()
            return super().define_pipelines()

    return PartCompiler
