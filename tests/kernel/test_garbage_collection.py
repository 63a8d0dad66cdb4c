"""The collector is off for a piece of work, and finds what this has made."""

from __future__ import annotations

import gc
import weakref

from septet._kernel.garbage_collection import collector_off


class Circle:
    """An object that refers to itself: only the collector frees it."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_made_while_it_was_off_is_freed_at_the_end() -> None:
    with collector_off(collects=True):
        assert not gc.isenabled()
        made = [weakref.ref(Circle()) for _ in range(100)]
        gc_was_needed = all(each() is not None for each in made)
    assert gc_was_needed
    assert all(each() is None for each in made)
    assert gc.isenabled()


def test_within_another_it_stays_off() -> None:
    with collector_off(), collector_off(collects=True):
        made = weakref.ref(Circle())
    assert made() is None
    with collector_off():
        with collector_off():
            pass
        assert not gc.isenabled()
