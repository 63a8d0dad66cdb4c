"""Models of a running strategy: fitted on schedule, in a separate process."""

from __future__ import annotations

import asyncio
import os
import pickle
import shutil
import signal
import sys
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from septet import messages as m
from septet._files import create_file, make_folder, open_regular, read_bounded
from septet._learn.fitting import Served
from septet._learn.schedule import TrainingRule
from septet._live.market_data.feed_shelf import Shelf
from septet._live.train_worker import HEAD, RESULT, Work
from septet._text import decode_json
from septet.errors import ModelError

__all__ = ["ModelTrainer", "TrainingTimes", "load_served", "ready_event"]

_MODELS: Final = "models"
_TAIL: Final = 2_000
_LARGEST_RESULT: Final = 64 << 20


class TrainingTimes:
    """When models of a run are trained: the schedule of a backtest's walk-forward."""

    def __init__(self, rule: TrainingRule, first_ns: int) -> None:
        """Begin with the first T_k at or after `first_ns`."""
        self.rule, self._first_ns = rule, first_ns

    def needed(self, market_ns: int) -> list[int]:
        """Return T_k of the model in force at a time, and of those not yet ready then."""
        rule = self.rule
        if rule.once:
            return [0]
        times = self.between(market_ns - rule.longest_ready_ns - rule.step_ns, market_ns)
        ready = bisect_right(times, market_ns, key=rule.ready_at)
        return times[max(0, ready - 1) :]

    def due(self, market_ns: int, last_ns: int | None) -> int | None:
        """Return the newest T_k by `market_ns` that is later than `last_ns`, None for none."""
        times = self.needed(market_ns)
        newest = times[-1] if times else None
        return None if newest is None or (last_ns is not None and newest <= last_ns) else newest

    def following(self, market_ns: int) -> int | None:
        """Return the first T_k after a time."""
        times = self.between(market_ns + 1, max(market_ns, self._first_ns) + 2 * self.rule.step_ns)
        return times[0] if times else None

    def between(self, first_ns: int, last_ns: int) -> list[int]:
        """Return every T_k from `first_ns` to `last_ns`, both included."""
        if self.rule.once:
            return [0] if first_ns <= 0 <= last_ns else []
        first_ns, step = max(first_ns, self._first_ns), self.rule.step_ns
        if self.rule.cron is not None:
            return self.rule.cron.times(first_ns, last_ns) if first_ns <= last_ns else []
        return [k * step for k in range(-(-first_ns // step), last_ns // step + 1)]


_RESTORE: Final = "restore the run's models folder from where the journal comes from"


def load_served(
    run_folder: Path,
    event: m.ModelReady,
    feature_names: Sequence[str] | None = None,
    restore: Callable[[Any], Served] | None = None,
) -> Served:
    """Read a model that was announced; it has `predict_row`.

    Raises
    ------
    ModelError
        If it is missing, was changed, or is not the one announced.
    """
    from septet._learn.stored import load_model

    if not (run_folder / event.folder).is_dir():
        raise ModelError(
            f"a model of the run is gone: {run_folder / event.folder} is not there",
            hint=f"{_RESTORE}, or begin another run with --fresh",
        )
    stored = load_model(run_folder / event.folder, feature_names, restore)
    if stored.card["model_sha256"] != event.fingerprint:
        raise ModelError(
            f"the model at {stored.path} is not the one the journal names: expected "
            f"{event.fingerprint[:12]}, found {str(stored.card['model_sha256'])[:12]}",
            hint=_RESTORE,
        )
    return stored.model


class ModelTrainer:
    """Fits one model at a time in a child process that can be killed.

    The child gets the strategy as this process loaded it, whatever became of its file, and the
    bars known by the model's time; it gives the model that a backtest's walk on these bars has.
    """

    def __init__(
        self,
        loaded: Any,
        shelf: Shelf,
        run_folder: Path,
        now_ns: Callable[[], int],
        *,
        timeout_s: float = 3_600.0,
        attempts: int = 2,
        venue_fills: bool = False,
        log: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Train models of `loaded` on what `shelf` holds; `attempts` count where a child died.

        `venue_fills` is that of the running plan: the child then compiles nothing. `log` is called
        when a child died and another one begins.
        """
        self._loaded, self._shelf, self._folder, self._now_ns = loaded, shelf, run_folder, now_ns
        self._timeout_s, self._attempts, self._venue_fills = timeout_s, attempts, venue_fills
        self._log = log
        self._lock = asyncio.Lock()
        self._child: asyncio.subprocess.Process | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Return the id of the process that trains now, None for none."""
        child = self._child
        return child.pid if child is not None and child.returncode is None else None

    async def train(
        self, number: int, trained_to_ns: int, cause: m.Cause = "schedule"
    ) -> m.ModelReady | m.ModelFailed:
        """Fit the model with data up to a time; return that it is ready, or why there is none."""
        async with self._lock:
            text = "the run ended"
            for attempt in range(self._attempts):
                if self._closed:
                    break
                if attempt:
                    self._log(f"model {number}: {text}; it is fitted once more")
                result = await self._once(number, trained_to_ns, cause)
                if "died" not in result:
                    return self._event(number, trained_to_ns, result)
                text = result["died"]
            return m.ModelFailed(
                at_ns=self._now_ns(), number=number, trained_to_ns=trained_to_ns, text=text
            )

    def close(self) -> None:
        """Kill the child process, if there is one, and stop training."""
        self._closed = True
        self._kill()

    def _kill(self) -> None:
        if self.pid is not None:
            with suppress(ProcessLookupError):  # it may have ended by itself meanwhile
                os.killpg(self.pid, signal.SIGKILL)

    async def _reap(self) -> None:
        """Kill the child process if it still runs, and wait until it has ended.

        One that a cancelled training leaves to the loop is never reaped once that is closed.
        """
        self._kill()
        child = self._child
        if child is not None and child.returncode is None:
            if child.stdin is not None:
                child.stdin.transport.abort()  # it reads no more
            await child.wait()

    async def _once(self, number: int, trained_to_ns: int, cause: m.Cause) -> dict[str, Any]:
        work = self._folder / _MODELS / f".work-{number:03d}"
        await asyncio.to_thread(_empty, work)
        loaded = self._loaded
        market = self._shelf.market(trained_to_ns)  # in this thread, in which the shelf grows
        order = Work(
            loaded.tree, loaded.path, loaded.base_dir, market, number, trained_to_ns, cause,
            venue_fills=self._venue_fills,
        )  # fmt: skip
        data = await asyncio.to_thread(pickle.dumps, order)
        log = create_file(work / "log.txt")
        try:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "septet._live.train_worker", str(work),
                stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            died = await self._wait(self._child, data)
        finally:
            log.close()
            await self._reap()
        return await asyncio.to_thread(_outcome, work, self._folder / _MODELS, number, died)

    async def _wait(self, child: asyncio.subprocess.Process, data: bytes) -> str:
        """Send the work to the child and wait; return why it has no result, else empty."""
        assert child.stdin is not None
        try:
            async with asyncio.timeout(self._timeout_s):
                child.stdin.write(HEAD.pack(len(data)) + data)
                await child.stdin.drain()
                status = await child.wait()
        except TimeoutError:
            self._kill()
            await child.wait()
            return f"training took longer than {self._timeout_s:g} s and was ended"
        except (BrokenPipeError, ConnectionResetError):
            status = await child.wait()  # it died before it had read all input
        finally:
            child.stdin.close()
        return f"the training process ended with status {status}" if status else ""

    def _event(
        self, number: int, trained_to_ns: int, result: dict[str, Any]
    ) -> m.ModelReady | m.ModelFailed:
        if "failed" in result:
            return m.ModelFailed(
                at_ns=self._now_ns(), number=number, trained_to_ns=trained_to_ns,
                text=str(result["failed"]),
            )  # fmt: skip
        return ready_event(self._now_ns(), number, trained_to_ns, result)


def ready_event(
    at_ns: int, number: int, trained_to_ns: int, result: Mapping[str, Any]
) -> m.ModelReady:
    """Return the event that announces a model that a training process stored."""
    reference = tuple(
        (name, tuple(each["edges"]), tuple(each["share"]), each["chance"])
        for name, each in result["reference"].items()
    )
    return m.ModelReady(
        at_ns=at_ns, number=number, fingerprint=result["fingerprint"],
        trained_to_ns=trained_to_ns, ready_ns=result["ready_ns"], expires_ns=result["expires_ns"],
        folder=result["folder"], rows=result["rows"], rows_up=result["rows_up"],
        first_row_ns=result["first_row_ns"], reference=reference,
    )  # fmt: skip


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder.parent)
    folder.mkdir()


def _end_of(path: Path) -> str:
    """Return the end of a child's output, which may be long."""
    with open_regular(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        return file.read(_TAIL).decode(errors="replace").strip()


def _outcome(work: Path, models: Path, number: int, died: str) -> dict[str, Any]:
    """Read the result of a child process, and move its model to the run's models."""
    try:
        result: dict[str, Any] = decode_json(read_bounded(work / RESULT, _LARGEST_RESULT))
    except (OSError, ValueError):
        log = _end_of(work / "log.txt")
        last = log.splitlines()[-1] if log else "it printed nothing"
        return {"died": f"{died or 'the training process left no result'}: {last}"}
    if "fingerprint" in result:
        place = models / f"{number:03d}-{result['fingerprint'][:12]}"
        (work / "log.txt").unlink(missing_ok=True)
        (work / RESULT).unlink()
        if place.exists():  # trained before, by a process that was killed: the same model
            shutil.rmtree(place)
        os.replace(work, place)
        result["folder"] = f"{_MODELS}/{place.name}"
    else:
        shutil.rmtree(work, ignore_errors=True)
    return result
