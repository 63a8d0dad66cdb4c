"""A hostile client: it neither reads nor writes outside the workspace, and reaches nothing."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from septet._agents.guide import EXAMPLE
from septet._app.documents import error_document
from septet._app.workspace import Workspace
from septet.errors import InputError
from tests.agents.conftest import Answer, Call
from tests.cli.test_planted_tables import plant
from tests.python.samples import TEXT, written

HYPOTHESIS = "What is outside can be read."
SECRET = "2031-secret-of-another"


def _refused(answer: Answer, *words: str) -> None:
    assert answer.is_error, answer.document
    assert all(word in str(answer.document) for word in words), answer.document
    assert SECRET not in str(answer.document)


def _not_ok(answer: Answer, *words: str) -> None:
    assert answer.document.get("ok") is False, answer.document
    assert all(word in str(answer.document) for word in words), answer.document
    assert SECRET not in str(answer.document)


@pytest.mark.parametrize(
    "path",
    [
        "../out.yaml", "a/../../out.yaml", "/tmp/out.yaml", "~/out.yaml", "", ".hidden.yaml",
        "a//b.yaml", "a\\..\\b.yaml", "a\nb.yaml", "\x1b[31m.yaml", "x" * 400 + ".yaml", "./a.yaml",
        ".git/a.yaml", "\0.yaml", "run.py", "a.yaml/",
    ],
)  # fmt: skip
def test_no_path_leads_out(call: Call, workspace: Path, path: str) -> None:
    before = sorted(workspace.parent.rglob("*"))
    _refused(call("save", file=path, text=EXAMPLE))
    _refused(call("run", file=path, hypothesis=HYPOTHESIS))
    _refused(call("explain", file=path))
    _refused(call("check", file=path))
    assert sorted(workspace.parent.rglob("*")) == before


def test_no_link_is_followed(call: Call, workspace: Path) -> None:
    outside = workspace.parent / "outside"
    outside.mkdir()
    (outside / "theirs.yaml").write_text(f"name: {SECRET}\n")
    (workspace / "link.yaml").symlink_to(outside / "theirs.yaml")
    (workspace / "folder").symlink_to(outside)
    (workspace / "new.yaml").symlink_to(outside / "made.yaml")
    for name in ("link.yaml", "folder/theirs.yaml"):
        _refused(call("check", file=name), "out of the workspace")
        _refused(call("save", file=name, text=EXAMPLE), "out of the workspace")
    _refused(call("save", file="new.yaml", text=EXAMPLE), "out of the workspace")
    _refused(call("save", file="folder/new.yaml", text=EXAMPLE), "out of the workspace")
    assert [each.name for each in outside.iterdir()] == ["theirs.yaml"]


def test_runs_are_not_stored_through_a_link(call: Call, workspace: Path) -> None:
    outside = workspace.parent / "outside"
    outside.mkdir()
    (workspace / "runs").symlink_to(outside)
    call("save", file="cross.yaml", text=EXAMPLE)
    _refused(call("run", file="cross.yaml", hypothesis=HYPOTHESIS), "out of the workspace")
    _refused(call("runs"), "out of the workspace")
    _refused(call("table", run="latest", name="equity"), "out of the workspace")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "reference", ["../x", "/etc", ".", "..", "a/b", "", "x" * 500, "-rf", "\n", "$(id)"]
)
def test_no_reference_of_a_run_is_a_path(call: Call, reference: str) -> None:
    _refused(call("table", run=reference, name="equity"), "no id of a run")
    _refused(call("why", run=reference, order="1"), "no id of a run")
    _refused(call("diff", a=reference, b=reference), "no id of a run")


def _data_outside(workspace: Path) -> Path:
    outside = workspace.parent / "outside"
    outside.mkdir()
    written(outside)
    (outside / "note.csv").write_text(SECRET)
    return outside


@pytest.mark.parametrize("form", ["absolute", "up", "link", "folder", "pattern", "symbol", "home"])
def test_data_outside_are_not_read(call: Call, workspace: Path, form: str) -> None:
    outside = _data_outside(workspace)
    (workspace / "link.csv").symlink_to(outside / "bars.csv")
    (workspace / "folder").symlink_to(outside)
    (workspace / "BTCUSD.csv").symlink_to(outside / "bars.csv")
    path = {
        "absolute": str(outside / "bars.csv"), "up": "../outside/bars.csv", "link": "link.csv",
        "folder": "folder/bars.csv", "pattern": "'l*.csv'", "symbol": "'{symbol}.csv'",
        "home": "~/bars.csv",
    }[form]  # fmt: skip
    text = TEXT.replace("path: bars.csv", f"path: {path}")
    _not_ok(call("check", text=text), "workspace")
    call("save", file="cross.yaml", text=text)
    _refused(call("run", file="cross.yaml", hypothesis=HYPOTHESIS), "workspace")
    _refused(call("explain", file="cross.yaml"), "workspace")
    call("save", file="plain.yaml", text=TEXT)
    laid = {"data.candles.path": path.strip("'")}
    _refused(call("run", file="plain.yaml", hypothesis=HYPOTHESIS, settings=laid), "workspace")
    assert not (workspace / "runs").exists()


HIDDEN = {
    ".env": f"BINANCE_SECRET={SECRET}\nother\n", ".creds.csv": SECRET, ".git/config": SECRET,
    ".git/x.csv": SECRET, "sub/.env.csv": SECRET, "plain.txt": SECRET, "visible": SECRET,
    "note.csv": f"KEY={SECRET}\nline\n", "pairs.csv": f"K={SECRET},L={SECRET}\n1,2\n3,4\n",
    "false.parquet": SECRET, "BTCUSD.csv": f"{SECRET}\n", "fake.yaml": f"{SECRET},a\n1,2\n",
}  # fmt: skip


@pytest.mark.parametrize("source", ["csv", "parquet"])
def test_hidden_files_are_not_read_and_no_line_of_a_file_is_quoted(
    call: Call, workspace: Path, source: str
) -> None:
    written(workspace)
    for name, content in HIDDEN.items():
        (workspace / name).parent.mkdir(exist_ok=True)
        (workspace / name).write_text(content)
    (workspace / "link.csv").symlink_to(workspace / ".creds.csv")
    paths = [
        *HIDDEN, "./.env", "*env", ".e*", "?env", "[.]env", "*creds.csv", "?creds.csv", "**/*.csv",
        "*/config", "*/x.csv", "[.]git/x.csv", "sub/../.env", "link.csv", ".{symbol}.csv",
        ".env.csv", "nothing.csv", "sub/nothing.csv", "{symbol}.csv", "*",
    ]  # fmt: skip
    for path in paths:
        text = TEXT.replace("use: csv", f"use: {source}")
        text = text.replace("path: bars.csv", f"path: {path!r}")
        if source == "parquet":
            text = text.replace("stamp: open", "{}").replace(", {}", "")
        for answer in (
            call("check", text=text),
            call("run", file="cross.yaml", hypothesis=HYPOTHESIS, settings=_laid(path, source)),
        ):
            answered = str(answer.document)
            assert SECRET not in answered, path
            assert answer.is_error or answer["ok"] is False, (path, answered)
            hidden = ("creds", "git", "env")
            assert not any(each in answered.replace(path, "") for each in hidden), (path, answered)


def _laid(path: str, source: str) -> dict[str, Any]:
    return {"data.candles.use": source, "data.candles.path": path}


@pytest.mark.parametrize("path", [".env", "./.env", ".git/config", "a/.b", "sub\\.env"])
@pytest.mark.parametrize("key", ["name", "features.fast.use", "data.candles.columns.close"])
def test_a_hidden_name_is_refused_in_every_text(
    call: Call, workspace: Path, key: str, path: str
) -> None:
    written(workspace)
    answer = call("check", file="cross.yaml", settings={key: path})
    _not_ok(answer, "this path has a hidden name")


def test_data_inside_are_read(call: Call, workspace: Path) -> None:
    written(workspace)
    done = call("run", file="cross.yaml", hypothesis=HYPOTHESIS)
    assert done["figures"]["summary"]["trades"] > 0


@pytest.mark.parametrize(
    "candles",
    [
        "{use: ccxt, exchange: binance, venue: binance}",
        "{use: store, source: kraken}",
    ],
)
def test_sources_that_leave_the_workspace_are_refused(call: Call, candles: str) -> None:
    text = EXAMPLE.replace("{use: sample}", candles)
    _not_ok(call("check", text=text))
    call("save", file="cross.yaml", text=text)
    _refused(call("run", file="cross.yaml", hypothesis=HYPOTHESIS))


def test_an_address_and_a_secret_are_never_used(
    call: Call, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHERS_KEY", SECRET)
    (workspace.parent / "key").write_text(SECRET)
    series = """\
  mood:
    use: http_json
    url: "http://127.0.0.1:9/"
    time: t
    select: rows.*.v
    known_after: 1h
    headers: {Authorization: "env:OTHERS_KEY"}
"""
    text = EXAMPLE.replace("{use: sample}\n", "{use: sample}\n" + series)
    _not_ok(call("check", text=text), "http_json is not used here")
    call("save", file="cross.yaml", text=text)
    _refused(call("run", file="cross.yaml", hypothesis=HYPOTHESIS), "http_json is not used here")
    for reference in ("env:OTHERS_KEY", f"file:{workspace.parent / 'key'}"):
        named = EXAMPLE.replace("sma-cross", f'"{reference}"')
        _not_ok(call("check", text=named))


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a\x07b", "../../up", "x" * 10_000])
def test_a_hostile_name_is_a_problem_and_no_folder(call: Call, workspace: Path, name: str) -> None:
    before = sorted(workspace.parent.rglob("*"))
    answer = call("check", text=EXAMPLE.replace("sma-cross", repr(name)))
    _not_ok(answer)
    assert answer.size <= 32_000
    assert sorted(workspace.parent.rglob("*")) == before


@pytest.mark.parametrize("tool", ["check", "save"])
def test_ten_megabytes_are_refused_with_a_message(call: Call, workspace: Path, tool: str) -> None:
    given: dict[str, Any] = {"text": "x" * 10_000_000}
    if tool == "save":
        given["file"] = "large.yaml"
    answer = call(tool, **given)
    _refused(answer, "the limit is 200,000")
    assert answer.size <= 32_000
    assert list(workspace.iterdir()) == []
    large = {"features.fast.period": "9" * 1_000_000}
    _refused(call("check", text=EXAMPLE, settings=large), "the limit is 200,000")


@pytest.mark.parametrize(
    ("tool", "given"),
    [
        ("x" * 1_000_000, {}),
        ("run", {"file": "a.yaml", "hypothesis": ["x" * 1_000_000]}),
        ("table", {"run": "latest", "name": "equity", "limit": 10**9}),
        ("schema", {"path": "a." * 500_000}),
        ("plugins", {"layer": "x" * 1_000_000}),
        ("job", {"id": "x" * 1_000_000}),
        ("check", {"text": EXAMPLE, "settings": {"x" * 100_000: 1}}),
        ("check", {"text": "[" * 100_000}),
    ],
)
def test_wrong_arguments_are_answered_shortly(call: Call, tool: str, given: dict[str, Any]) -> None:
    answer = call(tool, **given)
    assert answer.is_error or answer["ok"] is False
    assert answer.size <= 32_000


@pytest.mark.parametrize(
    ("tool", "given", "known"),
    [
        ("runs", {"runs": "/tmp"}, "strategy, limit, cursor"),
        ("data", {"files": "../"}, "limit, cursor"),
        ("check", {"file": "a.yaml", "fil\x1be": 1}, "file"),
    ],
)
def test_an_argument_that_a_tool_does_not_have_is_refused(
    call: Call, tool: str, given: dict[str, Any], known: str
) -> None:
    """An answer to less than was asked would be taken for one to all of it."""
    found = call(tool, **given)
    assert found.is_error
    assert f"{tool} has no argument" in found["message"]
    assert known in found["hint"]
    assert "\x1b" not in found["message"]


GOLDEN = {
    "run": (
        {"file": "a.yaml", "wait_s": -5},
        "run: hypothesis is missing; wait_s: expected greater than or equal to 0, found -5",
        "run takes file, hypothesis, settings, wait_s",
    ),
    "table": (
        {"run": "latest", "name": "equity", "limit": 10**9},
        "table: limit: expected less than or equal to 200, found 1000000000",
        "table takes run, name, columns, start, end, every, limit, cursor",
    ),
    "sell": ({}, "Unknown tool: sell", "one of check, data, diff, explain, "),
    "halt": ({}, "Unknown tool: halt", "one of check, data, diff, explain, "),
}


@pytest.mark.parametrize("tool", GOLDEN)
def test_wrong_arguments_are_answered_as_the_document_of_an_error(call: Call, tool: str) -> None:
    """It was the text of the library that checks them, with an address of its site."""
    given, message, hint = GOLDEN[tool]
    found = call(tool, **given)
    assert found.is_error
    expected = error_document(InputError(message, hint=found["hint"]))
    assert found.document == expected
    assert found["hint"].startswith(hint)
    assert "pydantic" not in str(found.document)


def test_a_large_file_and_a_pipe_are_not_read(call: Call, workspace: Path) -> None:
    with (workspace / "large.yaml").open("wb") as file:
        file.truncate(1 << 33)
    os.mkfifo(workspace / "pipe.yaml")
    _refused(call("check", file="large.yaml"), "larger than")
    _refused(call("check", file="pipe.yaml"), "not a regular file")
    _refused(call("save", file="pipe.yaml", text=EXAMPLE))


_FROM_FILE = EXAMPLE.replace("{use: sample}", "{use: csv, path: a.csv, stamp: open}")
_ALIASES = "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 12))
HEAVY = {
    "symbols": (EXAMPLE.replace("[BTC/USD]", str([f"S{k}/USD" for k in range(5_000)])), ""),
    "sweep": (
        EXAMPLE + "sweep: {over: {features.fast.period: {from: 2, to: 50000, step: 1}, "
        "features.slow.period: {from: 2, to: 50000, step: 1}}}\n", "a larger step",
    ),
    "nesting": (EXAMPLE + "x: " + "[" * 90_000 + "]" * 90_000, "nested too deeply"),
    "aliases": (EXAMPLE + "a0: &a0 [1, 1, 1, 1, 1]\n" + _ALIASES, "too many values"),
    "keys": (EXAMPLE + "".join(f"k{k}: 1\n" for k in range(20_000)), "more keys or values"),
    "rule": (
        EXAMPLE.replace("crosses_above(fast, slow)", " and ".join(["fast > slow"] * 10_000)),
        "longer than 2000 characters",
    ),
    "pipe": (_FROM_FILE, "a pipe"),
    "file": (_FROM_FILE, "larger than"),
}  # fmt: skip


@pytest.mark.parametrize("name", HEAVY)
def test_what_would_take_long_is_refused_in_words(call: Call, workspace: Path, name: str) -> None:
    text, words = HEAVY[name]
    if name == "pipe":
        os.mkfifo(workspace / "a.csv")
    if name == "file":
        with (workspace / "a.csv").open("wb") as file:
            file.write(b"timestamp,open,high,low,close,volume\n")
            file.truncate(1 << 33)
    answer = call("check", text=text)
    _not_ok(answer, words)
    assert answer.size <= 32_000


def test_a_file_is_replaced_only_by_who_knows_what_is_there(call: Call, workspace: Path) -> None:
    digest = call("save", file="cross.yaml", text=EXAMPLE)["hash"]
    for replaces in (None, "0" * 64):
        answer = call("save", file="cross.yaml", text="version: 1\n", replaces=replaces)
        _refused(answer, "is there already")
        assert digest not in str(answer.document), "the refusal would show what to send"
    _refused(call("save", file="other.yaml", text=EXAMPLE, replaces="0" * 64))
    assert (workspace / "cross.yaml").read_text() == EXAMPLE
    assert not (workspace / "other.yaml").exists()


def test_nothing_is_saved_into_a_run_or_a_sweep(call: Call, workspace: Path) -> None:
    call("save", file="cross.yaml", text=EXAMPLE)
    run = call("run", file="cross.yaml", hypothesis=HYPOTHESIS)["run"]
    folder = f"runs/sma-cross/{run}"
    (workspace / "moved").mkdir()
    (workspace / "moved" / "manifest.json").write_text("{}")
    before = (workspace / folder / "strategy.yaml").read_bytes()
    digest = hashlib.sha256(before).hexdigest()
    names = [
        f"{folder}/strategy.yaml", f"{folder}/x.yaml", "runs/x.yaml", "sweeps/a/b.yaml",
        "Runs/x.yaml", "moved/x.yaml", "moved/below/x.yaml",
    ]  # fmt: skip
    for name in names:
        for replaces in (None, digest):
            answer = call("save", file=name, text=EXAMPLE, replaces=replaces)
            _refused(answer, "lies in a folder of runs or sweeps")
    assert (workspace / folder / "strategy.yaml").read_bytes() == before
    assert not (workspace / "sweeps").exists()


@pytest.mark.parametrize(
    "text",
    [
        "", "timestamp,open\n1,2\n", "- 1\n- 2\n", "a: 1\n", "null", "version: [\n",
        EXAMPLE + "others: 1\n", "timestamp,open,high: close\n1,2,3: 4\n",
    ],
)  # fmt: skip
def test_only_a_strategy_is_saved(call: Call, workspace: Path, text: str) -> None:
    _refused(call("save", file="fake.yaml", text=text))
    assert list(workspace.iterdir()) == []
    call("save", file="unfinished.yaml", text="version: 1\nfeatures: {a: 7}\n")
    assert [each.name for each in workspace.iterdir()] == ["unfinished.yaml"]


@pytest.mark.parametrize("keys", ["stamp: foo", "time_zone: Mars/X", "time_zone: /etc/localtime"])
def test_a_wrong_key_of_data_in_a_text_is_a_problem(call: Call, workspace: Path, keys: str) -> None:
    written(workspace)
    _not_ok(call("check", text=TEXT.replace("stamp: open", keys)), f"data.candles.{keys[:4]}")


@pytest.mark.parametrize("hypothesis", ["", "  \n ", "x" * 501, "a\x1b[2Jb"])
def test_no_run_without_a_sentence(call: Call, workspace: Path, hypothesis: str) -> None:
    call("save", file="cross.yaml", text=EXAMPLE)
    _refused(call("run", file="cross.yaml", hypothesis=hypothesis), "one sentence")
    assert not (workspace / "runs").exists()


def test_a_file_for_live_trading_is_run_as_a_backtest(call: Call, workspace: Path) -> None:
    call("save", file="cross.yaml", text=EXAMPLE.replace("name:", "mode: paper\nname:"))
    done = call("run", file="cross.yaml", hypothesis=HYPOTHESIS)
    assert done["figures"]["summary"]["mode"] == "backtest"
    _refused(
        call("run", file="cross.yaml", hypothesis=HYPOTHESIS, settings={"mode": "live"}),
    )
    modes = {each["figures"]["summary"]["mode"] for each in call("runs")["runs"]}
    assert modes == {"backtest"}


@pytest.mark.parametrize("mode", ["live", "paper", " live ", {"use": "live"}, None])
@pytest.mark.parametrize("tool", ["check", "run", "explain"])
def test_no_setting_takes_a_file_out_of_its_backtest(
    call: Call, workspace: Path, tool: str, mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checking a live file would reveal which variables are set and which files there are."""
    monkeypatch.setenv("SOMEBODYS_KEY", SECRET)
    (workspace.parent / "there").write_text(SECRET)
    venue = '{{use: ccxt, exchange: binance, key: "{}", secret: "env:SOMEBODYS_KEY"}}'
    answers = set()
    for key in ("env:NO_SUCH_NAME", f"file:{workspace.parent / 'there'}", "file:/no/such/file"):
        halts = "  halts: {drawdown: {above: 15%, then: flatten, resume: manual}}\nexecution:\n"
        text = TEXT.replace("execution:\n", f"{halts}  venues: {{binance: {venue.format(key)}}}\n")
        (workspace / "keys.yaml").write_text(text)
        more = {"hypothesis": HYPOTHESIS} if tool == "run" else {}
        answer = call(tool, file="keys.yaml", settings={"mode": mode}, **more)
        answers.add(str(answer.document).replace(key, ""))
    assert len(answers) == 1


def test_a_link_in_the_folder_of_a_run_is_not_read(call: Call, workspace: Path) -> None:
    call("save", file="cross.yaml", text=EXAMPLE)
    run = call("run", file="cross.yaml", hypothesis=HYPOTHESIS)["run"]
    folder = workspace / "runs" / "sma-cross" / run
    (workspace.parent / "theirs").write_text(SECRET)
    (folder / "equity.parquet").unlink()
    (folder / "equity.parquet").symlink_to(workspace.parent / "theirs")
    _refused(call("table", run=run, name="equity"))


@pytest.mark.parametrize("every", [0, -1, 10**30])
def test_a_distance_of_rows_that_no_table_has_is_refused(
    call: Call, workspace: Path, every: int
) -> None:
    call("save", file="cross.yaml", text=EXAMPLE)
    run = call("run", file="cross.yaml", hypothesis=HYPOTHESIS)["run"]
    _refused(call("table", run=run, name="equity", every=every), "a number of rows from 1")


def test_of_two_who_save_at_once_one_replaces_the_text_that_it_knows(workspace: Path) -> None:
    """What is checked is what is replaced: the other is answered that the text has changed."""
    for number in range(20):
        texts = [f"{EXAMPLE}# {number} {each}\n" for each in range(4)]
        before = hashlib.sha256(EXAMPLE.encode()).hexdigest()
        (workspace / "cross.yaml").write_text(EXAMPLE)
        with ThreadPoolExecutor(len(texts)) as together:
            found = list(together.map(partial(_saved, workspace, before), texts))
        assert found.count(True) == 1, found
        assert (workspace / "cross.yaml").read_text() == texts[found.index(True)]


def _saved(workspace: Path, replaces: str, text: str) -> bool:
    try:
        Workspace(workspace).save("cross.yaml", text, replaces=replaces)
    except InputError:
        return False
    return True


def test_tables_of_a_damaged_run_are_answered_as_errors(call: Call, workspace: Path) -> None:
    written(workspace)
    (workspace / "cross.yaml").write_text(TEXT)
    run = call("run", file="cross.yaml", hypothesis=HYPOTHESIS)["run"]
    (folder,) = workspace.glob(f"runs/*/{run}")
    assert call("table", run=run, name="fills")["rows"]
    plant(folder / "fills.parquet", "price", float("nan"))
    words = "fills.parquet holds nan in price, which is above zero in every run"
    _refused(call("table", run=run, name="fills"), words)
    assert words in call("table", run=run, name="equity")["problem"]
    (folder / "equity.parquet").write_bytes(b"garbage")
    _refused(call("table", run=run, name="equity"), "equity.parquet cannot be read as Parquet")
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"bar_ns":', '"bar":'))
    for name in ("orders", "equity"):
        _refused(call("table", run=run, name=name), "manifest.json lacks its facts")
