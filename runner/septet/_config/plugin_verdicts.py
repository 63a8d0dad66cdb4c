"""Verdicts on third-party plugins: made once for each source and its settings, then read.

No plugin that is not septet's own runs without one (or without ``--unchecked``). Septet's own are
checked where septet is built, and cost nothing here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet._config.check_context import strangers_of
from septet._config.cross_features import output_columns
from septet._config.tree import Path as KeyPath
from septet._host.code_dependencies import reached_of
from septet._host.declare import Declaration, Step
from septet._host.plugin_registry import Host
from septet._host.sources import code_digest, package_digest, packages_of, source_digest
from septet._text import decode_json
from septet_schemas.blocks import UseBlock
from septet_schemas.strategy import Strategy

if TYPE_CHECKING:
    from septet.testing.budget import Budget

__all__ = [
    "PluginVerdict", "keep_check", "known_state", "plugin_sources", "sources_text", "verdicts_of",
]  # fmt: skip

FORMAT: Final = 1
UNCHECKED: Final = "unchecked"
STATES: Final = ("failed", "not tried", "doubtful", "watched", "kept")
"""What a check comes to, the worst first."""


_ENDING: Final = ("names bind", "declares itself", "inside its look-back, no future")
"""Checks of what a run requires by itself: it is wired, and each read of it is watched."""
_ENDING_WORDS: Final = ("it does not compile", "of which no hash can be made", "did not end within")


@dataclass(frozen=True, slots=True)
class PluginVerdict:
    """The verdict on one plugin of a file.

    Its state is ``kept``, ``failed``, ``not tried``, ``doubtful``, ``watched`` or ``unchecked``.

    `checks` are (name, state, message) of each decisive check; `source` hashes all code that the
    plugin runs.
    """

    plugin: str
    kind: str
    source: str
    state: str
    checks: tuple[tuple[str, str, str], ...] = ()

    @property
    def ends_anyway(self) -> bool:
        """Whether what failed ends a run with ``--unchecked`` as well."""
        failed = [(name, text) for name, state, text in self.checks if state == "failed"]
        return any(
            name in _ENDING or any(each in text for each in _ENDING_WORDS) for name, text in failed
        )

    @property
    def failure(self) -> str:
        """The failed check, with the line; empty if none failed."""
        return next(
            (f"{name}: {text}" for name, state, text in self.checks if state == "failed"), ""
        )

    @property
    def untried(self) -> tuple[str, ...]:
        """Checks that could not be made, and why."""
        return tuple(f"{name}: {text}" for name, state, text in self.checks if state == "not tried")

    @property
    def doubts(self) -> tuple[str, ...]:
        """What it answers everywhere that its kind allows, and that nobody can mean."""
        return tuple(text for _, state, text in self.checks if state == "doubtful")

    @property
    def watched(self) -> tuple[str, ...]:
        """Reads that are not proved to be of the past, so that each is watched in the run."""
        return tuple(text for _, state, text in self.checks if state == "watched")

    def document(self) -> dict[str, Any]:
        """Return it as the manifest holds it."""
        return {
            "plugin": self.plugin, "kind": self.kind, "state": self.state, "source": self.source,
            "not_tried": list(self.untried), "watched": list(self.watched),
            "doubts": list(self.doubts),
        }  # fmt: skip


def verdicts_of(
    strategy: Strategy,
    host: Host,
    *,
    unchecked: bool = False,
    log: Callable[[str], None] | None = None,
    known: Strategy | None = None,
) -> list[tuple[KeyPath, PluginVerdict]]:
    """Return a verdict for every stranger's block of a file, each with its path.

    Blocks that `known` has as well are left out.
    """
    verdicts: list[tuple[KeyPath, PluginVerdict]] = []
    known_blocks = (
        {_reported(path, block) for path, block in strangers_of(known)} if known else set()
    )
    blocks = [each for each in strangers_of(strategy) if _reported(*each) not in known_blocks]
    if not unchecked:
        return _verdicts(blocks, strategy, host, log)
    for path, block in blocks:
        plugin = _name_of(block)
        source = source_digest(block.declaration)
        verdicts.append((path, PluginVerdict(plugin, block.kind, source, UNCHECKED)))
    return verdicts


def _verdicts(
    blocks: Sequence[tuple[KeyPath, UseBlock]],
    strategy: Strategy,
    host: Host,
    log: Callable[[str], None] | None,
) -> list[tuple[KeyPath, PluginVerdict]]:
    """Return verdicts; those to be made share the time of their package, and two processes."""
    from septet.testing.budget import Budget
    from septet.testing.other_process import keep_processes

    counts = Counter(block.distribution for _, block in blocks)
    budgets = {name: Budget(count) for name, count in counts.items()}
    verdicts = []
    with keep_processes():
        for path, block in blocks:
            plugin = _name_of(block)
            budget = budgets[block.distribution]
            verdicts.append((path, _verdict(plugin, block, strategy, host, log, budget)))
    return verdicts


def _name_of(block: UseBlock) -> str:
    return f"{block.distribution}:{block.use.rpartition(':')[2]}"


def _reported(path: KeyPath, block: UseBlock) -> tuple[Any, ...]:
    return path, block.distribution, block.use, block.config.model_dump_json(), block.bar_ns


def _verdict(
    plugin: str,
    block: UseBlock,
    strategy: Strategy,
    host: Host,
    log: Callable[[str], None] | None,
    budget: Budget,
) -> PluginVerdict:
    owner, bar_ns = block.distribution, block.bar_ns or strategy.universe.bar
    names = _inputs(strategy) if block.kind == "model" else ()
    sources = sorted({source_digest(each) for each in _with_inner(block, host)})
    source = hashlib.sha256("\n".join(sources).encode()).hexdigest()
    settings = block.config.model_dump_json()
    parts = [FORMAT, _kit(), plugin, block.kind, source, settings, bar_ns, names]
    key = hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()
    path = _folder(plugin) / f"{key}.json"
    verdict = _read(path, plugin, block.kind, source)
    if verdict is not None:
        return verdict
    from septet.testing.verdict import decisive, state_of

    if log is not None:
        log(f"checking {plugin}, once for this source and these settings")
    checks = decisive(
        block.declaration, block.config, bar_ns=bar_ns, names=names,
        resolve=lambda use: host.load(host.inner(use, owner)), budget=budget,
    )  # fmt: skip
    reported = tuple((each.name, each.state, each.message) for each in checks)
    verdict = PluginVerdict(plugin, block.kind, source, state_of(checks), reported)
    if not budget.is_spent:  # with more time it may come to something else
        _write(path, verdict, _packages(block, host))
    return verdict


def _inputs(strategy: Strategy) -> tuple[str, ...]:
    """Return the features that the model of a file reads."""
    assert strategy.model is not None
    chosen = strategy.model.extra.get("inputs")
    if chosen:
        return tuple(chosen)
    blocks = strategy.features.items()
    return tuple(column for name, block in blocks for column in output_columns(name, block))


def _with_inner(block: UseBlock, host: Host) -> list[Any]:
    """Return a block's declaration and those of features inside it."""
    declarations, waiting = [], [(block.declaration, block.config, block.distribution)]
    while waiting:
        declaration, config, owner = waiting.pop()
        declarations.append(declaration)
        if not isinstance(declaration, Step) or declaration.inner is None:
            continue
        with contextlib.suppress(Exception):  # the checks report what is wrong with it
            for part in declaration.inner(config).values():
                entry = host.inner(part.use, owner)
                inner = host.load(entry)
                waiting.append((inner, inner.config(**part.config), entry.distribution))
    return declarations


def _packages(block: UseBlock, host: Host) -> dict[str, str]:
    names = {name for each in _with_inner(block, host) for name in packages_of(each)}
    return {name: code_digest(name) for name in sorted(names)}


# ---------------------------------------------------------------------------- what a run records


def plugin_sources(strategy: Strategy, host: Host) -> dict[str, str]:
    """Return the hash of the code of every package beside septet that a file runs.

    Values that this code reads by a name belong to it.
    """
    by_distribution: dict[str, dict[str, str]] = {}
    for _, block in strangers_of(strategy):
        digests = by_distribution.setdefault(block.distribution, {})
        digests.update(_packages(block, host))
        for each in _with_inner(block, host):
            name = f"values of {block.kind} {block.use} {each.config.__name__}"
            digests[name] = reached_of(each).values
    return {
        name: hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
        for name, digests in sorted(by_distribution.items())
    }


def sources_text(strategy: Strategy, host: Host) -> str:
    """Write the sources of a file's packages in one line; empty where all is septet's."""
    sources = plugin_sources(strategy, host)
    return ", ".join(f"{name} {digest[:16]}" for name, digest in sources.items())


# ---------------------------------------------------------------------------- on disk


@cache
def _kit() -> str:
    """Hash what makes verdicts: the kit, what it stands on, and the version of Python."""
    packages = ("septet.testing", "septet._host", "septet._kernel", "septet._plan", "septet._rules")
    parts = [*map(package_digest, packages), sys.version]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _folder(plugin: str) -> Path:
    from septet._cache_folder import cache_folder

    distribution, _, name = plugin.partition(":")
    return cache_folder() / "verdicts" / distribution / name


def _read(path: Path, plugin: str, kind: str, source: str) -> PluginVerdict | None:
    """Read a verdict that was kept; None where there is none, or it is not whole or not ours."""
    from septet._cache_folder import is_ours

    if not is_ours(path):
        return None
    try:
        stored = decode_json(path.read_text(encoding="utf-8"))
        checks = tuple(
            (str(name), str(result), str(message)) for name, result, message in stored["checks"]
        )
        state = str(stored["state"])
        is_same = (stored["plugin"], stored["kind"], stored["source"]) == (plugin, kind, source)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_valid = state in STATES and bool(checks)
    return PluginVerdict(plugin, kind, source, state, checks) if is_same and is_valid else None


def _write(path: Path, verdict: PluginVerdict, packages: Mapping[str, str]) -> None:
    from septet._cache_folder import claim, write_whole

    # A disk that is full or read-only costs the next process time, and this one nothing.
    with contextlib.suppress(OSError):
        claim(path.parent)
        fields = {**asdict(verdict), "packages": dict(packages)}
        write_whole(path, json.dumps(fields, indent=1, sort_keys=True))


def keep_check(plugin: str, declaration: Declaration, state: str, message: str) -> None:
    """Keep what `septet plugins check` found of a plugin's installed source, for `known_state`.

    A file's own settings are checked all the same: no file reads this verdict.
    """
    packages = {name: code_digest(name) for name in packages_of(declaration)}
    if not packages:  # made in memory: there is no source that could be the same again
        return
    source, kind = source_digest(declaration), declaration.kind
    parts = [FORMAT, _kit(), plugin, kind, source, "septet plugins check"]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    checks = (("septet plugins check", state, message),)
    verdict = PluginVerdict(plugin, kind, source, state, checks)
    _write(_folder(plugin) / f"{key}.json", verdict, packages)


def known_state(plugin: str) -> str:
    """Return what is known of a plugin's installed source without importing it.

    ``failed`` if any settings failed, else ``not tried``, ``watched`` or ``kept``; empty where no
    verdict of this source is kept.
    """
    from septet._cache_folder import is_ours

    states = set()
    folder = _folder(plugin)
    for path in sorted(folder.glob("*.json")) if is_ours(folder) else ():
        try:
            stored = decode_json(path.read_text(encoding="utf-8"))
            packages = dict(stored["packages"])
            state = str(stored["state"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if packages and all(code_digest(name) == text for name, text in packages.items()):
            states.add(state)
    return next((each for each in STATES if each in states), "")
