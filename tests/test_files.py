"""Safe writing: no write follows a link, whatever a stranger's folder holds."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from septet import _files as files
from septet._cli.init import init
from septet._cli.runs import report, runs
from septet._cli.schema import schema
from septet._data.bar_store import BarStore
from septet._files import make_folders
from septet._journal.journal_files import Mark, make, make_mark, read_mark
from septet._journal.lock import is_locked, lock
from septet._learn.stored import CARD, MODEL, store_model
from septet._live.kill_switch import ask_halt
from septet._live.logs import RunLog
from septet._live.run_location import find_run_location
from septet._live.stop import mark_failed
from septet._report.save import save_run
from septet._store.find_runs import open_run
from septet._store.run_folder import Run
from septet._sweep.folder import SweepFolder, start_folder
from septet.cli import cli
from septet.errors import InputError, RunError, SeptetError
from tests.learn.sample import logistic, window
from tests.report.synthetic import make_result

PRECIOUS = b"precious\n"


@pytest.fixture(scope="module")
def rules_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    result = make_result(symbols=("BTC/USDT",), bars=300, first=100, model=False, strategy="s")
    return save_run(result, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "precious"
    path.parent.mkdir()
    path.write_bytes(PRECIOUS)
    return path


def _links(folder: Path, victim: Path, *names: str) -> None:
    """Plant links under a name and under the drafts this or another version would use."""
    for name in names:
        drafts = (f".{name}.{os.getpid()}.tmp", f".{name}.partial", f".{name}.new", f".{name}")
        for each in (name, *drafts, f".{name}.part", Path(name).stem + ".tmp"):
            if not (folder / each).is_symlink():
                (folder / each).unlink(missing_ok=True)
                (folder / each).symlink_to(victim)


def test_a_replaced_file_takes_the_place_of_a_link(tmp_path: Path, victim: Path) -> None:
    path = tmp_path / "out"
    _links(tmp_path, victim, "out")
    files.replace_file(path, "new")
    assert path.read_text() == "new"
    assert not path.is_symlink()
    assert victim.read_bytes() == PRECIOUS


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(TypeError), files.replacing(path) as file:
        file.write("not bytes")  # type: ignore[call-overload]
    assert [each.name for each in tmp_path.iterdir()] == ["out"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("way", [files.create_file, files.open_append, files.open_lock])
def test_what_uses_an_existing_name_refuses_a_link(
    tmp_path: Path, victim: Path, way: Callable[[Path], object]
) -> None:
    (tmp_path / "link").symlink_to(victim)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("link", "dangling"):
        with pytest.raises(OSError, match=r"exists|symbolic|Too many"):
            way(tmp_path / name)
    assert victim.read_bytes() == PRECIOUS
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("way", [files.open_append, files.open_lock, files.open_regular])
def test_a_pipe_is_refused_and_not_waited_for(
    tmp_path: Path, way: Callable[[Path], object]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError):  # noqa: PT011 - "no reader" or "not a regular file"
        way(tmp_path / "pipe")


def test_a_second_name_of_a_file_is_not_appended_to(tmp_path: Path, victim: Path) -> None:
    os.link(victim, tmp_path / "log")
    with pytest.raises(OSError, match="regular"):
        files.open_append(tmp_path / "log")


def test_a_lock_keeps_what_is_in_its_file(tmp_path: Path, victim: Path) -> None:
    assert lock(victim) is not None
    assert is_locked(victim)
    assert victim.read_bytes() == PRECIOUS
    (tmp_path / "link").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        lock(tmp_path / "link")


def test_a_linked_folder_is_refused(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "models").symlink_to(victim.parent)
    with pytest.raises(OSError, match="symbolic link"):
        files.make_folder(tmp_path / "models")


# ------------------------------------------------------------------ the commands and their writers


@pytest.fixture
def planted(rules_run: Run, tmp_path: Path, victim: Path) -> Path:
    """A copy of a stored run whose report is a link to something precious."""
    folder = tmp_path / "runs" / "s" / rules_run.folder.name
    shutil.copytree(rules_run.folder, folder)
    _links(folder, victim, "report.html")
    return folder


@pytest.mark.parametrize("command", [[report], [runs, "show"], [runs, "export", "--to", "out"]])
def test_a_run_folder_with_links_is_refused(
    planted: Path, victim: Path, command: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(planted.parent)
    found = CliRunner().invoke(command[0], [*map(str, command[1:]), str(planted)])  # type: ignore[arg-type]
    assert isinstance(found.exception, InputError)
    assert "report.html" in str(found.exception)
    assert "no links" in found.exception.hint
    assert victim.read_bytes() == PRECIOUS


def test_a_link_or_a_pipe_anywhere_in_a_run_is_found(
    rules_run: Run, tmp_path: Path, victim: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(rules_run.folder, folder)
    (folder / "models").mkdir()
    (folder / "models" / "card.json").symlink_to(victim)
    with pytest.raises(InputError, match=r"card\.json"):
        open_run(folder)
    (folder / "models" / "card.json").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(InputError, match="pipe"):
        open_run(folder)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_export_follows_no_link(rules_run: Run, tmp_path: Path, victim: Path, kind: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    _links(out, victim, f"trades.{kind}", f"equity.{kind}")
    words = ["export", str(rules_run.folder), "--to", str(out), "--format", kind, "--force"]
    assert CliRunner().invoke(runs, words).exit_code == 0
    assert not (out / f"trades.{kind}").is_symlink()
    assert victim.read_bytes() == PRECIOUS


def test_init_and_schema_follow_no_link(tmp_path: Path, victim: Path) -> None:
    _links(tmp_path, victim, "strategy.yaml", ".gitignore", "strategy.schema.json")
    assert CliRunner().invoke(init, [str(tmp_path), "--force"]).exit_code == 0
    assert "version: 1" in (tmp_path / "strategy.yaml").read_text()
    _links(tmp_path, victim, "schema.json")
    CliRunner().invoke(schema, ["--out", str(tmp_path / "schema.json")])
    json.loads((tmp_path / "schema.json").read_text())
    assert victim.read_bytes() == PRECIOUS


def test_a_stored_model_replaces_links(tmp_path: Path, victim: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    _links(folder, victim, MODEL, CARD)
    store_model(folder, logistic().fit(window()).model, {"version": 2})
    assert not (folder / MODEL).is_symlink()
    assert victim.read_bytes() == PRECIOUS


def test_a_sweep_goes_on_in_no_linked_folder(tmp_path: Path, victim: Path) -> None:
    made = start_folder(tmp_path, "s", {"strategy": "s"})
    (made.folder / "lock").symlink_to(victim)
    with pytest.raises((OSError, SeptetError)), made:
        pass
    (made.folder / "lock").unlink()
    shutil.rmtree(made.parts)
    made.parts.symlink_to(victim.parent)
    (victim.parent / ".profile").write_bytes(PRECIOUS)
    with pytest.raises(RunError, match="symbolic link"), SweepFolder(made.folder, made.manifest):
        pass
    assert (victim.parent / ".profile").exists()
    made.parts.unlink()
    _links(made.folder, victim, "settings.parquet", "manifest.json")
    with SweepFolder(made.folder, made.manifest) as again:
        again.complete(pl.DataFrame({"a": [1]}))
    assert victim.read_bytes() == PRECIOUS


def test_the_store_of_bars_follows_no_link(tmp_path: Path, victim: Path) -> None:
    store = BarStore(tmp_path / "store")
    folder = store.path("x", "BTC/USD", "1h")
    folder.mkdir(parents=True)
    _links(folder, victim, "0-1.parquet")
    (folder / "meta.tmp").unlink(missing_ok=True)
    store.append("x", "BTC/USD", "1h", pl.DataFrame({"timestamp": [0]}), (0, 1))
    (folder / "lock").unlink()
    (folder / "lock").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        store.append("x", "BTC/USD", "1h", pl.DataFrame({"timestamp": [2]}), (2, 3))
    assert victim.read_bytes() == PRECIOUS


def test_what_a_live_run_writes_follows_no_link(tmp_path: Path, victim: Path) -> None:
    _links(tmp_path, victim, "HALT", "FAILED.json", "journal.sqlite-mark", "journal.sqlite")
    ask_halt(tmp_path, flatten=False, name="n", reason="r", now_ns=1)
    mark_failed(tmp_path, "why", None, None)
    make_mark(tmp_path / "journal.sqlite-mark", Mark(3, 2, "power")).close()
    make(tmp_path / "journal.sqlite", b"{}")
    assert not any((tmp_path / name).is_symlink() for name in ("HALT", "FAILED.json"))
    assert read_mark(tmp_path / "journal.sqlite-mark").committed == 3
    (tmp_path / "log.jsonl").symlink_to(victim)
    log = RunLog(tmp_path, now_ns=lambda: 1, quiet=True)
    log.notify("info", "x", {})
    assert log.close() == 1  # one line was lost, and counted
    assert victim.read_bytes() == PRECIOUS


def test_the_mode_of_a_file_follows_the_umask(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    files.replace_file(tmp_path / "open", "x")
    files.replace_file(tmp_path / "shut", "x", mode=0o600)
    assert stat.S_IMODE((tmp_path / "shut").stat().st_mode) == 0o600
    usual = tmp_path / "usual"
    usual.write_text("x")
    assert (tmp_path / "open").stat().st_mode == usual.stat().st_mode


def test_what_is_made_in_a_folder_of_one_user_is_that_users_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    files.replace_file(tmp_path / "replaced", "x")
    files.create_file(tmp_path / "created").close()
    os.close(files.open_append(tmp_path / "appended"))
    files.replace_file(files.make_folder(tmp_path / "folder") / "inner", "x")
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.rglob("*")}
    files_too = dict.fromkeys(("replaced", "created", "appended", "inner"), 0o600)
    assert modes == {**files_too, "folder": 0o700}


def test_folders_below_what_was_typed_are_no_links(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "typed"
    real.mkdir()
    link.symlink_to(real)
    assert make_folders(link, "a", "b") == link / "a" / "b"
    assert (real / "a" / "b").is_dir()
    (real / "planted").symlink_to(tmp_path)
    for below in (("planted",), ("planted", "b"), ("a", "b", "c", "d")):
        (real / "a" / "b" / "c").unlink(missing_ok=True)
        (real / "a" / "b" / "c").symlink_to(tmp_path)
        with pytest.raises(OSError, match="symbolic link"):
            make_folders(link, *below)


STRATEGY = """\
version: 1
name: sma-cross
account: {capital: 10000, currency: USD}
universe: {symbols: [A/USD], bar: 1h}
data: {candles: {use: synthetic, bars: 400, seed: 3}}
features: {fast: {use: log_return}}
MODEL
risk: {sizing: {use: fixed_fraction, fraction: 45%}}
"""
RULES = "signal: {use: rules, long_if: close > open, exit_if: close < open}"
TRAINED = """\
model: {use: sklearn, estimator: GaussianNB, training: {train: 10d, step: 10d, min_rows: 100}}
signal: {use: confidence, threshold: 0.1, exit: {after: 6 bars}}"""


@pytest.mark.parametrize(
    ("words", "planted", "model"),
    [
        (("run", "s.yaml", "--out", "out"), "out/sma-cross", RULES),
        (("sweep", "s.yaml", "--out", "out"), "out/sma-cross", RULES),
        (("drill", "s.yaml"), "drills", RULES),
        (("train", "s.yaml"), "models", TRAINED),
        (("train", "s.yaml"), "models/sma-cross", TRAINED),
    ],
    ids=["run", "sweep", "drill", "train", "train below"],
)
def test_no_command_writes_through_a_planted_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    planted: str,
    model: str,
) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    away.mkdir()
    (home / planted).parent.mkdir(parents=True)
    (home / planted).symlink_to(away)
    sweep = "\nsweep: {over: {risk.sizing.fraction: [10%, 20%]}}\n"
    text = STRATEGY.replace("MODEL", model) + (sweep if words[0] == "sweep" else "")
    (home / "s.yaml").write_text(text)
    monkeypatch.chdir(home)
    ended = CliRunner().invoke(cli, list(words))
    assert ended.exit_code != 0
    assert "symbolic link" in str(ended.exception), ended.exception
    assert not list(away.iterdir())


def test_a_live_run_is_found_in_no_linked_folder(tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (tmp_path / "s").symlink_to(away)
    for fresh in (True, False):
        with pytest.raises(InputError, match="symbolic link"):
            find_run_location(tmp_path, "s", "paper", fresh=fresh, now_ns=0)
    assert not list(away.iterdir())
