"""Runs many settings of a strategy, and assesses the best of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet._app.trial_records import SweepCounter

if TYPE_CHECKING:
    from septet._config.load import Loaded
    from septet._config.overlay import Setting
    from septet._progress import Progress
    from septet._sweep.run_sweep import Outcome

__all__ = [
    "BEST_SHOWN", "SweepRequest", "best_rows", "sweep_document", "sweep_file", "sweep_problems",
    "settings_count", "sweep_settings",
]  # fmt: skip

BEST_SHOWN: Final = 10
PROBLEMS_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """Options of a sweep: its draws, its folder, and its threads or cluster.

    `face` and `client` name the caller and `hypothesis` its reason, for the ledger of trials;
    `now_ns` is the recorded time (UTC ns), by default that of the machine's clock.
    """

    out: Path = Path("sweeps")
    seed: int | None = None
    threads: int | None = None
    on: str | None = None
    confirmed: bool = False
    resume: bool = False
    page: bool = True
    face: str = "command line"
    client: str = ""
    hypothesis: str = ""
    now_ns: int | None = None


def sweep_settings(axes: Sequence[str], section: Mapping[str, Any]) -> list[Setting]:
    """Return the settings to lay over a file's `sweep:` section, without keys that are None.

    Raises
    ------
    ConfigError
        With all invalid settings.
    """
    from septet._sweep.flags import flag_settings

    return flag_settings(axes, section)


def settings_count(loaded: Loaded) -> int:
    """Return the number of settings in the sweep of a loaded file, without running any.

    Raises
    ------
    ConfigError
        If there are too many to number.
    """
    from septet._sweep.space import space_of

    return len(space_of(loaded))


def sweep_file(
    loaded: Loaded,
    request: SweepRequest,
    *,
    log: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Run the sweep of a loaded file and store it.

    Raises
    ------
    ConfigError
        If the file has no sweep, or a setting that cannot be run.
    """
    from septet._sweep.run_sweep import run_sweep

    with SweepCounter(
        face=request.face, client=request.client, hypothesis=request.hypothesis,
        now_ns=request.now_ns,
    ) as counter:  # fmt: skip
        outcome = run_sweep(
            loaded, request.out, seed=request.seed, threads=request.threads or os.cpu_count() or 1,
            on=request.on, confirmed=request.confirmed, resume=request.resume, page=request.page,
            log=log, progress=progress, counted=counter.add,
        )  # fmt: skip
        return replace(outcome, tries=counter.tries())


def best_rows(outcome: Outcome) -> list[dict[str, Any]]:
    """Return the best settings as plain data, without the blocks of their daily returns."""
    best = outcome.findings.ranked.head(BEST_SHOWN)
    blocks = ("block_sums", "block_squares", "over_sums", "over_squares")
    return best.drop(*blocks, strict=False).to_dicts()


def sweep_problems(outcome: Outcome) -> list[tuple[str, int]]:
    """Return the most frequent problems of failed settings, with their counts."""
    texts = outcome.table.filter(status="failed").get_column("problem").drop_nulls()
    counts = texts.value_counts().sort(["count", "problem"], descending=[True, False])
    return list(counts.head(PROBLEMS_SHOWN).iter_rows())


def sweep_document(outcome: Outcome) -> dict[str, Any]:
    """Return the document of a sweep."""
    from septet._sweep.verdict import paragraphs

    findings, manifest = outcome.findings, outcome.manifest
    return {
        "ok": True,
        "sweep_id": manifest["sweep_id"],
        "strategy": manifest["strategy"],
        "folder": str(outcome.folder),
        "table": str(outcome.folder / "settings.parquet"),
        "method": manifest["space"]["method"],
        "seed": manifest["space"]["seed"],
        "goal": manifest["goal"],
        "first_decision": manifest["first_decision"],
        "settings": outcome.table.height,
        "done": findings.count("done"),
        "failed": findings.count("failed"),
        "pruned": findings.count("pruned"),
        "done_before": outcome.done_before,
        "seconds": outcome.seconds,
        "best": best_rows(outcome),
        "problems": [{"problem": each, "times": times} for each, times in sweep_problems(outcome)],
        "overfitting": {
            "probability": findings.overfitting.probability,
            "problem": findings.overfitting.problem,
            "settings": findings.overfitting.settings,
        },
        "data_doubts": list(findings.doubts),
        "tries": None if outcome.tries is None else outcome.tries.document(None, 0, None, None),
        "verdict": paragraphs(outcome.findings),
    }
