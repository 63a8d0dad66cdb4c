"""A run goes on with the plugin code it was made with, and with no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from septet._live.process import LiveResult
from septet.errors import InputError
from tests.live.test_start import Stage
from tests.strangers.package import installed, manifest_of, write_package
from tests.strangers.steps import HEAD

SETS = ["plugins=[odd-steps]", "features.far={use: mine}"]
SOUND = '''
@feature(Over, lookback=lambda c: c.period, compiled=False)
def mine(i, of, period):
    """Return the change."""
    return of[i] / of[i - period] - {offset}
'''


def written(folder: Path, offset: str) -> Path:
    """Write the package, or edit its source; return that."""
    files = {
        "steps.py": HEAD + SOUND.format(offset=offset),
        "manifest.py": manifest_of("odd_steps", {"mine": ("features", "feature")}),
    }
    return write_package(folder, "odd-steps", files) / "steps.py"


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_a_restart_with_other_plugin_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    stage = Stage(tmp_path)

    def run(**options: Any) -> LiveResult:
        with installed(tmp_path, "odd_steps"):
            return stage.run(mode=mode, sets=SETS, **options)

    source = written(tmp_path, "1.0")
    before = source.read_bytes()
    folder = run(bars=1).ends[0][0].location.folder
    written(tmp_path, "1.5")
    calls = len(stage.venue.named("submit"))
    with pytest.raises(
        InputError, match=r"other plugin code: odd-steps .* then, odd-steps"
    ) as caught:
        run(bars=2)
    assert str(folder) in caught.value.message
    assert "install the packages as they were when the run began" in caught.value.hint
    assert "begin another run with --fresh" in caught.value.hint
    assert len(stage.venue.named("submit")) == calls
    source.write_bytes(before)
    assert run(bars=2).ends[0][0].location.folder == folder, "as it was it goes on"
    written(tmp_path, "1.5")
    assert run(bars=1, fresh=True).ends[0][0].location.folder != folder
    assert run(bars=2).exit_code == 0, "which goes on with the new code"
