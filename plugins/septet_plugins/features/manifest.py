"""The features of this package."""

from septet.hookspecs import Component, hookimpl

__all__ = ["septet_features"]

# Module, then name in YAML (with the attribute if it differs) and kind.
FEATURES = {
    "returns": {
        "log_return": "log return",
        "simple_return": "simple return",
        "roc": "rate of change, percent",
        "momentum": "change in price",
        "shift": "value some bars ago",
        "lag": "values some bars ago, one column each",
        "difference": "one series minus another",
        "ratio": "one series over another",
    },
    "averages": {
        "sma": "simple moving average",
        "ema": "exponential moving average",
        "wma": "linearly weighted moving average",
        "wilder": "Wilder's moving average",
        "sum:window_total": "rolling sum",
        "sum_since": "sum since a column changed",
        "running_sum": "sum since the first bar",
    },
    "oscillators": {
        "rsi": "relative strength index, Wilder's",
        "rsi_simple": "relative strength index of plain means",
        "gains_losses": "rise and fall since the last bar",
        "stochastic_fast": "place of the close in the range",
        "stochastic": "slow stochastic and its signal line",
        "williams_r": "Williams's %R",
        "cci": "commodity channel index",
    },
    "trend": {
        "macd": "moving average convergence and divergence",
        "directional_move": "Wilder's directional movement of one bar",
        "plus_di": "+DI",
        "minus_di": "-DI",
        "dx": "directional index",
        "adx": "average directional index",
        "supertrend": "trailing level by true range",
        "parabolic_sar": "parabolic stop and reverse",
    },
    "bands": {
        "bollinger": "Bollinger bands",
        "bollinger_width": "width of the Bollinger bands",
        "bollinger_percent": "place between the Bollinger bands",
        "highest": "rolling maximum",
        "lowest": "rolling minimum",
        "donchian": "Donchian channel",
        "keltner": "Keltner channel",
    },
    "volatility": {
        "true_range": "Wilder's true range",
        "atr": "average true range",
        "deviation": "rolling standard deviation",
        "volatility": "realised volatility of log returns",
        "parkinson": "volatility from high and low",
        "parkinson_variance": "one bar's variance from high and low",
        "garman_klass": "volatility from open, high, low and close",
        "garman_klass_variance": "one bar's variance from open, high, low and close",
    },
    "volume": {
        "typical_price": "mean of high, low and close",
        "traded_value": "typical price times volume",
        "signed_volume": "volume with the sign of the move",
        "money_flow": "traded value up and down",
        "obv": "on-balance volume",
        "vwap": "volume-weighted average price since an anchor",
        "vwap_rolling": "rolling volume-weighted average price",
        "mfi": "money flow index",
    },
    "statistics": {
        "zscore": "standard score in a window",
        "rank": "rank in a window",
        "skew": "skewness in a window",
        "kurtosis": "excess kurtosis in a window",
        "autocorrelation": "correlation with its own past",
        "correlation": "correlation with another series",
        "beta": "slope on another series",
    },
    "context": {
        "drawdown": "fall from the peak",
        "running_max": "largest value since the first bar",
        "day_number": "number of the day",
        "hour": "hour of T, 0 to 23",
        "minute_of_day": "minute of T, 0 to 1439: 9:45 is 585",
        "weekday": "weekday of T, 0 is Monday",
        "month": "month of T, 1 to 12",
        "calendar": "hour and weekday as sine and cosine",
        "cross_rank": "rank across the universe",
        "series": "an outside series",
        "expr": "a formula over features",
    },
}


@hookimpl
def septet_features() -> list[Component]:
    """List every built-in feature."""
    components = []
    for module, rows in FEATURES.items():
        for key, summary in rows.items():
            name, _, attribute = key.partition(":")
            target = f"septet_plugins.features.{module}:{attribute or name}"
            components.append(Component("features", name, target, "feature", summary))
    return components
