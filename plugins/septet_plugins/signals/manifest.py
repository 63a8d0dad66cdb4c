"""The signals plugins of this package."""

from septet.hookspecs import Component, hookimpl

__all__ = ["septet_signals"]


@hookimpl
def septet_signals() -> list[Component]:
    """List every built-in of the layer."""
    return []
