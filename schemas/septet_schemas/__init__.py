"""Schema of a strategy file: pydantic models and parsers of values with units."""

__all__ = ["__version__"]

__version__ = "0.1.0"
"""The version of septet."""
