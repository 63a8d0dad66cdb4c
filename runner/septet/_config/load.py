"""Loads a strategy file: read, overlay, validate, cross-check; reports all problems at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs
from pydantic import ValidationError

from septet._config.access_rights import Access
from septet._config.check_context import strangers_of
from septet._config.cross_checks import cross_check
from septet._config.derived_keys import derived, resolver_of
from septet._config.error_places import placed
from septet._config.explain import Origin, origins_of, short_keys
from septet._config.find_plugins import HostResolver, LenientResolver
from septet._config.inner_numbers import is_place_of_number
from septet._config.key_places import KeyPlaces, gathered
from septet._config.overlay import Setting, apply_mode, apply_settings, parse_setting, put
from septet._config.pydantic_problems import MOST_ERRORS, meant_keys, problem_at, shape_problems
from septet._config.read import parse_text, read_text
from septet._config.stored_label import with_label, with_stored
from septet._config.tree import Mark, Node, rename_keys
from septet._config.tree import Path as KeyPath
from septet._host.plugin_registry import Host
from septet.errors import ConfigError, Problem
from septet_schemas.strategy import MODES, Strategy

if TYPE_CHECKING:
    from septet._config.plugin_verdicts import PluginVerdict

__all__ = ["Loaded", "effective_tree", "load", "load_text", "relabelled", "reopen", "variant"]


@dataclass(frozen=True)
class Loaded:
    """A strategy file that may run.

    `resolved` is the effective configuration as plain data, secrets as references; `origins`
    gives for each of its keys (dotted path) where the value came from. `tree` is the file with
    everything laid over it; paths in the file are relative to `base_dir`. `verdicts` are those of
    plugins that are not septet's; `unchecked` means that nobody asks for any. `access` is what the
    operator lets the file read and reach: nothing, unless a command sets it. `text` is the file's.
    """

    strategy: Strategy
    path: Path
    base_dir: Path
    tree: Node
    warnings: tuple[Problem, ...]
    resolved: Mapping[str, Any]
    host: Host
    verdicts: tuple[PluginVerdict, ...] = ()
    unchecked: bool = True
    access: Access = field(default_factory=Access, compare=False, repr=False)
    text: str = field(default="", compare=False, repr=False)

    @cached_property
    def origins(self) -> Mapping[str, Origin]:
        """The origin of each value, computed on demand."""
        return origins_of(self.resolved, self.tree, self.strategy)

    def placed(self, *path: str) -> AbstractContextManager[None]:
        """Add the place in this file to errors raised inside: the key they name, else `path`."""
        return placed(self, *path)


def load(
    path: str | Path,
    *,
    host: Host | None = None,
    mode: str | None = None,
    sets: Sequence[str | Setting] = (),
    unchecked: bool = False,
    log: Callable[[str], None] | None = None,
    access: Access | None = None,
) -> Loaded:
    """Load a strategy file.

    Parameters
    ----------
    path
        The YAML file.
    host
        The plugins; by default those installed.
    mode
        `backtest`, `paper` or `live`; wins over the file.
    sets
        Settings such as ``risk.sizing.fraction=20%``; they win over everything.
    unchecked
        Whether plugins that are not septet's may run without the decisive checks of the kit.
    log
        Called when a plugin is checked, which takes a few seconds once.
    access
        What the operator allows the file to read and reach; by default nothing.

    Raises
    ------
    ConfigError
        With every error and warning, each with its place.
    """
    file = Path(path)
    text = read_text(file)
    return load_text(
        text, file, base_dir=file.resolve().parent, host=host, mode=mode, sets=sets,
        unchecked=unchecked, log=log, access=access,
    )  # fmt: skip


def load_text(
    text: str,
    name: str | Path,
    *,
    base_dir: Path,
    host: Host | None = None,
    mode: str | None = None,
    sets: Sequence[str | Setting] = (),
    unchecked: bool = False,
    log: Callable[[str], None] | None = None,
    access: Access | None = None,
) -> Loaded:
    """Load the text of a strategy file as `load` does; messages call it `name`.

    Paths in it start from `base_dir`.

    Raises
    ------
    ConfigError
        With every error and warning, each with its place.
    """
    problems: list[Problem] = []
    settings = _settings(sets, problems)
    base, read_problems = parse_text(text, str(name))
    problems += read_problems
    _refuse_root(base, problems)
    host = host if host is not None else Host()
    base = _unfolded_for(base, settings, resolver_of(base, host))
    tree, over_problems = _effective(base, mode, settings, host, base_dir)
    problems += over_problems
    strategy, shape = _validate(tree, host)
    problems += shape
    also = partial(_checked_too, strategy, unchecked, log)
    problems += _other_modes(base, tree, settings, host, base_dir, also)
    verdicts: list[PluginVerdict] = []
    if strategy is not None:
        verdicts, failed = _checked(strategy, tree, host, unchecked, log)
        problems += failed
    problems = _in_order(problems)
    if strategy is None or any(each.severity == "error" for each in problems):
        raise ConfigError(problems)
    return Loaded(
        strategy=strategy,
        path=Path(name),
        base_dir=base_dir,
        tree=tree,
        warnings=tuple(problems),
        resolved=_resolved(strategy),
        host=host,
        verdicts=tuple(verdicts),
        unchecked=unchecked,
        access=access or Access(),
        text=text,
    )


def effective_tree(
    text: str, name: str, sets: Sequence[str | Setting], mode: str | None = None,
    host: Host | None = None,
) -> Node:  # fmt: skip
    """Return the tree of a text with mode and settings laid over it, and nothing else.

    Raises
    ------
    ConfigError
        If a setting cannot be read.
    """
    base, _ = parse_text(text, name)
    problems: list[Problem] = []
    settings = _settings(sets, problems)
    if problems:
        raise ConfigError(problems)
    base = _unfolded_for(base, settings, resolver_of(base, host if host is not None else Host()))
    if mode is not None:
        base = put(base, ("mode",), parse_text(mode, "--mode", flag=True)[0])
    return apply_settings(base, settings)[0]


def _checked(
    strategy: Strategy,
    tree: Node,
    host: Host,
    unchecked: bool,
    log: Callable[[str], None] | None = None,
    known: Strategy | None = None,
) -> tuple[list[PluginVerdict], list[Problem]]:
    """Return the verdicts of plugins that are not septet's, and a problem for each that failed.

    Blocks that `known` has as well are left out.
    """
    if not any(True for _ in strangers_of(strategy)):
        return [], []
    from septet._config.plugin_verdicts import verdicts_of

    verdicts: list[PluginVerdict] = []
    problems: list[Problem] = []
    for path, verdict in verdicts_of(strategy, host, unchecked=unchecked, log=log, known=known):
        verdicts.append(verdict)
        if verdict.state == "failed":
            key_path = (*path, "use") if tree.at((*path, "use")) is not None else path
            hint = f"septet plugins check {verdict.plugin}"
            if not verdict.ends_anyway:
                hint += "; --unchecked runs without the check"
            message = f"{verdict.plugin} must not run: {verdict.failure}"
            problems.append(problem_at(tree, key_path, message, hint=hint))
        for text in verdict.doubts:
            message = f"{verdict.plugin}: {text}"
            problems.append(problem_at(tree, path, message, severity="warning"))
    return verdicts, problems


def _checked_too(
    now: Strategy | None,
    unchecked: bool,
    log: Callable[[str], None] | None,
    other: Strategy,
    tree: Node,
    host: Host,
) -> list[Problem]:
    """Check plugins that only the overlay of another mode names."""
    return _checked(other, tree, host, unchecked, log, known=now)[1]


def variant(loaded: Loaded, settings: Sequence[Setting]) -> Loaded:
    """Change numbers of a loaded file and check the whole of it again, without reading it.

    The places of problems are those of the settings' nodes. The `sweep:` section, the overlays
    of other modes and the warnings are left out.

    Raises
    ------
    ConfigError
        With every error.
    """
    children = {key: node for key, node in loaded.tree.children.items() if key != "sweep"}
    tree = structs.replace(loaded.tree, children=children)
    for setting in settings:
        tree = _unfolded(tree, setting.path, loaded.strategy)
    tree, problems = apply_settings(tree, settings)
    strategy = _sound(tree, loaded.host, problems)
    if not loaded.unchecked:
        _, findings = _checked(strategy, tree, loaded.host, unchecked=False)
        if failed := [each for each in findings if each.severity == "error"]:
            raise ConfigError(failed)
    return replace(loaded, strategy=strategy, tree=tree, warnings=(), resolved=_resolved(strategy))


def relabelled(loaded: Loaded, label: Mapping[str, Any]) -> Loaded:
    """Return a file whose model has another label: that of the model which a run goes on with."""
    tree = with_label(loaded.tree, label)
    strategy = _sound(tree, loaded.host, [])
    return replace(loaded, strategy=strategy, tree=tree, resolved=_resolved(strategy))


def reopen(tree: Node, path: Path, base_dir: Path, *, host: Host | None = None) -> Loaded:
    """Return a loaded file from its tree alone, as sent to another process.

    Raises
    ------
    ConfigError
        If the tree is not valid with the plugins that are installed here.
    """
    host = host if host is not None else Host()
    strategy = _sound(tree, host, [])
    return Loaded(strategy, path, base_dir, tree, (), _resolved(strategy), host)


def _sound(tree: Node, host: Host, problems: Sequence[Problem]) -> Strategy:
    """Validate and cross-check a tree; warnings are left out."""
    strategy, shape = _validate(tree, host)
    errors = _in_order([each for each in (*problems, *shape) if each.severity == "error"])
    if strategy is None or errors:
        raise ConfigError(errors)
    return strategy


def _resolved(strategy: Strategy) -> dict[str, Any]:
    """Return the effective configuration of a run in this mode.

    A simulated venue shows what it was given: the rest stands in `execution.simulation`, so
    that the effective file, read again, means the same.
    """
    resolved = strategy.model_dump(mode="json", exclude={"paper", "live", "sweep"})
    for name, block in strategy.execution.venues.items():
        if block.use == "simulated":
            venue = resolved["execution"]["venues"][name]
            keys = {"use", *block.config.model_fields_set}
            kept = {key: venue[key] for key in venue if key in keys}
            resolved["execution"]["venues"][name] = kept
    return resolved


def _unfolded(tree: Node, path: Sequence[str], strategy: Strategy) -> Node:
    """Write a bare value on the way as the block it stands for, so that its other keys stay."""
    node, reached = tree.nearest(path)
    if len(reached) == len(path) or node.kind != "scalar" or node.value is None:
        return tree
    if is_place_of_number(path[len(reached) :]):  # put states it where there is no such number
        return tree
    names = short_keys(reached, strategy)
    block = structs.replace(node, kind="map", value=None, children=dict.fromkeys(names, node))
    return put(tree, [str(each) for each in reached], block)


def _unfolded_for(base: Node, settings: Sequence[Setting], resolver: HostResolver) -> Node:
    """Write the bare values that settings reach into as blocks: `fee: 10bps` is both fees."""
    into_scalars = [each for each in settings if base.nearest(each.path[:-1])[0].kind == "scalar"]
    if not into_scalars:
        return base
    try:
        strategy = Strategy.model_validate(base.plain(), context={"resolver": resolver})
    except ValidationError:
        return base  # reported when the whole is validated
    for setting in into_scalars:
        base = _unfolded(base, setting.path, strategy)
    return base


def _settings(sets: Sequence[str | Setting], problems: list[Problem]) -> list[Setting]:
    settings = []
    for text in sets:
        try:
            settings.append(parse_setting(text) if isinstance(text, str) else text)
        except ConfigError as error:
            problems.extend(error.problems)
    return settings


def _refuse_root(base: Node, problems: list[Problem]) -> None:
    if base.kind != "map":
        mark = base.mark
        problem = Problem(
            "this is not a strategy file",
            file=mark.source,
            line=mark.line,
            column=mark.column,
            expected="keys such as version, name, universe, data, signal, risk",
            found="a list" if base.kind == "list" else "a single value",
            hint="septet init makes a starter strategy",
        )
        raise ConfigError([*problems, problem])


def _effective(
    base: Node, mode: str | None, settings: Sequence[Setting], host: Host, base_dir: Path
) -> tuple[Node, list[Problem]]:
    """Lay mode and settings over the file, and add the keys that follow from its values."""
    if mode is not None:
        flag = Node("scalar", Mark("--mode"), mode, key=Mark("--mode"), text=mode, layer="--mode")
        base = structs.replace(base, children={**base.children, "mode": flag})
    # settings of the mode and of its overlays lie under the overlay that is chosen
    first = [each for each in settings if each.path == ("mode",) or each.path[0] in MODES]
    early, _ = apply_settings(base, first)
    chosen = early.children.get("mode")
    name = str(chosen.value) if chosen is not None else "backtest"
    tree, problems = apply_mode(early, name)
    tree, of_settings = apply_settings(tree, settings)
    tree = derived(tree, host)
    tree = with_stored(tree, base_dir)
    return tree, [*problems, *of_settings]


def _validate(tree: Node, host: Host) -> tuple[Strategy | None, list[Problem]]:
    """Validate the shape, then cross-check what is whole.

    Where the shape is wrong the wrong keys are left out and the rest is cross-checked all the
    same, so that every problem comes at once.
    """
    resolver = resolver_of(tree, host)
    try:
        strategy = Strategy.model_validate(tree.plain(), context={"resolver": resolver})
    except ValidationError as error:
        places = KeyPlaces(Strategy, tree, resolver)
        shape, suggested = shape_problems(error, places), meant_keys(error, places)
        if error.error_count() > MOST_ERRORS:  # what is left of such a file is no strategy
            return None, [problem for _, problem in shape]
        part, renamed = rename_keys(tree, {path: names[0] for path, names in suggested.items()})
        wrong_paths = {path for path, _ in shape if path not in renamed}
        problems = _check_rest(part, resolver, host, wrong_paths, frozenset(renamed.values()))
        return None, [problem for _, problem in shape] + problems
    return strategy, cross_check(strategy, tree, host, frozenset())


def _check_rest(
    tree: Node, resolver: HostResolver, host: Host, pruned: set[KeyPath],
    renamed: frozenset[KeyPath],
) -> list[Problem]:  # fmt: skip
    """Cross-check a file without its wrong keys; missing keys are filled with placeholders.

    `renamed` are keys that stand in the file under another name: they are not reported again.
    """
    lenient = LenientResolver(resolver)
    part = _filled(_without(gathered(tree, resolver), pruned), _skeleton())
    for _ in range(6):
        try:
            strategy = Strategy.model_validate(part.plain(), context={"resolver": lenient})
        except ValidationError as error:
            shape = shape_problems(error, KeyPlaces(Strategy, part, resolver))
            if not shape:
                return []
            pruned |= {path for path, _ in shape}
            part = _filled(_without(part, [path for path, _ in shape]), _skeleton())
        else:
            problems = cross_check(strategy, part, host, frozenset(pruned) | renamed)
            return [each for each in problems if each.line or each.file.startswith("--")]
    return []


def _filled(tree: Node, least: Node) -> Node:
    """Add the keys that are missing for a valid strategy; existing keys keep their places."""
    if tree.kind != "map" or least.kind != "map" or ("use" in least.children and tree.children):
        return tree
    added = {
        key: _filled(tree.children[key], child) if key in tree.children else child
        for key, child in least.children.items()
    }
    return structs.replace(tree, children={**tree.children, **added})


@cache
def _skeleton() -> Node:
    """Return a minimal strategy that is of no file."""
    text = (
        "{version: 1, name: x, universe: {symbols: [X], bar: 1h}, data: {candles: {use: '?'}},"
        " signal: {use: '?'}, risk: {sizing: {use: '?'}}}"
    )
    return parse_text(text, "", flag=True)[0]


def _without(tree: Node, paths: Iterable[KeyPath]) -> Node:
    """Return the tree without some keys; a missing key takes its whole block away."""
    for path in paths:
        if path and path[-1] == "use" and isinstance(tree.plain_at(path), str):
            continue  # an unknown plugin: its block stays, and accepts anything
        target = path if tree.at(path) is not None else path[:-1]
        if target:
            tree = _drop(tree, target)
    return tree


def _drop(tree: Node, path: KeyPath) -> Node:
    first, inner_path = path[0], path[1:]
    if first not in tree.children:
        return tree
    children = dict(tree.children)
    if inner_path:
        children[first] = _drop(children[first], inner_path)
    else:
        del children[first]
    if tree.kind == "list":
        children = dict(enumerate(children.values()))
    return structs.replace(tree, children=children)


def _other_modes(
    base: Node,
    tree: Node,
    settings: Sequence[Setting],
    host: Host,
    base_dir: Path,
    check: Callable[[Strategy, Node, Host], list[Problem]],
) -> list[Problem]:
    """Check the overlays of the modes that do not run now; keep what is wrong in them."""
    current = tree.children.get("mode")
    now = str(current.value) if current is not None else "backtest"
    problems: list[Problem] = []
    for mode in MODES:
        overlay = base.children.get(mode)
        if mode == now or overlay is None or overlay.kind != "map":
            continue
        others = [each for each in settings if each.path != ("mode",)]
        tree_of_mode, of_overlay = _effective(base, mode, others, host, base_dir)
        strategy, of_shape = _validate(tree_of_mode, host)
        marks = {(node.mark.line, node.mark.column) for _, node in overlay.walk()}
        marks |= {(node.key.line, node.key.column) for _, node in overlay.walk() if node.key}
        problems += of_overlay
        problems += [each for each in of_shape if (each.line, each.column) in marks]
        if strategy is not None:
            problems += check(strategy, tree_of_mode, host)
    return problems


def _in_order(problems: Sequence[Problem]) -> list[Problem]:
    """Sort by place, flags first, and drop repeats."""
    distinct = dict.fromkeys(problems)
    return sorted(distinct, key=lambda each: (each.line, each.column, each.severity, each.message))
