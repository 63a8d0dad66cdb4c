"""The site builds strictly, and a link that leads nowhere or an undocumented name stops it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "docs" / "site"


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    command = [sys.executable, str(SITE / "site_build.py"), "--out", str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    html = tmp_path / "site" / "html"
    reference = html / "reference"
    for page, name in (
        ("python/septet", "run_many"),
        ("python/septet.plugin.live", "LiveVenue.cancel_all"),
        ("keys", "max_order_value"),
        ("commands", "septet runs export"),
        ("plugins/features", "parabolic_sar"),
        ("tables", "round_trips"),
    ):
        text = (reference / page / "index.html").read_text(encoding="utf-8")
        assert name.rpartition(".")[2] in re.sub(r"<[^>]+>", "", text), f"{page}: {name}"


def test_a_link_that_leads_nowhere_stops_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(SITE))
    from site_build import build

    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.md").write_text("# Home\n\n[on](nowhere.md)\n", encoding="utf-8")
    settings = '[project]\nsite_name = "x"\ndocs_dir = "pages"\nsite_dir = "html"\n'
    (tmp_path / "zensical.toml").write_text(settings, encoding="utf-8")
    assert build(tmp_path) != 0
    assert "nowhere.md" in capsys.readouterr().err


def test_a_document_that_links_to_no_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SITE))
    from site_links import BrokenLink, Pages

    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "page.md"
    page.write_text("# Page\n\n[code](../code.py)\n", encoding="utf-8")
    with pytest.raises(BrokenLink, match=r"docs/page\.md links to \.\./code\.py"):
        Pages(tmp_path, tmp_path / "out").add(page)
    (tmp_path / "code.py").write_text("x = 1\n", encoding="utf-8")
    Pages(tmp_path, tmp_path / "out").add(page)
    assert "(files/code.py.md)" in (tmp_path / "out" / "page.md").read_text(encoding="utf-8")
    assert "```python\nx = 1" in (tmp_path / "out/files/code.py.md").read_text(encoding="utf-8")


def test_a_public_name_without_a_docstring_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SITE))
    import site_reference

    for name in ("septet", "septet_schemas"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(
            '"""A package."""\n\n__all__ = ["bare", "told"]\n\n\ndef bare(): ...\n\n\n'
            'def told():\n    """Say it."""\n',
            encoding="utf-8",
        )
    monkeypatch.setattr(site_reference, "MODULES", ("septet",))
    assert site_reference.undocumented([tmp_path]) == ["septet.bare"]
