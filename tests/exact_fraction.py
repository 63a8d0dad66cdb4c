"""Exact fractions for reference arithmetic: those of GMP, computed in compiled code.

`mpq` behaves as `fractions.Fraction` does, in about a tenth of the time. It ships no types, so a
type checker reads those of `Fraction`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction
else:
    from gmpy2 import mpq as Fraction  # noqa: N812 - the name of what it behaves as

__all__ = ["Fraction"]
