"""A whole sweep: check it, find its first decision, run and store its blocks, evaluate it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from septet._config.load import Loaded
from septet._config.pydantic_problems import problem_at
from septet._data.stamps import iso
from septet._progress import Progress
from septet._store.environment import environment, library_versions
from septet._sweep.evaluate import Evaluator, Streaming
from septet._sweep.first_decision import Beginning, begin_sweep
from septet._sweep.folder import SweepFolder, differences, open_unfinished, start_folder
from septet._sweep.open_evaluator import open_evaluator
from septet._sweep.setting_row import frame_of
from septet._sweep.space import Setting, Space, space_of
from septet._sweep.swept_parameters import Numbers, numbers_of
from septet._sweep.value_checks import looked_at
from septet.errors import Cancelled, ConfigError, InputError, SeptetError

if TYPE_CHECKING:
    import polars as pl

    from septet._results.previous_trials import Tries
    from septet._sweep.sweep_findings import Findings
    from septet._sweep.tune import Tuner

__all__ = ["ASK_ABOVE", "Counted", "Outcome", "estimate_seconds", "next_size", "run_sweep"]

Counted: TypeAlias = "Callable[[Mapping[str, Any], pl.DataFrame], None]"
"""Called with the manifest of a sweep and the rows of a block, before any metric is shown."""
ASK_ABOVE: Final = 100_000
"""Number of settings from which a sweep asks for confirmation."""
BLOCK_SECONDS: Final = 0.5
KEEP_SECONDS: Final = 2.0
MAX_ROWS: Final = 20_000
_PROBES_PER_THREAD: Final = 4
_MANY_VALUES: Final = 500


@dataclass(frozen=True)
class Outcome:
    """A finished sweep: its folder, its table with every column, and its findings.

    `done_before` counts the settings that an earlier process had finished.
    """

    folder: Path
    manifest: Mapping[str, Any]
    table: pl.DataFrame
    findings: Findings
    seconds: float
    done_before: int
    tries: Tries | None = None


def run_sweep(
    loaded: Loaded,
    out: Path,
    *,
    seed: int | None = None,
    threads: int = 1,
    on: str | None = None,
    confirmed: bool = False,
    resume: bool = False,
    page: bool = True,
    log: Callable[[str], None] | None = None,
    progress: Progress | None = None,
    counted: Counted | None = None,
) -> Outcome:
    """Run the `sweep:` section of a loaded file.

    Parameters
    ----------
    loaded
        A file as `septet._config.load` returns it, with a sweep section.
    out
        Where the folders of sweeps are.
    seed
        Seed of random draws; by default that of the file.
    threads
        Number of settings that run at the same time.
    on
        A cluster that runs them, as `septet._sweep.on_dask.open_cluster` takes it; `threads`
        are then the processes it starts on this machine.
    confirmed
        Run even if there are more than `ASK_ABOVE` settings.
    resume
        Continue the latest unfinished sweep of this strategy.
    counted
        See `Counted`; also called with rows of an earlier process.

    Raises
    ------
    ConfigError
        If the section requests something that cannot be run; the message has every place.
    InputError
        If nothing can be stored, or the resumed sweep began with other inputs.
    RunError
        If results cannot be stored any more.
    KeyboardInterrupt, Cancelled
        If the sweep is interrupted; finished rows are stored first.
    """
    log = log or (lambda message: None)
    began = time.perf_counter()
    space = space_of(loaded, seed=seed)
    _require_optuna(space)
    _log_count(space, log)
    numbers = numbers_of(loaded, space)
    beginning = begin_sweep(loaded, space, numbers, log)
    if beginning.calendar != "24x7":  # there a day is a session, which is known from the data
        numbers = numbers_of(loaded, space, calendar=beginning.calendar)
    manifest = _manifest_of(loaded, space, beginning)
    evaluator = _evaluator(loaded, space, numbers, beginning, threads, on, log)
    try:
        if len(space) > ASK_ABOVE and not (confirmed or resume):
            _ask(loaded, space, evaluator, threads)
        name = loaded.strategy.name
        folder = _resumed(out, name, manifest) if resume else start_folder(out, name, manifest)
        with folder:
            sweep = _Running(space, evaluator, folder, threads, log, progress, counted)
            sweep.run()
            return _finish(sweep, page=page, seconds=time.perf_counter() - began)
    finally:
        evaluator.close()


def _require_optuna(space: Space) -> None:
    """Report a missing optuna before any other check."""
    if space.method == "tpe":
        from septet._sweep.tune import need_optuna

        need_optuna()


def _evaluator(
    loaded: Loaded,
    space: Space,
    numbers: Numbers,
    beginning: Beginning,
    threads: int,
    on: str | None,
    log: Callable[[str], None],
) -> Evaluator:
    """Open the evaluator: here, or on a cluster."""
    if on is None:
        return open_evaluator(loaded, space, beginning.first_ns, threads, log, numbers)
    from septet._sweep.cluster import ClusterEvaluator, task_of
    from septet._sweep.on_dask import open_cluster

    task = task_of(loaded, space, numbers, beginning)
    pool = open_cluster(on, threads, log)
    try:
        return ClusterEvaluator(pool, task, space, log)
    except BaseException:  # end everything that was started, whatever the error
        pool.close()
        raise


def _log_count(space: Space, log: Callable[[str], None]) -> None:
    """Log the number of checks if they take a while."""
    count = sum(sum(1 for _ in looked_at(axis)) for axis in space.axes)
    if count > _MANY_VALUES:
        log(f"checking {count:,} values of {len(space.axes)} keys")


def _manifest_of(loaded: Loaded, space: Space, beginning: Beginning) -> dict[str, Any]:
    """Return the manifest: all inputs on which the rows depend."""
    import platform

    from septet import __version__
    from septet._shell.backtest import checks_of

    return {
        "strategy": loaded.strategy.name,
        "file": str(loaded.path),
        "goal": space.goal,
        "first_decision": iso(beginning.first_ns),
        "septet": __version__,
        "python": platform.python_version(),
        "plugins": dict(loaded.host.versions()),
        **checks_of(loaded),
        "libraries": library_versions(),
        "environment": environment(),
        "data_hashes": dict(beginning.data_hashes),
        "data_doubts": list(beginning.doubts),
        "months": [[each.closes, each.asset] for each in beginning.months],
        "space": space.document(),
        "strategy_text": loaded.text,
        "resolved": dict(loaded.resolved),
    }


def _resumed(out: Path, name: str, manifest: Mapping[str, Any]) -> SweepFolder:
    folder = open_unfinished(out, name)
    changed = differences(folder.manifest, manifest)
    if changed:
        listed = "; ".join(changed[:20])
        more = f"; and {len(changed) - 20} more" if len(changed) > 20 else ""
        raise InputError(
            f"the sweep {folder.sweep_id} was begun with something else: {listed}{more}",
            hint="put it back as it was, or leave --resume out to start anew",
        )
    return folder


# ------------------------------------------------------------------ how long it would take


def estimate_seconds(
    space: Space,
    evaluator: Evaluator,
    threads: int,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, int]:
    """Estimate the seconds for the whole space from a few settings.

    Return them and the number run.
    """
    count = _PROBES_PER_THREAD * threads
    places = [k * (len(space) - 1) // max(1, count - 1) for k in range(count)]
    probe = [space.setting(int(space.numbers[place])) for place in sorted(set(places))]
    evaluator.evaluate(probe[:1])  # one-time work such as compiling and starting is not counted
    evaluator.evaluate(probe[: max(1, threads)])
    began = clock()
    evaluator.evaluate(probe)
    return (clock() - began) / len(probe) * len(space), len(probe)


def _ask(loaded: Loaded, space: Space, evaluator: Evaluator, threads: int) -> None:
    seconds, probed = estimate_seconds(space, evaluator, threads)
    problem = problem_at(
        loaded.tree,
        ("sweep", "over"),
        f"this sweep has {len(space):,} settings and would take about {duration_text(seconds)}, "
        f"as measured on {probed} of them",
        expected=f"at most {ASK_ABOVE:,} settings, or --yes",
        hint="run it with --yes, take larger steps, or draw some: --method random --trials 1000",
    )
    raise ConfigError([problem])


def duration_text(seconds: float) -> str:
    """Return a duration in seconds as text with a unit."""
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}s"
    return f"{max(1, round(seconds))} second" + ("" if round(seconds) <= 1 else "s")


# ------------------------------------------------------------------ block by block


def next_size(size: int, seconds: float, least: int) -> int:
    """Return the size of the next block, so that it takes about half a second.

    It grows at most eightfold at a time, since fast settings do not predict the time of slow ones.
    `least` is the smallest size that gives every thread work.
    """
    predicted = int(size * BLOCK_SECONDS / max(seconds, 1e-6))
    return max(least, min(predicted, 8 * size, MAX_ROWS))


class _Running:
    """Runs the remaining settings, and stores their rows as they arrive."""

    def __init__(
        self,
        space: Space,
        evaluator: Evaluator,
        folder: SweepFolder,
        threads: int,
        log: Callable[[str], None],
        progress: Progress | None,
        counted: Counted | None,
    ) -> None:
        self.space, self.folder, self.threads = space, folder, threads
        self._evaluator, self._log = evaluator, log
        self._progress = progress or (lambda stage, done, total, best: None)
        self._counted = counted or (lambda manifest, rows: None)
        self._tuner = self._guided()  # it knows to which settings the stored rows belong
        self.frames: list[pl.DataFrame] = folder.finished(frame_of(space.keys, []), space, log)
        self.done_before = sum(frame.height for frame in self.frames)
        self._waiting_frames: list[pl.DataFrame] = []
        self._stored_at = time.perf_counter()
        self._best: tuple[float, str] | None = None

    def _guided(self) -> Tuner | None:
        """Open the tuner of a guided search; None for other sweeps."""
        if self.space.method != "tpe":
            return None
        from septet._sweep.tune import Tuner

        with self.folder.write_errors():
            return Tuner(self.space, self._evaluator, self.folder.folder, self._log)

    @property
    def done(self) -> int:
        """Settings that have a row."""
        return sum(frame.height for frame in (*self.frames, *self._waiting_frames))

    def run(self) -> None:
        """Run every setting without a row; an interruption stores those that have one."""
        source = self._source()
        if self.done_before:
            self._log(f"{self.done_before:,} of {len(self.space):,} settings were done before")
        for frame in self.frames:  # an earlier process may have ended before counting them
            self._counted(self.folder.manifest, frame)
            self._look(frame.select("setting", self.space.goal).to_dicts())
        try:
            for rows in self._results(source):
                self._take(rows)
        except (KeyboardInterrupt, Cancelled):
            self._store()
            self._log(
                f"stopped: {self.done:,} of {len(self.space):,} settings are in "
                f"{self.folder.folder}; --resume goes on with the rest"
            )
            raise
        self._store()

    def _results(self, source: Iterator[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows of a source; if it ends in an error, the rows so far are stored."""
        try:
            with self.folder.write_errors():
                yield from source
        except SeptetError:
            self._store()
            raise

    def _source(self) -> Iterator[list[dict[str, Any]]]:
        """Return the source of rows for settings without one, block by block."""
        if self._tuner is not None:
            finished = [frame.select("setting", "status", self.space.goal) for frame in self.frames]
            return self._tuner.rows([row for frame in finished for row in frame.to_dicts()])
        if isinstance(self._evaluator, Streaming):
            return self._evaluator.stream(self._waiting(), next_size)
        return self._one_by_one(self._waiting())

    def _one_by_one(self, waiting: Iterator[Setting]) -> Iterator[list[dict[str, Any]]]:
        size = 1
        while block := list(itertools.islice(waiting, size)):
            began = time.perf_counter()
            rows = self._evaluator.evaluate(block)
            size = next_size(len(block), time.perf_counter() - began, self.threads)
            yield rows

    def _waiting(self) -> Iterator[Setting]:
        done: set[int] = set()
        for frame in self.frames:
            done.update(frame.get_column("setting").to_list())
        return (each for each in self.space.settings() if each.number not in done)

    def _take(self, rows: Sequence[dict[str, Any]]) -> None:
        frame = frame_of(self.space.keys, rows)
        self._counted(self.folder.manifest, frame)
        self._waiting_frames.append(frame)
        self._look(rows)
        late = time.perf_counter() - self._stored_at > KEEP_SECONDS
        if late or sum(each.height for each in self._waiting_frames) >= MAX_ROWS:
            self._store()
        best = self._best[1] if self._best else ""
        self._progress("sweep", self.done, len(self.space), best)

    def _look(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Update the best setting so far, to be reported while the others run."""
        from septet_schemas.sweep import GOALS

        more = GOALS[self.space.goal]
        for row in rows:
            value = row[self.space.goal]
            if value is None:
                continue
            if self._best is None or (value > self._best[0]) == more:
                texts = ", ".join(self.space.sets(self.space.setting(row["setting"])))
                self._best = (value, f"{self.space.goal} {value:.4g} with {texts}")

    def _store(self) -> None:
        if self._waiting_frames:
            import polars as pl

            frame = pl.concat(self._waiting_frames)
            self.folder.add(frame)
            self.frames.append(frame)
            self._waiting_frames = []
        self._stored_at = time.perf_counter()


def _finish(sweep: _Running, *, page: bool, seconds: float) -> Outcome:
    """Combine the parts, compute their findings, and write the page."""
    import polars as pl

    from septet._sweep.page import write_page
    from septet._sweep.size_caps import add_size_cap
    from septet._sweep.sweep_findings import findings_of
    from septet._sweep.table_verdict import add_ratios

    folder = sweep.folder
    rows = pl.concat(sweep.frames).unique("setting").sort("setting")
    table = add_size_cap(add_ratios(rows), folder.manifest)
    if sweep.space.method == "tpe":  # there may have been fewer settings than requested
        folder.manifest["space"]["settings"] = table.height
    folder.complete(table)
    findings = findings_of(table, folder.manifest)
    if page:
        write_page(folder.folder, table, folder.manifest, findings)
    return Outcome(folder.folder, folder.manifest, table, findings, seconds, sweep.done_before)
