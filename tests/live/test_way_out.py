"""However a run ends by failure: what protects the position stays at the venue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from septet import messages as m
from septet._journal.journal_writer import Journal
from septet._live.process import _Process
from septet._live.shell import Limits, Shell
from septet.errors import JournalError
from tests.live.test_start import Scripted, Stage

Break = Callable[[pytest.MonkeyPatch, "Protected"], None]


class Protected(Scripted):
    """Holds a position under a stop, with an entry that rests, and then fails as set."""

    decisions = 0
    at: str = ""

    def handle(self, event: m.Event) -> Sequence[m.Command]:
        if not isinstance(event, m.DecisionTimeReached) or not event.decides:
            return () if isinstance(event, m.Operated) else super().handle(event)
        self.decisions += 1
        if self.decisions == 1:
            return [self.order("entry", 1), self.order("stop", -1)]
        if self.decisions == 3 and self.at == "core":
            raise ZeroDivisionError("a bug of a step")
        return []

    def order(self, name: str, parent: int) -> m.Submit:
        protects = parent < 0
        return m.Submit(
            client_id=f"{self.tag}{name}", parent=parent, symbol=0,
            side="sell" if protects else "buy", order_type="stop" if protects else "limit",
            quantity=0.01, reduces=protects, deadline_ns=2**62,
            limit_price=None if protects else 90.0, trigger_price=80.0 if protects else None,
        )  # fmt: skip


def in_the_core(patch: pytest.MonkeyPatch, core: Protected) -> None:
    core.at = "core"


def in_the_shell(patch: pytest.MonkeyPatch, core: Protected) -> None:
    turn = Shell._turn

    def broken(shell: Any) -> Any:
        if core.decisions >= 3:
            raise ZeroDivisionError("a bug of the shell")
        return turn(shell)

    patch.setattr(Shell, "_turn", broken)


def in_the_journal(patch: pytest.MonkeyPatch, core: Protected) -> None:
    commit = Journal.commit

    def broken(journal: Any, *given: Any, **keys: Any) -> int:
        if core.decisions >= 3:
            raise JournalError("the disk is full")
        return commit(journal, *given, **keys)

    patch.setattr(Journal, "commit", broken)
    limits = Limits(first_retry_s=0.01, longest_retry_s=0.02, journal_patience_s=0.05)
    patch.setattr("septet._live.local_run.Shell", partial(Shell, limits=limits))


def in_the_process(patch: pytest.MonkeyPatch, core: Protected) -> None:
    async def broken(process: Any) -> None:
        while core.decisions < 3:
            await asyncio.sleep(0.01)
        raise ZeroDivisionError("a bug of the process")

    patch.setattr(_Process, "_trade", broken)


@pytest.mark.parametrize("breaks", [in_the_core, in_the_shell, in_the_journal, in_the_process])
def test_a_run_that_fails_leaves_its_stop_at_the_venue(
    breaks: Break, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    stage = Stage(tmp_path)

    def core(loaded: Any, *, tag: str, instruments: Sequence[Any], **_: Any) -> SimpleNamespace:
        made = Protected(tag)
        stage.cores["live"] = made
        breaks(monkeypatch, made)
        return SimpleNamespace(
            core=made, plan=SimpleNamespace(name="p"), instruments=tuple(instruments),
            bars_needed=10, features=("fast", "slow"),
        )  # fmt: skip

    monkeypatch.setattr(stage, "core", core)
    if breaks is in_the_process:
        with pytest.raises(ZeroDivisionError):
            stage.run(mode="live", bars=500)
    else:
        assert stage.run(mode="live", bars=500).exit_code == 1
    left = [name[-5:].lstrip("0123456789") for name in stage.venue.open_ids]
    assert any(name.endswith("stop") for name in stage.venue.open_ids), left
    assert not stage.venue.named("cancel_all")
    cancelled = {each.client_id for each in stage.venue.named("cancel")}
    assert not any(name.endswith("stop") for name in cancelled)
    if breaks is not in_the_process:  # it stopped in order: what rests is left as it is
        assert any(name.endswith("entry") for name in cancelled)
