"""A page shows what a terminal would obey and a browser would turn, and holds none of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from septet._report.html_page import escaped
from septet._report.page import write_report
from septet._report.save import save_run
from tests.report.synthetic import make_result

PLANTED = "\x1b[2J\u202eevil\u2066\x9b\u200f"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def _planted(value: object, depth: int = 0) -> object:
    """Add the characters to every text of a document that no check reads as something else."""
    if isinstance(value, dict):
        return {key: _planted(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_planted(each, depth + 1) for each in value]
    return f"{value}{PLANTED}" if isinstance(value, str) else value


def test_planted_documents_leave_no_such_character_in_the_report(tmp_path: Path) -> None:
    result = make_result(symbols=("BTC/USDT",), bars=300, first=100, strategy="s")
    run = save_run(result, tmp_path)
    before = set(OBEYED.findall((run.folder / "report.html").read_text("utf-8")))
    for name in ("summary.json", "findings.json"):
        path = run.folder / name
        path.write_text(json.dumps(_planted(json.loads(path.read_text("utf-8")))), "utf-8")
    path = run.folder / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["notes"] = [PLANTED]
    manifest["resolved"] = _planted(manifest["resolved"])
    path.write_text(json.dumps(manifest), "utf-8")
    text = (run.folder / "strategy.yaml").read_text("utf-8")
    (run.folder / "strategy.yaml").write_text(f"{text}# {PLANTED}\n", "utf-8")
    again = write_report(type(run)(run.folder))
    page = again.read_text("utf-8")
    assert "\\x1b[2J\\u202eevil" in page
    assert set(OBEYED.findall(page)) <= before
    assert not before & set(PLANTED)


def test_text_of_a_page_is_escaped_and_visible() -> None:
    assert escaped("<b>\u202e\x1b\n\t") == "&lt;b&gt;\\u202e\\x1b\n\t"
