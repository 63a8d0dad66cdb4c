"""A start that is refused before a run is opened is reported to the channel of the newest run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from septet._app.refused_start import alert_refused_start
from septet._journal.lease import Holder, Lease
from septet._report import open_state
from septet.cli import main
from septet.errors import InputError
from tests.live.test_start import Stage

ERROR = InputError("strategies/live.yaml:7:9: signal: expected a block")
BROKEN = "version: 1\nname: live\nmode: live\nsignal: [\n"
HELD = {
    "doubt": "", "simulated": False, "currency": "USDT", "orders": [{}],
    "positions": [{"symbol": "BTC/USDT", "quantity": 4.9}],
}  # fmt: skip


class Refused:
    """A stored live run with a channel, and a file that cannot be read any more."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
        self.stage = Stage(folder)
        self.monkeypatch, self.caplog, self.lines = monkeypatch, caplog, list[str]()
        sets = ("monitoring.alerts.use=log",)
        [(run, _)] = self.stage.run(mode="live", sets=sets).ends
        self.folder, self.root = run.location.folder, folder / "runs"
        self.file = folder / "broken.yaml"
        self.file.write_text(BROKEN)
        self.state: dict[str, Any] | None = HELD
        monkeypatch.setattr(open_state, "open_state", lambda run: self.state)
        monkeypatch.setattr(open_state, "stop_text", lambda each, **_: "stop at the venue, 90")

    def start(self, mode: str | None = "live") -> str:
        """Report a refused start; return the alert that was sent, empty without one."""
        self.lines.clear()
        was_sent = alert_refused_start(
            self.file, ERROR, out=self.root, mode=mode, access=None, log=self.lines.append
        )
        sent = [each for each in self.lines if each.startswith("alert: ")]
        assert was_sent == bool(sent), self.lines
        return "".join(sent)


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Refused:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    caplog.set_level(logging.INFO)
    return Refused(tmp_path, monkeypatch, caplog)


@pytest.mark.parametrize("mode", ["live", None])
def test_a_broken_file_is_reported_with_what_is_held_and_its_stop(
    refused: Refused, mode: str | None
) -> None:
    text = refused.start(mode)
    assert ERROR.message in text
    assert refused.folder.name in text
    assert "BTC/USDT 4.9 (stop at the venue, 90); open orders: 1" in text


def test_a_file_whose_name_cannot_be_read_means_the_newest_run(refused: Refused) -> None:
    refused.file.write_bytes(b"\xff\xfe")
    assert refused.folder.name in refused.start()
    assert refused.start(None) == ""
    refused.file.unlink()
    assert refused.folder.name in refused.start()


def test_a_journal_that_cannot_be_read_may_hold_something(refused: Refused) -> None:
    refused.state = None
    assert "what it holds cannot be read: look at the venue" in refused.start()


def test_nobody_is_alerted_where_nothing_is_held_or_a_process_runs_it(refused: Refused) -> None:
    assert refused.start("backtest") == refused.start("paper") == ""
    refused.file.write_text(BROKEN.replace("name: live", "name: other"))
    assert refused.start() == ""
    refused.file.write_text(BROKEN)
    refused.state = HELD | {"positions": [], "orders": []}
    assert refused.start() == ""
    refused.state = HELD
    holder = Holder.this_process(
        run_id=refused.folder.name, strategy="live", folder=refused.folder, now_ns=0
    )
    lease = Lease.take(holder)
    assert refused.start() == ""
    lease.release()
    assert refused.start() != ""


def test_what_is_wrong_with_the_alert_is_printed(refused: Refused) -> None:
    (refused.folder / "resolved.json").write_text("{")
    assert refused.start() == ""
    assert "no alert about the refused start was sent" in refused.lines[0]


def test_the_command_alerts_and_ends_with_the_status_of_its_error(
    refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", str(refused.file), "--mode", "live", "--out", str(refused.root)]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert "alert: live live: start_refused" in printed
    assert refused.folder.name in printed
