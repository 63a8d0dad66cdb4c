"""Cross-checks of a portfolio: its requirements on account, universe and orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from septet._config.check_context import CheckContext
from septet_schemas.units import format_duration

__all__ = ["CHECKS"]

_ORDERS: Final = ("market", "limit_then_market")
_UNREAD: Final = (("rebalance", None), ("allocate", "confidence"), ("split", "none"))


def check_slots(context: CheckContext) -> None:
    """There are as many symbols as slots, and shorts only where they exist."""
    portfolio, symbols = context.strategy.portfolio, context.strategy.universe.symbols
    if not portfolio.decides or context.doubtful("portfolio") or context.doubtful("universe"):
        return
    slots = portfolio.long + portfolio.short
    if slots > len(symbols):
        key = "long" if portfolio.long >= portfolio.short else "short"
        context.error(
            ("portfolio", key),
            f"there are more slots ({slots}) than symbols ({len(symbols)})",
            hint=f"write {len(symbols)} or less, or add symbols",
        )
    if context.is_spot and portfolio.short:
        context.error(
            ("portfolio", "short"), "a spot account cannot go short", on_key=True,
            hint="remove it, or trade account: {type: perpetual}",
        )  # fmt: skip
    if context.is_spot and portfolio.net is not None:
        context.error(
            ("portfolio", "net"), "a spot account has no short side to net with", on_key=True,
            hint="remove it, or trade account: {type: perpetual}",
        )  # fmt: skip


def check_max_weight(context: CheckContext) -> None:
    """A bound of one weight that is above the sum of all weights never binds."""
    portfolio = context.strategy.portfolio
    most, gross = portfolio.max_weight, portfolio.gross
    if not portfolio.decides or most is None or context.doubtful("portfolio"):
        return
    if portfolio.use in ("top", "weights") and most > gross:
        context.warn(
            ("portfolio", "max_weight"),
            f"no weight reaches {most * 100:.6g}%: all of them sum to gross, {gross * 100:.6g}%",
            hint="write a lower max_weight, or a higher gross",
        )


def check_gross(context: CheckContext) -> None:
    """A sum of weights that limits or cash never let the account hold."""
    portfolio, limits = context.strategy.portfolio, context.strategy.risk.limits
    if not portfolio.decides or context.doubtful("portfolio"):
        return
    bounds = [(1.0, "the cash of a spot account")] if context.is_spot else []
    limit = limits.get("gross_exposure")
    most = getattr(limit.config, "max", None) if limit is not None else None
    if isinstance(most, float) and not context.doubtful("risk", "limits"):
        bounds.append((most, "risk.limits.gross_exposure"))
    least, what = min(bounds, default=(portfolio.gross, ""))
    if portfolio.gross > least * (1.0 + 1e-9):
        context.warn(
            ("portfolio", "gross"),
            f"no rebalance reaches {portfolio.gross * 100:.6g}%: {what} lets {least * 100:.6g}%",
            hint=f"write {least * 100:.6g}% or less" + ("" if context.is_spot else
                 ", or a wider risk.limits.gross_exposure"),
        )  # fmt: skip


def check_name(context: CheckContext) -> None:
    """No feature has the name of a column that a portfolio adds to decisions."""
    for name in ("target_weight", "turnover_factor"):
        if context.strategy.portfolio.decides and name in context.strategy.features:
            context.error(
                ("features", name), "a portfolio's decisions have a column of this name",
                on_key=True, hint="rename the feature",
            )  # fmt: skip


def check_hold_rank(context: CheckContext) -> None:
    """A hold rank within the number of slots has no effect: its symbols are chosen anyway."""
    portfolio = context.strategy.portfolio
    slots = [each for each in (portfolio.long, portfolio.short) if each]
    if portfolio.hold_rank is not None and slots and portfolio.hold_rank <= min(slots):
        context.warn(
            ("portfolio", "hold_rank"),
            "names of this rank are chosen in any case: it keeps nobody while all slots are free",
            hint=f"write a rank above {min(slots)}",
        )


def check_orders(context: CheckContext) -> None:
    """A rebalance fills at one open: its orders are market orders."""
    order = context.strategy.execution.order
    if context.strategy.portfolio.decides and order.use not in _ORDERS:
        context.error(
            ("execution", "order", "use"),
            "a rebalance fills at one open, and this order may wait",
            expected="market or limit_then_market", found=order.use,
        )  # fmt: skip


def check_unread(context: CheckContext) -> None:
    """Keys of risk that size or order entries of a signal do nothing in a portfolio."""
    if not context.strategy.portfolio.decides:
        return
    for name, default in _UNREAD:
        if getattr(context.strategy.risk, name) != default:
            context.error(
                ("risk", name), "a portfolio does not read this: it sizes by its weights",
                on_key=True, hint="remove it; see portfolio.rebalance",
            )  # fmt: skip


def check_position(context: CheckContext) -> None:
    """Weights determine what is added: no other rule adds beside them."""
    position = context.strategy.risk.position
    if not context.strategy.portfolio.decides or position is None:
        return
    if position.add:
        context.error(
            ("risk", "position", "add"), "a portfolio adds by its weights", on_key=True,
            hint="remove it: a higher weight at the next rebalance is an add",
        )  # fmt: skip


def check_every(context: CheckContext) -> None:
    """A rebalance that is due more often than bars close is due at every close."""
    rebalance, bar_ns = context.strategy.portfolio.rebalance, context.bar_ns
    if rebalance is None or rebalance.every.kind != "span":
        return
    if rebalance.every.is_due(-1, bar_ns - 1, "UTC", bar_ns) and rebalance.every.is_due(
        0, bar_ns // 2, "UTC", bar_ns
    ):
        context.warn(
            ("portfolio", "rebalance", "every"),
            "this is due more often than bars close: it rebalances at every close",
            hint=f"write 1 bar, or an interval longer than {format_duration(bar_ns)}",
        )


CHECKS: Final[tuple[Callable[[CheckContext], None], ...]] = (
    check_slots,
    check_max_weight,
    check_gross,
    check_name,
    check_hold_rank,
    check_orders,
    check_unread,
    check_position,
    check_every,
)
