"""The benchmark of the faces runs; nothing is timed here."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest


def test_every_face_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    found = importlib.import_module("faces").measure(True, 40)
    assert [each.part for each in found] == [
        "python", "python", "python", "python", "ledger", "ledger", "ledger", "agents", "agents",
    ]  # fmt: skip
    assert all(each.value > 0 for each in found if each.unit not in ("%", "more"))
