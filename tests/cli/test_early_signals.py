"""Signals that come before the event loop of a run takes them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from septet._cli.early_signals import EarlySignals

HELD = (signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = {each: signal.signal(each, signal.SIG_DFL) for each in HELD}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", HELD)
def test_the_first_is_remembered_and_a_second_leaves_at_once(number: signal.Signals) -> None:
    left: list[int] = []
    early = EarlySignals(left.append)
    early.hold()
    assert early.name == ""
    os.kill(os.getpid(), number)
    assert early.name == number.name
    os.kill(os.getpid(), signal.SIGHUP)  # the shell may repeat the kernel's
    assert left == []
    os.kill(os.getpid(), signal.SIGTERM)
    assert left == [128 + signal.SIGTERM]
    assert early.name == number.name


def test_what_was_received_is_delivered_where_it_is_not_held_any_more() -> None:
    early, delivered = EarlySignals(), list[int]()
    early.hold()
    os.kill(os.getpid(), signal.SIGTERM)
    early._handlers[signal.SIGTERM] = lambda number, frame: delivered.append(number)
    early.release()
    assert delivered == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    early.release()


def test_nothing_is_delivered_where_nothing_came() -> None:
    early = EarlySignals()
    early.hold()
    early.release()
    assert [signal.getsignal(each) for each in HELD] == [signal.SIG_DFL, signal.SIG_DFL]


def test_nohup_is_heeded() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    EarlySignals().hold()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_copy_of_the_process_ends_by_the_signal() -> None:
    early = EarlySignals()
    early.hold()
    early._pid += 1
    delivered: list[int] = []
    taken = signal.signal

    def take(number: int, handler: object) -> None:
        assert handler is signal.SIG_DFL
        taken(number, lambda each, frame: delivered.append(each))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signal, "signal", take)
        os.kill(os.getpid(), signal.SIGTERM)
    assert delivered == [signal.SIGTERM]
    assert early.name == ""
