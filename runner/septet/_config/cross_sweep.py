"""Cross-checks of `sweep:`: its keys are numbers of the file, each named once; `where` reads them.

A key is written as `--set` takes it. `risk.stops.stop_loss` stands for the number of that block,
`risk.stops.stop_loss.loss`, as it does in the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec
from msgspec import structs

from septet._config.check_context import CheckContext
from septet._config.explain import flatten, short_keys
from septet._config.inner_numbers import inner_numbers, node_at, places_text
from septet._config.overlay import parse_path
from septet._config.pydantic_problems import closest
from septet._config.tree import Key, Node, dotted
from septet._expressions import (
    FUNCTIONS,
    Expr,
    ExpressionError,
    Name,
    names_in,
    parse_expression,
    walk,
)
from septet.errors import ConfigError
from septet_schemas.late_patterns import late_pattern
from septet_schemas.strategy import Strategy
from septet_schemas.sweep import parse_quantity

__all__ = ["CHECKS", "SweptKey", "parse_where", "plain_keys", "swept_key", "whole_name"]

_DOTTED: Final = late_pattern(r"[A-Za-z_]\w*(?:\.\w+)+")
_WORD: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_NOT_HERE: Final = ("prev", "crosses_above", "crosses_below")
_STRUCTURE: Final = ("version", "plugins", "seed", "sweep", "paper", "live", "monitoring")


class SweptKey(msgspec.Struct, frozen=True):
    """A key of the file in full, or its problem (`message` is empty if there is none)."""

    path: tuple[str, ...] = ()
    message: str = ""
    expected: str = ""
    found: str = ""
    hint: str = ""


def plain_keys(strategy: Strategy) -> dict[tuple[Key, ...], Any]:
    """Return every effective value of a strategy by its path."""
    plain = strategy.model_dump(mode="json", exclude={"paper", "live", "sweep"})
    return dict(flatten(plain))


def swept_key(
    key: str, strategy: Strategy, values: Mapping[tuple[Key, ...], Any], tree: Node
) -> SweptKey:
    """Return the number of the file that a swept key names.

    `values` are those of `plain_keys`; `tree` is the file with everything laid over it.
    """
    try:
        path = parse_path(key)
    except ConfigError:
        expected = "a path such as features.fast.period"
        return SweptKey(message="this key cannot be read", expected=expected, found=repr(key))
    if path[0] in _STRUCTURE:
        hint = "sweep numbers that change what the strategy does"
        return SweptKey(path, message=f"{path[0]} cannot be swept", hint=hint)
    by_path = {tuple(map(str, each)): value for each, value in values.items()}
    if path in by_path:
        return _named_inside(_numeric(path, by_path[path]), tree)
    if path[-1].isdecimal() and (numbers := inner_numbers(node_at(tree, path[:-1]))):
        return _inside(path, numbers)
    of_block = {each: value for each, value in by_path.items() if each[: len(path)] == path}
    if of_block:
        return _named_inside(_of_block(path, strategy, of_block, tree), tree, path)
    nearest = _nearest(path, [each for each, value in by_path.items() if value is not None])
    names = [dotted(each) for each in nearest if _is_number(by_path[each])]
    return SweptKey(path, message=f"no key is called {key!r}", hint=closest(key, names))


def _inside(path: tuple[str, ...], numbers: Sequence[str]) -> SweptKey:
    """Return a number inside a text, such as an expression, by its position there."""
    if 1 <= int(path[-1][:9]) <= len(numbers):
        return SweptKey(path)
    count_text = "one number" if len(numbers) == 1 else f"{len(numbers)} numbers"
    return SweptKey(
        path, message=f"{dotted(path[:-1])} has {count_text}", expected=f"1 to {len(numbers)}",
        found=path[-1], hint=places_text(path[:-1], numbers),
    )  # fmt: skip


def _named_inside(swept: SweptKey, tree: Node, path: tuple[str, ...] = ()) -> SweptKey:
    """Add to a value that is no number how the numbers inside of it are named."""
    if not swept.message or swept.hint:
        return swept
    written = path or swept.path
    return structs.replace(swept, hint=places_text(written, inner_numbers(node_at(tree, written))))


def _nearest(path: tuple[str, ...], paths: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the keys that share the longest beginning with a path."""
    for depth in range(len(path) - 1, 0, -1):
        matching = [each for each in paths if each[:depth] == path[:depth]]
        if matching:
            return matching
    return [each for each in paths if each[0] not in _STRUCTURE]


def _is_number(value: Any) -> bool:
    """Return whether a plain value is a number, with or without a unit."""
    from pydantic_core import PydanticCustomError

    if value is None:
        return True  # not in the file: only the schema knows its type
    try:
        parse_quantity(value)
    except PydanticCustomError:
        return bool(value == 0)  # an empty span
    return True


def _numeric(path: tuple[str, ...], value: Any) -> SweptKey:
    if _is_number(value):
        return SweptKey(path)
    value_text = str(value).lower() if isinstance(value, bool) else repr(value)
    return SweptKey(
        path, message="this key is not a number", expected="a number of the file", found=value_text
    )


def _of_block(
    path: tuple[str, ...], strategy: Strategy, of_block: Mapping[tuple[str, ...], Any], tree: Node
) -> SweptKey:
    """Return the number of a block that a bare value would set, if there is one."""
    short_paths = [
        (*path, name) for name in short_keys(path, strategy) if (*path, name) in of_block
    ]
    if len(short_paths) == 1:
        return _numeric(short_paths[0], of_block[short_paths[0]])
    node = tree.at(path)
    if short_paths and (node is None or node.kind == "scalar"):
        return SweptKey(path)  # fee: 10bps sets both fees
    numbers = [dotted(each) for each, value in of_block.items() if _is_number(value)]
    return SweptKey(
        path,
        message="this key is a block, not a number",
        expected="one number of it",
        hint=f"its numbers: {', '.join(numbers[:8])}" if numbers else "",
    )


def whole_name(name: str, keys: Sequence[str]) -> str:
    """Return the swept key meant by a name in `where`: itself, or the only one that ends with it.

    Raises
    ------
    ExpressionError
        If there is none, or more than one.
    """
    if name in keys:
        return name
    ends = [key for key in keys if key.endswith(f".{name}")]
    if len(ends) == 1:
        return ends[0]
    if ends:
        hint = f"write {' or '.join(ends)}"
        raise ExpressionError(f"{name} may be any of {len(ends)} swept keys", hint=hint)
    raise ExpressionError(f"{name} is not swept", hint=closest(name, list(keys)))


def parse_where(text: str, keys: Sequence[str]) -> Expr:
    """Parse a condition over swept keys; the names in it are whole keys.

    Raises
    ------
    ExpressionError
        With the offset of the error.
    """
    names: dict[str, str] = {}

    def code(match: re.Match[str]) -> str:
        word = next((w for w, name in names.items() if name == match[0]), "")
        if not word:
            word = f"_{_WORD[len(names) % 36]}q".ljust(len(match[0]), "_")
            names[word] = match[0]
        return word

    expression = parse_expression(_DOTTED.sub(code, text), "condition")
    for part in walk(expression):
        function = getattr(part, "function", "")
        if function in _NOT_HERE:
            hint = (
                f"here stand settings, not bars: {', '.join(sorted(set(FUNCTIONS) - {*_NOT_HERE}))}"
            )
            raise ExpressionError(f"{function} has no bars to look at here", part.offset, hint=hint)
    return _with_names(expression, lambda name: _with_whole_name(name, names, keys))


def _with_whole_name(name: Name, names: Mapping[str, str], keys: Sequence[str]) -> Name:
    try:
        if name.symbol:
            raise ExpressionError(f"{name} is not swept")
        return structs.replace(name, name=whole_name(names.get(name.name, name.name), keys))
    except ExpressionError as error:
        raise ExpressionError(error.message, name.offset, hint=error.hint) from None


def _with_names(expression: Expr, change: Callable[[Name], Name]) -> Expr:
    """Return an expression with every name changed."""
    if isinstance(expression, Name):
        return change(expression)
    changed: dict[str, Any] = {}
    for field in expression.__struct_fields__:
        value = getattr(expression, field)
        if isinstance(value, tuple):
            changed[field] = tuple(_with_names(each, change) for each in value)
        elif isinstance(value, Expr):
            changed[field] = _with_names(value, change)
    return structs.replace(expression, **changed) if changed else expression


def check_sweep(context: CheckContext) -> None:
    """Every swept key is a number of the file, named once; `where` reads swept keys only."""
    sweep = context.strategy.sweep
    if sweep is None:
        return
    values = plain_keys(context.strategy)
    keys: dict[str, str] = {}
    for key in sweep.over:
        swept = swept_key(key, context.strategy, values, context.tree)
        key_path = ("sweep", "over", key)
        if context.doubtful(*swept.path):
            continue  # reported there
        if swept.message:
            parts = {"expected": swept.expected, "found": swept.found, "hint": swept.hint}
            context.error(key_path, swept.message, on_key=True, **parts)
            continue
        full_name = dotted(swept.path)
        if full_name in keys:
            message = f"{full_name} is swept already, as {keys[full_name]}"
            context.error(key_path, message, on_key=True, hint="keep one of the two")
        keys.setdefault(full_name, key)
    if sweep.where is not None and len(keys) == len(sweep.over):
        _check_where(context, sweep.where, list(keys))


def _check_where(context: CheckContext, text: str, keys: list[str]) -> None:
    try:
        expression = parse_where(text, keys)
    except ExpressionError as error:
        found = " ".join(text[max(error.offset, 0) :][:40].split())
        count = len(context.problems)
        context.error(("sweep", "where"), error.message, found=f"'{found}'", hint=error.hint)
        node = context.tree.at(("sweep", "where"))
        is_reported = len(context.problems) > count and bool(context.problems[-1].line)
        if node is not None and node.verbatim and is_reported:
            at = context.problems[-1].column + (node.style in ("'", '"')) + error.offset
            context.problems[-1] = replace(context.problems[-1], column=at)
        return
    if not names_in(expression):
        hint = f"compare swept keys: {', '.join(keys[:4])}"
        context.error(("sweep", "where"), "this condition reads no swept key", hint=hint)


CHECKS: Final[tuple[Callable[[CheckContext], None], ...]] = (check_sweep,)
