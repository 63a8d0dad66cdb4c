"""What reading a message of an exchange may end with, where its shape is not what it should be."""

from __future__ import annotations

from typing import Final

__all__ = ["UNUSUAL"]

UNUSUAL: Final = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError)
"""Errors of a number that is none, a field that is missing or of another kind."""
