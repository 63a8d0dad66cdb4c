"""What a person does to a live process whose plan is compiled: halt, resume, signals, kill."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from septet import messages as m
from septet._journal.reader import Reader
from septet._live.kill_switch import HALT
from septet._live.replay import replay
from tests.cli.conftest import Command
from tests.cli.local import Local, finish, local, until_reported

WITHIN_S = 60.0
RISK = "  halts: {drawdown"
STOPS = "  stops: {stop_loss: 20%}\n"


@pytest.fixture
def venue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Local]:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "st"))
    with local(tmp_path) as made:
        yield made


class Book:
    """What the journal of the one run holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def rows(self) -> list[tuple[m.Event, Any]]:
        with Reader(self.folder / "journal.sqlite") as journal:
            return [(each.event, each.commands) for each in journal.read()]

    def commands(self, kind: type[m.Command]) -> list[Any]:
        return [each for _, found in self.rows() for each in found if isinstance(each, kind)]

    def entries(self) -> int:
        return sum(not each.reduces for each in self.commands(m.Submit))

    def holds(self) -> bool:
        """Whether more is held than what fees leave of less than a lot."""
        fills = self.commands(m.Traded)
        most = max((each.position for each in fills), default=0.0)
        return bool(fills) and fills[-1].position > 0.01 * most

    def halts(self, name: str) -> int:
        events = (event for event, _ in self.rows() if isinstance(event, m.Operated))
        return sum(each.name == name for each in events)


def until(done: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + WITHIN_S
    while not done():
        assert time.monotonic() < end_s, what
        time.sleep(0.1)


@pytest.mark.compiled
def test_a_live_process_with_a_compiled_plan_is_halted_resumed_killed_and_started_again(
    venue: Local, septet: Command
) -> None:
    file = venue.file()
    text = file.read_text(encoding="utf-8")
    assert RISK in text
    file.write_text(text.replace(RISK, STOPS + RISK), encoding="utf-8")
    process = venue.run(file, "--yes", mode="live")
    until_reported(process, lambda line: line["event"] == "fill")
    [folder] = (venue.runs / "local").iterdir()
    book, where = Book(folder), ("--runs", venue.runs)

    output = septet("halt", "local", "--flatten", "--reason", "news", "--json", *where)
    found = json.loads(output.out)
    assert (output.code, found["taken"], found["open_orders"]) == (0, True, 0)
    until(lambda: not book.holds(), "flat")
    entries = book.entries()
    time.sleep(1.5)
    assert (book.entries(), process.poll()) == (entries, None), "it lives, and enters no more"

    resume = ("resume", "local", "--name", "ann", "--reason", "read it", *where)
    assert "may trade again" in septet(*resume).out
    until(lambda: book.entries() > entries and book.holds(), "an entry after the resume")
    until(lambda: any(each.parent < 0 for each in book.commands(m.Submit)), "its stop")

    process.send_signal(signal.SIGUSR1)
    until(lambda: book.halts("signal") > 0 and (folder / HALT).is_file(), "halted by the signal")
    assert process.poll() is None
    process.kill()
    process.communicate()
    entries = book.entries()
    code, _, err = finish(venue.run(file, "--yes", "--bars", "20", mode="live"))
    assert code == 3, err[-3000:]
    assert book.entries() == entries, "a halt survives the kill and the restart"
    assert "may trade" in septet(*resume).out
    process = venue.run(file, "--yes", mode="live")
    until(lambda: book.entries() > entries, "an entry after the second resume")
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process)
    assert code == 0, err[-3000:]
    assert replay(folder).differences == 0
