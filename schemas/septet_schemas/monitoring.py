"""The `monitoring` section of a strategy file: what is watched while it runs."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from septet_schemas.base import Config
from septet_schemas.blocks import BlockName, BlockOf, UseBlock
from septet_schemas.hosts import is_loopback
from septet_schemas.keys import AlertKeys
from septet_schemas.units import Cost, Probability, WallDuration

__all__ = ["FillMonitoring", "Metrics", "ModelMonitoring", "Monitoring"]

MonitorBlock = Annotated[UseBlock, BlockOf("monitoring", "monitor")]
AlertsBlock = Annotated[UseBlock, BlockOf("monitoring", "alerts", AlertKeys)]
_METRICS = frozenset({"auc", "brier", "hit_rate", "calibration", "psi", "slippage"})


def _free_metric(name: str) -> str:
    """Refuse names under which septet writes readings of its own."""
    if name in _METRICS:
        raise PydanticCustomError(
            "reserved_metric",
            "{name} is taken: septet writes readings of its own under it",
            {"name": name, "expected": "another name", "found": repr(name)},
        )
    return name


MonitorName = Annotated[BlockName, AfterValidator(_free_metric)]


class ModelMonitoring(Config):
    """Whether the model still works; windows count predictions."""

    auc_window: int = Field(default=500, ge=30, le=1_000_000)
    """How many of the last labelled predictions AUC, Brier score and hit rate are computed on."""
    auc_floor: Probability = 0.50
    """The AUC is bad when its upper 95 % bound is below this."""
    auc_warn: Probability = 0.53
    """The AUC is doubtful when its upper 95 % bound is below this."""
    psi_window: int = Field(default=1_000, ge=100, le=1_000_000)
    """How many of the last rows are compared with the training data."""
    psi_warn: float = Field(default=0.10, gt=0.0)
    """Population stability index of an input above which it is doubtful."""
    psi_retrain: float = Field(default=0.25, gt=0.0)
    """Population stability index of an input above which it is bad, and a retrain is due."""


class FillMonitoring(Config):
    """Whether fills still cost what was assumed."""

    slippage_alarm: Cost = Field(default="20bps")  # type: ignore[assignment]
    """Warn if the mean slippage of fills, by its lower 95 % end, is above this share of a price."""
    latency_alarm: WallDuration = Field(default="2s")  # type: ignore[assignment]
    """Warn where a venue takes longer to answer an order."""


_ADDRESS = r"^[A-Za-z0-9.\-\[\]:]+:\d{1,5}$"


def _no_port_alone(value: object) -> object:
    """Refuse a port without a host, with the address that it is meant to be."""
    if isinstance(value, int | str) and not isinstance(value, bool) and str(value).isdigit():
        raise PydanticCustomError(
            "not_loopback",
            "this is a port without an address",
            {"expected": f"127.0.0.1:{value}", "found": repr(value)},
        )
    return value


def _loopback(address: str) -> str:
    """Refuse an address that other machines reach, and a port that is none."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not is_loopback(host) or not 0 < int(port) < 65_536:
        raise PydanticCustomError(
            "not_loopback",
            "metrics are served on this machine alone",
            {"expected": "127.0.0.1:PORT, [::1]:PORT or localhost:PORT", "found": repr(address)},
        )
    return address


class Metrics(Config):
    """Where paper and live serve metrics and health: `prometheus: 127.0.0.1:9108`.

    On this machine alone: neither page asks who reads it.
    """

    prometheus: (
        Annotated[
            str,
            Field(pattern=_ADDRESS),
            AfterValidator(_loopback),
            BeforeValidator(_no_port_alone),
        ]
        | None
    ) = None
    """Address on this machine, HOST:PORT, that serves `/metrics` and `/healthz`."""


class Monitoring(Config):
    """Watching the run; further entries are monitor plugins under names of their own.

    The metrics of an entry begin with its name.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[MonitorName, MonitorBlock]

    model: ModelMonitoring = ModelMonitoring()
    """Compares predictions with outcomes, and inputs with the training data."""
    fills: FillMonitoring = FillMonitoring()
    """Compares fills with what the simulation assumes."""
    alerts: AlertsBlock | None = None
    """Where events of a paper or live run are sent."""
    metrics: Metrics = Metrics()
    """Metrics and health for Prometheus, in paper and live."""

    @property
    def monitors(self) -> Mapping[str, UseBlock]:
        """The further monitors by name."""
        return dict(self.__pydantic_extra__ or {})
