"""`septet halt` and `resume` where the journal is damaged, missing or cannot be opened (A13)."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest

from septet import messages as m
from septet._app import halt_texts
from septet._app.halt import Halted
from septet._cli import options
from septet._journal.journal_format import Head
from septet._journal.journal_writer import Journal
from septet._journal.lease import Holder, Lease
from septet._live.kill_switch import HALT, RESUME, ask_halt, ask_resume, read_halt
from tests.cli.conftest import Command

RUN_ID = "20260101T000000Z-abcdef"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "st"))
    made = tmp_path / "runs" / "old" / RUN_ID
    made.mkdir(parents=True)
    head = Head(run_id=RUN_ID, strategy="old", mode="live", account="", created_ns=0, origin_ns=0)
    Journal.create(made / "journal.sqlite", head).close()
    (made / "log.jsonl").write_text("")
    return made


def emptied(folder: Path) -> None:
    (folder / "journal.sqlite").write_bytes(b"")


def overwritten(folder: Path) -> None:
    (folder / "journal.sqlite").write_bytes(b"\xff" * 40_000)


def cut(folder: Path) -> None:
    path = folder / "journal.sqlite"
    path.write_bytes(path.read_bytes()[:5_000])


def gone(folder: Path) -> None:
    (folder / "journal.sqlite").unlink()


def a_folder(folder: Path) -> None:
    (folder / "journal.sqlite").unlink()
    (folder / "journal.sqlite").mkdir()


DAMAGES = [emptied, overwritten, cut, gone, a_folder]


@pytest.mark.parametrize("reference", ["latest", "old", RUN_ID, RUN_ID[:12]])
@pytest.mark.parametrize("name", ["copy1", f"{RUN_ID}.bak", "zzz", "0-before"])
def test_a11_a_copy_beside_a_run_takes_no_halt_from_it(
    folder: Path, septet: Command, reference: str, name: str
) -> None:
    (folder / "manifest.json").write_text(json.dumps({"run_id": RUN_ID}))
    copy = folder.parent / name
    shutil.copytree(folder, copy)
    later = (copy / "journal.sqlite").stat().st_mtime_ns + 1_000_000_000
    os.utime(folder / "journal.sqlite", ns=(later, later))  # the run goes on, the copy does not
    septet("halt", reference, "--reason", "news", "--runs", str(folder.parent.parent))
    assert (folder / HALT).exists()
    assert not (copy / HALT).exists()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("runs", [False, True], ids=["stopped", "running"])
def test_a13_a_halt_needs_no_journal(
    folder: Path, septet: Command, damage: Callable[[Path], None], runs: bool
) -> None:
    damage(folder)
    holder = Holder.this_process(run_id=RUN_ID, strategy="old", folder=folder, now_ns=0)
    lease = Lease.take(holder) if runs else None
    root = folder.parents[1]
    output = septet("halt", "old", "--flatten", "--reason", "news", "--wait", "0", "--runs", root)
    assert output.code == (0 if runs else 1), output.err
    standing = read_halt(folder)
    assert standing is not None
    assert (standing.action, standing.reason) == ("flatten", "news")
    assert "it is asked to flatten, which stands in its folder" in output.out
    assert ("twice a second" if runs else "it is not running") in output.out
    assert "cannot be read" in output.out
    found = json.loads(septet("halt", folder, "--json").out)
    assert (found["running"], found["taken"], found["action"]) == (runs, False, "flatten")
    assert found["unread"]
    output = septet("resume", "old", "--name", "ann", "--reason", "seen", "--runs", root)
    assert output.code == 0, output.err
    assert "the halt is cleared" in output.out
    assert read_halt(folder) is None
    if lease is not None:
        lease.release()


def test_a13_the_halt_is_written_before_the_journal_is_read(
    folder: Path, septet: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def reader(path: Path) -> None:
        seen.append((folder / HALT).is_file())
        raise KeyboardInterrupt  # whoever waits for a locked journal may give up

    monkeypatch.setattr("septet._journal.reader.Reader", reader)
    septet("halt", folder)
    assert seen == [True]
    assert (folder / HALT).is_file()


def test_a11_a_renamed_run_is_found_by_its_id_and_by_its_folder(
    folder: Path, septet: Command
) -> None:
    root = folder.parents[1]
    (folder / "manifest.json").write_text(json.dumps({"run_id": RUN_ID, "mode": "live"}))
    renamed = folder.rename(folder.with_name("keep"))
    for name in (RUN_ID, RUN_ID[:10], "keep", "old", renamed):
        output = septet("halt", name, "--runs", root)
        assert output.code == 0, output.err


@pytest.mark.parametrize("mode", ["paper", "live"])
@pytest.mark.parametrize("words", [[], ["--flatten"]])
def test_a_halt_speaks_of_real_orders_only_where_they_are_real(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, septet: Command, mode: str, words: list[str]
) -> None:  # fmt: skip
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "st"))
    made = tmp_path / "runs" / "mine" / RUN_ID
    made.mkdir(parents=True)
    facts = {"core": {"timing": {"some": 1}}}  # a paper run whose fills are made outside the core
    head = Head(
        run_id=RUN_ID, strategy="mine", mode=mode, account="", created_ns=0, origin_ns=0,
        facts=facts,
    )  # fmt: skip
    Journal.create(made / "journal.sqlite", head).close()
    output = septet("halt", "latest", *words, "--runs", tmp_path / "runs", "--wait", "0")
    assert output.code == 0
    assert ("real" in output.out or "venue" in output.out) == (mode == "live")
    assert ("(paper)" in output.out) == (mode == "paper")
    assert ("simulated orders" in output.out) == (mode == "paper")
    if words:
        assert ("simulated positions" in output.out) == (mode == "paper")
    halted = Halted(
        "r", Path("r"), "flatten" if words else "halt", running=True, has_journal=True, mode=mode,
        taken=True, open_orders=0,
    )  # fmt: skip
    found = halt_texts._result_lines(halted, 1.0)
    assert ("simulated" in " ".join(found)) == (mode == "paper")


HELD = {"positions": [{"symbol": "BTC/USDT", "dust": False}, {"symbol": "A/B", "dust": True}]}
FLAT = {"positions": [{"symbol": "A/B", "dust": True}]}


@pytest.mark.parametrize(
    ("action", "left", "state", "acted", "text"),
    [
        ("halt", 0, None, True, "no open orders"),
        ("halt", 1, None, False, "open orders: 1 at the last look"),
        ("halt", None, None, False, "open orders: not known yet"),
        ("flatten", 0, FLAT, True, "its positions are closed"),
        ("flatten", 0, HELD, False, "still holds BTC/USDT"),
        ("flatten", 1, FLAT, False, "open orders: 1"),
    ],
)
def test_a_halt_has_acted_once_nothing_that_it_ends_is_left(
    action: str, left: int | None, state: dict[str, Any] | None, text: str, *, acted: bool
) -> None:
    """A script that trusts the exit status must not take the account for flat."""
    found = Halted(
        "r", Path("r"), action, running=True, has_journal=True, taken=True, open_orders=left,
        state=state,
    )  # fmt: skip
    assert found.acted is acted
    assert text in " ".join(halt_texts._result_lines(found, 1.0))


@pytest.mark.parametrize("is_running", [True, False])
@pytest.mark.parametrize("action", ["halt", "flatten"])
def test_a_halt_before_the_first_journal_entry_states_that_nothing_was_sent(
    folder: Path, septet: Command, is_running: bool, action: str
) -> None:
    (folder / "journal.sqlite").unlink()
    holder = Holder.this_process(run_id=RUN_ID, strategy="old", folder=folder, now_ns=0)
    lease = Lease.take(holder) if is_running else None
    flatten = ["--flatten"] if action == "flatten" else []
    output = septet("halt", folder, *flatten, "--reason", "news", "--wait", "0").out.splitlines()
    process = "its process looks twice a second" if lease else "it is not running"
    assert output[0].endswith(f": it is asked to {action}, which stands in its folder; {process}")
    assert output[1:4] == [
        "  whether that was taken cannot be read: it has no journal",
        "  cancelled: nothing, if it has just begun: a run sends no order before it has a journal",
        "  if its journal was lost or removed: look at the venue for what is open and held",
    ]
    assert output[4].startswith("  cleared by: septet resume")
    assert len(output) == 5
    assert (folder / "HALT").is_file()


@pytest.mark.parametrize("mode", ["paper", "live"])
@pytest.mark.parametrize("state", ["stopped", "running", "damaged"])
def test_a_plain_halt_shows_what_is_cancelled_what_is_kept_and_what_clears_it(
    folder: Path, septet: Command, mode: str, state: str
) -> None:
    if mode == "paper":
        (folder / "journal.sqlite").unlink()
        head = Head(
            run_id=RUN_ID, strategy="old", mode=mode, account="", created_ns=0, origin_ns=0
        )  # fmt: skip
        Journal.create(folder / "journal.sqlite", head).close()
    if state == "damaged":
        emptied(folder)
        mode = "live"  # nobody can read which it was: its orders may be real
    holder = Holder.this_process(run_id=RUN_ID, strategy="old", folder=folder, now_ns=0)
    lease = Lease.take(holder) if state == "running" else None
    words = (folder, "--reason", "news", "--wait", "0")
    output = septet("halt", *words).out
    simulated = "simulated " if mode == "paper" else ""
    place = " at the venue" if mode == "live" else ""
    resume = f"  cleared by: septet resume {folder.name} --name YOU --reason WHY, and by no restart"
    if state != "running":
        lines = output.splitlines()
        nothing = f"  cancelled: nothing; {simulated}orders that rest{place} stay there"
        assert nothing in lines
        assert lines[-1].startswith(resume)
        assert ("Held" in output) == (state == "stopped"), "as the journal knows"
        return
    assert "has not answered" in output
    cancelled, kept, *naked, cleared, closes = output.splitlines()[-(5 if mode == "live" else 4) :]
    orders = f"{simulated}orders{place}, entries, exits and protective stops"
    assert cancelled == f"  to be cancelled, once it looks: all its resting {orders}"
    assert kept.startswith(f"  kept: its {simulated}positions; while its process runs, exits are")
    assert cleared.startswith(f"{resume}; until then no entry is sent")
    assert closes == f"  septet halt {folder.name} --flatten closes the positions as well"
    if mode == "live":
        assert naked == ["  if the process ends, the positions have no stop until its next start"]
        assert cleared.endswith("; the stops are placed again")
    else:
        assert "venue" not in output
    assert "stops" not in septet("resume", *words, "--name", "ann").out
    flattened = septet("halt", *words, "--flatten").out
    assert "stops" not in flattened
    assert "kept" not in flattened
    assert "  cleared by: septet resume" in flattened
    if lease is not None:
        lease.release()


@pytest.mark.parametrize("halted", ["", "once", "cleared", "by a rule", "by the venue"])
def test_a_resume_of_a_run_that_is_not_halted_states_that_there_is_nothing_to_clear(
    folder: Path, septet: Command, halted: str
) -> None:
    rule = {"by a rule": "drawdown", "by the venue": "venue_banned:x"}.get(halted, "operator_halt")
    ends = {"by a rule": "manual", "by the venue": "the ban is over"}
    clears_when = ends.get(halted, "a person resumes the run")
    tripped = m.Tripped(rule=rule, then="block_entries", clears_when=clears_when, equity=1.0)
    with Journal.open(folder / "journal.sqlite") as journal:
        if halted:
            journal.append(m.Ticked(at_ns=1, market_ns=1), [tripped])
        if halted == "cleared":
            journal.append(m.Ticked(at_ns=2, market_ns=2), [m.Cleared(rule=rule, by="ann")])
        journal.commit()
    words = ("resume", folder, "--name", "ann", "--reason", "seen")
    output = septet(*words)
    assert output.code == 0, output.err
    waits = halted in ("once", "by a rule")
    assert ("nothing to clear" in output.out) != waits
    assert ("the halt is cleared" in output.out) == waits
    assert (folder / RESUME).exists() == waits
    if not waits:
        assert json.loads(septet(*words, "--json").out)["cleared"] == []
        septet("halt", folder)
        assert "the halt is cleared" in septet(*words).out


def test_a_resume_of_a_running_run_shows_what_it_cleared() -> None:
    found = Halted(
        "r", Path("r"), "resume", running=True, has_journal=True, taken=True, open_orders=0
    )
    assert halt_texts._result_lines(replace(found, cleared=()), 1.0) == [
        "r was not halted: there is nothing to clear"
    ]
    assert halt_texts._result_lines(replace(found, cleared=("operator_halt",)), 1.0) == [
        "r may trade again"
    ]


def later_request(folder: Path, action: str, *, is_taken: bool) -> None:
    """Ask for the opposite, as another person does; with `is_taken` the process journals it."""
    if action == "resume":
        ask_halt(folder, flatten=False, name="bea", reason="news", now_ns=time.time_ns())
        return
    ask_resume(folder, name="bea", reason="checked", now_ns=time.time_ns())
    if is_taken:
        with closing(Journal.open(folder / "journal.sqlite")) as journal:
            event = m.Operated(at_ns=time.time_ns(), action="resume", name="bea", reason="checked")
            journal.append(event, [])
            journal.commit()
        (folder / RESUME).unlink()


@pytest.mark.parametrize(
    ("action", "is_taken"), [("resume", False), ("halt", False), ("flatten", False), ("halt", True)]
)
def test_a_request_that_a_later_one_replaced_is_pending_nowhere(
    folder: Path, septet: Command, monkeypatch: pytest.MonkeyPatch, action: str, *, is_taken: bool
) -> None:
    """The process looks twice a second: of two requests between two looks it sees the later."""
    lease = Lease.take(Holder.this_process(run_id=RUN_ID, strategy="old", folder=folder, now_ns=0))
    septet("halt", folder, "--wait", "0")
    later = partial(later_request, folder, action, is_taken=is_taken)
    monkeypatch.setattr("septet._app.halt.time.sleep", lambda seconds: later())
    words = ["halt", folder] if action != "resume" else ["resume", folder]
    words += ["--flatten"] if action == "flatten" else []
    output = septet(*words, "--name", "ann", "--reason", "x", "--wait", "3600")
    assert output.code == 1
    if action == "resume":
        assert "stays halted: a later halt has replaced the resume; bea asked for it" in output.out
    else:
        assert "a later resume has replaced the halt; bea asked for it" in output.out
    assert "has not answered" not in output.out
    assert "takes effect" not in output.out
    monkeypatch.setattr("septet._app.halt.time.sleep", lambda seconds: later())
    found = septet(*words, "--name", "ann", "--reason", "x", "--wait", "3600", "--json")
    document = json.loads(found.out)
    assert (found.code, document["replaced_by"]) == (1, "bea")
    lease.release()


def test_a_halt_of_a_run_whose_process_ends_meanwhile_states_that_nothing_was_cancelled(
    folder: Path, septet: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Journal.open(folder / "journal.sqlite")) as journal:
        stop = m.Submit(
            client_id="s1", parent=-1, symbol=0, side="sell", order_type="stop", quantity=1.0,
            reduces=True, deadline_ns=1, trigger_price=90.0,
        )  # fmt: skip
        journal.append(m.Ticked(at_ns=1, market_ns=1), [stop])
        journal.commit()
    holder = Holder.this_process(run_id=RUN_ID, strategy="old", folder=folder, now_ns=0)
    lease = Lease.take(holder)
    monkeypatch.setattr("septet._app.halt.time.sleep", lambda seconds: lease.release())
    output = septet("halt", folder, "--reason", "news", "--wait", "60")
    assert output.code == 1
    assert "'s process has ended; the halt takes effect at its next start" in output.out
    assert "  cancelled: nothing; " in output.out
    assert "  s1: " in output.out or "Open order        s1" in output.out
    assert "has not answered" not in output.out
    found = json.loads(septet("halt", folder, "--json").out)
    assert [each["client_id"] for each in found["state"]["orders"]] == ["s1"]
    output = septet("resume", folder, "--name", "ann", "--reason", "seen")
    assert (output.code, "its next start may trade" in output.out) == (0, True)


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0.0), ("2.5", 2.5), ("30s", 30.0), ("2m", 120.0)]
)
def test_a_wait_is_seconds_or_a_duration(text: str, seconds: float) -> None:
    """`--wait 30s` was refused, and nothing was halted."""
    assert options.Seconds(0.0).convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["soon", "-1", "inf", "nan", "", "3 bars"])
def test_a_wait_that_is_none_is_named(text: str) -> None:
    with pytest.raises(click.BadParameter):
        options.Seconds(0.0).convert(text, None, None)
