"""What a run reports of packages beside septet: their sources and their checks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from septet.cli import main
from septet.errors import InputError
from tests.strangers.package import STRATEGY, installed, manifest_of, write_package
from tests.strangers.steps import HEAD

COUNTS = '''
COUNT = 0

@feature(Over, lookback=lambda c: c.period, compiled=False)
def mine(i, of, period):
    """Count, which no replay can know of."""
    global COUNT
    COUNT += 1
    return of[i] / of[i - period] - 1.0
'''
SOUND = '''
@feature(Over, lookback=lambda c: c.period, compiled=False)
def mine(i, of, period):
    """Return the change, by way of a dictionary that no compiler takes."""
    return {"now": of[i]}["now"] / of[i - period] - 1.0
'''


def written(folder: Path, source: str) -> None:
    files = {
        "steps.py": f"{HEAD}{source}\n# {folder}\n",
        "manifest.py": manifest_of("odd_steps", {"mine": ("features", "feature")}),
    }
    write_package(folder, "odd-steps", files)
    text = STRATEGY.format(plugins="plugins: [odd-steps]", feature="{use: mine}")
    (folder / "strategy.yaml").write_text(text, encoding="utf-8")


@pytest.fixture
def septet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> tuple[int, str, str]:
        with installed(tmp_path, "odd_steps"), pytest.raises(SystemExit) as left:
            main(list(words))
        printed = capsys.readouterr()
        code = left.value.code
        assert isinstance(code, int)
        return code, printed.out, printed.err

    return command


def documents(folder: Path) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Return the manifest, the summary and the report of the one run in a folder."""
    (manifest,) = folder.rglob("manifest.json")
    home = manifest.parent
    page = (home / "report.html").read_text(encoding="utf-8")
    return (
        json.loads(manifest.read_text(encoding="utf-8")),
        json.loads((home / "summary.json").read_text(encoding="utf-8")),
        page,
    )


def test_every_command_that_runs_refuses_it(tmp_path: Path, septet: Any) -> None:
    written(tmp_path, COUNTS)
    for words in (
        ("check",),
        ("run",),
        ("train",),
        ("sweep", "--sweep", "features.far.period=3,4"),
    ):
        code, _, reported = septet(words[0], "strategy.yaml", *words[1:])
        assert code == 2, words
        assert "odd-steps:mine must not run" in reported
        assert "mine writes COUNT" in reported
        assert "strategy.yaml:7:14" in reported
    assert not (tmp_path / "runs").exists()


def test_a_run_without_the_check_reports_it(tmp_path: Path, septet: Any) -> None:
    written(tmp_path, COUNTS)
    code, _, reported = septet("run", "strategy.yaml", "--unchecked", "--out", "out")
    assert code == 0, reported
    manifest, summary, page = documents(tmp_path / "out")
    (check,) = manifest["plugin_checks"]
    assert (check["plugin"], check["state"]) == ("odd-steps:mine", "unchecked")
    text = "odd-steps:mine ran without being checked (--unchecked)"
    assert text in summary["verdict"]
    assert text in page


def test_a_run_keeps_sources_and_checks(tmp_path: Path, septet: Any) -> None:
    written(tmp_path, SOUND)
    code, _, reported = septet("run", "strategy.yaml", "--out", "out")
    assert code == 0, reported
    assert "checking odd-steps:mine, once" in reported
    manifest, summary, page = documents(tmp_path / "out")
    assert list(manifest["plugin_sources"]) == ["odd-steps"]
    assert len(manifest["plugin_sources"]["odd-steps"]) == 64
    (check,) = manifest["plugin_checks"]
    assert (check["plugin"], check["state"], check["not_tried"]) == ("odd-steps:mine", "kept", [])
    assert "checked" not in summary["verdict"]
    assert "Check of odd-steps:mine" in page


def test_the_list_shows_what_is_known_of_each(tmp_path: Path, septet: Any) -> None:
    written(tmp_path, SOUND)

    def state() -> tuple[str, str]:
        _, out, _ = septet("plugins", "list", "--json")
        rows = {each["name"]: each["check"] for each in json.loads(out)["plugins"]}
        return rows["mine"], rows["sma"]

    assert state() == ("not checked yet", "built in")
    assert septet("check", "strategy.yaml")[0] == 0
    assert state() == ("kept", "built in")
    written(tmp_path, COUNTS)
    assert state() == ("not checked yet", "built in")
    assert septet("check", "strategy.yaml")[0] == 2
    assert state() == ("failed", "built in")


def test_one_broken_package_leaves_all_else_as_it_was(tmp_path: Path, septet: Any) -> None:
    written(tmp_path, SOUND)
    bad = "def septet_features():\n    return None\n"
    write_package(tmp_path, "very-odd", {"manifest.py": bad})
    assert septet("check", "strategy.yaml")[0] == 0
    code, out, reported = septet("plugins", "list")
    assert code == 0
    assert "very-odd cannot be loaded: septet_features returned nothing" in reported
    assert "mine" in out
    assert septet("plugins", "check", "very-odd")[0] == 2


def test_a_run_that_goes_on_with_other_plugin_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from septet._config import load
    from septet._live.fingerprints import changed_since, fingerprints_of, require_same_fingerprints

    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "cache"))
    prints = []
    for source in (SOUND, SOUND, SOUND.replace("- 1.0", "- 1.5")):
        written(tmp_path, source)
        with installed(tmp_path, "odd_steps"):
            prints.append(fingerprints_of(load(tmp_path / "strategy.yaml"), "plan"))
    first, same, other = prints
    assert first["strategy"] == other["strategy"]
    require_same_fingerprints(first, same, tmp_path)
    with pytest.raises(InputError, match=r"other plugin code: odd-steps [0-9a-f]{16} then, odd-st"):
        require_same_fingerprints(first, other, tmp_path)
    assert "plugins" in first
    assert changed_since(first, same) == ()
    (message,) = changed_since(first, other)  # what a replay reports
    assert re.fullmatch(
        r"plugins \(odd-steps [0-9a-f]{16} then, odd-steps [0-9a-f]{16} now\)", message
    )


SOMETIMES = '''
@sizing(Plain)
def mine(equity, price, share):
    """Ask for less than nothing now and then."""
    return share * equity / price * (1.0 if int(price * 100.0) % 3 else -1.0)


@stop(Plain)
def beyond(average_price, side, share):
    """Lie beyond the entry now and then."""
    wrong = int(average_price * 100.0) % 5 == 0
    return average_price * (1.0 + side * (share if wrong else -share))
'''


def test_a_rule_that_breaks_its_promise_sometimes_is_counted(tmp_path: Path, septet: Any) -> None:
    components = {"mine": ("risk", "sizing"), "beyond": ("risk", "stop")}
    files = {
        "steps.py": f"{HEAD}{SOMETIMES}\n# {tmp_path}\n",
        "manifest.py": manifest_of("odd_steps", components),
    }
    write_package(tmp_path, "odd-steps", files)
    text = STRATEGY.format(plugins="plugins: [odd-steps]", feature="{use: roc, period: 2}")
    text = text.replace("{use: fixed_fraction, fraction: 50%}", "{use: mine, share: 0.05}")
    text = text.replace("{stop_loss: 2%}", "{mine: {use: beyond, share: 0.05}}")
    (tmp_path / "strategy.yaml").write_text(text, encoding="utf-8")
    code, _, reported = septet("run", "strategy.yaml", "--unchecked")
    assert code == 0, reported
    _, summary, page = documents(tmp_path)
    size, stop = summary["invalid_answers"]
    assert (size["rule"], size["plugin"]) == ("risk.sizing", "mine")
    assert size["times"] == summary["rejections"]["size"] > 0
    assert (stop["rule"], stop["plugin"]) == ("risk.stops.mine", "beyond")
    assert 0 < stop["times"] < summary["trades"], "and not where it protects"
    for words in ("gave no finite size above zero", "on the wrong side of the price"):
        assert words in summary["verdict"]
        assert words in page
