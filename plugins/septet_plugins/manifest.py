"""Plugins of this package by layer; the folder of each layer lists its own."""

from septet_plugins.data.manifest import septet_data
from septet_plugins.execution.manifest import septet_execution
from septet_plugins.features.manifest import septet_features
from septet_plugins.models.manifest import septet_models
from septet_plugins.monitoring.manifest import septet_monitoring
from septet_plugins.risk.manifest import septet_risk
from septet_plugins.signals.manifest import septet_signals

__all__ = [
    "septet_data",
    "septet_execution",
    "septet_features",
    "septet_models",
    "septet_monitoring",
    "septet_risk",
    "septet_signals",
]
