"""The data plugins of this package."""

from septet.hookspecs import Component, hookimpl

__all__ = ["septet_data"]


@hookimpl
def septet_data() -> list[Component]:
    """List every built-in of the layer."""
    return []
