"""The features of this package."""

from septet.hookspecs import Component, hookimpl

__all__ = ["septet_features"]


@hookimpl
def septet_features() -> list[Component]:
    """List every built-in feature."""
    return [Component("features", "sma", "septet_plugins.features.averages:sma", "feature")]
