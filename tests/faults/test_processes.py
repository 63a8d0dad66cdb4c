"""The same faults on real processes: few in `make test`, twenty of each when asked.

``SEPTET_FAULTS_TIMES=20 python -m pytest tests/faults`` is the acceptance run.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from septet import messages as m
from septet._drill.venue.config import Fault, Fees
from septet._journal.journal_format import FORMAT
from septet._live import start as begin
from septet._live.kill_switch import HALT, ask_halt
from septet._live.replay import replay
from tests.faults.fault_checks import FEW, held
from tests.faults.live import Live, live

ASKED = bool(os.environ.get("SEPTET_FAULTS_TIMES"))
long = pytest.mark.skipif(not ASKED, reason="set SEPTET_FAULTS_TIMES=20, the acceptance run")

pytestmark = pytest.mark.timeout(3_600 if ASKED else 300)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path) as made:
        made.start()
        made.trade()
        yield made


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A strategy and its venue, of which `kept` starts the processes."""
    with live(tmp_path_factory.mktemp("live")) as made:
        yield made


@pytest.fixture
def kept(begun: Live) -> Live:
    """A run that trades, and goes on with what the tests before have left of it."""
    if not begun.run.starts or begun.run.ended is not None:
        begun.start()
    begun.trade()
    return begun


def number_of(run: Live) -> int:
    """The id of the child, for the signals of a test."""
    process = run.run._process
    assert process is not None
    return process.pid


def stop(run: Live) -> int:
    code = run.run.stop()
    run.wait_until_idle()
    run.forget()
    return code


def test_p4_the_process_stands_still(kept: Live) -> None:
    """Entries wait for fresh data, and what was decided before it is not sent late."""
    run = kept
    for _ in range(FEW):
        run.pause(1.0)
        before = run.count_of("stood_still")
        os.kill(number_of(run), signal.SIGSTOP)
        time.sleep(3.0 + run.chance.random())
        os.kill(number_of(run), signal.SIGCONT)
        run.until_reported("stood_still", before)
        run.trade()
        run.wait_until_idle()
        held("P4")


@long
def test_p6_asked_to_stop(run: Live) -> None:
    """SIGTERM at any moment: everything flushed, within a bound, and the next start goes on."""
    for _ in range(FEW):
        run.pause(1.5)
        began_s = time.monotonic()
        assert stop(run) == 0, run.run.tail()
        assert time.monotonic() - began_s < 20.0
        with closing(sqlite3.connect(run.journal)) as db:
            assert db.execute("SELECT clean FROM starts ORDER BY session DESC").fetchone() == (1,)
        run.start()
        run.trade()
        held("P6")


@long
def test_p3_a_second_instance(run: Live) -> None:
    """Refused by the folder, and by the account under another name; the first goes on."""
    for number in range(FEW):
        words = list(run.words)
        if number % 2:
            other = run.folder / "other.yaml"
            other.write_text(run.file.read_text().replace("name: faults", "name: other"))
            words[0] = str(other)
        code, out = run.septet("run", *words)
        assert code in (1, 2), out
        assert f"process {number_of(run)}" in out
        run.trade()
        held("P3")
    run.wait_until_idle()


def test_s1_the_disk_is_full(kept: Live) -> None:
    """No file takes anything: orders stay here, cancels leave; with room again all is stored."""
    run = kept
    pid = number_of(run)
    usual = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    for _ in range(FEW):
        run.pause(1.0)
        works = run.count_of("journal_works")
        # Not a byte: the tail has its full size, and begins anew once its rows are moved.
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, usual[1]))
        run.bars(2)  # of each something is stored; nothing states that it failed: the log is full
        run.pause(3.0)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, usual)
        run.until_reported("journal_works", works)
        run.trade()
        run.wait_until_idle()
        held("S1")


def test_p1_p2_p9_killed_again_and_again(kept: Live) -> None:
    """Signal 9 at any moment, and while it starts again; after more than three it is careful.

    The last that is given the run of others: it leaves one that was killed too often.
    """
    run = kept
    for _ in range(FEW):
        run.pause(1.5)
        run.run.kill()
        run.run.start()
        run.pause(3.0)  # the start itself takes about so long
        run.run.kill()
        run.start()
        run.wait_until_idle()
        held("P1")
        held("P2")
        if run.ours().sessions > begin.CRASHES + 1:  # a process killed too early counts for none
            entries = [each.client_id for each in run.commands(m.Submit) if not each.reduces]
            run.until(lambda: run.ours().halted, "safe mode")
            run.pause(1.0)
            now = [each.client_id for each in run.commands(m.Submit) if not each.reduces]
            assert now == entries
            held("P9")
            run.resume()
            run.until(lambda: not run.ours().halted, "resumed")
        run.trade()
    stop(run)
    assert replay(run.place).differences == 0


@long
def test_s4_an_old_backup(run: Live) -> None:
    """Put back after more was traded: refused, and nothing leaves; the newest one goes on."""
    for number in range(FEW):
        assert stop(run) == 0
        old, new, place = run.folder / "old", run.folder / f"new-{number}", run.place
        shutil.copytree(place, old)
        run.start()
        run.trade()
        assert stop(run) == 0
        shutil.move(place, new)
        shutil.move(old, place)
        posts = len(run.theirs.posts)
        code, out = run.septet("run", *run.words)
        assert code == 1, out
        assert "is an old copy" in out
        run.look()
        assert len(run.theirs.posts) == posts
        shutil.rmtree(place)
        shutil.move(new, place)
        run.start()
        run.trade()
        held("S4")


@long
def test_s5_another_schema(run: Live) -> None:
    stop(run)
    for number in range(FEW):
        with closing(sqlite3.connect(run.journal)) as db:
            db.execute(f"PRAGMA user_version = {FORMAT + 1 + number}")
        code, out = run.septet("run", *run.words)
        assert code == 2, out
        assert "hint" in out or "septet" in out
        held("S5")
    with closing(sqlite3.connect(run.journal)) as db:
        db.execute(f"PRAGMA user_version = {FORMAT}")
    run.start()
    run.trade()
    run.wait_until_idle()


@long
def test_c3_a_key_that_can_withdraw(tmp_path: Path) -> None:
    with live(tmp_path, can_withdraw=True) as run:
        for _ in range(FEW):
            code, out = run.septet("run", *run.words, "--fresh")
            assert code == 2, out
            assert "may withdraw" in out
            assert run.fills() == 0
            assert run.theirs.posts == {}
            held("C3")


@long
def test_m1_a_position_that_is_not_the_venues(run: Live) -> None:
    """Somebody moves what we trade: an alarm, and no entry until a person has looked."""
    for _ in range(FEW):
        tripped = run.count_of("position_mismatch")
        assert stop(run) == 0  # a start reads the account at once, a run every minute
        parameters = {"kind": "deposit", "asset": "BTC", "amount": "1.5"}
        run.venue.inject(Fault(code="E18", parameters=parameters))
        run.start()
        run.until_reported("position_mismatch", tripped)
        entries = sum(not each.reduces for each in run.commands(m.Submit))
        run.pause(2.0)
        assert sum(not each.reduces for each in run.commands(m.Submit)) == entries
        asked = run.count_of("operated")
        run.resume()
        run.until_reported("operated", asked)  # what trades next may be an exit, which needs nobody
        run.trade()
        held("M1")
    stop(run)


@long
def test_o1_o2_halted_at_any_moment_and_killed_on_top(run: Live) -> None:
    """Blocked at once and through a kill; twice is once; nothing open; resumed it trades again."""
    for number in range(FEW):
        run.pause(1.5)
        for _ in range(1 + number % 2):
            ask_halt(
                run.place, flatten=number % 3 == 0, name="ann", reason="news",
                now_ns=time.time_ns(),
            )  # fmt: skip
        if number % 2:
            run.pause(0.7)
            run.run.kill()
            run.start()
        run.until(lambda: run.ours().halted, "halted")
        entries = sum(not each.reduces for each in run.commands(m.Submit))
        run.pause(2.0)
        assert sum(not each.reduces for each in run.commands(m.Submit)) == entries
        assert (run.place / HALT).exists()
        run.wait_until_idle()
        working = [each for each in run.theirs.orders.values() if each.status == "NEW"]
        assert [each for each in working if each.stop in ("", "0", "0.00000000")] == []
        run.resume()
        run.trade()
        held("O1")
        held("O2")


def test_a6_restarts_with_the_whole_balance_as_capital(tmp_path: Path) -> None:
    """Killed right after a purchase, and stopped right after a sale: money moves with its fees."""
    balances, fees = {"USDT": "5000"}, Fees(fee_currency="quote")
    with live(tmp_path, balances=balances, fees=fees) as run:
        run.start()
        for _ in range(FEW):
            run.trade()
            run.run.kill()
            safe = run.count_of("safe_mode")
            run.start()
            if run.count_of("safe_mode") > safe:  # from the fourth kill on
                run.resume()
                run.until(lambda: not run.ours().halted, "resumed")
            sold = run.sold()
            run.until(lambda sold=sold: run.sold() > sold, "a sale")  # type: ignore[misc]
            assert run.run.stop() == 0
            run.start()
            run.trade()
            held("A6")
        run.wait_until_idle()
        assert run.count_of("insufficient_funds") == 0
        stop(run)


Tamper = Callable[[Live], None]


@long
def test_m4_a_journal_that_was_tampered_with(run: Live) -> None:
    """`septet replay` names the entry, proves nothing and ends with 2; as it was, with 0."""
    stop(run)
    code, out = run.septet("replay", run.place)
    assert code == 0, out
    data = run.journal.read_bytes()
    for number in range(FEW):
        with closing(sqlite3.connect(run.journal)) as db, db:
            seqs = [
                seq for (seq,) in db.execute(
                    "SELECT seq FROM entries WHERE instr(commands, '\"kind\":\"decided\"')"
                )
            ]  # fmt: skip
            db.execute(
                'UPDATE entries SET commands = replace(commands, \'"kind":"decided"\','
                ' \'"kind":"decided","late":true\') WHERE seq = ?',
                (seqs[number * 7 % len(seqs)],),
            )
        code, out = run.septet("replay", run.place)
        assert code == 2, out
        assert f"entry {seqs[number * 7 % len(seqs)]} was changed" in out
        for end in ("-wal", "-shm"):
            Path(f"{run.journal}{end}").unlink(missing_ok=True)
        run.journal.write_bytes(data)
        held("M4")


def _holds(run: Live) -> bool:  # a fee in what is bought leaves less than a lot
    return any(abs(each) > 1e-5 for each in run.ours().positions.values())


def _start_to_flatten(run: Live) -> None:
    """Start a run whose shutdown flattens, and wait until it holds a position under a stop."""
    text = run.file.read_text("utf-8").replace("risk:\n", "risk:\n  stops: {stop_loss: 30%}\n")
    text = text.replace("execution:\n", "execution:\n  on_shutdown: flatten\n")
    run.file.write_text(text, encoding="utf-8")
    run.start()
    run.until(lambda: _holds(run), "a position")


def test_a_shutdown_flattens_if_the_file_requires_it(tmp_path: Path) -> None:
    """What is held is sold at the venue, stop and all, before the process ends; it may go on."""
    with live(tmp_path) as run:
        _start_to_flatten(run)
        assert stop(run) == 0, run.run.tail()
        assert not _holds(run), run.run.tail(25)
        run.theirs.take(run.venue.rows())
        left = [
            each
            for each in run.theirs.orders.values()
            if each.status in ("NEW", "PARTIALLY_FILLED")
        ]
        assert left == []
        reasons = [each.reason for each in run.commands(m.Placed)]
        last = len(reasons) - reasons[::-1].index("operator")
        assert set(reasons[last:]) <= {"entry"}, "decided while it waited, and never sent"
        assert replay(run.place).differences == 0
        run.start()
        run.trade()


def test_a_shutdown_sells_again_what_lost_requests_left_held(tmp_path: Path) -> None:
    """A sale that never arrived is sent again once that is known, before the process ends."""
    with live(tmp_path) as run:
        _start_to_flatten(run)
        run.venue.inject(Fault(code="N2", times=2))
        assert stop(run) == 0, run.run.tail()
        assert not _holds(run), run.run.tail(25)
