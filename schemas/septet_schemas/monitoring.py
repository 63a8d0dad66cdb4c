"""The `monitoring` section of a strategy file."""

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
    """Reject names that septet uses for its own readings."""
    if name in _METRICS:
        raise PydanticCustomError(
            "reserved_metric",
            "{name} is taken: septet writes readings of its own under it",
            {"name": name, "expected": "another name", "found": repr(name)},
        )
    return name


MonitorName = Annotated[BlockName, AfterValidator(_free_metric)]


class ModelMonitoring(Config):
    """Checks of the model's predictions; windows count predictions."""

    auc_window: int = Field(default=500, ge=30, le=1_000_000)
    """Number of the latest labelled predictions on which AUC, Brier score and hit rate are
    computed."""
    auc_floor: Probability = 0.50
    """The AUC is bad if its upper 95 % bound is below this."""
    auc_warn: Probability = 0.53
    """The AUC is doubtful if its upper 95 % bound is below this."""
    psi_window: int = Field(default=1_000, ge=100, le=1_000_000)
    """Number of the latest rows that are compared with the training data."""
    psi_warn: float = Field(default=0.10, gt=0.0)
    """An input is doubtful if its population stability index is above this."""
    psi_retrain: float = Field(default=0.25, gt=0.0)
    """An input is bad, and a retrain is due, if its population stability index is above this."""


class FillMonitoring(Config):
    """Comparison of the costs of fills with the assumed costs."""

    slippage_alarm: Cost = Field(default="20bps")  # type: ignore[assignment]
    """Warn if the lower 95 % bound of the mean slippage of fills is above this share of a price."""
    latency_alarm: WallDuration = Field(default="2s")  # type: ignore[assignment]
    """Warn if a venue takes longer than this to answer an order."""


_ADDRESS = r"^[A-Za-z0-9.\-\[\]:]+:\d{1,5}$"


def _no_port_alone(value: object) -> object:
    """Reject a port without a host; the message suggests the complete address."""
    if isinstance(value, int | str) and not isinstance(value, bool) and str(value).isdigit():
        raise PydanticCustomError(
            "not_loopback",
            "this is a port without an address",
            {"expected": f"127.0.0.1:{value}", "found": repr(value)},
        )
    return value


def _loopback(address: str) -> str:
    """Reject an address that is reachable from other machines, and an invalid port."""
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
    """Address at which paper and live serve metrics and health: `prometheus: 127.0.0.1:9108`.

    Only an address of the local machine is accepted: the pages have no authentication.
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
    """Local address, HOST:PORT, that serves `/metrics` and `/healthz`."""


class Monitoring(Config):
    """Monitoring of a run; further entries are monitor plugins by name.

    The metrics of an entry begin with its name.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[MonitorName, MonitorBlock]

    model: ModelMonitoring = ModelMonitoring()
    """Comparison of predictions with outcomes, and of inputs with the training data."""
    fills: FillMonitoring = FillMonitoring()
    """Comparison of fills with the assumptions of the simulation."""
    alerts: AlertsBlock | None = None
    """Channels to which events of a paper or live run are sent."""
    metrics: Metrics = Metrics()
    """Metrics and health for Prometheus, in paper and live."""

    @property
    def monitors(self) -> Mapping[str, UseBlock]:
        """Monitor plugins by name."""
        return dict(self.__pydantic_extra__ or {})
