"""`septet run --mode paper|live`, `halt` and `resume`, as processes against the local venue."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from septet import messages as m
from septet._cli.runs import _standing
from septet._journal.journal_format import Head
from septet._journal.journal_writer import Journal
from septet._journal.reader import Reader
from septet._live.kill_switch import HALT
from tests.cli.conftest import Command
from tests.cli.local import Local, finish, local, until_reported

SMALL = """\
version: 1
name: small
universe: {symbols: [AAA/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 200, seed: 4}}
features: {fast: {use: sma, period: 5}}
signal: {use: rules, long_if: close > fast, exit_if: close < fast}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""


@pytest.fixture
def venue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Local]:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "st"))
    with local(tmp_path) as made:
        yield made


def events_of(folder: Path, kind: type[m.Event]) -> list[Any]:
    with Reader(folder / "journal.sqlite") as journal:
        return [each.event for each in journal.read() if isinstance(each.event, kind)]


def decided(folder: Path) -> int:
    return len(events_of(folder, m.DecisionTimeReached))


def test_paper_killed_and_started_again_goes_on(venue: Local, septet: Command) -> None:
    file = venue.file()
    first = venue.run(file, "--log-level", "info")
    until_reported(first, lambda line: line["event"] == "live")
    until_reported(first, lambda line: line["event"] in ("decided", "fill"))
    first.kill()
    first.communicate()
    [folder] = (venue.runs / "local").iterdir()
    assert "killed" in septet("runs", "list", "--runs", venue.runs).out
    before = decided(folder)
    code, out, err = finish(venue.run(file, "--bars", before + 8, "--json"))
    assert code == 0, err[-3000:]
    found = json.loads(out)
    assert found["ok"]
    assert found["runs"][0]["folder"] == str(folder)
    assert decided(folder) > before
    opens = [each.open_ns for each in events_of(folder, m.BarClosed)]
    assert opens == sorted(set(opens))
    assert [each.session for each in events_of(folder, m.Started)] == [1, 2]
    with Reader(folder / "journal.sqlite") as journal:
        assert [each.clean for each in journal.sessions()] == [None, True]
    assert (folder / "equity.parquet").is_file()


def test_live_is_halted_resumed_and_stopped_by_a_signal(venue: Local, septet: Command) -> None:
    file = venue.file()
    process = venue.run(file, "--yes", mode="live")
    until_reported(process, lambda line: line["event"] == "fill")
    output = septet("halt", "local", "--reason", "news", "--runs", venue.runs, "--json")
    found = json.loads(output.out)
    assert (found["running"], found["taken"], found["open_orders"]) == (True, True, 0)
    [folder] = (venue.runs / "local").iterdir()
    assert (folder / HALT).is_file()
    again = json.loads(septet("halt", "local", "--runs", venue.runs, "--json").out)
    assert again["taken"]
    process.send_signal(signal.SIGTERM)
    code, out, err = finish(process)
    assert code == 3, err[-3000:]
    assert "halted" in out
    shown = septet("runs", "show", "local", "--runs", venue.runs).out
    assert "Not running       SIGTERM was received" in shown
    assert "septet resume clears it" in shown
    assert "stopped" in septet("runs", "list", "--runs", venue.runs).out
    sent = len([c for c in commands_of(folder) if isinstance(c, m.Submit) and not c.reduces])
    more = decided(folder) + 20
    code, out, err = finish(venue.run(file, "--yes", "--bars", more, mode="live"))
    assert code == 3, err[-3000:]
    now = len([c for c in commands_of(folder) if isinstance(c, m.Submit) and not c.reduces])
    assert now == sent  # a halt survives the restart
    asked = ("resume", "local", "--name", "ann", "--reason", "read it", "--runs", venue.runs)
    assert "may trade" in septet(*asked).out
    code, out, err = finish(venue.run(file, "--yes", "--bars", more + 2, mode="live"))
    assert code == 0, err[-3000:]
    assert not (folder / HALT).exists()


def test_a_halt_by_signal_in_the_first_moments_ends_no_process(venue: Local) -> None:
    process = venue.run(venue.file(), "--bars", "2")
    while not _held(process.pid, signal.SIGUSR1):
        assert process.poll() is None
    process.send_signal(signal.SIGUSR1)
    code, _, err = finish(process)
    assert code == 3, err[-3000:]
    [folder] = (venue.runs / "local").iterdir()
    assert (folder / HALT).is_file()


@pytest.mark.parametrize("mode", ["paper", "live"])
@pytest.mark.parametrize("seen", ["SigCgt", "SigBlk"])
def test_a_signal_in_the_first_moments_stops_in_order(venue: Local, mode: str, seen: str) -> None:
    """As soon as the process takes SIGTERM, and while it imports and loads its file."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})  # the process inherits the mask
    process = venue.run(venue.file(), "--yes", mode=mode)
    while not _held(process.pid, {"SigCgt": signal.SIGTERM, "SigBlk": signal.SIGUSR1}[seen], seen):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    code, out, err = finish(process)
    assert code == 0, err[-3000:]
    assert "SIGTERM" in out + err
    assert "Traceback" not in err


def _held(pid: int, number: int, mask_name: str = "SigBlk") -> bool:
    """Whether a process holds a signal back, or has a handler for it (`SigCgt`)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [mask] = [line.split()[1] for line in lines if line.startswith(mask_name)]
    return bool(int(mask, 16) >> (number - 1) & 1)


def commands_of(folder: Path) -> list[m.Command]:
    with Reader(folder / "journal.sqlite") as journal:
        return [command for each in journal.read() for command in each.commands]


# ---------------------------------------------------------------- without a process


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "st"))
    path = tmp_path / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.mark.parametrize("command", ["run", "check"])
def test_paper_of_a_source_that_only_holds_history_shows_what_to_write(
    small: Path, septet: Command, command: str
) -> None:
    output = septet(command, small, "--mode", "paper")
    assert output.code == 2
    assert f"{small}:" in output.err
    assert "data.candles: use: synthetic holds history and does not stream" in output.err
    assert "use: ccxt" in output.err


def test_a_backtest_refuses_options_of_live_runs(small: Path, septet: Command) -> None:
    output = septet("run", small, "--fresh", "--bars", 3)
    assert output.code == 2
    assert "--fresh, --bars: only for paper and live mode" in output.err


def test_a_backtest_of_two_files_is_refused(small: Path, septet: Command) -> None:
    output = septet("run", small, small)
    assert output.code == 2
    assert "a backtest runs one" in output.err


def test_two_strategies_of_one_name_are_refused(small: Path, septet: Command) -> None:
    output = septet("run", small, small, "--mode", "paper", "--out", small.parent / "runs")
    assert output.code == 2
    assert "two files are called small" in output.err


def test_a_wrong_time_states_how_to_write_one(small: Path, septet: Command) -> None:
    output = septet("run", small, "--mode", "paper", "--until", "tomorrow")
    assert output.code == 2
    assert "2026-03-01T16:00:00Z" in output.err


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a run that is not running."""
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "st"))
    folder = tmp_path / "runs" / "old" / "20260101T000000Z-abcdef"
    head = Head(
        run_id=folder.name, strategy="old", mode="paper", account="", created_ns=0, origin_ns=0
    )
    folder.mkdir(parents=True)
    Journal.create(folder / "journal.sqlite", head).close()
    return folder


def test_o1_a_run_that_is_not_running_is_halted_at_its_next_start(
    stopped: Path, septet: Command
) -> None:
    output = septet("halt", "old", "--flatten", "--reason", "news", "--runs", stopped.parents[1])
    assert output.code == 0
    assert "cancels its simulated orders first, then closes its simulated positions" in output.out
    written = json.loads((stopped / HALT).read_text())
    assert (written["action"], written["reason"]) == ("flatten", "news")
    output = septet("halt", stopped)  # a plain halt takes nothing back
    assert output.code == 0
    assert "then closes its simulated positions" in output.out
    assert json.loads((stopped / HALT).read_text())["action"] == "flatten"


def test_o2_a_resume_needs_a_name_and_a_reason(stopped: Path, septet: Command) -> None:
    septet("halt", stopped)
    assert septet("resume", stopped, "--name", "ann").code == 2
    assert "--name and --reason missing" in septet("resume", stopped).err
    output = septet("resume", stopped, "--name", "ann", "--reason", " ")
    assert output.code == 2
    assert "a resume needs a reason" in output.err
    assert (stopped / HALT).exists()
    for _ in range(2):
        output = septet("resume", stopped, "--name", "ann", "--reason", "looked", "--json")
        assert json.loads(output.out)["running"] is False
    assert not (stopped / HALT).exists()
    seen: Any = SimpleNamespace(
        folder=stopped, manifest={}, finding=None, files_finding=None, tables_finding=None,
        reads_files=False,
    )  # fmt: skip
    assert _standing(seen) == [
        "  Not running       it never began",
        "  Resumed           by ann: looked; it trades again at the next start",
    ]


def test_o2_a_resume_names_the_folder_that_was_called_halt(stopped: Path, septet: Command) -> None:
    (stopped / HALT).mkdir()
    output = septet("resume", stopped, "--name", "ann", "--reason", "looked")
    assert output.code == 0
    says = "HALT.folder-1 is a folder that was called HALT and was moved aside: it halts nothing"
    assert output.out.count(says) == 1
    assert not (stopped / HALT).exists()
    (stopped / "HALT.folder-1").rmdir()
    assert says not in septet("resume", stopped, "--name", "ann", "--reason", "looked").out


def test_a_run_that_is_not_there(stopped: Path, septet: Command) -> None:
    output = septet("halt", "nothing", "--runs", stopped.parents[1])
    assert output.code == 2
    assert "no paper or live run is called 'nothing'" in output.err
    assert stopped.name in output.err
