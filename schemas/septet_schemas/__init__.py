"""The shape of a strategy file: pydantic models and the units they are written in."""

__all__ = ["__version__"]

__version__ = "0.1.0"
"""The version of septet."""
