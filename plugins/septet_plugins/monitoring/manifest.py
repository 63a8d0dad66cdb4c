"""The monitoring plugins of this package."""

from septet.hookspecs import Component, hookimpl

__all__ = ["septet_monitoring"]


@hookimpl
def septet_monitoring() -> list[Component]:
    """List every built-in of the layer."""
    return []
