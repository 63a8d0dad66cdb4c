"""Every gate refuses what no run may do, with the line: check, run, and the kit's own command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from septet._app.conformance import check_entries
from septet._config import load
from septet._host.plugin_registry import Host
from septet.errors import ConfigError
from tests.strangers.classes import MOVING
from tests.strangers.package import STRATEGY, installed, manifest_of, write_package
from tests.strangers.steps import HEAD, RULES, SOUND, UNSOUND

LAYERS = {
    "sizing": "risk", "limit": "risk", "stop": "risk", "halt": "risk", "signal": "signals",
    "model": "models", "monitor": "monitoring", "alerts": "monitoring", "series": "data",
    "candles": "data", "venue": "execution", "feature": "features",
}  # fmt: skip


def written(folder: Path, source: str, kind: str = "feature") -> Path:
    files = {
        "steps.py": HEAD + source,
        "manifest.py": manifest_of("odd_steps", {"broken": (LAYERS[kind], kind)}),
    }
    return write_package(folder, "odd-steps", files)


def strategy(folder: Path, feature: str, plugins: str = "plugins: [odd-steps]") -> Path:
    path = folder / "strategy.yaml"
    path.write_text(STRATEGY.format(plugins=plugins, feature=feature), encoding="utf-8")
    return path


def checked(folder: Path) -> dict[str, Any]:
    """Check the one plugin of the package as `septet plugins check` does."""
    with installed(folder, "odd_steps"):
        host = Host()
        assert not host.failures
        entries = [each for each in host.components() if each.distribution == "odd-steps"]
        (result,) = check_entries(host, entries)
    return result


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "cache"))


ENDS_ANYWAY = {
    "the future", "the future by way of a setting", "writes to its input", "beyond its look-back",
    "too few outputs", "too many outputs", "nothing", "a slot it has not", "an exception",
    "what no compiler takes", "a declaration that fails",
}  # fmt: skip
"""What a run refuses by itself, so that no hint offers to run without the check."""


@pytest.mark.parametrize("case", UNSOUND)
def test_a_file_that_uses_it_is_refused_at_its_line(tmp_path: Path, case: str) -> None:
    source, message = UNSOUND[case]
    written(tmp_path, source)
    path = strategy(tmp_path, "{use: broken}")
    with installed(tmp_path, "odd_steps"), pytest.raises(ConfigError) as caught:
        load(path)
    (found,) = (each for each in caught.value.problems if "must not run" in each.message)
    assert (found.line, found.column, found.key) == (7, 14, "features.far.use")
    assert found.message.startswith("odd-steps:broken must not run: ")
    assert message in found.message
    assert re.search(r"steps\.py:\d+", found.message), found.message
    assert found.message.count("\n") == 0
    assert ("--unchecked" in found.hint) is (case not in ENDS_ANYWAY)


@pytest.mark.parametrize("case", UNSOUND)
def test_the_kit_refuses_it_too(tmp_path: Path, case: str) -> None:
    source, message = UNSOUND[case]
    written(tmp_path, source)
    result = checked(tmp_path)
    assert (result["state"], result["ok"]) == ("failed", False)
    assert message in result["message"]


@pytest.mark.parametrize("case", [*RULES, *MOVING])
def test_the_kit_tries_every_kind(tmp_path: Path, case: str) -> None:
    kind, source, message = {**RULES, **MOVING}[case]
    written(tmp_path, source, kind)
    result = checked(tmp_path)
    assert result["state"] == "failed", result
    assert message in result["message"]


def test_what_is_sound_runs_and_is_tried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import septet.testing.verdict as kit

    home = written(tmp_path, SOUND)
    path = strategy(tmp_path, "{use: broken}")
    reported: list[str] = []
    tried: list[str] = []
    real = kit.decisive

    def counted(declaration: Any, config: Any, **more: Any) -> Any:
        tried.append(declaration.function.__name__)
        return real(declaration, config, **more)

    monkeypatch.setattr(kit, "decisive", counted)
    for _ in range(2):
        with installed(tmp_path, "odd_steps"):
            loaded = load(path, log=reported.append)
        (verdict,) = loaded.verdicts
        assert (verdict.plugin, verdict.state) == ("odd-steps:broken", "kept"), verdict
        assert not verdict.untried
    assert tried == ["broken"]
    assert reported == ["checking odd-steps:broken, once for this source and these settings"]
    steps = home / "steps.py"
    steps.write_text(steps.read_text("utf-8").replace("i - period", "i + 1 * period"), "utf-8")
    with installed(tmp_path, "odd_steps"), pytest.raises(ConfigError, match="the future"):
        load(path)
    assert tried == ["broken"] * 2


def test_a_change_in_what_a_step_calls_elsewhere_is_another_source(tmp_path: Path) -> None:
    own = "from other_helpers import twice\n\n\n@feature(Over)\ndef broken(i, of, period):\n"
    written(tmp_path, own + "    return twice(of[i])\n")
    other = tmp_path / "other_helpers.py"
    text = "from septet.plugin.numeric import helper\n\n\n@helper\ndef twice(value):\n"
    other.write_text(text + "    return 2.0 * value\n", encoding="utf-8")
    path = strategy(tmp_path, "{use: broken}")
    packages = ("odd_steps", "other_helpers")
    with installed(tmp_path, *packages):
        before = load(path).verdicts[0].source
    other.write_text(text + "    print(value)\n    return 2.0 * value\n", encoding="utf-8")
    with installed(tmp_path, *packages), pytest.raises(ConfigError, match="twice calls print"):
        load(path)
    with installed(tmp_path, *packages):
        assert load(path, unchecked=True).verdicts[0].source != before


def test_a_verdict_is_of_the_settings_of_the_file(tmp_path: Path) -> None:
    source = "\n@feature(Over, lookback=lambda c: 9)\ndef broken(i, of, period):\n"
    written(tmp_path, source + "    return of[i - 5 + period] - of[i]\n")
    with installed(tmp_path, "odd_steps"):
        assert load(strategy(tmp_path, "{use: broken, period: 4}")).verdicts[0].state == "kept"
        with pytest.raises(ConfigError, match=r"reads of\[i \+ 1\]: the future"):
            load(strategy(tmp_path, "{use: broken, period: 6}"))


def test_unchecked_is_the_word_to_go_without(tmp_path: Path) -> None:
    written(tmp_path, UNSOUND["the future"][0])
    path = strategy(tmp_path, "{use: broken}")
    with installed(tmp_path, "odd_steps"):
        (verdict,) = load(path, unchecked=True).verdicts
    assert verdict.state == "unchecked"


def test_a_long_look_back_is_not_reported_as_kept(tmp_path: Path) -> None:
    source = "\n@feature(Over, lookback=lambda c: c.period)\ndef broken(i, of, period):\n"
    written(tmp_path, source + "    return of[i] - of[i - period]\n")
    with installed(tmp_path, "odd_steps"):
        loaded = load(strategy(tmp_path, "{use: broken, period: 200000}"))
    (verdict,) = loaded.verdicts
    assert verdict.state == "not tried"
    assert any("needs 200,000 bars first" in each for each in verdict.untried)


def test_septets_own_cost_no_check(tmp_path: Path) -> None:
    loaded = load(strategy(tmp_path, "{use: simple_return}", plugins=""))
    assert loaded.verdicts == ()
    assert not (tmp_path / "cache" / "verdicts").exists()
