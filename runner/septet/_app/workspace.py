"""A folder that confines reading and writing, for strategies of an untrusted author.

All references of a file are checked before one is opened: paths stay inside the folder, data come
from files in it or from this installation, and no address and no secret is used. Every strategy is
loaded as a backtest, whatever its mode.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet._app.data_size import data_blocks
from septet._app.settings import laid
from septet._app.strategy_text import (
    MOST_TEXT,
    require_small_text,
    require_strategy_keys,
    text_hash,
)
from septet._app.training_bounds import require_bounded_training
from septet._files import alone_in, make_folders, read_bounded, replace_file, require_no_links
from septet._text import shortened
from septet.errors import ConfigError, InputError, Problem, SeptetError

if TYPE_CHECKING:
    from septet._app.check import Checked
    from septet._config.load import Loaded
    from septet._store.run_folder import Run

__all__ = ["LOCAL_SOURCES", "Workspace"]

MOST_SETTINGS: Final = 2_000
"""Largest number of settings of one sweep."""
LONGEST_PATH: Final = 300
LOCAL_SOURCES: Final = frozenset(
    {
        "csv", "csv_series", "parquet", "parquet_series", "sample", "sample_series", "synthetic",
    }
)  # fmt: skip
"""Data sources that read files of the workspace, or data included in septet."""
_REFERENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MOST_FILES: Final = 1_000
MOST_DATA: Final = 256 << 20
"""Largest size in bytes of a data file that is described."""
_DATA_ENDINGS: Final = (".csv", ".parquet")
_READ_ENDINGS: Final = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".zip", ".parquet", ".pq")
"""Extensions of data files: none that this workspace writes as text."""
_ENDINGS_TEXT: Final = ", ".join(_READ_ENDINGS)
_NUMBER: Final = re.compile(r"\.[0-9]")
_RESULTS: Final = ("runs", "sweeps")
_STORED: Final = ("manifest.json", "journal.sqlite")
"""Files that identify the folder of a run or a sweep."""
_ENDINGS: Final = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder, resolved once; `runs` is where its backtests are stored."""

    root: Path
    runs: Path = field(init=False)

    def __post_init__(self) -> None:
        root = self.root.resolve()
        if not root.is_dir():
            raise InputError(f"the workspace {self.root} is no folder", hint="name a folder")
        object.__setattr__(self, "root", root)
        object.__setattr__(self, "runs", root / "runs")

    def path(self, text: str) -> Path:
        """Return the absolute path of a relative path in the workspace.

        Raises
        ------
        InputError
            If it is absolute, contains ``..``, is hidden, or leads outside by a symbolic link.
        """
        quoted = repr(shortened(text, 80))
        if not text or len(text) > LONGEST_PATH or not text.isprintable() or "\\" in text:
            raise InputError(
                f"{quoted} is no path of the workspace",
                hint=f"at most {LONGEST_PATH} printable characters, such as strategies/cross.yaml",
            )
        parts = text.split("/")
        if any(part == "" or part.startswith((".", "~")) for part in parts):
            raise InputError(
                f"{quoted} is no path of the workspace",
                hint="a relative path, without '..', '~' and hidden names",
            )
        joined = self.root.joinpath(*parts)
        self._require_inside(joined, quoted)
        return joined

    def _require_inside(self, path: Path, name: str) -> None:
        """Reject a path outside, and a hidden one, also by a symbolic link."""
        resolved = Path(os.path.realpath(path))
        if not resolved.is_relative_to(self.root):
            raise InputError(
                f"{name} leads out of the workspace",
                hint="only what lies inside the workspace is read or written",
            )
        named = path.relative_to(self.root).parts if path.is_relative_to(self.root) else ()
        if any(part.startswith(".") for part in (*named, *resolved.relative_to(self.root).parts)):
            raise InputError(f"{name} is hidden", hint="hidden files are neither read nor written")

    def read(self, file: str) -> str:
        """Return the text of a strategy file.

        Raises
        ------
        InputError
            If it is not a file of the workspace, or larger than `MOST_TEXT`.
        """
        path = self._strategy_path(file)
        try:
            return read_bounded(path, MOST_TEXT, follow=False).decode("utf-8")
        except FileNotFoundError:
            raise InputError(f"there is no file {file!r} in the workspace") from None
        except OSError as error:
            raise InputError(f"{file!r} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise InputError(f"{file!r} is no text in UTF-8") from None

    def _strategy_path(self, file: str) -> Path:
        path = self.path(file)
        if path.suffix not in _ENDINGS:
            raise InputError(
                f"{shortened(file, 80)!r} is no strategy file", hint="its name ends in .yaml"
            )
        return path

    def save(self, file: str, text: str, *, replaces: str | None = None) -> str:
        """Write a strategy file, and return the SHA-256 of its text.

        Parameters
        ----------
        replaces
            The hash of the text to replace; None if no file may exist.

        Raises
        ------
        InputError
            If the file has another hash or is in the folder of a run or a sweep, the text is
            not a strategy, or the file cannot be written.
        """
        path = self._strategy_path(file)
        self._require_no_results(path, repr(shortened(file, 80)))
        require_small_text(text)
        require_strategy_keys(text, file)
        with alone_in(self.root):  # the file checked is the file replaced
            self._replace(path, file, text, replaces)
        return text_hash(text)

    def _replace(self, path: Path, file: str, text: str, replaces: str | None) -> None:
        if os.path.lexists(path) and replaces != text_hash(self.read(file)):
            raise InputError(
                f"{file!r} is there already"
                + (", and `replaces` is not the hash of its text" if replaces else ""),
                hint="take another name; or give as `replaces` the hash that save has answered",
            )
        if replaces is not None and not os.path.lexists(path):
            raise InputError(f"there is no file {file!r} to replace", hint="leave `replaces` out")
        try:
            make_folders(self.root, *path.relative_to(self.root).parts[:-1])
            replace_file(path, text)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise InputError(f"{file!r} cannot be written: {why}") from None

    def _require_no_results(self, path: Path, quoted: str) -> None:
        """Reject a path in a folder of runs or sweeps: stored results are not changed."""
        parts = [part.lower() for part in path.relative_to(self.root).parts[:-1]]
        parents = [each for each in path.parents if each.is_relative_to(self.root)]
        stored = any(os.path.lexists(each / name) for each in parents for name in _STORED)
        if stored or any(name in parts for name in _RESULTS):
            raise InputError(
                f"{quoted} lies in a folder of runs or sweeps",
                hint="save strategies elsewhere, such as strategies/cross.yaml",
            )

    def load(
        self, *, file: str | None = None, text: str | None = None,
        settings: Mapping[str, object] | None = None, beside: str | None = None,
    ) -> Loaded:  # fmt: skip
        """Load a file of the workspace, or a text as if it were file `beside`, as a backtest.

        Raises
        ------
        ConfigError, InputError
            With every problem, or with a reference to the outside.
        """
        source = self._source(file, text, settings, beside)
        return self._confined(source, sets=source.sets)

    def check(
        self, *, file: str | None = None, text: str | None = None,
        settings: Mapping[str, object] | None = None, beside: str | None = None,
    ) -> Checked:  # fmt: skip
        """Check a file or a text with its data; the text as if it were file `beside`.

        Raises
        ------
        ConfigError, InputError
            As `load`.
        """
        from septet._app.check import CheckRequest, check_loading

        source = self._source(file, text, settings, beside)
        load_again = partial(self._confined, source)
        return check_loading(load_again, CheckRequest(), sets=source.sets, file=source.name)

    def _source(
        self, file: str | None, text: str | None, settings: Mapping[str, object] | None,
        beside: str | None = None,
    ) -> _Source:  # fmt: skip
        if (file is None) == (text is None):
            raise InputError("one of file and text is needed", hint="give a file, or a text")
        laid_over = settings or {}
        require_small_text(repr(laid_over), "the settings are")
        if file is not None:
            path = self._strategy_path(file)
            return _Source(self.read(file), file, path.parent, laid(laid_over))
        assert text is not None
        require_small_text(text)
        base = self.root if beside is None else self._strategy_path(beside).parent
        return _Source(text, beside or "<text>", base, laid(laid_over))

    def load_sweep(
        self, file: str, axes: Mapping[str, str | Sequence[object]],
        section: Mapping[str, Any], settings: Mapping[str, object] | None = None,
    ) -> Loaded:  # fmt: skip
        """Load a file with its `sweep:` section as given here.

        Raises
        ------
        ConfigError, InputError
            As `load`; or if it has more than `MOST_SETTINGS` settings.
        """
        from septet._app.sweep import settings_count, sweep_settings

        source = self._source(file, None, settings)
        require_small_text(repr(axes), "the axes are")
        flags = [f"{key}={_axis(values)}" for key, values in axes.items()]
        sets = [*source.sets, *sweep_settings(flags, section)]
        loaded = self._confined(source, sets=sets)
        count = settings_count(loaded)
        if count > MOST_SETTINGS:
            raise InputError(
                f"the sweep has {count:,} settings, the limit is {MOST_SETTINGS:,}",
                hint="fewer values; or method random with trials",
            )
        return loaded

    def folder(self, name: str) -> Path:
        """Return a folder for results; reject it if it leads out of the workspace."""
        results = self.root / name
        self._require_inside(results, repr(name))
        return results

    def _confined(self, source: _Source, *, sets: Any = (), log: Any = None) -> Loaded:
        """Load a source if nothing in it leads out of the workspace."""
        from septet._config.load import effective_tree, load_text
        from septet._config.read import check_text

        text = check_text(source.text, source.name)
        tree = effective_tree(text, source.name, sets, "backtest")
        mode = tree.plain().get("mode")
        if mode != "backtest":
            raise InputError(
                f"mode={shortened(str(mode), 40)} is not taken: files are loaded as backtests here",
                hint="leave mode out; a person runs paper or live with septet run FILE --mode MODE",
            )
        for key, value in _texts(tree.plain()):
            self._require_local(key, value, source.base)
        loaded = load_text(
            text, source.name, base_dir=source.base, mode="backtest", sets=sets, log=log
        )
        for key, value in _texts(loaded.resolved):
            self._require_local(key, value, source.base)
        self._require_local_sources(loaded)
        sweep = loaded.strategy.sweep
        require_bounded_training(loaded.resolved, {} if sweep is None else sweep.over)
        _require_no_data_axis(loaded)
        return loaded

    def _require_local(self, key: str, value: str, base: Path) -> None:
        """Reject a text of a file that would name a path outside, or a hidden one."""
        leads_up = value.startswith(("/", "~")) or ".." in re.split(r"[/\\]", value)
        short = len(value) < 4096 and "\0" not in value
        leads_out = short and os.path.lexists(base / value) and not leads_up
        if leads_out:
            leads_out = not Path(os.path.realpath(base / value)).is_relative_to(self.root)
        if leads_up or leads_out:
            raise _no_path(key, value, "this path leads out of the workspace")
        parts = [part for part in re.split(r"[/\\]", value) if part.startswith(".") and part != "."]
        if any(not _NUMBER.match(part) for part in parts):
            raise _no_path(key, value, "this path has a hidden name")
        if short and os.path.lexists(base / value):
            self._require_page_size(key, value, base / value)

    def _require_page_size(self, key: str, value: str, path: Path) -> None:
        """Refuse a path that is hidden, or whose link leads out of the workspace or to such one."""
        try:
            self._require_inside(path, repr(shortened(value, 80)))
        except InputError as error:
            raise _no_path(key, value, error.message) from None

    def _require_local_sources(self, loaded: Loaded) -> None:
        """Reject data from elsewhere: an exchange, an address, the store, a package's source."""
        symbols = tuple(loaded.strategy.universe.symbols)
        for key, block in data_blocks(loaded.strategy.data):
            if block.use not in LOCAL_SOURCES or block.distribution != "septet":
                raise ConfigError(
                    [
                        Problem(
                            f"the source {block.use} is not used here: it may read what lies "
                            "outside the workspace, or reach a host",
                            key=f"{key}.use", found=block.use,
                            expected=", ".join(sorted(LOCAL_SOURCES)),
                            hint="a person fetches data with `septet data fetch` and exports them",
                        )
                    ]
                )  # fmt: skip
            path = getattr(block.config, "path", None)
            if path is not None:
                self._require_local_matches(key, path, symbols, Path(loaded.base_dir))

    def _require_local_matches(
        self, key: str, path: str, symbols: tuple[str, ...], base: Path
    ) -> None:
        """Reject a pattern if a file that it matches is outside."""
        from septet._data.source_files import file_forms
        from septet._data.wild_cards import has_wild_cards, matching_files

        path_key = f"{key}.path"
        forms = {path.replace("{symbol}", form) for each in symbols for form in file_forms(each)}
        for form in sorted(forms):
            if any(part.startswith(".") and part != "." for part in form.split("/")):
                raise _no_path(path_key, form, "this path has a hidden name")
            if not form.lower().endswith(_READ_ENDINGS) and not (base / form).is_dir():
                raise _no_path(path_key, form, f"data are files whose name ends in {_ENDINGS_TEXT}")
            full = base / form
            if not has_wild_cards(full):
                self._require_local(path_key, form, base)
                continue
            for file in matching_files(full):
                self._require_inside(file, f"a file that {path_key} matches")

    def data_files(self) -> list[str]:
        """Return the data files of the workspace in order of name; links are omitted."""
        relative_names: list[str] = []
        for folder, folders, names in os.walk(self.root):
            at = Path(folder)
            folders[:] = sorted(
                each for each in folders
                if not each.startswith(".") and not (at == self.root and each in _RESULTS)
            )  # fmt: skip
            for name in sorted(names):
                path = at / name
                regular = not path.is_symlink() and path.is_file()
                if path.suffix in _DATA_ENDINGS and not name.startswith(".") and regular:
                    relative_names.append(path.relative_to(self.root).as_posix())
            if len(relative_names) >= MOST_FILES:
                break
        return sorted(relative_names)[:MOST_FILES]

    def data_facts(
        self,
        name: str,
        *,
        bar: str | None = None,
        symbol: str | None = None,
        stamp: str | None = None,
    ) -> dict[str, Any]:
        """Return the size of a data file; with a bar length also its content, or why not."""
        from septet._app.data import Shape, check_data_file
        from septet._app.documents import safe_text

        try:
            path = self.path(name)
            size = path.stat().st_size
            if size > MOST_DATA:
                raise InputError(f"it is larger than {MOST_DATA >> 20} MiB, and not read here")
            if bar is None:
                return {"file": name, "bytes": size}
            document = check_data_file(path, Shape(bar=bar, symbol=symbol, stamp=stamp)).document()
        except OSError as error:
            return {"file": name, "problem": str(error.strerror)}
        except SeptetError as error:
            return {"file": name, "problem": safe_text(error.message, 500)}
        kinds = [
            {key: each[key] for key in ("symbol", "kind", "count", "message") if key in each}
            for each in document["findings"][:10]
        ]
        return {"file": name, "symbols": document["symbols"][:20], "findings": kinds}

    def run(self, reference: str) -> Run:
        """Return a stored run of the workspace by its id or its beginning, or ``latest``.

        Raises
        ------
        InputError
            If there is none, or its folder is not in the workspace.
        """
        from septet._app.run_folder_errors import reading_run
        from septet._store.find_runs import open_run

        with reading_run():
            folder = self._run_folder(reference)
            require_no_links(folder)
            return open_run(folder)

    def live_folder(self, reference: str, *, to_halt: bool = False) -> Path:
        """Return the folder of a paper or live run, also of a damaged one; see `find_folder`.

        Raises
        ------
        InputError
            If there is none, or its folder is not one of the workspace.
        """
        return self._run_folder(reference, live=True, to_halt=to_halt)

    def _run_folder(self, reference: str, *, live: bool = False, to_halt: bool = False) -> Path:
        from septet._store.find_runs import find_folder

        if not _REFERENCE.fullmatch(reference):
            raise InputError(
                f"{shortened(reference, 80)!r} is no id of a run", hint="`runs` lists them"
            )
        folder = find_folder(reference, self.require_runs_folder(), live=live, to_halt=to_halt)
        if not (folder.is_absolute() and folder.is_relative_to(self.runs)):
            raise InputError(f"{reference!r} is no run of the workspace")
        self._require_inside(folder, repr(reference))
        return folder

    def require_runs_folder(self) -> Path:
        """Return the folder of runs; reject it if it leads out of the workspace."""
        return self.folder("runs")


@dataclass(frozen=True, slots=True)
class _Source:
    """A text with its settings, its name in messages, and the base of its paths."""

    text: str
    name: str
    base: Path
    sets: list[Any]


def _no_path(key: str, value: str, why: str) -> ConfigError:
    """Return the error for a text of a file that names an unreadable path."""
    return ConfigError(
        [
            Problem(
                why, key=key, found=shortened(value, 80),
                expected="a path inside the workspace, without hidden names",
                hint="put the data into the workspace, and name them relative to the file",
            )
        ]
    )  # fmt: skip


def _require_no_data_axis(loaded: Loaded) -> None:
    """Reject a sweep over the source of data."""
    for key in loaded.strategy.sweep.over if loaded.strategy.sweep is not None else ():
        if key.split(".")[0] in ("data", "universe"):
            raise ConfigError(
                [
                    Problem(
                        "data and symbols are not swept here", key=f"sweep.over.{key}", found=key,
                        hint="sweep features, signal, risk or execution",
                    )
                ]
            )  # fmt: skip


def _axis(values: str | Sequence[object]) -> str:
    """Return the values of an axis in the form of `--sweep`."""
    return values if isinstance(values, str) else json.dumps(list(values))


def _texts(part: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text of a tree with its key."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            yield from _texts(value, f"{key}.{name}" if key else str(name))
    elif isinstance(part, list | tuple):
        for value in part:
            yield from _texts(value, key)
    elif isinstance(part, str):
        yield key, part
