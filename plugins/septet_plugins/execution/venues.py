"""Venues: where orders go. On bars every venue is simulated by `execution.simulation`."""

from __future__ import annotations

from typing import Any

from septet.plugin import Config, Secret, Simulation, venue

__all__ = ["Ccxt", "Simulated", "ccxt_venue", "simulated"]


class Simulated(Simulation):
    """The simulated market; the fields of `execution.simulation` may stand here instead."""


@venue(Simulated)
def simulated(config: Simulated) -> Simulation:
    """Return the terms of the simulation."""
    return config


class Ccxt(Config):
    """Any exchange of ccxt by its id; `urls`, `options`, `streaming` go to its client as are."""

    exchange: str
    key: Secret | None = None
    secret: Secret | None = None
    password: Secret | None = None
    sandbox: bool = False
    urls: dict[str, Any] | None = None
    options: dict[str, Any] | None = None
    streaming: dict[str, Any] | None = None


@venue(Ccxt)
def ccxt_venue(config: Ccxt) -> Ccxt:
    """Return the account's terms; a backtest and paper mode open no connection."""
    return config
