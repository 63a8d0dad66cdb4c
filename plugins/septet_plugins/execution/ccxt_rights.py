"""What a key may do, where the exchange can be asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from septet.errors import InputError
from septet_plugins.execution.ccxt_link import Rest

__all__ = ["can_withdraw"]


async def _binance(rest: Rest, is_test: bool) -> bool:
    """Ask for the key's own rights; a test network only knows those of the account."""
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
    """Return whether the key may withdraw, None where that is unknown, and why it is unknown.

    Raises
    ------
    InputError
        If the exchange does not know the key: asking again would change nothing.
    """
    import ccxt

    ask = _ASK.get(rest.client.id)
    if ask is None:
        return None, f"{rest.client.id} is not asked whether the key may withdraw"
    try:
        return await ask(rest, is_test), ""
    except ccxt.PermissionDenied as error:
        return None, f"whether the key may withdraw is unknown ({type(error).__name__})"
    except ccxt.AuthenticationError:
        raise InputError(
            f"{rest.client.id} refuses the key",
            hint="check key and secret, that they are of this exchange (or of its test network), "
            "and that this machine's address is allowed",
        ) from None
    except Exception as error:  # unknown is an answer; who starts the run decides
        return None, f"whether the key may withdraw is unknown ({type(error).__name__})"
