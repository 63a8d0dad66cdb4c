"""What `runs show` shows of positions, stops and orders that a run has left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from septet import messages as m
from septet._app.run_follow import RunFollower
from septet._chat.command_answers import status
from septet._journal.files_record import read_files_record
from septet._journal.lease import Holder, Lease
from septet._journal.reader import Reader
from septet._store.files_check import FILES, files_finding
from septet._store.find_runs import open_run
from septet._store.run_folder import Run
from septet._terminal.line_format import line_of
from septet.cli import cli
from tests.live.test_start import Stage
from tests.live.test_way_out import Protected


class Holding(Protected):
    """Buys, protects what it bought by a stop, leaves an entry resting, and reports it."""

    bought = 0.02
    stops = True
    leaves = False
    price = 100.0

    def handle(self, event: m.Event) -> Sequence[m.Command]:
        sent = super().handle(event)
        if not isinstance(event, m.DecisionTimeReached) or not event.decides or not sent:
            return sent  # a trade is reported once
        orders = [each for each in sent if isinstance(each, m.Submit)][: 1 + self.stops]
        if self.leaves:  # in place of the entry
            sold = {"side": "sell", "reduces": True, "limit_price": None}
            size = {"order_type": "market", "quantity": self.bought}
            orders = [msgspec.structs.replace(orders[0], **sold, **size)]
        return [
            m.Traded(
                order=0, symbol=0, trade_id="t1", side="buy", quantity=self.bought,
                price=self.price, fee=0.0, fee_currency="USDT", position=self.bought,
                market_ns=event.time_ns,
            ),
            m.Ruled(time_ns=event.time_ns, equity=10_000.0, cash=9_000.0, exposure=0.1),
            *orders,
            *(
                m.Changed(
                    order=each.parent, client_id=each.client_id, symbol=0, state="open", filled=0.0
                )
                for each in orders
            ),
        ]  # fmt: skip


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    return Stage(tmp_path)


def stopped(stage: Stage, mode: str = "live", sets: Sequence[str] = (), **facts: Any) -> Path:
    """Run until it holds, and stop it in order; return the folder of its runs."""

    def core(loaded: Any, *, tag: str, instruments: Sequence[Any], **_: Any) -> SimpleNamespace:
        made = Holding(tag)
        for name, value in facts.items():
            setattr(made, name, value)
        return SimpleNamespace(
            core=made, plan=SimpleNamespace(name="p"), instruments=tuple(instruments),
            bars_needed=10, features=("fast", "slow"),
        )  # fmt: skip

    stage.core = core  # type: ignore[method-assign]
    result = stage.run(mode=mode, bars=2, sets=sets)
    folder: Path = result.ends[0][0].location.folder
    return folder


def shown(folder: Path) -> tuple[str, dict[str, Any]]:
    asked = ["runs", "show", str(folder), "--runs", str(folder.parents[1])]
    text, document = (CliRunner().invoke(cli, [*asked, *more]) for more in ([], ["--json"]))
    assert (text.exit_code, document.exit_code) == (0, 0), text.output + document.output
    found: dict[str, Any] = json.loads(document.stdout)["open"]
    return text.stdout, found


def test_what_a_stopped_run_holds_is_shown_with_its_stop_and_its_resting_entry(
    stage: Stage,
) -> None:
    folder = stopped(stage)
    text, found = shown(folder)
    [position] = found["positions"]
    mark = position["mark"]
    assert (position["symbol"], position["side"]) == ("BTC/USDT", "long")
    assert (position["quantity"], position["entry_price"]) == (0.02, 100.0)
    assert position["value"] == pytest.approx(0.02 * mark)
    assert position["share_of_equity"] == pytest.approx(0.02 * mark / 10_000.0)
    assert position["unrealised_pnl"] == pytest.approx(0.02 * (mark - 100.0))
    stop = position["stop"]
    assert (stop["held"], stop["acts"], stop["trigger_price"]) == ("venue", True, 80.0)
    orders = {each["type"]: each for each in found["orders"]}
    assert set(orders) == {"limit", "stop"}
    assert (orders["limit"]["limit_price"], orders["limit"]["state"]) == (90.0, "open")
    assert (orders["limit"]["protective_stop"], orders["stop"]["protective_stop"]) == (False, True)
    assert found["as_of"].endswith("Z")
    assert "no venue was asked" in text
    assert "Held              BTC/USDT long 0.02, entry 100, mark" in text
    assert "Stop            at the venue: 0.01 at 80, covering 0.01 of 0.02 (" in text
    assert orders["limit"]["client_id"] in text
    assert "limit 90, open" in text
    assert "computing" not in text  # how quickly a run that waits for bars computes means nothing


def test_fits_that_were_late_or_skipped_are_counted_and_the_last_one_is_shown(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle, texts = Holding.handle, iter(["model 3 is slow", "model 5 is slow"])

    def late(self: Holding, event: m.Event) -> Sequence[m.Command]:
        sent = list(handle(self, event))
        for each in [next(texts, "")] if isinstance(event, m.DecisionTimeReached) else []:
            sent += [m.Alerted(level="warning", event="model_late", text=each)] if each else []
        return sent

    monkeypatch.setattr(Holding, "handle", late)
    text, found = shown(stopped(stage))
    assert found["late_models"]["late"]["count"] == 2
    assert found["late_models"]["late"]["last"]["text"] == "model 5 is slow"
    assert found["late_models"]["skipped"] == {"count": 0, "last": None}
    assert "Models late       2 times, last at 20" in text
    assert "Z: model 5 is slow" in text
    assert "Models skipped" not in text


def test_every_stop_records_the_files_that_it_wrote(stage: Stage) -> None:
    recorded = []
    for _ in range(2):
        folder = stopped(stage)
        with Reader(folder / "journal.sqlite") as journal:
            record = read_files_record(journal)
            assert record is not None
            assert record.seq == journal.last_seq
        assert set(record.files) == {each for each in FILES if (folder / each).exists()}
        assert "fills.parquet" in record.files
        assert files_finding(folder) is None
        assert type(open_run(folder)) is Run
        recorded.append(record.seq)
    assert recorded[0] < recorded[1], "the second start continues the run"
    (folder / "summary.json").write_text("{}")
    assert "summary.json changed" in open_run(folder).files_problem


def test_a_stop_that_the_engine_holds_acts_only_while_the_run_runs(stage: Stage) -> None:
    folder = stopped(stage, sets=["risk.stops={stop_loss: 5%}"], stops=False)
    text, found = shown(folder)
    [position] = found["positions"]
    assert (position["stop"]["held"], position["stop"]["acts"]) == ("engine", False)
    assert "none at the venue; the engine holds stop_loss: it does not act while" in text
    holder = Holder.this_process(run_id="x", strategy="live", folder=folder, now_ns=0)
    with Lease.take(holder):
        text, found = shown(folder)
    assert found["positions"][0]["stop"]["acts"]
    assert "none at the venue; the engine watches stop_loss" in text


def test_no_stop_acts_while_an_exit_of_the_whole_position_is_open(stage: Stage) -> None:
    folder = stopped(stage, sets=["risk.stops={stop_loss: 5%}"], stops=False, leaves=True)
    holder = Holder.this_process(run_id="x", strategy="live", folder=folder, now_ns=0)
    with Lease.take(holder):
        text, found = shown(folder)
    [order], stop = found["orders"], found["positions"][0]["stop"]
    assert (stop["held"], stop["acts"], stop["exits"]) == ("engine", False, [order["client_id"]])
    assert f"an exit is open ({order['client_id']}): no stop acts until it has ended" in text


def test_a_position_without_any_stop_and_a_simulated_one_are_named_as_that(stage: Stage) -> None:
    text, found = shown(stopped(stage, stops=False))
    assert (found["positions"][0]["stop"]["held"], "Stop            none" in text) == ("none", True)
    text, found = shown(stopped(stage, mode="paper"))
    assert found["simulated"]
    assert (found["positions"][0]["stop"]["held"]) == "venue"
    assert not found["positions"][0]["stop"]["acts"]
    assert "at the simulated venue" in text


def test_dust_is_shown_as_dust(stage: Stage) -> None:
    folder = stopped(stage, stops=False, bought=5e-7)
    text, found = shown(folder)
    assert found["positions"][0]["dust"]
    assert "Dust              BTC/USDT long 5e-07" in text
    assert "below a lot" in text
    look = RunFollower(folder).look()
    assert look.view is not None
    (held,) = look.view.positions
    assert held.stop.startswith("none: dust, below")
    assert "no order can close it" in held.stop
    line = line_of(look, 0, folder.name)
    assert " positions=0 " in line
    assert " dust=1 " in line
    answer = status(folder.name, folder.parent.parent)
    assert "positions 0 and dust of 1" in answer
    assert "BTC/USDT long (dust)" in answer
