"""Ctrl-C while a plan is compiled ends the command, wherever it comes."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import pytest

from septet._plan import compiled_units
from septet.errors import Cancelled


def call_back(error: BaseException) -> None:
    """Raise in a callback from C: ctypes does not let it out."""

    def raises() -> None:
        raise error

    ctypes.CFUNCTYPE(None)(raises)()


@pytest.mark.parametrize("follows", [None, RuntimeError("no compiled object yet")])
@pytest.mark.parametrize("sent", [KeyboardInterrupt(), Cancelled("cancelled")])
def test_an_interrupt_in_a_callback_of_the_compiler_is_raised(
    sent: BaseException, follows: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*given: Any) -> Any:
        call_back(sent)
        if follows is not None:
            raise follows

    monkeypatch.setattr(compiled_units, "load_text", load)
    with pytest.raises(type(sent)):
        compiled_units.load_compiled("", "made", None, ())


def test_other_failures_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*given: Any) -> Any:
        raise RuntimeError("no compiled object yet")

    monkeypatch.setattr(compiled_units, "load_text", load)
    with pytest.raises(RuntimeError):
        compiled_units.load_compiled("", "made", None, ())


def test_a_thread_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    monkeypatch.setattr(compiled_units, "load_text", lambda *given: "compiled")

    def work() -> None:
        found.append(compiled_units.load_compiled("", "made", None, ()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == ["compiled"]
