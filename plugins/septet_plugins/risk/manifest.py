"""The risk plugins of this package."""

from septet.hookspecs import Component, hookimpl

__all__ = ["septet_risk"]

HERE = "septet_plugins.risk"


@hookimpl
def septet_risk() -> list[Component]:
    """List every built-in of the layer."""
    return [
        Component(
            "risk",
            "kelly",
            f"{HERE}.sizing:kelly",
            "sizing",
            "fractional Kelly with odds from closed trades",
        ),
        Component(
            "risk", "fixed_fraction", f"{HERE}.sizing:fixed_fraction", "sizing", "a share of equity"
        ),
        Component(
            "risk",
            "fixed_quantity",
            f"{HERE}.sizing:fixed_quantity",
            "sizing",
            "the same quantity every time",
        ),
        Component(
            "risk",
            "volatility_target",
            f"{HERE}.sizing:volatility_target",
            "sizing",
            "a position of constant volatility",
        ),
        Component(
            "risk", "position", f"{HERE}.limits:position", "limit", "largest position in one symbol"
        ),
        Component(
            "risk",
            "gross_exposure",
            f"{HERE}.limits:gross_exposure",
            "limit",
            "largest gross exposure",
        ),
        Component(
            "risk",
            "groups",
            f"{HERE}.limits:groups",
            "limit",
            "largest exposure of a group of symbols",
        ),
        Component(
            "risk",
            "correlated",
            f"{HERE}.limits:correlated",
            "limit",
            "largest exposure of symbols that move together",
        ),
        Component(
            "risk",
            "max_order_value",
            f"{HERE}.limits:max_order_value",
            "limit",
            "largest notional of one order",
        ),
        Component(
            "risk", "orders_per_minute", f"{HERE}.limits:orders_per_minute", "limit", "order rate"
        ),
        Component(
            "risk",
            "price_collar",
            f"{HERE}.limits:price_collar",
            "limit",
            "distance of a limit price from the close",
        ),
        Component("risk", "stop_loss", f"{HERE}.stops:stop_loss", "stop", "a fixed stop"),
        Component("risk", "take_profit", f"{HERE}.stops:take_profit", "stop", "a profit target"),
        Component(
            "risk",
            "trailing",
            f"{HERE}.stops:trailing",
            "stop",
            "a stop that follows the best price",
        ),
        Component(
            "risk", "time_limit", f"{HERE}.stops:time_limit", "stop", "the longest time in a trade"
        ),
        Component("risk", "drawdown", f"{HERE}.halts:drawdown", "halt", "fall from the peak"),
        Component(
            "risk", "daily_loss", f"{HERE}.halts:daily_loss", "halt", "loss since the day began"
        ),
        Component(
            "risk",
            "losses_in_a_row",
            f"{HERE}.halts:losses_in_a_row",
            "halt",
            "trades lost in a row",
        ),
    ]
