"""What is written comes back, bit for bit; what JSON cannot hold is refused by name."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from septet import messages as m
from septet._journal.journal_format import (
    decode_commands,
    decode_event,
    encode_commands,
    encode_event,
)
from septet._journal.journal_writer import Journal
from tests.journal.drawn import COMMANDS, EVENTS, HEAD, KINDS, bar, of_type, order


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_event_comes_back(kind: type[m.Event]) -> None:
    @settings(max_examples=25, deadline=None)
    @given(of_type(kind))
    def check(event: m.Event) -> None:
        at_ns, name, text = encode_event(event)
        back = decode_event(text)
        assert back == event
        assert repr(back) == repr(event)  # also distinguishes -0.0 from 0.0
        assert (at_ns, name) == (event.at_ns, kind.__struct_config__.tag)
        assert encode_event(text) == (at_ns, name, text)

    check()


@settings(max_examples=150, deadline=None)
@given(COMMANDS)
def test_every_command_comes_back(commands: list[m.Command]) -> None:
    text = encode_commands(commands)
    assert repr(decode_commands(text)) == repr(commands)
    assert encode_commands(decode_commands(text)) == text


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(EVENTS, COMMANDS), max_size=6))
def test_a_journal_gives_back_what_it_was_given(
    tmp_path_factory: pytest.TempPathFactory, given_: list[tuple[m.Event, list[m.Command]]]
) -> None:
    with Journal.create(tmp_path_factory.mktemp("j") / "j.sqlite", HEAD) as journal:
        for event, commands in given_:
            journal.append(event, commands)
        journal.commit()
        back = [(entry.event, entry.commands) for entry in journal.read()]
        assert repr(back) == repr(given_)
        assert journal.verify().ok


@given(st.lists(st.floats(), max_size=30))
def test_the_bits_of_features_survive(values: list[float]) -> None:
    row = struct.pack(f"<{len(values)}d", *values)
    decided = m.Decided(
        time_ns=1, symbol=0, features=row, probability_up=None, confidence=1.0, signal="long",
        requested=1.0, granted=1.0,
    )  # fmt: skip
    (back,) = decode_commands(encode_commands([decided]))
    assert isinstance(back, m.Decided)
    assert back.features == row


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_hold_is_named(value: float) -> None:
    with pytest.raises(AssertionError, match=r"Quoted\.ask is"):
        encode_event(
            m.Quoted(at_ns=1, symbol=0, venue_ns=1, bid=1.0, bid_quantity=1.0, ask=value,
                     ask_quantity=1.0)
        )  # fmt: skip
    with pytest.raises(AssertionError, match=r"Holdings\.balances\['USDT'\]\[1\] is"):
        encode_event(m.Holdings(at_ns=1, balances={"USDT": (1.0, value)}, asked_ns=1))
    with pytest.raises(AssertionError, match=r"Ruled\.equity is"):
        encode_commands([order(1), m.Ruled(time_ns=1, equity=value, cash=1.0, exposure=0.0)])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_hold_is_not_appended(tmp_path: Path, value: float) -> None:
    quote = m.Quoted(
        at_ns=1, symbol=0, venue_ns=1, bid=1.0, bid_quantity=value, ask=1.0, ask_quantity=1.0
    )
    ruled = m.Ruled(time_ns=1, equity=1.0, cash=value, exposure=0.0)
    with Journal.create(tmp_path / "j", HEAD) as journal:
        with pytest.raises(AssertionError, match=r"Quoted\.bid_quantity is"):
            journal.append(quote, ())
        with pytest.raises(AssertionError, match=r"Ruled\.cash is"):
            journal.append(bar(1), [order(1), ruled])
        assert (journal.seq, journal.waiting) == (0, 0)
        journal.append(m.FeedChanged(at_ns=1, stream="null", symbol=0, state="live"), ())
        assert journal.commit() == 1
        assert journal.verify().ok


def test_bytes_are_taken_as_they_are(tmp_path: Path) -> None:
    event, commands = encode_event(bar(3))[2], encode_commands([order(3)])
    with Journal.create(tmp_path / "a", HEAD) as one, Journal.create(tmp_path / "b", HEAD) as two:
        one.append(bar(3), [order(3)])
        two.append(event, commands)
        one.commit(), two.commit()
        (first,), (second,) = one.read(), two.read()
        assert first.hash == second.hash
        assert (second.event_json, second.commands_json) == (event, commands)
