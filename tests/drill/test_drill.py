"""`septet drill` as a user starts it: a short rehearsal in the tests, a long one in the soak."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from septet import messages as m
from septet._config import load
from septet._drill.fault_kinds import CATALOGUE, KILL, codes_of, order_of
from septet._drill.local_market import compile_plan, settings_for
from septet._journal.reader import Reader
from septet._shell.session import plan_of
from septet.cli import cli
from septet.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "strategies" / "drill.yaml"
STEPS = ROOT / "strategies" / "drill-steps.yaml"
GRID = ROOT / "strategies" / "drill-grid.yaml"
SOAK = os.environ.get("SEPTET_HYPOTHESIS") == "soak"
FAULTS = "all" if SOAK else "N1,N7,E9,E17,D2,A1,A2,A3,A4,A5,A7,A9,A10,A18,A19,E23,O1,O2"


def drill(folder: Path, *words: str, file: Path = FILE) -> subprocess.Popen[str]:
    command = [
        sys.executable, "-m", "septet.cli", "drill", str(file), "--synthetic", "--json",
        "--out", str(folder), "--bar", "300ms", *words,
    ]  # fmt: skip
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )


def found(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=3_000 if SOAK else 280)
    assert out.startswith("{"), err[-3000:]
    document: dict[str, Any] = json.loads(out)
    assert document["ok"] == (process.returncode == 0), document
    return document


@pytest.mark.timeout(3_600 if SOAK else 300)
def test_a_drill_finds_everything_held(tmp_path: Path) -> None:
    document = found(drill(tmp_path / "d", "--seed", "5", "--faults", FAULTS, "--kill", "1"))
    assert document["ok"], document
    held = {row["code"]: row["held"] for row in document["faults"]}
    assert set(held) == {*codes_of(FAULTS), KILL}
    missed = [code for code, how in held.items() if how != "yes"]
    assert len(missed) <= 2, f"not reached: {missed}"  # what does not come by cannot occur
    assert document["orders"] > 0
    assert document["fills"] > 0
    assert document["starts"] >= 2
    assert (document["duplicates"], document["lost"], document["wrong_positions"]) == (0, 0, 0)
    assert document["replay"].endswith(" 0 differences")
    assert document["shadow"].endswith(" 0 differences")
    assert json.loads((tmp_path / "d" / "drill.json").read_text()) == document
    assert (tmp_path / "d" / "venue-journal.jsonl").is_file()


@pytest.mark.timeout(3_600 if SOAK else 300)
@pytest.mark.parametrize(
    ("file", "reasons"),
    [(STEPS, {"entry", "add", "take"}), (GRID, {"grid", "grid_exit"})],
    ids=["steps", "grid"],
)
def test_a_drill_of_levels_finds_everything_held(
    tmp_path: Path, file: Path, reasons: set[str]
) -> None:
    faults = "all" if SOAK else "N1,N2,E9,E11,E19,A3,A19"
    words = ("--seed", "6", "--faults", faults, "--kill", "2")
    document = found(drill(tmp_path / "d", *words, file=file))
    assert document["ok"], document
    held = {row["code"]: row["held"] for row in document["faults"]}
    missed = [code for code, how in held.items() if how != "yes"]
    assert len(missed) <= 2, f"not reached: {missed}"
    assert (document["duplicates"], document["lost"], document["wrong_positions"]) == (0, 0, 0)
    assert document["replay"].endswith(" 0 differences")
    assert document["shadow"].endswith(" 0 differences")
    (journal,) = (tmp_path / "d" / "runs").rglob("journal.sqlite")
    with Reader(journal) as reader:
        made = [each for entry in reader.read() for each in entry.commands]
    traded = {each.reason for each in made if isinstance(each, m.Traded)}
    assert reasons <= traded


@pytest.mark.timeout(300)
def test_paper_meets_the_faults_of_data(tmp_path: Path) -> None:
    book = ("--mode", "paper", "--set", "execution.simulation.fills=book")
    document = found(drill(tmp_path / "d", *book, "--faults", "D1,N1"))
    assert document["ok"], document
    held = {row["code"]: (row["held"], row["remark"]) for row in document["faults"]}
    assert held["D1"][0] == "yes"
    assert held["N1"] == ("not reached", "no order came by")


@pytest.mark.timeout(120)
def test_ctrl_c_ends_the_drill_and_its_processes(tmp_path: Path) -> None:
    process = drill(tmp_path / "d", "--faults", "N1")
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    left = subprocess.run(
        ["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert left.stdout == ""


@pytest.mark.compiled
def test_the_plan_of_a_drill_is_stored_before_its_venue_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is compiled is what the run will load: another plan would be compiled again."""
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "cache"))
    loaded = load(FILE, mode="backtest")
    live = load(FILE, mode="live", sets=settings_for(loaded, "live", {}))
    urls = {"api": {"public": "http://127.0.0.1:9/api/v3"}}
    served = load(FILE, mode="live", sets=settings_for(loaded, "live", urls))
    lines: list[str] = []
    for _ in range(2):
        compile_plan(live, lines.append)
    assert lines == ["the plan is compiled"]
    assert plan_of(served, venue_fills=True).is_stored


def test_the_plan_holds_each_fault_as_often_as_asked_and_repeats_by_seed() -> None:
    codes = codes_of("all")
    assert len(codes) == 55
    plan = order_of(codes, 3, 2, seed=9)
    assert all(plan.count(code) == 3 for code in codes)
    assert plan.count(KILL) == 2
    assert [code for code in plan if code != KILL][-3:] == ["E23"] * 3
    assert plan == order_of(codes, 3, 2, seed=9)
    assert plan != order_of(codes, 3, 2, seed=10)


def test_the_faults_are_listed() -> None:
    listed = CliRunner().invoke(cli, ["drill", "--list-faults"])
    assert listed.exit_code == 0
    lines = [line.split(maxsplit=1) for line in listed.stdout.splitlines()]
    assert lines == [[code, kind.what] for code, kind in CATALOGUE.items()]


def test_an_unknown_fault_is_named() -> None:
    with pytest.raises(InputError, match="X9"):
        codes_of("N1,X9")
    assert codes_of("n1, d6,n1") == ("N1", "D6")


def test_the_page_names_every_fault() -> None:
    page = (ROOT / "docs" / "drill.md").read_text(encoding="utf-8")
    missing = [code for code, kind in CATALOGUE.items() if f"| {code} | {kind.what} |" not in page]
    assert missing == []


def test_a_ctrl_c_that_a_library_has_swallowed_ends_the_drill_at_its_next_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = list[str]()

    def run(prepared: Any, *, log: Any) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        reached.append("swallowed")
        log("the next line")
        reached.append("went on")

    monkeypatch.setattr("septet._app.drill.run_drill", run)
    before = signal.getsignal(signal.SIGINT)
    words = ["drill", str(FILE), "--synthetic", "--faults", "N1", "--out", str(tmp_path / "d")]
    assert CliRunner().invoke(cli, words).exit_code != 0
    assert reached == ["swallowed"]
    assert signal.getsignal(signal.SIGINT) is before
