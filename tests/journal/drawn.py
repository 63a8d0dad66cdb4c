"""Messages of every kind, drawn from their own types, and a few that are written out."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

from septet import messages as m
from septet._journal.journal_format import Head
from septet._journal.journal_writer import Journal
from septet._journal.write_ahead_tail import tail_of

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
HEAD = Head(
    run_id="r1", strategy="demo", mode="paper", account="", created_ns=1, origin_ns=2,
    fingerprints={"plan": "p"}, facts={"symbols": ["BTC/USDT"], "features": ["a", "b"]},
)  # fmt: skip


def of_type(hint: Any) -> st.SearchStrategy[Any]:
    """Draw any value of a field's type that JSON can hold."""
    origin, parts = get_origin(hint), get_args(hint)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        int: INT64, bool: st.booleans(), str: TEXT, bytes: st.binary(max_size=64),
        NoneType: st.none(), float: st.floats(allow_nan=False, allow_infinity=False),
    }  # fmt: skip
    if hint in simple:
        return simple[hint]
    if origin is Literal:
        return st.sampled_from(parts)
    if origin in (Union, UnionType):
        return st.one_of([of_type(part) for part in parts])
    if origin is dict:
        return st.dictionaries(of_type(parts[0]), of_type(parts[1]), max_size=3)
    if origin is tuple and parts[1:] == (...,):
        return st.lists(of_type(parts[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*[of_type(part) for part in parts])
    assert issubclass(hint, msgspec.Struct), hint
    return st.builds(hint, **{name: of_type(each) for name, each in get_type_hints(hint).items()})


KINDS = get_args(m.EVENTS)
EVENTS = st.one_of([of_type(kind) for kind in KINDS])
COMMANDS = st.lists(st.one_of([of_type(kind) for kind in get_args(m.COMMANDS)]), max_size=3)


def bar(number: int) -> m.BarClosed:
    """Write a bar that no other one is equal to."""
    return m.BarClosed(
        at_ns=1_000 + number, symbol=0, open_ns=number * 60, known_ns=(number + 1) * 60,
        open=1.0, high=2.0, low=0.5, close=1.0 + number / 7, volume=3.0,
    )  # fmt: skip


def order(number: int) -> m.Submit:
    """Write an order with that number."""
    return m.Submit(
        trace=f"t{number}", client_id=f"aabc-{number}", parent=number, symbol=0, side="buy",
        order_type="market", quantity=0.1, reduces=False, deadline_ns=9,
    )  # fmt: skip


def filled(path: Path, count: int, *, every: int = 1, text: str = "") -> Journal:
    """Make a journal of `count` entries, the odd ones with an order; stored `every` so many."""
    journal = Journal.create(path, HEAD)
    for number in range(1, count + 1):
        commands: Sequence[m.Command] = (order(number),) if number % 2 else ()
        if text:
            commands = (*commands, m.Alerted(level="info", event="x", text=text))
        journal.append(bar(number), commands)
        if number % every == 0:
            journal.commit()
    journal.commit()
    return journal


def spoil(path: Path, *statements: str) -> None:
    """Change the database behind the journal's back, without the tail, which would mend it."""
    tail_of(path).unlink(missing_ok=True)
    db = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        db.execute(statement)
    db.close()
