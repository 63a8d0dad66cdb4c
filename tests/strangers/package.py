"""Little packages with entry points, installed into a folder as far as Python can see."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from septet._host import sources

__all__ = ["STRATEGY", "installed", "manifest_of", "write_package"]

STRATEGY = """\
version: 1
name: strange
{plugins}
universe: {{symbols: [BTC/USDT], bar: 1h}}
data: {{candles: {{use: synthetic, bars: 400, volatility: 90%}}}}
features:
  far: {feature}
signal: {{use: rules, long_if: far > 0.001, exit_if: far < -0.001}}
risk:
  sizing: {{use: fixed_fraction, fraction: 50%}}
  stops: {{stop_loss: 2%}}
"""


def manifest_of(package: str, components: Mapping[str, tuple[str, str]]) -> str:
    """Write a manifest: name -> (layer, kind); every target is in the package's `steps`."""
    lines = ['"""What this package brings."""', "", "from septet.hookspecs import Component", ""]
    layers = sorted({layer for layer, _ in components.values()})
    for layer in layers:
        lines += ["", f"def septet_{layer}():", "    return ["]
        for name, (each, kind) in components.items():
            if each == layer:
                lines.append(
                    f'        Component("{layer}", "{name}", "{package}.steps:{name}", "{kind}"),'
                )
        lines.append("    ]")
    return "\n".join(lines) + "\n"


def write_package(
    folder: Path, name: str, files: Mapping[str, str], *, version: str = "1.0"
) -> Path:
    """Write a distribution and its package; `files` by name, `manifest.py` among them."""
    package = name.replace("-", "_")
    home = folder / package
    home.mkdir(parents=True, exist_ok=True)
    for file, text in {"__init__.py": '"""A package."""\n', **files}.items():
        (home / file).write_text(text, encoding="utf-8")
    info = folder / f"{package}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    entry = f"[septet]\n{package} = {package}.manifest\n"
    (info / "entry_points.txt").write_text(entry, encoding="utf-8")
    return home


@contextmanager
def installed(folder: Path, *packages: str) -> Iterator[None]:
    """Let Python find what lies in a folder; forget it afterwards.

    No bytecode is kept: of a file that is written twice in a second Python would run the first.
    """
    sys.path.insert(0, str(folder))
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    _forget(packages)
    try:
        yield
    finally:
        sys.dont_write_bytecode = kept
        sys.path.remove(str(folder))
        _forget(packages)


def _forget(packages: tuple[str, ...]) -> None:
    """Forget modules and hashes of packages whose files may have changed."""
    for name in list(sys.modules):
        if name.partition(".")[0] in packages:
            del sys.modules[name]
    importlib.invalidate_caches()
    sources.package_digest.cache_clear()
