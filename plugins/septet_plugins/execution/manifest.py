"""The execution plugins of this package."""

from septet.hookspecs import Component, hookimpl

__all__ = ["septet_execution"]

HERE = "septet_plugins.execution"


@hookimpl
def septet_execution() -> list[Component]:
    """List every built-in of the layer."""
    return [
        Component("execution", "market", f"{HERE}.orders:market", "order", "at the next open"),
        Component(
            "execution", "limit", f"{HERE}.orders:limit", "order", "resting, better than the close"
        ),
        Component(
            "execution", "stop", f"{HERE}.orders:stop", "order", "once the price has moved further"
        ),
        Component(
            "execution",
            "stop_limit",
            f"{HERE}.orders:stop_limit",
            "order",
            "a stop with a worst price",
        ),
        Component(
            "execution",
            "limit_then_market",
            f"{HERE}.orders:limit_then_market",
            "order",
            "resting first, then taking",
        ),
        Component(
            "execution", "simulated", f"{HERE}.venues:simulated", "venue", "a simulated market"
        ),
        Component(
            "execution", "ccxt", f"{HERE}.venues:ccxt_venue", "venue", "any exchange of ccxt"
        ),
    ]
