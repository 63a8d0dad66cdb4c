"""The models plugins of this package."""

from septet.hookspecs import Component, hookimpl

__all__ = ["septet_models"]


@hookimpl
def septet_models() -> list[Component]:
    """List every built-in of the layer."""
    return []
