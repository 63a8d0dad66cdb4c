"""Sweeps and training."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from septet._python import html
from septet._python.arguments import (
    require_callbacks,
    require_choice,
    require_count,
    require_path,
    require_text,
)
from septet._python.results import Model, Trials, Verdict
from septet._python.running import interruptible
from septet._python.strategies import Strategy, loaded_of
from septet.errors import ConfigError, InputError, Problem

if TYPE_CHECKING:
    from os import PathLike

    import polars as pl

    from septet._config.load import Loaded
    from septet._progress import Cancel, Progress
    from septet._sweep.run_sweep import Outcome

__all__ = ["Method", "Sweep", "sweep", "train"]

Method: TypeAlias = Literal["grid", "random", "tpe"]
"""How a sweep chooses settings."""
_METHODS = ("grid", "random", "tpe")
_BLOCKS = ("block_sums", "block_squares", "over_sums", "over_squares")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Sweep:
    """A finished sweep: every setting with its figures, and an assessment of the best.

    `folder` is where it is stored; None if it is only in memory.
    """

    settings: pl.DataFrame
    verdict: Verdict
    folder: Path | None
    _strategy: Strategy
    _outcome: Outcome

    @property
    def trials(self) -> Trials | None:
        """The number of tries on its data with its settings; None if the ledger was not asked."""
        from septet._results.previous_trials import sentence

        tries = self._outcome.tries
        if tries is None:
            return None
        return Trials(
            tries.count, tries.effective, tries.declared, None, complete=tries.count is not None,
            text=sentence(tries, None),
        )  # fmt: skip

    def best(self, count: int = 10) -> pl.DataFrame:
        """Return the best settings by the goal, best first."""
        require_count("count", count)
        ranked: pl.DataFrame = self._outcome.findings.ranked
        return ranked.head(count).drop(*_BLOCKS, strict=False)

    def strategy(self, row: int) -> Strategy:
        """Return the strategy of a row; `row` is the number in its column `setting`.

        Raises
        ------
        InputError
            If there is no such setting.
        """
        import polars as pl

        require_count("row", row, least=None)
        rows = self.settings.filter(pl.col("setting") == row)
        if not rows.height:
            raise InputError(
                f"the sweep has no setting {row}", hint="best() and settings have a column setting"
            )
        values = rows.row(0, named=True)
        return self._strategy.with_(
            {axis.key: axis.text(values[axis.key]) for axis in self._outcome.findings.axes}
        )

    def _repr_html_(self) -> str:
        names = [axis.key for axis in self._outcome.findings.axes]
        figures = ("setting", "sharpe", "total_return", "max_drawdown", "trades", "psr", "dsr")
        best = self.best()
        columns_shown = best.select(
            [*names[:8], *(name for name in figures if name in best.columns)]
        )
        head = html.heading(f"{self._strategy.name[:100]}: {self.settings.height:,} settings")
        tries = self.trials
        tried = html.paragraph(tries.text) if tries is not None and tries.text else ""
        return html.page(head, html.paragraph(self.verdict), tried, html.frame_table(columns_shown))

    def __repr__(self) -> str:
        return f"<Sweep {self._strategy.name[:64]!r} {self.settings.height:,} settings>"


def sweep(
    strategy: Strategy,
    axes: Mapping[str, str | Sequence[object]] | None = None,
    *,
    method: Method | None = None,
    trials: int | None = None,
    seed: int | None = None,
    goal: str | None = None,
    where: str | None = None,
    threads: int | None = None,
    out: str | PathLike[str] | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Sweep:
    """Run many settings of a strategy.

    Parameters
    ----------
    axes
        Values by key path: a list, or a text as in ``--sweep`` (``"5..50:5"``). By default those of
        the strategy's own `sweep:` section, which these arguments replace.
    method, trials, seed, goal, where
        As in that section.
    threads
        Settings that run in parallel; by default one for each core.
    out
        The folder in which the sweep is stored; without it, it stays in memory.
    progress, cancel
        As in `run`.

    Raises
    ------
    ConfigError
        If a key cannot be swept, or there are more than 100,000 settings.
    Cancelled
        If `cancel` was set, or at Ctrl-C. What was stored in `out` stays there.
    """
    from septet._app.sweep import SweepRequest, sweep_file
    from septet._progress import stoppable

    _check_arguments(axes, method, {"goal": goal, "where": where}, out)
    for name, number in (("trials", trials), ("threads", threads)):
        require_count(name, number, optional=True)
    require_count("seed", seed, least=0, optional=True)
    require_callbacks(progress, cancel)
    section = {"method": method, "trials": trials, "goal": goal, "where": where}
    loaded = _swept(strategy, axes or {}, section)
    report = stoppable(progress, cancel)

    def log(text: str) -> None:
        report("note", 0, None, text)

    def work(folder: Path, *, page: bool) -> Outcome:
        request = SweepRequest(out=folder, seed=seed, threads=threads, page=page, face="python")
        with interruptible("the sweep"):
            report("sweep", 0, None, "")
            return sweep_file(loaded, request, log=log, progress=report)

    if out is not None:
        outcome = work(Path(out), page=True)
        return _swept_as(strategy, outcome, outcome.folder)
    with tempfile.TemporaryDirectory(prefix="septet-sweep-") as folder:
        return _swept_as(strategy, work(Path(folder), page=False), None)


def _check_arguments(axes: Any, method: Any, texts: Mapping[str, Any], out: Any) -> None:
    require_choice("method", method, _METHODS, optional=True)
    for name, text in texts.items():
        require_text(name, text, optional=True)
    require_path("out", out, optional=True)
    if axes is not None and not isinstance(axes, Mapping):
        raise InputError(
            f"axes: expected values by key path, found a {type(axes).__name__}",
            hint='such as {"features.fast.period": [10, 20]}',
        )


def _swept_as(strategy: Strategy, outcome: Outcome, folder: Path | None) -> Sweep:
    from septet._sweep.verdict import paragraphs, tone

    kind: Any = tone(outcome.findings)
    verdict = Verdict(" ".join(paragraphs(outcome.findings)), kind)
    table = outcome.table.drop(*_BLOCKS, strict=False)
    return Sweep(table, verdict, folder, strategy, outcome)


def _swept(
    strategy: Strategy, axes: Mapping[str, str | Sequence[object]], section: Mapping[str, Any]
) -> Loaded:
    """Load the strategy again with the sweep section of these arguments."""
    import yaml

    from septet._app.sweep import sweep_settings
    from septet._config.load import load_text
    from septet._config.overlay import plain_value
    from septet._python.strategies import laid

    flags, problems = [], list[Problem]()
    for path, values in axes.items():
        try:
            plain = values if isinstance(values, str) else _flow(yaml, plain_value(list(values)))
        except (TypeError, yaml.YAMLError):
            text = "these values cannot be swept"
            problems.append(Problem(text, file=f"--sweep {path}", found=type(values).__name__))
            continue
        flags.append(f"{path}={plain}")
    if problems:
        raise ConfigError(problems)
    loaded = loaded_of(strategy)
    sets = [*laid(strategy.settings), *sweep_settings(flags, section)]
    return load_text(loaded.text, loaded.path, base_dir=loaded.base_dir, mode="backtest", sets=sets)


def _flow(yaml: Any, values: object) -> str:
    text: str = yaml.safe_dump(values, default_flow_style=True, allow_unicode=True, width=2**31)
    return text.strip()


def train(
    strategy: Strategy,
    *,
    to: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Model:
    """Fit the strategy's model on all its data and store it with its card.

    Parameters
    ----------
    to
        The folder of the model; by default ``models/NAME`` beside the file.

    Raises
    ------
    InputError
        If the strategy has no model to train, or the folder cannot be written.
    Cancelled
        At Ctrl-C.
    """
    from septet._app.train import train_model

    require_path("to", to, optional=True)
    require_callbacks(progress)
    with interruptible("the training"):
        trained = train_model(
            loaded_of(strategy), None if to is None else Path(to), progress=progress
        )
    return Model(trained.folder, trained.card)
