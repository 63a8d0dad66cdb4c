"""The image: its Containerfile has no findings, and what is built of it runs as described."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "deployment"
PROGRAMS = ("buildah", "mmdebstrap")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def test_the_containerfile_has_no_findings() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [str(hadolint), "--no-color", str(FOLDER / "Containerfile")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_compose_file_keeps_to_the_documents() -> None:
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["restart"] == "on-failure:3"
        assert "ports" not in service, "health and the page listen on this machine alone"
        context = (FOLDER / service["build"]["context"]).resolve()
        assert (context / service["build"]["dockerfile"]).is_file()
    assert services["paper"]["stop_grace_period"] == "120s"


def test_the_health_check_fails_where_nothing_answers() -> None:
    command = [sys.executable, str(FOLDER / "healthcheck.py"), "127.0.0.1:9"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "does not answer" in done.stdout


class _Store:
    """Images and containers of buildah in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._options = ["--root", str(folder / "store"), "--runroot", str(folder / "run")]
        self._options += ["--storage-driver", "vfs"]

    def __call__(self, *words: str, fails: bool = False) -> str:
        done = subprocess.run(
            ["buildah", *self._options, *words],
            cwd=ROOT,
            env={**os.environ, "BUILDAH_ISOLATION": "chroot"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) is fails, f"{words}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()


def _base(store: _Store, folder: Path) -> str:
    """Make an image of Debian with Python, from the packages that apt takes here."""
    archive = folder / "base.tar"
    include = "--include=python3,python3-venv,ca-certificates"
    done = subprocess.run(
        ["mmdebstrap", "--variant=minbase", include, "bookworm", str(archive)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    container = store("from", "scratch")
    store("add", container, str(archive), "/")
    store("commit", "--quiet", container, "septet-base")
    store("rm", container)
    return "localhost/septet-base"


@pytest.mark.timeout(1_800)
def test_the_image_is_built_and_runs_as_a_user_without_rights(tmp_path: Path) -> None:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"the image is not built: {', '.join(missing)} is not installed here")
    if os.environ.get("SEPTET_IMAGE") != "1":
        pytest.skip("the image is not built: it takes minutes; SEPTET_IMAGE=1 builds it")
    store = _Store(tmp_path)
    base = _base(store, tmp_path)
    # What this machine trusts: pip may be led through a proxy with a certificate of its own.
    trusted = f"{CERTIFICATES}:{CERTIFICATES}:ro"
    build = ["--isolation", "chroot", "--volume", trusted, "--format", "docker"]
    build += ["--build-arg", f"BASE={base}", "--build-arg", "EXTRAS=ccxt"]
    store("bud", *build, "-f", str(FOLDER / "Containerfile"), "-t", "septet", str(ROOT))
    container = store("from", "localhost/septet")

    def run(*words: str, fails: bool = False) -> str:
        return store("run", "--isolation", "chroot", container, "--", *words, fails=fails)

    assert run("septet", "--version").startswith("septet")
    assert run("id", "-u") == "10001"
    run("septet", "init", "/data/first")
    said = run("septet", "run", "/data/first/strategy.yaml", "--no-report")
    assert "50 trades." in said
    refused = run("python3", "/usr/local/bin/septet-health", fails=True)
    assert "does not answer" in refused
    page = (
        "import http.server as h; "
        "h.BaseHTTPRequestHandler.do_GET = lambda s: (s.send_response(200), s.end_headers(), "
        "s.wfile.write(b'well')); s = h.HTTPServer(('127.0.0.1', 0), h.BaseHTTPRequestHandler); "
        "import subprocess, sys, threading; "
        "threading.Thread(target=s.serve_forever, daemon=True).start(); "
        "sys.exit(subprocess.call(['python3', '/usr/local/bin/septet-health', "
        "f'127.0.0.1:{s.server_port}']))"
    )
    assert "well" in run("python3", "-c", page)
    run("sh", "-c", "touch /opt/septet/changed", fails=True)
