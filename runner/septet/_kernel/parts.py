"""How the parts of compiled code are compiled: typed and lowered, and no further.

numba optimises every function when it is compiled, and makes machine code of it; then it links
it into those that call it and optimises it there again. What is only ever linked needs neither:
an entry optimises all of its parts at once. A plan of one symbol compiles in three quarters of the
time, one of several in two thirds, and their code is as fast to within the noise of a few percent.
"""

from __future__ import annotations

from functools import cache
from typing import Any

__all__ = ["part_compiler"]


class _NoEnvironments:
    """Stands in for the code generator where it would tell machine code of its environment.

    An environment holds Python's objects, and there is no machine code.
    """

    def set_env(self, name: str, environment: Any) -> None:
        """Leave the environment where it is."""


@cache
def part_compiler() -> Any:
    """Return numba's compiler for functions that only compiled code calls.

    It overrides what numba keeps to itself. Where another numba has other names for it, parts are
    optimised and made machine code of after all, as numba does by itself: slower, to the same end.
    """
    from numba.core.codegen import JITCodeLibrary
    from numba.core.compiler import Compiler

    class Part(JITCodeLibrary):
        """Code that is linked into that of its callers, as it was lowered."""

        codegen = _NoEnvironments()

        def _optimize_final_module(self) -> None:
            """Leave that to the entry."""

        def _finalize_final_module(self) -> None:
            """Make no machine code."""
            self._finalized = True

        def get_pointer_to_function(self, name: str) -> int:
            """Say that there is no machine code; by now the part is whole."""
            self._ensure_finalized()
            return 0

    class PartCompiler(Compiler):
        """The usual steps, into a library of another kind."""

        def define_pipelines(self) -> Any:
            """Bring the library along; numba makes one only where there is none."""
            name = self.state.func_id.func_qualname
            self.state.library = Part(self.state.targetctx.codegen(), name)
            self.state.library.enable_object_caching()
            return super().define_pipelines()

    return PartCompiler
