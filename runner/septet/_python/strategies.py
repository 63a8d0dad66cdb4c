"""Strategies as values: load, change, explain and check them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from septet._app.settings import laid
from septet._python import html
from septet._python.arguments import require_choice, require_flag, require_path
from septet.errors import ConfigError, InputError, Problem, RunError, SeptetError

if TYPE_CHECKING:
    from os import PathLike

    import polars as pl

    from septet._config.load import Loaded

__all__ = ["Check", "Mode", "Settings", "Strategy", "check", "laid", "load", "loaded_of", "loads"]

Settings: TypeAlias = Mapping[str, object]
"""Values by key path, as in ``--set``: ``{"features.fast.period": 25}``."""
Mode: TypeAlias = Literal["backtest", "paper", "live"]
"""The mode of a strategy."""
_TEXT: Final = "<text>"
_MAPPING: Final = "<mapping>"
_MODES: Final = ("backtest", "paper", "live")
_LINE: Final = re.compile(r":(\d+):\d+$")


class Strategy:
    """A checked strategy: a file with its settings; it is immutable.

    Two strategies are equal if every effective value and the folder of relative paths are equal.
    """

    __slots__ = ("_hash", "_loaded", "_mode", "_settings")
    _hash: str
    _loaded: Loaded
    _mode: Mode | None
    _settings: tuple[tuple[str, object], ...]

    def __init__(
        self, loaded: Loaded, mode: Mode | None, settings: tuple[tuple[str, object], ...]
    ) -> None:
        parts = {"_hash": "", "_loaded": loaded, "_mode": mode, "_settings": settings}
        for name, value in parts.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a strategy cannot be changed: with_() gives another ({name})")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a strategy cannot be changed ({name})")

    @property
    def name(self) -> str:
        """The name in the file."""
        return str(self._loaded.strategy.name)

    @property
    def mode(self) -> Mode:
        """``backtest``, ``paper`` or ``live``."""
        mode: Mode = self._loaded.strategy.mode
        return mode

    @property
    def text(self) -> str:
        """The text of the file, without the settings."""
        return self._loaded.text

    @property
    def settings(self) -> Settings:
        """The values laid over the file, by key path."""
        return MappingProxyType(dict(self._settings))

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Findings that are allowed but probably not intended."""
        return self._loaded.warnings

    @property
    def hash(self) -> str:
        """SHA-256 of every effective value and of the sources of plugins that are not septet's."""
        if not self._hash:
            object.__setattr__(self, "_hash", self._hash_of_content())
        return self._hash

    def _hash_of_content(self) -> str:
        from septet._config.check_context import strangers_of
        from septet._text import plain_json

        loaded, sources = self._loaded, dict[str, str]()
        if any(True for _ in strangers_of(loaded.strategy)):
            from septet._config.plugin_verdicts import plugin_sources

            sources = dict(plugin_sources(loaded.strategy, loaded.host))
        tree = loaded.tree
        content = {
            "resolved": loaded.resolved,
            "plugins": sources,
            **{name: tree.plain_at((name,)) for name in ("sweep", "paper", "live")},
        }
        text = json.dumps(plain_json(content), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def with_(self, settings: Settings, /) -> Strategy:
        """Return the strategy with other values of some keys, checked at once.

        Parameters
        ----------
        settings
            Values by key path, such as ``{"features.fast.period": 25}``; the paths of ``--set``.

        Raises
        ------
        ConfigError
            With every problem, in `problems`.
        """
        settings_given = _require_settings(settings)
        unchanged = {key: value for key, value in self._settings if key not in settings_given}
        merged = {
            **unchanged,
            **settings_given,
        }  # in the order they were given: what comes later wins
        loaded = self._loaded
        return _made(loaded.text, loaded.path, loaded.base_dir, merged, self._mode)

    def explain(self) -> pl.DataFrame:
        """Return every effective value: `path`, `value` as in a file, `origin`, `line`."""
        import polars as pl

        from septet._app.explain import explain_values

        rows = []
        for entry in explain_values(self._loaded):
            at = _LINE.search(entry.origin.place)
            origin = (str(entry.origin), int(at[1]) if at else None)
            rows.append((entry.key, entry.shown, *origin))
        kinds = {"path": pl.String, "value": pl.String, "origin": pl.String, "line": pl.Int64}
        return pl.DataFrame(rows, schema=kinds, orient="row")

    def save(self, path: str | PathLike[str], *, replace: bool = False) -> Path:
        """Write the strategy as a file and return its path.

        If it has settings, the file has the values with them applied and no comments.

        Raises
        ------
        InputError
            If the file exists and `replace` is false, or it cannot be written.
        """
        from septet._files import replace_file

        require_path("path", path)
        require_flag("replace", replace)
        target = Path(path)
        if not replace and os.path.lexists(target):
            raise InputError(f"{target} is there already", hint="replace=True overwrites it")
        try:
            replace_file(target, self._effective_text())
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise InputError(f"{str(target)!r} cannot be written: {why}") from None
        return target

    def _effective_text(self) -> str:
        if not self._settings and self._mode is None:
            return self.text
        import yaml

        from septet._config.load import effective_tree

        loaded = self._loaded
        tree = effective_tree(loaded.text, str(loaded.path), laid(self.settings), self._mode)
        text = yaml.safe_dump(tree.plain(), sort_keys=False, allow_unicode=True, width=96)
        effective = _made(text, loaded.path, loaded.base_dir, {}, None)
        if effective._loaded.resolved != loaded.resolved:
            raise RunError(
                "the values of this strategy could not be written as a file that means the same",
                hint="write its text and its settings side by side",
            )
        return text

    def _repr_html_(self) -> str:
        rows = [("mode", self.mode), ("hash", self.hash[:12])]
        rows += [(key, str(value)) for key, value in self._settings[:40]]
        parts = [html.heading(self.name), html.pairs(rows)]
        return html.page(*parts, html.problem_list(self.warnings) if self.warnings else "")

    def __repr__(self) -> str:
        laid = f" with {len(self._settings)} settings" if self._settings else ""
        return f"<Strategy {self.name[:64]!r} {self.mode}{laid} {self.hash[:12]}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the source, which is loaded again where it is unpickled."""
        old = self._loaded
        return _made, (old.text, old.path, old.base_dir, dict(self._settings), self._mode)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Strategy):
            return NotImplemented
        own_folder, other_folder = self._loaded.base_dir, other._loaded.base_dir
        return self is other or (self.hash == other.hash and own_folder == other_folder)

    def __hash__(self) -> int:
        return hash(self.hash)


@dataclass(frozen=True, slots=True)
class Check:
    """The findings for a strategy: `ok`, `problems` with places, and the strategy if it is valid.

    `settings` is the number of settings of its sweep. `world` has the answers of feed and venue, if
    they were asked.
    """

    ok: bool
    problems: tuple[Problem, ...]
    strategy: Strategy | None = None
    settings: int | None = None
    world: tuple[tuple[str, str, str], ...] = ()

    def _repr_html_(self) -> str:
        name = self.strategy.name if self.strategy is not None else "the strategy"
        answers = html.table(("what", "verdict", "found"), self.world) if self.world else ""
        word = html.heading(f"{name}: {'ok' if self.ok else 'not ok'}")
        return html.page(word, html.problem_list(self.problems), answers)


def loaded_of(strategy: Strategy) -> Loaded:
    """Return the application's form of a strategy.

    Raises
    ------
    InputError
        If the argument is not a strategy.
    """
    if not isinstance(strategy, Strategy):
        raise InputError(
            f"strategy: expected a Strategy, found a {type(strategy).__name__}",
            hint="septet.load(path) or septet.loads(text) makes one",
        )
    return strategy._loaded


def load(
    source: str | PathLike[str] | Mapping[str, Any],
    *,
    settings: Settings | None = None,
    mode: Mode | None = None,
) -> Strategy:
    """Load a strategy from a file, or from a mapping with the keys of a file.

    Parameters
    ----------
    source
        The path of a file, or a mapping; relative paths in a mapping start from the working
        directory.
    settings
        Values that replace those of the source, by key path.
    mode
        Replaces the mode of the file.

    Raises
    ------
    ConfigError
        With every problem, each with its place.
    InputError
        If `source` is the text of a file: use `loads`.
    """
    laid_over = _require_settings({} if settings is None else settings)
    require_choice("mode", mode, _MODES, optional=True)
    if isinstance(source, Strategy):
        raise InputError("this is a Strategy already", hint="with_() lays settings over it")
    source_given = _given(source)
    try:
        return _made(source_given.text, source_given.name, source_given.base, laid_over, mode)
    except ConfigError as error:
        raise ConfigError([_without_lines(each) for each in error.problems]) from None


@dataclass(frozen=True, slots=True)
class _Given:
    """A source before it is loaded: its text, its name in messages, and the base folder."""

    text: str
    name: Path
    base: Path
    settings: Settings = field(default_factory=dict)
    mode: Mode | None = None


def _given(source: Any) -> _Given:
    """Read a strategy, a mapping or a path.

    Raises
    ------
    ConfigError
        If a file cannot be read.
    InputError
        If the argument is none of them.
    """
    if isinstance(source, Strategy):
        old = source._loaded
        return _Given(old.text, old.path, old.base_dir, source.settings, source._mode)
    if isinstance(source, Mapping):
        return _Given(_text_of(source), Path(_MAPPING), Path.cwd())
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            f"source: expected a path or a mapping, found a {type(source).__name__}",
            hint="septet.loads(text) takes the text of a file",
        )
    path_text = os.fspath(source)
    is_text = isinstance(path_text, bytes) or "\n" in path_text or ": " in path_text
    if is_text and (isinstance(path_text, bytes) or not os.path.lexists(path_text)):
        raise InputError(
            f"expected the path of a strategy file, found text that begins {path_text[:40]!r}",
            hint="septet.loads(text) takes the text of a file",
        )
    from septet._config.read import read_text

    path = Path(path_text)
    return _Given(read_text(path), path, path.resolve().parent)


def loads(
    text: str, *, base: str | PathLike[str] = ".", settings: Settings | None = None
) -> Strategy:
    """Load a strategy from the text of a file; relative paths in it start from `base`.

    Raises
    ------
    ConfigError
        With every problem, each with its line.
    InputError
        If `text` is the path of a file: use `load`.
    """
    from septet._config.read import check_text

    if not isinstance(text, str):
        raise InputError(
            f"text: expected the text of a strategy, found a {type(text).__name__}",
            hint="septet.load takes paths and mappings",
        )
    if "\n" not in text and text.strip().endswith((".yaml", ".yml")):
        raise InputError(
            f"expected the text of a strategy, found the path {text.strip()[:80]!r}",
            hint="septet.load(path) reads a file",
        )
    require_path("base", base)
    return _made(
        check_text(text, _TEXT),
        Path(_TEXT),
        Path(base).resolve(),
        _require_settings({} if settings is None else settings),
        None,
    )


def _text_of(source: Mapping[str, Any]) -> str:
    """Format a mapping as the text of a file."""
    import yaml

    from septet._config.overlay import plain_value
    from septet._config.read import check_text

    try:
        text = yaml.safe_dump(plain_value(source), sort_keys=False, allow_unicode=True)
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"the mapping holds what no strategy file can: {error}",
            hint="numbers, texts, true or false, None, lists and mappings of them",
        ) from None
    return check_text(text, _MAPPING)


def _without_lines(problem: Problem) -> Problem:
    """Remove line numbers from problems of a mapping, whose text was generated."""
    return replace(problem, line=0, column=0) if problem.file == _MAPPING else problem


def _require_settings(settings: Settings) -> dict[str, object]:
    if not isinstance(settings, Mapping):
        raise InputError(
            f"settings: expected settings by key path, found a {type(settings).__name__}",
            hint='such as {"features.fast.period": 25}',
        )
    return dict(settings)


def _made(text: str, name: Path, base: Path, settings: Settings, mode: Mode | None) -> Strategy:
    from septet._config.load import load_text

    pairs = tuple(settings.items())
    loaded = load_text(text, name, base_dir=base, mode=mode, sets=laid(settings))
    return Strategy(loaded, mode, pairs)


def check(
    source: Strategy | str | PathLike[str] | Mapping[str, Any],
    *,
    mode: Mode | None = None,
    world: bool = False,
) -> Check:
    """Check a strategy and its data; problems are returned, not raised.

    Parameters
    ----------
    source
        A strategy, the path of a file, or a mapping.
    mode
        Replaces the mode of the file.
    world
        In paper and live mode, ask the feed and the venue too, by requests that only read.
    """
    from septet._app.check import CheckRequest, check_loading
    from septet._config.load import load_text

    require_choice("mode", mode, _MODES, optional=True)
    require_flag("world", world)
    try:
        source_given = _given(source)
        load_again = partial(
            load_text, source_given.text, source_given.name, base_dir=source_given.base,
            mode=mode if mode is not None else source_given.mode,
        )  # fmt: skip
        sets = laid(source_given.settings)
        request = CheckRequest(world=world)
        checked = check_loading(load_again, request, sets=sets, file=str(source_given.name))
    except ConfigError as error:
        return Check(ok=False, problems=tuple(map(_without_lines, error.problems)))
    except SeptetError as error:
        problem = error.problem or Problem(error.message, key=error.key, hint=error.hint)
        return Check(ok=False, problems=(problem,))
    rows = () if checked.world is None else checked.world.rows
    answers = tuple((each.what, each.verdict, each.found) for each in rows)
    strategy = Strategy(
        checked.loaded, load_again.keywords["mode"], tuple(source_given.settings.items())
    )
    return Check(checked.ok, checked.problems, strategy, checked.settings, answers)
