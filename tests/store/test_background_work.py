"""Work beside the main thread: what it gives, and what it raises."""

from __future__ import annotations

import threading

import pytest

from septet._store.background_work import Background


def test_it_gives_what_the_call_gives_from_another_thread() -> None:
    work = Background(threading.get_ident)
    assert work.result() != threading.get_ident()
    assert work.result() == work.result()


def test_it_raises_what_the_call_raises_where_it_is_asked() -> None:
    def fail() -> None:
        raise ValueError("of its own")

    work = Background(fail)
    work.wait()
    with pytest.raises(ValueError, match="of its own"):
        work.result()
