"""A million events of the demo in live mode, straight through core and journal.

There is no loop and no socket here: orders are answered in the batch that made them. What is
left is what every event costs: the core, the journal, and the fold beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from live_latency import World
from live_world import BAR_NS

from septet import messages as m

__all__ = ["BATCH", "Mill", "market_events"]

BATCH = 256


def market_events(world: World, first_ns: int, count: int) -> list[m.Event]:
    """Return quotes and prints by turns around the last close, evenly within one bar."""
    close, found = world.feed.bar(first_ns - BAR_NS).close, list[m.Event]()
    for number in range(count):
        at_ns = first_ns + (number + 1) * BAR_NS // (count + 2)
        price = round(close + 0.01 * (number * 7919 % 101 - 50), 2)
        if number % 2:
            found.append(
                m.Printed(
                    at_ns=at_ns,
                    symbol=0,
                    venue_ns=at_ns,
                    market_ns=at_ns,
                    price=price,
                    quantity=0.013,
                )
            )
        else:
            found.append(
                m.Quoted(
                    at_ns=at_ns, symbol=0, venue_ns=at_ns, bid=price - 0.01, bid_quantity=1.25,
                    ask=price + 0.01, ask_quantity=0.75, market_ns=at_ns,
                )
            )  # fmt: skip
    return found


class Mill:
    """Events of bar after bar: quotes and prints, the bar, its decision, its orders' answers.

    With `folds` every row also goes to what a run keeps beside its core.
    """

    def __init__(self, world: World, per_bar: int, *, folds: bool = True) -> None:
        self.world, self._per_bar, self._folds = world, per_bar, folds
        self._trades = 0
        self._events = self._forever(world.strategy_run.build.core.market_ns // BAR_NS * BAR_NS)

    def _forever(self, open_ns: int) -> Iterator[m.Event]:
        while True:
            yield from market_events(self.world, open_ns, self._per_bar)
            seen, end_ns = self.world.feed.bar(open_ns), open_ns + BAR_NS
            yield m.BarClosed(
                at_ns=end_ns, symbol=0, open_ns=open_ns, known_ns=end_ns, open=seen.open,
                high=seen.high, low=seen.low, close=seen.close, volume=seen.volume,
            )  # fmt: skip
            yield m.DecisionTimeReached(at_ns=end_ns, time_ns=end_ns, present=(0,))
            open_ns = end_ns

    def run(self, count: int, *, batch: int = BATCH) -> int:
        """Let about so many events through, in batches; return how many it were."""
        strategy_run, done = self.world.strategy_run, 0
        core, journal = strategy_run.build.core, strategy_run.journal
        assert journal is not None
        while done < count:
            rows: list[tuple[m.Event, Sequence[m.Command]]] = []
            for event in islice(self._events, batch):
                self._take(core, journal, event, rows)
            journal.commit()
            if self._folds:
                for row in rows:
                    strategy_run._watch(*row)
                strategy_run.shell.handled += len(rows)
            done += len(rows)
        return done

    def _take(
        self, core: object, journal: object, event: m.Event,
        rows: list[tuple[m.Event, Sequence[m.Command]]],
    ) -> None:  # fmt: skip
        commands = core.handle(event)  # type: ignore[attr-defined]
        journal.append(event, commands)  # type: ignore[attr-defined]
        rows.append((event, commands))
        for each in commands:
            if isinstance(each, m.Submit):
                for answer in self._answers(each, event.at_ns):
                    self._take(core, journal, answer, rows)
            elif isinstance(each, m.Train):
                made = self.world.strategy_run.ready_model
                ready = m.ModelReady(
                    at_ns=event.at_ns, number=each.number, fingerprint=made.fingerprint,
                    trained_to_ns=each.trained_to_ns, ready_ns=0, expires_ns=made.expires_ns,
                    folder=made.folder,
                )  # fmt: skip
                self._take(core, journal, ready, rows)

    def _answers(self, order: m.Submit, at_ns: int) -> tuple[m.Event, m.Event]:
        self._trades += 1
        name = f"m{self._trades}"
        open_ns = (at_ns - 1) // BAR_NS * BAR_NS
        filled = m.Filled(
            at_ns=at_ns, venue="here", symbol=0, trade_id=name, client_id=order.client_id,
            venue_order_id=name, venue_ns=at_ns, market_ns=at_ns, side=order.side,
            quantity=order.quantity, price=self.world.feed.bar(open_ns).close, fee=0.0,
            fee_currency="USD",
        )  # fmt: skip
        acked = m.Acked(
            at_ns=at_ns, client_id=order.client_id, venue_order_id=name, state="filled",
            side=order.side, quantity=order.quantity, filled=order.quantity,
        )  # fmt: skip
        return filled, acked
