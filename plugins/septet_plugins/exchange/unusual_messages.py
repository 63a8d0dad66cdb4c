"""Errors that parsing a message of an exchange may raise, if its shape is unexpected."""

from __future__ import annotations

from typing import Final

__all__ = ["UNUSUAL"]

UNUSUAL: Final = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError)
"""Errors for an invalid number, and for a field that is missing or of another type."""
