"""The risk plugins of this package."""

from septet.hookspecs import Component, Kind, hookimpl

__all__ = ["septet_risk"]

# Kind, then name in YAML and declaration; each kind has a separate module.
RULES: dict[Kind, dict[str, str]] = {
    "sizing": {
        "kelly": "fractional Kelly with odds from closed trades",
        "fixed_fraction": "a share of equity",
        "fixed_quantity": "the same quantity every time",
        "fixed_risk": "a share of equity at risk between the entry and its first stop",
        "volatility_target": "a position of constant volatility",
    },
    "limit": {
        "position": "largest position in one symbol",
        "gross_exposure": "largest gross exposure",
        "groups": "largest exposure of a group of symbols",
        "correlated": "largest exposure of symbols that move together",
        "max_order_value": "largest notional of one order",
        "orders_per_minute": "order rate",
        "price_collar": "distance of a limit price from the close",
    },
    "stop": {
        "stop_loss": "a fixed stop",
        "level": "a stop at a price that is read at every decision and only tightens",
        "take_profit": "a profit target",
        "trailing": "a stop that follows the best price",
        "break_even": "a stop at zero after fees, once the position was in profit",
        "time_limit": "the longest time in a trade",
    },
    "halt": {
        "drawdown": "fall from the peak",
        "daily_loss": "loss since the day began",
        "losses_in_a_row": "trades lost in a row",
    },
}
MODULES: dict[Kind, str] = {"sizing": "sizing", "limit": "limits", "stop": "stops", "halt": "halts"}


@hookimpl
def septet_risk() -> list[Component]:
    """List every built-in risk plugin."""
    return [
        Component("risk", name, f"septet_plugins.risk.{MODULES[kind]}:{name}", kind, summary)
        for kind, rules in RULES.items()
        for name, summary in rules.items()
    ]
