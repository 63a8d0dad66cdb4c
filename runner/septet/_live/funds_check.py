"""Funds at a first start: checks that the account has the capital that the files ask for.

A run with a history is never refused over funds: its ledger is compared with the account while it
runs (`septet._core.account_check`), and a shortfall blocks its entries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from septet import messages as m
from septet._host.venues import LiveVenue
from septet._live.retry import retry_until_answered
from septet._live.shell import Notify
from septet.errors import InputError

__all__ = ["adopted_value", "find_capital", "require_capital", "require_funds"]

PAUSES_S: tuple[float, ...] = (0.25, 0.5, 1.0)
"""Before a first start is refused the balance is asked for again, after these pauses."""
_EXACT: Final = 1e-9


def require_funds(
    capitals: Mapping[str, float], currency: str, holdings: m.Holdings, adopted: float = 0.0
) -> None:
    """Refuse a first start if the account lacks its capital.

    `adopted` is the value of positions that the strategies adopt.

    Raises
    ------
    InputError
        The free balance plus the adopted value is less than their capital.
    """
    free = holdings.balances.get(currency, (0.0, 0.0))[0] + adopted
    needed = sum(capitals.values())
    if not free >= needed * (1.0 - _EXACT):
        shares = ", ".join(f"{name} {capital:.2f}" for name, capital in capitals.items())
        raise InputError(
            f"the account has {free:.2f} {currency} free, and {needed:.2f} are needed ({shares})",
            hint="lower account.capital (under live: to change only this mode), or add funds",
        )


def adopted_value(runs: Sequence[Any], holdings: m.Holdings) -> float:
    """Return the value, at the last closes, of the positions that new runs adopt."""
    values: dict[str, float] = {}
    for run in runs:
        for symbol, base in zip(run.symbols, run.member.bases, strict=True):
            if run.strategy.risk.adopt == "adopt" and symbol in run.closes:
                held = sum(holdings.balances.get(base, (0.0, 0.0)))
                values[base] = held * run.closes[symbol]
    return sum(values.values())


async def require_capital(
    runs: Sequence[Any],
    venue: LiveVenue,
    capitals: Mapping[str, float],
    stopping: asyncio.Event,
) -> None:
    """Refuse a first start if the account lacks its capital; see `find_capital`."""
    notify, account = runs[0].notify, runs[0].strategy.account.currency

    def require_balance(holdings: m.Holdings) -> None:
        require_funds(capitals, account, holdings, adopted_value(runs, holdings))

    reads = partial(
        retry_until_answered, "balances", venue.holdings, notify=notify, stopping=stopping
    )
    await find_capital(reads, require_balance, notify=notify, stopping=stopping)


async def find_capital(
    ask: Callable[[], Awaitable[m.Holdings]],
    require_balance: Callable[[m.Holdings], None],
    *,
    notify: Notify,
    stopping: asyncio.Event,
    pauses_s: tuple[float, ...] | None = None,
) -> None:
    """Read the balance until `require_balance` accepts it: a single low read may be wrong.

    Raises
    ------
    InputError
        Every read showed too little.
    """
    for pause_s in PAUSES_S if pauses_s is None else pauses_s:
        try:
            require_balance(await ask())
        except InputError as refused:
            text = f"{refused.message}; asking once more"
            notify("warning", "funds", {"text": text})
            await _pause(stopping, pause_s)
        else:
            return
    require_balance(await ask())


async def _pause(stopping: asyncio.Event, pause_s: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), pause_s)
    except TimeoutError:
        return
