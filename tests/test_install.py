"""What `make` installs by: uv in place of pip wherever both would take the same packages."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / ".ci" / "install.py"


@pytest.fixture(scope="module")
def install() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ci_install", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LISTED = """\
:env:.cert='/etc/ssl/ours.crt'
download.index-url='https://downloads.example/simple'
global.cert='/etc/ssl/theirs.crt'
global.extra-index-url='https://one.example/simple https://two.example/simple'
global.timeout='60'
install.find-links='/wheels /more wheels'
install.index-url='https://first.example/simple'
"""


def test_the_places_that_pip_looks_in_are_handed_over(install: ModuleType) -> None:
    assert install.uv_settings(install.pip_settings(LISTED)) == {
        "SSL_CERT_FILE": "/etc/ssl/ours.crt",
        "UV_INDEX": "https://one.example/simple https://two.example/simple",
        "UV_FIND_LINKS": "/wheels,/more,wheels",
        "UV_DEFAULT_INDEX": "https://first.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


@pytest.mark.parametrize("setting", ["proxy", "trusted-host", "require-hashes", "target"])
def test_a_setting_that_uv_has_no_word_for_leaves_the_work_to_pip(
    install: ModuleType, setting: str
) -> None:
    settings = install.pip_settings(LISTED + f"global.{setting}='true'\n")
    assert install.uv_settings(settings) is None


def test_pip_says_what_cannot_be_installed(
    install: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(install, "installed_by_uv", lambda wanted: False)
    monkeypatch.setenv("PIP_NO_INDEX", "true")
    assert install.main([str(tmp_path / "absent")]) != 0
    assert "absent" in capfd.readouterr().err
