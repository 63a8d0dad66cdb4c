"""The shape of a strategy file: pydantic models and the units they are written in."""

__version__ = "0.1.0"
