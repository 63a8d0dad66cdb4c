"""Venues that receive orders. On bars every venue is simulated by `execution.simulation`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from septet.plugin import Config, Secret, SecretRef, WallDuration
from septet.plugin.live import Simulation, venue
from septet_plugins.exchange.client_ids import require_client_ids
from septet_plugins.exchange.exchange_ids import known_exchange
from septet_plugins.exchange.order_fields import added_fields, spot_options

if TYPE_CHECKING:
    from septet.plugin.live import Clock, LiveVenue, Tasks

__all__ = ["Ccxt", "CcxtAccount", "Simulated", "ccxt_venue", "simulated"]


class Simulated(Simulation):
    """The simulated market; the fields of `execution.simulation` may be given here instead."""


@venue(Simulated)
def simulated(config: Simulated) -> Simulation:
    """Return the terms of the simulation."""
    return config


class Ccxt(Config):
    """Any exchange of ccxt by its id.

    `urls`, `options` and `streaming` are passed to its client unchanged, and `params` with every
    order: only fields that change no part of it are accepted (`added_fields`). No option may leave
    the spot account (`spot_options`). After `answers_final_after` the answer "no such order" is
    final; it covers the receive window and the staleness of reads (default: the exchange's window
    and 55 s). `skew` is the largest accepted difference of the clocks. `poll` is the interval at
    which the account is read if orders are not streamed. A key that may withdraw is rejected unless
    `allow_withdrawal` is set.
    """

    exchange: Annotated[str, AfterValidator(known_exchange), AfterValidator(require_client_ids)]
    """Id of the exchange in ccxt; an exchange that accepts no client order ids is rejected."""
    key: Secret | None = None
    """API key; not needed if venues.toml has the credential."""
    secret: Secret | None = None
    """Secret of the API key."""
    password: Secret | None = None
    """Passphrase of the API key, if the exchange requires one."""
    uid: Secret | None = None
    """User id, if the exchange requires one."""
    sandbox: bool = False
    """Use the exchange's own test network."""
    urls: dict[str, Any] | None = None
    """Addresses that replace the exchange's own; they need the operator's consent."""
    options: Annotated[dict[str, Any] | None, AfterValidator(spot_options)] = None
    """Options of ccxt's client; none may leave the spot account."""
    streaming: dict[str, Any] | None = None
    """Settings of ccxt's streams."""
    params: Annotated[dict[str, Any], AfterValidator(added_fields)] = {}
    """Fields sent with every order; they must not change any part of it."""
    timeout: WallDuration = Field(default="10s")  # type: ignore[assignment]
    """Timeout of one request."""
    rate_limit: bool = True
    """Keep to the exchange's rate limits."""
    allow_withdrawal: bool = False
    """Accept a key that may withdraw."""
    answers_final_after: WallDuration | None = None
    """Time after which "no such order" is final; by default the exchange's window plus 55 s."""
    skew: WallDuration = Field(default="500ms")  # type: ignore[assignment]
    """Entries are blocked while the clocks differ by more than this."""
    poll: WallDuration = Field(default="5s")  # type: ignore[assignment]
    """Interval at which the account is read if orders are not streamed."""


class CcxtAccount:
    """The terms of an account; `connect` returns the connection, and only that opens one."""

    def __init__(self, config: Ccxt) -> None:
        self.config = config

    def connect(
        self, *, name: str, clock: Clock, read: Callable[[SecretRef], str] | None = None,
        tasks: Tasks | None = None,
    ) -> LiveVenue:  # fmt: skip
        """Return the connection, not yet open; `read` resolves a reference to its secret."""
        from septet_plugins.exchange.clients import Terms, read_secret
        from septet_plugins.execution.ccxt_venue import CcxtVenue, VenueTerms

        config = self.config
        secrets = {
            "apiKey": config.key,
            "secret": config.secret,
            "password": config.password,
            "uid": config.uid,
        }
        terms = VenueTerms(
            reach=Terms(
                exchange=config.exchange,
                sandbox=config.sandbox,
                urls=config.urls or {},
                options=config.options or {},
                streaming=config.streaming or {},
                timeout_ms=config.timeout // 1_000_000,
                rate_limit=config.rate_limit,
            ),
            secrets={key: reference for key, reference in secrets.items() if reference is not None},
            params=dict(config.params),
            answers_final_after_ns=config.answers_final_after,
            skew_ns=config.skew,
            poll_ns=config.poll,
        )
        return CcxtVenue(terms, name, clock, read or read_secret, tasks)


@venue(Ccxt)
def ccxt_venue(config: Ccxt) -> CcxtAccount:
    """Return the account's terms; a backtest and paper mode open no connection."""
    return CcxtAccount(config)
