"""Build hook: put the chart library beside the code, from npm, by version and hash.

The library, TradingView Lightweight Charts, is not in git. A build takes it with `npm pack`,
compares the tarball with the pinned sha512 and keeps two files of it. Where they are there
already (a source distribution has them) they are compared with their own hashes and npm is not
asked. Without npm the build warns, and the pages of septet draw stills; with the environment
variable SEPTET_RELEASE set, such a build fails instead.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["ChartLibraryHook", "ChartLibraryMissing", "ChartLibraryRefused", "place_library"]

PACKAGE: Final = "lightweight-charts"
VERSION: Final = "5.2.1"
INTEGRITY: Final = (
    "sha512-IVwoK1RLFiLPubaKIjNbtjWLnpPMqiABSrTay6whmNa8"
    "L1+19292VtHJ+BWyPUuLCwF0tcQlhEWd1CLB2a1nsQ=="
)
FOLDER: Final = "runner/septet/_charts/assets"
# A member of the tarball, the name it gets here, and its own sha256.
MEMBERS: Final = (
    (
        "package/dist/lightweight-charts.standalone.production.js",
        "lightweight-charts.js",
        "e21cc5caa0226ef30bd8549c50b9ef926615f2a4ee6b4e486353477a55f598cf",
    ),
    (
        "package/LICENSE",
        "lightweight-charts.LICENSE",
        "70c9d5382506dd184465425c08a99ad9bd6d9ac1313c252968ba0b585e5ef823",
    ),
)
NPM_SECONDS: Final = 120
RELEASE: Final = "SEPTET_RELEASE"


class ChartLibraryMissing(Exception):
    """npm is not there, or did not give the package."""


class ChartLibraryRefused(Exception):
    """Something was given, and it is not what is pinned."""


def _is_placed(folder: Path) -> bool:
    """Return whether every file is there with its own hash; one with another hash is refused."""
    there = [(folder / name, digest) for _, name, digest in MEMBERS if (folder / name).is_file()]
    for path, digest in there:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != digest:
            raise ChartLibraryRefused(
                f"{path} is not the file of {PACKAGE} {VERSION}: its sha256 is {found}, expected "
                f"{digest}; delete it and build again"
            )
    return len(there) == len(MEMBERS)


def _packed(folder: Path) -> Path:
    """Let npm write the tarball into a folder."""
    npm = shutil.which("npm")
    if npm is None:
        raise ChartLibraryMissing("npm is not installed")
    words = [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--silent"]
    try:
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, timeout=NPM_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise ChartLibraryMissing(f"npm did not answer: {problem}") from problem
    found = sorted(folder.glob("*.tgz"))
    if done.returncode or not found:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise ChartLibraryMissing(f"npm pack {PACKAGE}@{VERSION} failed: {lines[-1]}")
    return found[0]


def _check_tarball(path: Path) -> None:
    digest = hashlib.sha512(path.read_bytes()).digest()
    found = "sha512-" + base64.b64encode(digest).decode("ascii")
    if found != INTEGRITY:
        raise ChartLibraryRefused(
            f"npm gave another {PACKAGE} {VERSION} than the pinned one: {found}, expected "
            f"{INTEGRITY}; nothing of it was used"
        )


def place_library(folder: Path) -> bool:
    """Put the pinned files into a folder, unless they are there; return whether npm was asked."""
    if _is_placed(folder):
        return False
    with tempfile.TemporaryDirectory(prefix="septet-charts-") as place:
        tarball = _packed(Path(place))
        _check_tarball(tarball)
        with tarfile.open(tarball) as archive:
            parts = {name: archive.extractfile(member) for member, name, _ in MEMBERS}
            texts = {name: part.read() for name, part in parts.items() if part is not None}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    _is_placed(folder)
    return True


class ChartLibraryHook(BuildHookInterface[Any]):
    """What hatchling calls before it collects files, for wheel, editable wheel and sdist."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Place the library, or warn, or fail where this is a release."""
        try:
            place_library(Path(self.root) / FOLDER)
        except ChartLibraryMissing as problem:
            if os.environ.get(RELEASE):
                raise
            self.app.display_warning(
                f"septet is built without its chart library: {problem}. Reports show stills; "
                "install npm and build again for charts that pan and zoom"
            )
