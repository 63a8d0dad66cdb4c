"""How long a bar assembler waits, and how much it requests at once."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["BarRules", "BarRequest"]


@dataclass(frozen=True, slots=True)
class BarRules:
    """How long a bar assembler waits; times are of the wall unless `market` is in the name.

    `jump` is the share of the previous close beyond which a price is absurd until it is confirmed.
    A missing bar is requested `ask_after_ns` after its close and again at intervals from `retry_ns`
    up to `slowest_ns`. That the venue has no such bar is accepted after two answers, one requested
    `confirm_absent_ns` after the other had come, or after one with later bars in it; what holds
    back others is given up after `give_up_ns`. A question without an answer is lost after
    `answer_ns`. A bar that the feed reported absent, while no later one is due, as over a weekend,
    is requested at growing intervals, up to `longest_ns` apart. A venue may close a bar
    `early_market_ns` before our clock does. The newest row of an answer may be a bar whose last
    trades are not in it yet: it is accepted if it was requested `final_ns` after its close, or
    again `again_ns` later
    with the same answer; see `BarAssembler.answer`. `page` bars are requested at once, `backlog`
    confirmed bars wait at most.
    """

    jump: float = 0.5
    ask_after_ns: int = 1_000_000_000
    retry_ns: int = 1_000_000_000
    slowest_ns: int = 30_000_000_000
    longest_ns: int = 3_600_000_000_000
    confirm_absent_ns: int = 3_000_000_000
    answer_ns: int = 60_000_000_000
    give_up_ns: int = 30_000_000_000
    early_market_ns: int = 2_000_000_000
    again_ns: int = 250_000_000
    final_ns: int = 10_000_000_000
    page: int = 1_000
    backlog: int = 10_000

    @classmethod
    def of(cls, bar_ns: int, speed: float, grace_ns: int) -> BarRules:
        """Return the rules for bars that last ``bar_ns / speed`` by the wall."""
        wall = int(bar_ns / speed)
        return cls(
            ask_after_ns=grace_ns // 2,
            retry_ns=max(100_000_000, min(1_000_000_000, grace_ns // 2)),
            give_up_ns=min(30_000_000_000, max(5_000_000_000, wall)),
            early_market_ns=min(bar_ns // 4, int(2_000_000_000 * speed)),
        )

    def question(
        self, symbol: str, since_ns: int, until_ns: int, now_ns: int, market_ns: int, speed: float,
        uncertainty_ns: int = 0,
    ) -> BarRequest:  # fmt: skip
        """Return a question that leaves now, by a clock that may be ahead by `uncertainty_ns`."""
        over_ns = market_ns - int(uncertainty_ns * speed)
        final_until_ns = over_ns - int(self.final_ns * speed)
        return BarRequest(symbol, since_ns, until_ns, now_ns, final_until_ns, over_ns)


@dataclass(frozen=True, slots=True)
class BarRequest:
    """Bars to ask the feed for: ``since_ns <= open_ns < until_ns``.

    Whether a bar is over is decided by what was known when the request left, not at its answer:
    `asked_ns` is that moment by the wall, `final_until_ns` the market time up to which an answer is
    not too early, `over_ns` the market time that has surely come: after a jump of the machine's
    clock that is less than what the clock shows.
    """

    symbol: str
    since_ns: int
    until_ns: int
    asked_ns: int = field(default=0, compare=False)
    final_until_ns: int = field(default=-1, compare=False)
    over_ns: int = field(default=1 << 62, compare=False)
