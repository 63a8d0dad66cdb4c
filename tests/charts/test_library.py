"""The build hook: npm's tarball by hash, a build without npm, a build from the sdist."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import hatch_build
import pytest
from hatch_build import ChartLibraryMissing, ChartLibraryRefused, place_library

from tests.report.reading import drawn

ROOT = Path(__file__).resolve().parents[2]
PLACED = "septet/_charts/assets/lightweight-charts.js"
needs_npm = pytest.mark.skipif(
    shutil.which("npm") is None, reason="npm is not installed: the package was not taken"
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What git has of this project that a build reads, without the library."""
    copy = tmp_path / "checkout"
    ignore = shutil.ignore_patterns("lightweight-charts.*", "__pycache__", "*.parquet", "*.csv*")
    for name in ("runner/septet", "plugins/septet_plugins", "schemas/septet_schemas"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "hatch_build.py"):
        shutil.copy(ROOT / name, copy / name)
    shutil.copy(ROOT / ".gitignore", copy / ".gitignore")
    return copy


STRATEGY = """\
version: 1
name: installed
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 600}}
features:
  fast: {use: sma, period: 5}
  slow: {use: sma, period: 20}
signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""


def report_of(wheel: Path, folder: Path) -> Path:
    """Run a strategy with what a wheel installs, beside the libraries of this environment."""
    zipfile.ZipFile(wheel).extractall(folder / "installed")
    (folder / "s.yaml").write_text(STRATEGY, "utf-8")
    code = "import septet, septet.cli; print(septet.__file__); septet.cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "s.yaml", "--out", "runs"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(folder / "installed")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(folder / "installed")), done.stdout
    (report,) = (folder / "runs").rglob("report.html")
    return report


def build(folder: Path, target: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Build where npm is not on the path."""
    words = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder / "dist")]
    environment = {**os.environ, "PATH": str(folder / "nowhere"), **more}
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@needs_npm
def test_npm_gives_the_pinned_files(tmp_path: Path) -> None:
    assert place_library(tmp_path)
    assert not place_library(tmp_path), "files that are there are not asked for again"
    assert "Lightweight Charts" in (tmp_path / "lightweight-charts.js").read_text("utf-8")[:200]


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lightweight-charts.js").write_text("alert(1)", "utf-8")
    with pytest.raises(ChartLibraryRefused, match="delete it and build again"):
        place_library(tmp_path)


def test_a_tarball_with_another_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\necho other > lightweight-charts.tgz\n", "utf-8")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:{os.environ['PATH']}")
    with pytest.raises(ChartLibraryRefused, match="nothing of it was used"):
        place_library(tmp_path / "assets")
    assert not (tmp_path / "assets").exists()


def test_npm_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'no such host' >&2\nexit 1\n", "utf-8")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ChartLibraryMissing, match="no such host"):
        place_library(tmp_path / "assets")


def test_a_checkout_without_npm_builds_and_warns_once(checkout: Path, tmp_path: Path) -> None:
    done = build(checkout, "wheel")
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("built without its chart library") == 1
    (wheel,) = (checkout / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert PLACED not in names
    assert "septet/_charts/assets/time-chart.js" in names
    report = report_of(wheel, tmp_path)
    assert "<svg" in report.read_text("utf-8")
    if shutil.which("chromium") is not None:
        text, console = drawn(report, tmp_path / "profile")
        assert console == ""
        assert text.count("<canvas") == 0


@needs_npm
def test_a_checkout_with_npm_builds_a_wheel_whose_report_draws_its_charts(
    checkout: Path, tmp_path: Path
) -> None:
    """npm is asked for the pinned version; the wheel is installed beside these libraries."""
    if not npm_answers(tmp_path):
        pytest.skip("npm cannot fetch packages here: no network, or a registry without the library")
    done = build(checkout, "wheel", PATH=os.environ["PATH"], **{hatch_build.RELEASE: "1"})
    assert done.returncode == 0, done.stderr
    assert "without its chart library" not in done.stdout + done.stderr
    (wheel,) = (checkout / "dist").glob("*.whl")
    python = installed(wheel, tmp_path / "environment")
    (tmp_path / "s.yaml").write_text(STRATEGY, "utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python.with_name("septet"), "run", "s.yaml", "--out", "runs"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (report,) = (tmp_path / "runs").rglob("report.html")
    assert "Lightweight Charts" in report.read_text("utf-8")
    if shutil.which("chromium") is not None:
        text, console = drawn(report, tmp_path / "profile")
        assert console == ""
        assert text.count("<canvas") > 0


def npm_answers(folder: Path) -> bool:
    """Whether npm hands over the pinned package: whatever keeps it from that is no fault here."""
    wanted = f"{hatch_build.PACKAGE}@{hatch_build.VERSION}"
    words = ["npm", "view", wanted, "version"]
    try:
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and hatch_build.VERSION in done.stdout


def installed(wheel: Path, folder: Path) -> Path:
    """Install a wheel alone into a new environment that sees the libraries of this one."""
    venv.create(folder, with_pip=False)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    # Appended after the new environment's own, whose septet therefore comes first.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    python = folder / "bin" / "python"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps",
         "--no-index", "--no-compile", "--disable-pip-version-check", str(wheel)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    where = subprocess.check_output(
        [python, "-c", "import septet; print(septet.__file__)"], text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        cwd=folder,
    )  # fmt: skip
    assert where.startswith(str(packages)), where
    return python


def test_a_release_without_npm_fails(checkout: Path) -> None:
    done = build(checkout, "wheel", **{hatch_build.RELEASE: "1"})
    assert done.returncode != 0
    assert "npm is not installed" in done.stdout + done.stderr


@needs_npm
def test_a_source_distribution_builds_without_npm(checkout: Path, tmp_path: Path) -> None:
    place_library(checkout / hatch_build.FOLDER)
    done = build(checkout, "sdist", **{hatch_build.RELEASE: "1"})
    assert done.returncode == 0, done.stderr
    (archive,) = (checkout / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "sdist", filter="data")
    (folder,) = (tmp_path / "sdist").iterdir()
    done = build(folder, "wheel", **{hatch_build.RELEASE: "1"})
    assert done.returncode == 0, done.stderr
    (wheel,) = (folder / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert PLACED in names
    assert PLACED.replace(".js", ".LICENSE") in names
    assert any(name.endswith("licenses/NOTICE") for name in names)
    report = report_of(wheel, tmp_path)
    if shutil.which("chromium") is not None:
        text, console = drawn(report, tmp_path / "profile")
        assert console == ""
        assert text.count("<canvas") > 0
