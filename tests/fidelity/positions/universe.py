"""Members at a time out of a fixed pool, and symbols that have left the market."""

from __future__ import annotations

from tests.fidelity.positions.exact import exact
from tests.fidelity.positions.expression import is_true
from tests.fidelity.positions.schedule import instants
from tests.fidelity.positions.state import State
from tests.fidelity.positions.words import data_words

__all__ = ["book_out_delisted", "update_members"]


def update_members(run: State, before_ns: int | None) -> None:
    """Choose the members anew where `every` has an instant since the last T, or read a series.

    A symbol without a bar at that T is decided by its last one.
    """
    rule, symbols = run.s.universe, run.market.symbols
    if rule is None:
        run.members = frozenset(symbols) - run.gone
        return
    last = {name: run.market.last_row(name, run.now_ns) for name in symbols}
    if rule.member is not None:
        columns = run.market.features[rule.member]
        found = {n for n, row in last.items() if row is not None and columns[n][row] > 0.0}
        run.members = frozenset(found) - run.gone
        return
    due = before_ns is None or instants(
        rule.every, run.s.time_zone, before_ns, run.now_ns, run.market.bar_ns
    )
    if not due:
        run.members -= run.gone
        return
    bar_ns = run.market.bar_ns
    ranked = []
    for number, (name, row) in enumerate(last.items()):
        if row is None:
            continue
        words = data_words(run.s, run.market, name, run.market.bars[name][row].open_ns + bar_ns)
        by = words[rule.by] if rule.by else 0.0
        if by == by and (rule.where is None or is_true(rule.where, words)):
            ranked.append((-by, number, name))
    chosen = [name for _, _, name in sorted(ranked)][: rule.top]
    run.members = frozenset(chosen) - run.gone


def book_out_delisted(run: State) -> None:
    """Book a delisted symbol out at last close * (1 + `delisting_return`), and report it.

    Delisted: a row states it, or there was no bar for `delisted_after` bars.
    """
    rule = run.s.delisting
    if rule is None:
        return
    for symbol in run.market.symbols:
        row = run.market.last_row(symbol, run.now_ns)
        if symbol in run.gone or row is None:
            continue
        last = run.market.bars[symbol][row]
        silent = (run.now_ns - last.open_ns) // run.market.bar_ns - 1
        by_row = rule.known_ns.get(symbol, run.now_ns + 1) <= run.now_ns
        if not by_row and (rule.after is None or silent < rule.after):
            continue
        run.gone.add(symbol)
        run.report(symbol, "delisted")
        for order in run.working(symbol):
            run.end(order, "cancelled", "delisted", run.now_ns)
        units = run.held(symbol).units
        if units:
            price = last.close * (1 + exact(rule.value_change))
            order = run.send(symbol, -units, "delisted", reduces=True, active_ns=run.now_ns)
            run.fill(order, price, maker=None, time_ns=run.now_ns)
