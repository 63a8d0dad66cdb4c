"""Blocks of settings on Ray: processes of this machine, or a cluster that is there."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from septet._sweep.cluster import Answer, Lost, Parcel, describe, run_block
from septet._sweep.space import Setting
from septet.errors import InputError, RunError

__all__ = ["RayPool"]

RETRIES: Final = 3
"""How often a block goes to another process when the one that ran it died."""
ANSWER_SECONDS: Final = 60


class RayPool:
    """A Ray cluster; it replaces processes that die, and runs again what they were running."""

    def __init__(self, address: str | None, workers: int, say: Callable[[str], None]) -> None:
        """Connect to a cluster, or start one with `workers` processes on this machine."""
        try:
            import ray
        except ImportError as error:
            raise InputError(
                f"--on {address or 'ray'} needs the package ray: {error}",
                hint="pip install 'septet[ray]'",
            ) from error
        if ray.is_initialized():
            raise InputError(
                "this process uses a Ray cluster already", hint="leave it with ray.shutdown()"
            )
        self._ray: Any = ray
        _start(ray, address, workers)
        self._parcel: Any = None
        self._running: dict[Any, int] = {}
        self._remote = self._ray.remote(num_cpus=1, max_retries=RETRIES)(run_block)

    def workers(self) -> dict[str, int]:
        """Return the machines that are there, with how many blocks each runs at once."""
        return {name: cores for name, (_, cores) in self._nodes().items() if cores}

    def _nodes(self) -> dict[str, tuple[str, int]]:
        """Machines by address: Ray's id of each, and its processors."""
        try:
            nodes = self._ray.nodes()
        except (ConnectionError, self._ray.exceptions.RaySystemError) as error:
            raise _gone() from error
        return {
            f"{each['NodeManagerAddress']}:{each['NodeManagerPort']}": (
                each["NodeID"],
                int(each["Resources"].get("CPU", 0)),
            )
            for each in nodes
            if each["Alive"]
        }

    def describe(self) -> dict[str, dict[str, str] | str]:
        """What each machine describes of itself, or why it cannot."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        asked = {}
        for name, (node, cores) in self._nodes().items():
            if cores:
                place = NodeAffinitySchedulingStrategy(node, soft=False)
                ask = self._ray.remote(num_cpus=0, scheduling_strategy=place)(describe)
                asked[name] = ask.remote()
        found: dict[str, dict[str, str] | str] = {}
        for name, answer in asked.items():
            try:
                found[name] = self._ray.get(answer, timeout=ANSWER_SECONDS)
            except self._ray.exceptions.RayError as error:
                last = str(error).strip().splitlines()[-1]
                found[name] = f"septet is missing there, or of another version: {last}"
        return found

    def begin(self, parcel: Parcel) -> None:
        """Make a sweep known."""
        self._parcel = self._ray.put(parcel)

    def send(self, ticket: int, block: Sequence[Setting]) -> None:
        """Have a block run by some process."""
        self._running[self._remote.remote(self._parcel, tuple(block))] = ticket

    def wait(self, seconds: float) -> tuple[int, Answer | Lost] | None:
        """Return a block that is done, by its ticket; None if there is none so soon."""
        failures = self._ray.exceptions
        done, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        if not done:
            return None
        ticket = self._running.pop(done[0])
        try:
            return ticket, self._ray.get(done[0])
        except (failures.WorkerCrashedError, failures.NodeDiedError, failures.OutOfMemoryError):
            return ticket, Lost()
        except failures.RaySystemError as error:
            raise _gone() from error

    def close(self) -> None:
        """Give up what still runs, and end what was started here."""
        for running in self._running:
            with contextlib.suppress(self._ray.exceptions.RayError):  # it may be gone already
                self._ray.cancel(running, force=True)
        self._running.clear()
        self._parcel = None
        self._ray.shutdown()


def _start(ray: Any, address: str | None, workers: int) -> None:
    """Join a cluster, or start one for this sweep alone."""
    with _private():
        try:
            if address is not None:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            else:
                ray.init(
                    address="local",
                    num_cpus=workers,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except (ConnectionError, ValueError, RuntimeError, ImportError) as error:
            raise InputError(
                f"no Ray cluster answers at {address or 'this machine'}: {error}",
                hint="start one with ray start --head, and name it with --on ray:HOST:PORT",
            ) from error


@contextlib.contextmanager
def _private() -> Iterator[None]:
    """Have Ray send no usage reports: septet tells nobody what it is used for."""
    name = "RAY_USAGE_STATS_ENABLED"
    before = os.environ.get(name)
    os.environ.setdefault(name, "0")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)


def _gone() -> RunError:
    return RunError(
        "the Ray cluster is gone",
        hint="what is done stays; start it again and go on with --resume",
    )
