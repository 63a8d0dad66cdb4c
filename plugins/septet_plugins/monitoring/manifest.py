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
        Component(
            "monitoring",
            "turnover",
            f"{_HERE}.trading:turnover",
            "monitor",
            "notional traded in a window of time, over equity",
        ),
        Component(
            "monitoring",
            "cost_share",
            f"{_HERE}.trading:cost_share",
            "monitor",
            "fees and slippage as a share of gross gains",
        ),
        Component(
            "monitoring",
            "losing_streak",
            f"{_HERE}.trading:losing_streak",
            "monitor",
            "trades lost in a row",
        ),
    ]
