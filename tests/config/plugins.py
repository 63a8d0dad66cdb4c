"""A small, fixed set of plugins: real ones where the messages are theirs, doubles elsewhere.

Golden messages name known plugins; with a fixed set they change only when we mean it.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from septet._host.plugin_registry import Host
from septet.hookspecs import Component
from septet.plugin import Config, Secret, feature
from septet.plugin.data import candles, series
from septet.plugin.live import alerts, monitor
from septet.plugin.model import model

HERE = "tests.config.plugins"


class Parquet(Config):
    path: str


class Csv(Config):
    required_keys = ("stamp",)
    path: str


class Ccxt(Config):
    venue: str


class Json(Config):
    url: str
    select: str = ""
    time: str = ""
    time_unit: str = "s"
    token: Secret | None = None


class Published(Config):
    gives_known_time = True
    path: str


class Forest(Config):
    estimator: str
    params: dict[str, Any] = {}


class Apprise(Config):
    urls: tuple[Secret, ...]


class Heartbeat(Config):
    every: int = 60


class Failing(Config):
    period: int = 3


class Watchdog(Config):
    shorthand = "seconds"
    seconds: int = 5


parquet = candles(Parquet)(lambda config: config)
csv = candles(Csv)(lambda config: config)
ccxt = candles(Ccxt)(lambda config: config)
http_json = series(Json)(lambda config: config)
published = series(Published)(lambda config: config)
sklearn = model(Forest)(lambda config: config)
apprise = alerts(Apprise)(lambda config: config)
heartbeat = monitor(Heartbeat)(lambda config: config)


def _no_outputs(config: Any) -> tuple[str, ...]:
    raise ZeroDivisionError("period - 3")


@feature(Failing, outputs=_no_outputs)
def failing(i, period):
    return 0.0


FEATURES = {
    "averages": ("sma", "ema"),
    "oscillators": ("rsi",),
    "bands": ("bollinger_width", "bollinger"),
    "returns": ("log_return", "lag", "ratio", "shift"),
    "statistics": ("zscore", "sum"),
    "volatility": ("volatility",),
    "volume": ("obv", "signed_volume"),
    "context": ("series", "expr"),
}
RISK: dict[Any, tuple[str, ...]] = {
    "sizing": (
        "kelly", "fixed_fraction", "volatility_target", "fixed_quantity", "fixed_risk",
    ),
    "limit": (
        "position", "gross_exposure", "groups", "correlated", "price_collar", "orders_per_minute",
        "max_order_value",
    ),
    "stop": ("stop_loss", "level", "take_profit", "trailing", "break_even", "time_limit"),
    "halt": ("drawdown", "daily_loss"),
}  # fmt: skip
FILES = {"sizing": "sizing", "limit": "limits", "stop": "stops", "halt": "halts"}


def _features() -> list[Component]:
    found = [
        Component("features", name, f"septet_plugins.features.{file}:{name}", "feature")
        for file, names in FEATURES.items()
        for name in names
    ]
    inner = ("averages:running_sum", "context:running_max", "context:day_number")
    for target in inner:
        name = target.partition(":")[2]
        found.append(Component("features", name, f"septet_plugins.features.{target}", "feature"))
    found.append(Component("features", "failing", f"{HERE}:failing", "feature"))
    found.append(Component("features", "unimportable", "no.such.module:thing", "feature"))
    found.append(Component("features", "misplaced", f"{HERE}:parquet", "feature"))
    return found


def _risk() -> list[Component]:
    return [
        Component("risk", name, f"septet_plugins.risk.{FILES[kind]}:{name}", kind)
        for kind, names in RISK.items()
        for name in names
    ]


def _signals() -> list[Component]:
    place = "septet_plugins.signals"
    return [
        Component("signals", "rules", f"{place}.rules:rules", "signal"),
        Component("signals", "confidence", f"{place}.confidence:confidence_threshold", "signal"),
        Component("signals", "volatility_regime", f"{place}.regimes:volatility_regime", "regime"),
    ]


def _execution() -> list[Component]:
    place = "septet_plugins.execution"
    orders = ("market", "limit", "stop", "stop_limit", "limit_then_market")
    return [
        *(Component("execution", name, f"{place}.orders:{name}", "order") for name in orders),
        Component("execution", "simulated", f"{place}.venues:simulated", "venue"),
        Component("execution", "ccxt", f"{place}.venues:ccxt_venue", "venue"),
    ]


BUILT_IN = SimpleNamespace(
    __name__="built_in",
    septet_data=lambda: [
        Component("data", "parquet", f"{HERE}:parquet", "candles"),
        Component("data", "csv", f"{HERE}:csv", "candles"),
        Component("data", "ccxt", f"{HERE}:ccxt", "candles"),
        Component("data", "http_json", f"{HERE}:http_json", "series"),
        Component("data", "published", f"{HERE}:published", "series"),
    ],
    septet_features=_features,
    septet_models=lambda: [Component("models", "sklearn", f"{HERE}:sklearn", "model")],
    septet_signals=_signals,
    septet_risk=_risk,
    septet_execution=_execution,
    septet_monitoring=lambda: [
        Component("monitoring", "apprise", f"{HERE}:apprise", "alerts"),
        Component("monitoring", "heartbeat", f"{HERE}:heartbeat", "monitor"),
    ],
)
STRANGER = SimpleNamespace(
    __name__="stranger",
    septet_features=lambda: [
        Component("features", name, "septet_plugins.features.averages:ema", "feature")
        for name in ("ema", "zone")
    ],
)


def fixed_host() -> Host:
    """The plugins of these tests; two distributions have a feature `ema`."""
    return Host(manifests=[("septet", "0.1.0", BUILT_IN), ("stranger", "1.0", STRANGER)])
