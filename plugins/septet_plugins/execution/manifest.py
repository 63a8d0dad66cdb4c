"""The execution plugins of this package."""

from septet.hookspecs import Component, hookimpl

__all__ = ["septet_execution"]


@hookimpl
def septet_execution() -> list[Component]:
    """List every built-in of the layer."""
    return []
