"""`septet plugins list` shows what `septet plugins check` found, as long as the source stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from septet._app.conformance import check_entries
from septet._app.plugins import check_state
from septet._host.plugin_registry import Host
from tests.strangers.package import installed, manifest_of, write_package
from tests.strangers.steps import HEAD, SOUND, UNSOUND


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "cache"))


def _written(folder: Path, source: str) -> Path:
    manifest = manifest_of("odd_steps", {"broken": ("features", "feature")})
    return write_package(folder, "odd-steps", {"steps.py": HEAD + source, "manifest.py": manifest})


def _listed(folder: Path, *, check: bool) -> tuple[str, dict[str, Any]]:
    """Return what the list shows of the plugin, in a process that has imported nothing of it."""
    with installed(folder, "odd_steps"):
        host, result = Host(), dict[str, Any]()
        entries = [each for each in host.components() if each.distribution == "odd-steps"]
        if check:
            (result,) = check_entries(host, entries)
        return check_state(entries[0]), result


@pytest.mark.parametrize(("source", "state"), [(SOUND, "kept"), ("", "failed")])
def test_what_was_checked_is_listed(tmp_path: Path, source: str, state: str) -> None:
    _written(tmp_path, source or next(iter(UNSOUND.values()))[0])
    assert _listed(tmp_path, check=False)[0] == "not checked yet"
    listed, result = _listed(tmp_path, check=True)
    assert listed == result["state"] == state
    assert _listed(tmp_path, check=False)[0] == state, "the next process knows it, too"


def test_what_was_changed_since_is_unchecked_again(tmp_path: Path) -> None:
    home = _written(tmp_path, SOUND)
    assert _listed(tmp_path, check=True)[0] == "kept"
    steps = home / "steps.py"
    before = steps.read_text("utf-8")
    steps.write_text(before + "\n# changed\n", "utf-8")
    assert _listed(tmp_path, check=False)[0] == "not checked yet"
    steps.write_text(before, "utf-8")
    assert _listed(tmp_path, check=False)[0] == "kept"


ASKS = '''
class Asks(Config):
    """Needs a number."""

    x: int


@feature(Asks)
def broken(i, close, x):
    return close[i] * x
'''


def test_what_needs_settings_was_not_tried_and_stays_unchecked(tmp_path: Path) -> None:
    _written(tmp_path, ASKS)
    listed, result = _listed(tmp_path, check=True)
    assert (listed, result["state"]) == ("not checked yet", "not tried")
