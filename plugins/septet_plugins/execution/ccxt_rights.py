"""Rights of an API key, if the exchange can be queried for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from septet.errors import InputError
from septet_plugins.execution.ccxt_link import Rest

__all__ = ["can_withdraw", "is_unknown_key", "refused_key"]


async def _binance(rest: Rest, is_test: bool) -> bool:
    """Query the rights of the key; a test network only knows those of the account."""
    if is_test:
        return bool((await rest.ask("privateGetAccount"))["canWithdraw"])
    return bool((await rest.ask("sapiGetAccountApiRestrictions"))["enableWithdrawals"])


async def _bybit(rest: Rest, is_test: bool) -> bool:
    answer = await rest.ask("privateGetV5UserQueryApi")
    return "Withdraw" in (answer["result"]["permissions"].get("Wallet") or ())


async def _okx(rest: Rest, is_test: bool) -> bool:
    answer = await rest.ask("privateGetAccountConfig")
    return "withdraw" in str(answer["data"][0]["perm"])


_ASK: Final[Mapping[str, Callable[[Rest, bool], Awaitable[Any]]]] = {
    "binance": _binance,
    "bybit": _bybit,
    "okx": _okx,
}


async def can_withdraw(rest: Rest, *, is_test: bool) -> tuple[bool | None, str]:
    """Return whether the key may withdraw (None: unknown), and why it is unknown.

    Raises
    ------
    InputError
        If the exchange does not know the key: repeating the request would not help.
    """
    ask = _ASK.get(rest.client.id)
    if ask is None:
        return None, f"{rest.client.id} is not asked whether the key may withdraw"
    try:
        return await ask(rest, is_test), ""
    except Exception as error:  # unknown is a valid result; the person who starts the run decides
        if is_unknown_key(error):
            raise refused_key(rest.client.id) from None
        return None, f"whether the key may withdraw is unknown ({type(error).__name__})"


def is_unknown_key(error: BaseException) -> bool:
    """Whether an exchange does not know the key, as opposed to a missing permission."""
    import ccxt

    return isinstance(error, ccxt.AuthenticationError) and not isinstance(
        error, ccxt.PermissionDenied
    )


def refused_key(exchange: str) -> InputError:
    """Return the error, with a hint, for a key that the exchange does not know."""
    return InputError(
        f"{exchange} refuses the key",
        hint="check key and secret, that they are of this exchange (or of its test network), "
        "and that this machine's address is allowed",
    )
