"""How compiled code is compiled: its parts are typed and lowered, and no further.

numba optimises every function when it is compiled, and makes machine code of it; then it links
it into those that call it and optimises it there again. What is only ever linked needs neither:
an entry optimises all of its parts at once. A plan of one symbol compiles in three quarters of the
time, one of several in two thirds, and their code is as fast to within the noise of a few percent.

numba compares the options of what it compiles some tens of thousands of times for a plan, and reads
all of them one by one each time. Options that are set alike are equal without that: a tenth less.

numba also asks some seven definitions of every operator, at every place where it stands, which of
them takes the types there. What was found for an operator and its types is kept: a sixth less.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from septet._kernel.numba_inside import compiler

__all__ = ["entry_compiler", "part_compiler"]


class _NoEnvironments:
    """Stands in for the code generator where it would pass its environment to machine code.

    An environment holds Python's objects, and there is no machine code.
    """

    def set_env(self, name: str, environment: Any) -> None:
        """Leave the environment where it is."""


@contextmanager
def _operators_kept() -> Iterator[None]:
    """Ask the definitions of an operator or a function of numba once for the same types.

    Only while a function of ours is compiled, which is within numba's lock. A function for which
    another definition is registered is another object, of which nothing is kept.
    """
    inside = compiler()
    assert inside is not None
    asked: Any = inside.BaseFunction
    usual = asked.get_call_type

    def kept(function: Any, context: Any, args: Any, kws: Any) -> Any:
        found = vars(function).setdefault("_septet_found", {})
        key = context, tuple(args), tuple(sorted(kws.items())) if kws else ()
        if key not in found:
            found[key] = usual(function, context, args, kws)
        return found[key]

    asked.get_call_type = kept
    try:
        yield
    finally:
        asked.get_call_type = usual


@cache
def entry_compiler() -> Any:
    """Return numba's compiler for functions that Python calls, with options quickly compared.

    None where this numba's inside is not known: then it compiles as it does by itself.
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
            alike = isinstance(other, Options) and self._values == other._values
            return alike or bool(super().__eq__(other))

    class EntryCompiler(Compiler):  # type: ignore[misc, valid-type]
        """The usual steps."""

        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.state.flags = Options(self.state.flags)

        def compile_extra(self, function: Any) -> Any:
            """Compile a function, and what it calls first."""
            with _operators_kept():
                return super().compile_extra(function)

    return EntryCompiler


@cache
def part_compiler() -> Any:
    """Return numba's compiler for functions that only compiled code calls.

    It overrides what numba keeps to itself. Where another numba has other names for it, parts are
    optimised and made machine code of after all, as numba does by itself: slower, to the same end
    (None).
    """
    inside = compiler()
    if inside is None:
        return None

    class Part(inside.JITCodeLibrary):  # type: ignore[misc, name-defined]
        """Code that is linked into that of its callers, as it was lowered."""

        codegen = _NoEnvironments()

        def _optimize_final_module(self) -> None:
            """Leave that to the entry."""

        def _finalize_final_module(self) -> None:
            """Make no machine code."""
            self._finalized = True

        def get_pointer_to_function(self, name: str) -> int:
            """Return that there is no machine code; by now the part is whole."""
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
