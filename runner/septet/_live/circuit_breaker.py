"""Circuit breakers: a plugin that fails repeatedly is not called for a while, then retried once.

Plugins are called on threads of their own with a time-out: one that hangs cannot stop the loop.
"""

from __future__ import annotations

import asyncio
import math
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from septet import messages as m
from septet.errors import RunError

__all__ = ["Answer", "Breaker", "PluginCaller", "finite"]

State = Literal["closed", "open", "half_open"]
_FACTOR: Final = 2


class Breaker:
    """Opens after `threshold` failures in a row, for longer each time, with a seeded jitter.

    While it is open no call is made. After its time one call is allowed (half open), which closes
    the breaker or opens it again.
    """

    def __init__(
        self,
        name: str,
        *,
        threshold: int = 3,
        first_ns: int = 1_000_000_000,
        longest_ns: int = 300_000_000_000,
        seed: int = 0,
    ) -> None:
        """Begin closed."""
        self.name, self._threshold = name, threshold
        self._first_ns, self._longest_ns = first_ns, longest_ns
        self._draw = random.Random(f"{name}:{seed}")
        self._trying = False
        self.failures = 0
        self.opened = 0
        self.until_ns = 0
        self.text = ""

    def state(self, now_ns: int) -> State:
        """Return whether calls pass, none does, or one may try."""
        if not self.opened:
            return "closed"
        return "open" if now_ns < self.until_ns else "half_open"

    def allows(self, now_ns: int) -> bool:
        """Whether a call may be made now; half open, its result must be reported."""
        state = self.state(now_ns)
        if state == "closed":
            return True
        if state == "open" or self._trying:
            return False
        self._trying = True
        return True

    def succeeded(self) -> None:
        """Close the breaker after a successful call."""
        self.failures, self.opened, self.until_ns, self._trying = 0, 0, 0, False

    def failed(self, now_ns: int, text: str) -> bool:
        """Count a failure; return whether it opened the breaker."""
        self.failures, self.text = self.failures + 1, text
        tried, self._trying = self._trying, False
        if not tried and self.failures < self._threshold:
            return False
        return self.trip(now_ns, text)

    def trip(self, now_ns: int, text: str) -> bool:
        """Open at once."""
        self.text, self._trying = text, False
        wait = min(self._longest_ns, self._first_ns * _FACTOR ** min(self.opened, 40))
        self.until_ns = now_ns + int(wait * self._draw.uniform(0.75, 1.25))
        self.opened += 1
        return True


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a plugin call: a value if `ok`, else the reason and the event to journal."""

    ok: bool
    value: Any = None
    text: str = ""
    event: m.Quarantined | None = None


def finite(value: Any) -> str:
    """Return the fault of a number that a plugin returned; empty for a valid one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"expected a number, found {type(value).__name__}"
    return "" if math.isfinite(value) else f"expected a finite number, found {value}"


@dataclass
class _Plugin:
    breaker: Breaker
    hanging: threading.Thread | None = None


@dataclass
class PluginCaller:
    """Calls plugins on threads; one that raises, hangs or returns nonsense is quarantined.

    A thread cannot be ended: the plugin of one that hangs is not called again until that thread
    has come back, whatever the state of its breaker.
    """

    now_ns: Callable[[], int]
    seed: int = 0
    threshold: int = 3
    _plugins: dict[str, _Plugin] = field(default_factory=dict)

    def breaker(self, name: str) -> Breaker:
        """Return the breaker of a plugin."""
        return self._plugin(name).breaker

    def _plugin(self, name: str) -> _Plugin:
        if name not in self._plugins:
            breaker = Breaker(name, threshold=self.threshold, seed=self.seed)
            self._plugins[name] = _Plugin(breaker)
        return self._plugins[name]

    async def call(
        self,
        name: str,
        function: Callable[..., Any],
        *args: Any,
        timeout_s: float,
        check: Callable[[Any], str] | None = None,
    ) -> Answer:
        """Call a plugin on a thread; `check` returns the fault of its answer.

        Nothing a plugin does is raised here, but for what ends the process.
        """
        plugin = self._plugin(name)
        if plugin.hanging is not None and plugin.hanging.is_alive():
            return Answer(ok=False, text=f"{name} still hangs")
        plugin.hanging = None
        if not plugin.breaker.allows(self.now_ns()):
            return Answer(ok=False, text=f"{name} is left alone: {plugin.breaker.text}")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        thread = threading.Thread(
            target=_run, args=(loop, done, function, args), name=f"plugin {name}", daemon=True
        )
        thread.start()
        try:
            value = await asyncio.wait_for(asyncio.shield(done), timeout_s)
            wrong = check(value) if check is not None else ""
        except TimeoutError:
            plugin.hanging = thread
            done.add_done_callback(_forget)
            text = f"it did not answer in {timeout_s:g} s"
            plugin.breaker.trip(self.now_ns(), text)
            return self._quarantined(plugin.breaker, text)
        except asyncio.CancelledError:
            plugin.hanging = thread
            done.add_done_callback(_forget)
            raise
        except Exception as error:  # a plugin may raise anything; the run goes on without it
            wrong = f"{type(error).__name__}: {error}"
        if not wrong:
            plugin.breaker.succeeded()
            return Answer(ok=True, value=value)
        if plugin.breaker.failed(self.now_ns(), wrong):
            return self._quarantined(plugin.breaker, wrong)
        return Answer(ok=False, text=wrong)

    def _quarantined(self, breaker: Breaker, text: str) -> Answer:
        event = m.Quarantined(
            at_ns=self.now_ns(), plugin=breaker.name, until_ns=breaker.until_ns, text=text
        )
        return Answer(ok=False, text=text, event=event)


def _run(
    loop: asyncio.AbstractEventLoop,
    done: asyncio.Future[Any],
    function: Callable[..., Any],
    args: tuple[Any, ...],
) -> None:
    try:
        value, error = function(*args), None
    except Exception as raised:  # passed to the caller that waits
        value, error = None, raised
    except BaseException as raised:  # a plugin that ends its thread counts as failed
        value, error = None, RunError(f"it ended its thread: {type(raised).__name__}")
    with suppress(RuntimeError):  # the loop was closed: nobody waits any more
        loop.call_soon_threadsafe(_set_result, done, value, error)


def _set_result(done: asyncio.Future[Any], value: Any, error: Exception | None) -> None:
    if done.cancelled():
        return
    if error is None:
        done.set_result(value)
    elif isinstance(error, StopIteration):  # a future cannot carry it
        done.set_exception(RunError("it raised StopIteration"))
    else:
        done.set_exception(error)


def _forget(done: asyncio.Future[Any]) -> None:
    """Read the result of a late call, so that asyncio does not warn of an unread error."""
    if not done.cancelled():
        done.exception()
