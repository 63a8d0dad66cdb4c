"""The monitoring plugins of this package."""

from septet.hookspecs import Component, hookimpl

__all__ = ["septet_monitoring"]

_HERE = "septet_plugins.monitoring"


@hookimpl
def septet_monitoring() -> list[Component]:
    """List every built-in of the layer."""
    return [
        Component(
            "monitoring",
            "apprise",
            f"{_HERE}.alerts:apprise",
            "alerts",
            "alerts to Telegram, Slack, mail and more (extra)",
        ),
        Component("monitoring", "log", f"{_HERE}.alerts:log", "alerts", "alerts to the log"),
    ]
