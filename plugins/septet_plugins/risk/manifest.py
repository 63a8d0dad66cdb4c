"""The risk plugins of this package."""

from septet.hookspecs import Component, hookimpl

__all__ = ["septet_risk"]


@hookimpl
def septet_risk() -> list[Component]:
    """List every built-in of the layer."""
    return []
