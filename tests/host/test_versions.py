"""Versions read from the first lines are those that the whole description gives."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from septet._host.versions import installed_version, version_of


def test_versions_are_those_of_the_standard_library():
    for found in importlib.metadata.distributions():
        assert version_of(found) == found.version


def test_a_description_that_speaks_of_versions_is_not_read(tmp_path: Path):
    folder = tmp_path / "talks-2.5.dist-info"
    folder.mkdir()
    text = "Metadata-Version: 2.1\nName: talks\nVersion: 2.5\n\nVersion: 9 is out\n"
    (folder / "METADATA").write_text(text, encoding="utf-8")
    assert version_of(importlib.metadata.PathDistribution(folder)) == "2.5"


def test_what_is_not_installed_has_no_version():
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        installed_version("no-such-distribution-of-anybody")
