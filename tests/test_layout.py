"""The repository around the code: what is shipped, and that its parts name each other rightly."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
SEPTET = ROOT / "runner" / "septet"


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names in the wheel that an installation unpacks."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built).namelist()


def test_wheel_holds_three_packages_and_nothing_else(wheel: list[str]) -> None:
    top = {name.partition("/")[0] for name in wheel}
    metadata = {name for name in top if name.endswith(".dist-info")}
    assert top - metadata == {"septet", "septet_plugins", "septet_schemas"}


def test_wheel_is_complete(wheel: list[str]) -> None:
    """Whatever git keeps beside the code (typing marks, bundled data) is shipped with it."""
    for source, package in (
        ("runner", "septet"),
        ("plugins", "septet_plugins"),
        ("schemas", "septet_schemas"),
    ):
        listing = subprocess.run(
            ["git", "ls-files", f"{source}/{package}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if listing.returncode:
            pytest.fail(f"git does not list the files of this checkout: {listing.stderr}")
        kept = {name.partition("/")[2] for name in listing.stdout.splitlines()}
        kept = {name for name in kept if (ROOT / source / name).is_file()}
        assert f"{package}/py.typed" in kept
        assert kept <= set(wheel), f"not in the wheel: {sorted(kept - set(wheel))[:5]}"


def test_wheel_registers_the_built_ins_like_a_strangers(project: dict[str, Any]) -> None:
    points = project["project"]["entry-points"]["septet"]
    assert points == {"septet": "septet_plugins.manifest"}


def test_every_room_is_under_a_contract(project: dict[str, Any]) -> None:
    """A new room is placed in the picture of imports, or it may import anything."""
    packages = {
        path.name.removesuffix(".py")
        for path in SEPTET.iterdir()
        if path.name.startswith("_") and not path.name.startswith("__")
    }
    contracts = {c["name"]: c for c in project["tool"]["importlinter"]["contracts"]}
    layers = next(c for c in contracts.values() if c.get("containers") == ["septet"])
    placed = {room for row in layers["layers"] for room in re.split(r"\s*[:|]\s*", row)}
    assert packages <= placed, f"place them in the layers contract: {sorted(packages - placed)}"
    door = next(c for c in contracts.values() if c.get("source_modules") == ["septet_plugins"])
    closed = {module.removeprefix("septet.") for module in door["forbidden_modules"]}
    assert packages <= closed, f"close them to plugins: {sorted(packages - closed)}"


def _documents() -> list[Path]:
    folders = ("docs", "examples", "strategies")
    return sorted(
        [*ROOT.glob("*.md"), *(path for each in folders for path in (ROOT / each).rglob("*.md"))]
    )


@pytest.mark.parametrize("document", _documents(), ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    local = [each.partition("#")[0] for each in targets if "://" not in each]
    broken = [each for each in local if each and not (document.parent / each).exists()]
    assert not broken


@pytest.mark.parametrize("document", _documents(), ids=lambda path: path.name)
def test_paths_named_in_prose_exist(document: Path) -> None:
    """A path in backticks that begins with one of our folders is a real one."""
    text = document.read_text(encoding="utf-8")
    folders = "runner|plugins|schemas|strategies|tests|examples|docs|benchmarks"
    named = set(re.findall(rf"`((?:{folders})/[\w./-]+)`", text))
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing


def test_make_targets_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    for document in _documents():
        named = re.findall(r"`make ([a-z]+)\b", document.read_text(encoding="utf-8"))
        assert set(named) <= targets, document.name
    assert {"demo", "test"} <= targets


def test_continuous_integration_runs_what_a_developer_runs() -> None:
    script = ROOT / ".ci" / "run"
    lines = script.read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "\t"))]
    # A browser and axe-core are installed before; no test is chosen, and nothing is set for one.
    before = ("if ", "fi")
    assert [line for line in commands if not line.startswith(before)] == [
        "set -eu", 'cd "$(dirname "$0")/.."', "exec make test",
    ]  # fmt: skip
    assert all("install" in line or "/dev/null" in line for line in lines if line[:1] == "\t")
    assert stat.S_IMODE(os.stat(script).st_mode) & 0o111


def test_hooks_of_pre_commit_fetch_nothing() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    for repository in yaml.safe_load(text)["repos"]:
        assert repository["repo"] == "local"
        assert {hook["language"] for hook in repository["hooks"]} == {"system"}


def test_licence_is_whole_and_declared(project: dict[str, Any]) -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License\n" in text
    assert "Version 2.0, January 2004" in text
    assert all(f"\n   {number}. " in text for number in range(1, 10))
    assert "END OF TERMS AND CONDITIONS" in text
    assert "APPENDIX: How to apply the Apache License to your work." in text
    assert project["project"]["license"] == "Apache-2.0"


def test_versions_agree(project: dict[str, Any]) -> None:
    from septet import __version__

    assert project["project"]["version"] == __version__
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {__version__}" in changes or "## Unreleased" in changes
