"""The document of manifest.json: the facts, hashes and versions on which a run depends."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from septet._store.environment import environment, hash_bars, library_versions

if TYPE_CHECKING:
    from septet._results.result import RunResult

__all__ = ["manifest_of"]

MANIFEST_FORMAT: Final = 1


def manifest_of(
    run_id: str, created: str, result: RunResult, joined: Mapping[str, int]
) -> dict[str, Any]:
    """Return the document of manifest.json; `joined` as in `thin_bars`."""
    from septet import __version__

    facts = result.facts
    hashes = hash_bars(result.bars) if result.data_hashes is None else result.data_hashes
    return {
        "format": MANIFEST_FORMAT,
        "run_id": run_id,
        "created": created,
        "septet": __version__,
        "facts": asdict(facts),
        "seed": facts.seed,
        "plugins": dict(result.distributions),
        "libraries": library_versions(),
        "environment": environment(),
        "data_hashes": dict(hashes),
        "model_hashes": {
            name: hashlib.sha256(data).hexdigest() for name, data in result.model_files.items()
        },
        "models": list(result.models),
        "halts": [asdict(halt) for halt in result.halts],
        "notes": list(result.notes),
        "left_out": list(result.left_out),
        "display": {"bars_joined": dict(joined)},
        **result.manifest,
        "resolved": dict(result.resolved),
    }
