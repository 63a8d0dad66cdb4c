"""One instance per folder and per account; a killed one frees both at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from septet._journal import machine_lock
from septet._journal.journal_writer import Journal
from septet._journal.lease import (
    ALIVE_NS,
    RUN_LOCK,
    Holder,
    Lease,
    boot_id,
    holder_of,
    mark_path,
    require_no_other_machine,
)
from septet._journal.lock import keep
from septet._journal.state_folder import state_folder
from septet.cli import cli
from septet.errors import JournalError, RunError
from tests.journal.drawn import HEAD
from tests.journal.lived import live_run

WIDE = {"COLUMNS": "200"}

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from pathlib import Path
from septet._journal.lease import Holder, Lease
holder = Holder.this_process(run_id="r9", strategy="demo", folder=Path(sys.argv[1]), now_ns=10**18)
lease = Lease.take(holder, account=sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


ACCOUNT = f"account-{os.getpid()}"
"""Leases of accounts are the machine's: other tests must not meet them."""


def _me(folder: Path) -> Holder:
    return Holder.this_process(run_id="r1", strategy="demo", folder=folder, now_ns=0)


def test_a_second_instance_is_refused_and_names_the_holder_until_that_is_killed(
    tmp_path: Path,
) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "a"), ACCOUNT],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ},
    )  # fmt: skip
    assert other.stdin is not None
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    who = rf"process {other.pid} on .*strategy demo, run r9.*since 2001-09-09 01:46:40 UTC"
    with pytest.raises(RunError, match=who):
        Lease.take(_me(tmp_path / "a"))
    with pytest.raises(RunError, match=f"same account is traded by another run: {who}"):
        Lease.take(_me(tmp_path / "b"), account=ACCOUNT)
    Lease.take(_me(tmp_path / "b"), account=f"{ACCOUNT}-2").release()  # nothing was left held
    found = holder_of(tmp_path / "a")
    assert found is not None
    assert (found.pid, found.run_id) == (other.pid, "r9")
    assert holder_of(tmp_path / "b") is None
    other.send_signal(signal.SIGKILL)
    other.wait()
    other.stdin.close(), other.stdout.close()
    assert holder_of(tmp_path / "a") is None
    with Lease.take(_me(tmp_path / "a")) as lease:
        lease.take_account(ACCOUNT)
        with pytest.raises(RunError, match=f"process {os.getpid()}"):
            Lease.take(_me(tmp_path / "a"))
    Lease.take(_me(tmp_path / "a"), account=ACCOUNT).release()


def held_by_another(tmp_path: Path, folder: str, account: str) -> subprocess.Popen[bytes]:
    """Start a process as another user would: with a state folder of its own."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / folder), account], cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "SEPTET_STATE_DIR": str(tmp_path / "other")},
    )  # fmt: skip
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    return other


def test_a_run_is_seen_and_locked_from_every_state_folder(tmp_path: Path) -> None:
    live_run(tmp_path / "a").close()
    with held_by_another(tmp_path, "a", f"{ACCOUNT}-seen") as other:
        found = holder_of(tmp_path / "a")
        assert found is not None
        assert (found.pid, found.run_id) == (other.pid, "r9")
        with pytest.raises(RunError, match=rf"goes on: process {other.pid} on"):
            Lease.take(_me(tmp_path / "a"))
        shown = CliRunner().invoke(cli, ["runs", "show", str(tmp_path / "a")], env=WIDE)
        assert f"Running           process {other.pid} on" in shown.output
        other.kill()
    assert holder_of(tmp_path / "a") is None
    shown = CliRunner().invoke(cli, ["runs", "show", str(tmp_path / "a")], env=WIDE)
    assert "Running  " not in shown.output
    Lease.take(_me(tmp_path / "a")).release()


def test_a_run_on_another_machine_is_seen_by_its_heartbeat(tmp_path: Path) -> None:
    with live_run(tmp_path / "a") as journal:
        journal.begin(pid=7, host="elsewhere", boot="b")
        found = holder_of(tmp_path / "a")
        assert found is not None
        assert (found.pid, found.host, found.run_id) == (7, "elsewhere", "live-1")
        journal.heartbeat(time.time_ns() - 2 * ALIVE_NS)
        assert holder_of(tmp_path / "a") is None
        journal.begin(pid=7, host=socket.gethostname(), boot="b")
        assert holder_of(tmp_path / "a") is None  # killed: on this machine the lock shows it


WRITE = """
import os, sys
from pathlib import Path
from septet._journal.lease import Holder, Lease, boot_id
from septet._journal.journal_writer import Journal
folder = Path(sys.argv[1])
holder = Holder.this_process(run_id="live-1", strategy="demo", folder=folder, now_ns=10**18)
lease = Lease.take(holder)
with Journal.open(folder / "journal.sqlite") as journal:
    journal.begin(pid=os.getpid(), host=holder.host, boot=boot_id())
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("beside", ["gone", "empty", "copied", "fifo", "link", "folder"])
def test_a_run_whose_lock_is_not_the_one_that_is_held_still_runs(
    tmp_path: Path, beside: str
) -> None:
    """A restore, a clean-up or a stranger replaced the file; the process never notices."""
    folder = tmp_path / "a"
    live_run(folder).close()
    with subprocess.Popen(
        [sys.executable, "-c", WRITE, str(folder)], cwd=ROOT, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, env={**os.environ, "SEPTET_STATE_DIR": str(tmp_path / "other")},
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        lock = folder / RUN_LOCK
        text = lock.read_bytes()
        lock.unlink()
        if beside in ("empty", "copied"):
            lock.write_bytes(text if beside == "copied" else b"")
        elif beside == "fifo":
            os.mkfifo(lock)
        elif beside == "link":
            lock.symlink_to("/etc/hostname")
        elif beside == "folder":
            lock.mkdir()
        found = holder_of(folder)
        assert found is not None
        assert (found.pid, found.run_id) == (other.pid, "live-1")
        other.kill()
        other.wait()
        assert holder_of(folder) is None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a file in /tmp, which tests leave")
def test_p3_an_account_is_held_beyond_the_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = f"{ACCOUNT}-beyond"
    with held_by_another(tmp_path, "a", account) as other:
        with pytest.raises(RunError, match=f"traded by another run: process {other.pid} of user"):
            Lease.take(_me(tmp_path / "b"), account=account)
        with Lease.take(_me(tmp_path / "b")) as lease:
            lease.take_account(account, machine=False)  # a test venue's
        other.kill()
    for _ in range(2):  # a killed process frees it, and so does a release
        Lease.take(_me(tmp_path / "b"), account=account).release()


def test_p3_containers_share_what_they_are_set_to_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a common network the folder alone keeps the second away."""
    account, shared = f"{ACCOUNT}-shared", tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setenv("SEPTET_LEASE_DIR", str(shared))
    with held_by_another(tmp_path, "a", account) as other:
        monkeypatch.setattr(machine_lock, "_bind", lambda name: keep(os.dup(0)))
        with pytest.raises(RunError, match="the same account is traded by another run"):
            Lease.take(_me(tmp_path / "b"), account=account)
        [file] = shared.iterdir()
        assert file.stat().st_mode & 0o777 == 0o666  # another user must be able to lock it
        other.kill()
    Lease.take(_me(tmp_path / "b"), account=account).release()
    monkeypatch.setenv("SEPTET_LEASE_DIR", str(tmp_path / "missing"))
    with pytest.raises(RunError, match="must be able to write to"):
        Lease.take(_me(tmp_path / "b"), account=account)


def test_what_a_lease_does_not_cover_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEPTET_LEASE_DIR", raising=False)
    assert "other machines, and another key of the account" in machine_lock.scope_text()
    assert "SEPTET_LEASE_DIR" in machine_lock.scope_text()
    monkeypatch.setenv("SEPTET_LEASE_DIR", "/srv/leases")
    assert "nor beside /srv/leases" in machine_lock.scope_text()


def test_a11_a_run_is_made_by_one_process_whatever_its_folder_is_called(tmp_path: Path) -> None:
    with Lease.take(_me(tmp_path / "a")):
        with pytest.raises(RunError, match=r"b is a copy of run r1, which goes on elsewhere: pro"):
            Lease.take(_me(tmp_path / "b"))
        assert holder_of(tmp_path / "b") is None
    Lease.take(_me(tmp_path / "b")).release()


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a11_a_journal_is_readable_by_its_user_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with Journal.create(tmp_path / "j", HEAD) as journal:
            journal.begin(pid=1, host="h", boot="b", now_ns=0)
            names = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
            assert {"j", "j-wal", "j-shm", "j-tail"} <= set(names)
            modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in names}
            assert set(modes.values()) == {0o600}, modes
    finally:
        os.umask(before)


def test_where_the_state_is_kept(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert state_folder() == state
    assert mark_path("r1").parent == state / "marks"
    monkeypatch.delenv("SEPTET_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder() == tmp_path / "septet"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert state_folder() == Path.home() / ".local" / "state" / "septet"


def test_a_state_folder_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "file"))
    with pytest.raises(RunError, match=r"cannot be made(.|\n)*SEPTET_STATE_DIR"):
        Lease.take(_me(tmp_path))


def test_another_machine_that_writes_here_is_seen(tmp_path: Path) -> None:
    second = 10**9
    with Journal.create(tmp_path / "j", HEAD) as journal:
        require_no_other_machine(journal, now_ns=0)
        journal.begin(pid=7, host="elsewhere", boot=boot_id(), now_ns=0)
        journal.heartbeat(10 * second)
        with pytest.raises(JournalError, match="process 7 on elsewhere writes this run since"):
            require_no_other_machine(journal, now_ns=30 * second)
        require_no_other_machine(journal, now_ns=100 * second)
        journal.end(clean=True, how="signal", now_ns=20 * second)
        require_no_other_machine(journal, now_ns=30 * second)
