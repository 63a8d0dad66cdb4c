"""Converts pydantic's errors to problems with a place, an expectation and a next step."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from septet._config.key_places import KeyPlaces, belongs_under, misplaced_blocks
from septet._config.renamed_keys import LATER, name_now
from septet._config.schema_lookup import known_keys
from septet._config.secrets import HIDDEN, looks_secret, names_secret
from septet._config.tree import Key, Node, Path, dotted
from septet._text import masked_addresses
from septet.errors import Problem
from septet_schemas.blocks import Resolver

__all__ = [
    "MOST_ERRORS", "closest", "closest_names", "found_text", "meant_keys", "problem_at",
    "shape_problems",
]  # fmt: skip

MOST_ERRORS: Final = 200
"""Errors of a file that are explained; each is compared with all known keys."""


def closest_names(name: str, known: Sequence[str], cutoff: float = 0.6) -> list[str]:
    """Return what a name that is not known may mean: its new name, or two that are alike."""
    now = name_now(name, known)
    if now:
        return [now]
    folded = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), list(folded), n=2, cutoff=cutoff)
    return [folded[each] for each in close]


def closest(name: str, known: Sequence[str], cutoff: float = 0.6) -> str:
    """Return a hint that names the closest known names, or a short list of all of them."""
    close = closest_names(name, known, cutoff)
    if close:
        return f"did you mean {' or '.join(close)}?"
    if not known:
        return ""
    names = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return f"known here: {names}"


def found_text(node: Node | None, path: Sequence[Key]) -> str:
    """Write the value as it is in the file, never a secret."""
    if node is None:
        return "nothing"
    if node.kind == "map":
        return "a block of keys" if node.children else "an empty block"
    if node.kind == "list":
        return f"a list of {len(node.children)}"
    if any(names_secret(part) for part in path[-2:]) or looks_secret(node.value):
        return HIDDEN
    if node.value is None:
        return "nothing"
    text = " ".join(str(node.value).split())
    text = masked_addresses(text)
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return f"'{text}'" if isinstance(node.value, str) else node.text or text


def problem_at(
    tree: Node, path: Sequence[Key], message: str, *, on_key: bool = False, **parts: str
) -> Problem:
    """Build a problem at a path; a path that is not in the file points at its nearest parent."""
    node, reached = tree.nearest(path)
    has_block_below = (
        node.key is not None and node.mark.line > node.key.line and node.kind != "scalar"
    )
    mark = node.place if on_key or has_block_below or len(reached) < len(path) else node.mark
    via = _alias_on(tree, reached)
    if via:
        parts["hint"] = "; ".join(part for part in (parts.get("hint", ""), via) if part)
    return Problem(
        message,
        file=mark.source,
        line=mark.line,
        column=mark.column,
        key=_overlay_of(node) + dotted(path),
        **parts,
    )


def _overlay_of(node: Node) -> str:
    """Return that a key stands under `paper:` or `live:`."""
    return f"{node.layer[:-1]}." if node.layer in ("paper:", "live:") else ""


def _alias_on(tree: Node, path: Path) -> str:
    node: Node | None = tree
    for part in path:
        node = node.children.get(part) if node is not None else None
        if node is not None and node.alias is not None:
            return f"used through the alias at {node.alias}"
    return ""


def shape_problems(error: ValidationError, places: KeyPlaces) -> list[tuple[Path, Problem]]:
    """Turn a validation error into problems, each with the path it is about."""
    model, tree, resolver = places.model, places.tree, places.resolver
    problems: list[tuple[Path, Problem]] = []
    reported: set[Path] = set()
    arms: set[Path] = set()  # of a union; what is wrong below is of the arm that is meant
    errors = error.errors(include_url=False)[:MOST_ERRORS]
    suggested = meant_keys(error, places)
    elsewhere = _elsewhere(errors, places)
    begun = misplaced_blocks(
        [each[0] for each in elsewhere.values()], [_locate(tree, each["loc"])[0] for each in errors]
    )
    for each in errors:
        if each["type"] == "too_short" and _has_below(each["loc"], errors):
            continue  # entries that are wrong are not counted; they are reported themselves
        path, is_of_union = _locate(tree, each["loc"])
        missing = each["type"] in _MISSING
        if missing:
            path = (*path, str(each["loc"][-1]))
            if any(path[:-1] == key[:-1] and path[-1] in names for key, names in suggested.items()):
                continue  # it is there, under a name that is reported
            if path in begun:
                continue  # what belongs to it stands elsewhere, which is reported
        block = next((key for key in suggested if key == path[: len(key)]), None)
        if block is not None:  # a key that is no such key: what is wrong below it is no matter
            path, each = block, {**each, "type": "extra_forbidden", "loc": block}
            if path in reported:
                continue
        if path in reported and is_of_union:  # the other arms of a union report the same again
            continue
        reported.add(path)
        node = tree.at(path)
        if _flawed_on(tree, path):
            continue
        on_key = each["type"] in _ON_KEY or "[key]" in each["loc"]
        keys = partial(_known_or_meant, model, tree, resolver, suggested.get(path, []))
        parts = _words(dict(each), path, node, keys)
        if path in elsewhere:
            parts["hint"] = belongs_under(str(path[-1]), elsewhere[path])
        if each["type"] in _WANTS_BLOCK and not parts.get("hint"):
            parts["hint"] = _block_hint(path, node, known_keys(model, path, tree, resolver))
        if "[key]" in each["loc"]:
            parts["found"] = f"'{path[-1]}'"
        problem = problem_at(tree, path, on_key=on_key, **parts)
        problems.append((path, problem))
        arms |= {path} if is_of_union else set()
    parents = {path[:length] for path, _ in problems for length in range(len(path))}
    problems = [each for each in problems if each[0] not in arms & parents]
    more = error.error_count() - MOST_ERRORS
    if more > 0:
        message = f"{more:,} more keys or values are wrong, and not listed here"
        problems.append(
            ((), problem_at(tree, (), message, hint="mend those that are listed first"))
        )
    return problems


def _block_hint(path: Path, node: Node | None, keys: list[str]) -> str:
    """Return the shortest block with the meaning of the value, else one with its first key."""
    from septet._config.block_examples import shortest_block

    if short := shortest_block(path, node):
        return f"write {short}"
    if not keys or not path:
        return ""
    return f"write {path[-1]}: {{{keys[0]}: ...}}; its keys: {', '.join(keys[:8])}"


def _known_or_meant(
    model: type[BaseModel], tree: Node, resolver: Resolver, suggested: list[str], path: Path
) -> list[str]:
    """Return the names that an unknown key may mean, else those that may stand at a path."""
    return suggested or known_keys(model, path, tree, resolver)


def meant_keys(error: ValidationError, places: KeyPlaces) -> dict[Path, list[str]]:
    """Return the unknown keys of a file with the names they may mean, none of which is there.

    Where any name may stand, as that of a series under `data`, a wrong block is one of them if it
    is named like a key that is missing beside it.
    """
    model, tree, resolver = places.model, places.tree, places.resolver
    suggested: dict[Path, list[str]] = {}
    errors = error.errors(include_url=False)[:MOST_ERRORS]
    wrong_paths = [_locate(tree, each["loc"])[0] for each in errors]
    for path, each in zip(wrong_paths, errors, strict=True):
        if each["type"] in _MISSING:
            name, depth = str(each["loc"][-1]), len(path) + 1
            siblings = {sibling[:depth] for sibling in wrong_paths if len(sibling) >= depth}
            for sibling in siblings:
                is_alike = sibling[:-1] == path and closest_names(str(sibling[-1]), [name], _ALIKE)
                if is_alike and sibling[-1] not in known_keys(model, path, tree, resolver):
                    suggested[sibling] = [name]
        if each["type"] != "extra_forbidden":
            continue
        parent = tree.at(path[:-1])
        if not path or parent is None:
            continue
        own_keys = known_keys(model, path[:-1], tree, resolver)
        if places.of(path, own_keys):
            continue
        names = closest_names(str(path[-1]), own_keys)
        absent = [name for name in names if name not in parent.children]
        if absent:
            suggested[path] = absent
    return suggested


def _elsewhere(errors: Sequence[Any], places: KeyPlaces) -> dict[Path, list[Path]]:
    """Return where each key that stands in the wrong block belongs."""
    belongs_to: dict[Path, list[Path]] = {}
    for each in errors:
        path, _ = _locate(places.tree, each["loc"])
        if each["type"] not in _NO_SUCH_NAME or not path:
            continue
        if str(path[-1]) in LATER or tuple(path[-2:]) in _ELSEWHERE:
            continue
        own_keys = known_keys(places.model, path[:-1], places.tree, places.resolver)
        belongs = places.of(path, own_keys)
        if each["type"] == "plugin":  # a name of no plugin is one misspelt, if it is no other key
            belongs = [place for place in belongs if place[-1] == path[-1]]
        if belongs:
            belongs_to[path] = belongs
    return belongs_to


def _has_below(loc: Sequence[Key], errors: Sequence[Any]) -> bool:
    return any(len(each["loc"]) > len(loc) and each["loc"][: len(loc)] == loc for each in errors)


def _flawed_on(tree: Node, path: Path) -> bool:
    """Whether something along a path was reported when the file was read."""
    return any(
        node is not None and node.flawed
        for node in (tree.at(path[:depth]) for depth in range(1, len(path) + 1))
    )


_ALIKE: Final = 0.8
_MISSING: Final = frozenset({"missing"})
_WANTS_BLOCK: Final = frozenset(
    ("dict_type", "model_type", "mapping_type", "model_attributes_type", "use_block")
)
_NO_SUCH_NAME: Final = frozenset({"extra_forbidden", "plugin"})
_ON_KEY: Final = frozenset({"extra_forbidden"})


def _locate(tree: Node, loc: Sequence[Key]) -> tuple[Path, bool]:
    """Follow a location; parts that are not in the data (union tags) are skipped."""
    path: list[Key] = []
    node, is_of_union = tree, False
    for part in loc:
        child = node.children.get(part)
        if child is None:
            is_of_union = is_of_union or part != loc[-1] or part not in ("[key]",)
            continue
        node = child
        path.append(part)
    return tuple(path), is_of_union


Words = dict[str, str]
_ELSEWHERE: Final[Mapping[Path, str]] = {
    ("buy_every", "when"): "regular buys have no condition; beside a signal, an add with when buys "
    "more: add: [{when: close < fast, size: 50%}]",
}
"""What does what an unknown key asks for."""


def _words(
    error: dict[str, Any], path: Path, node: Node | None, keys: Callable[[Path], list[str]]
) -> Words:
    context = error.get("ctx", {}) or {}
    kind, last = error["type"], str(path[-1]) if path else "the file"
    if kind == "extra_forbidden" and last in LATER:
        return {
            "message": "not yet: this key is reserved for a later version",
            "hint": "leave it out",
        }
    if kind == "extra_forbidden":
        hint = _ELSEWHERE.get(tuple(path[-2:])) or closest(last, keys(path[:-1]))
        return {"message": f"unknown key {last!r}", "hint": hint}
    if kind == "missing":
        return _missing(path)
    found = found_text(node, path)
    if kind == "literal_error":
        return _literal(context, node, found)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _tag(context, node, found)
    if kind == "string_pattern_mismatch":
        return _pattern(path, found, context)
    texts = _PLAIN.get(kind)
    if texts is not None:
        shares = node is not None and _is_share(node.value)
        bounds = {
            k: _bound(bound, shares) if isinstance(bound, float) else bound
            for k, bound in context.items()
        }
        parts = {"message": texts[0], "expected": texts[1].format(**bounds), "found": found}
        if kind == "string_type" and node is not None and node.kind == "scalar":
            parts["hint"] = f"write it in quotes: '{node.text}'" if node.text else ""
        if kind == "less_than" and found == "1" == str(bounds["lt"]):
            parts["hint"] = "write 1% if you mean one percent: 1 is all of it"
        return parts
    return _custom(error, context, found)


def _is_share(value: Any) -> bool:
    return isinstance(value, str) and value.strip().endswith(("%", "bps"))


def _bound(value: float, shares: bool) -> str:
    """Write a bound in the unit of what was written."""
    return f"{value * 100:g}%" if shares else f"{value:g}"


def _missing(path: Path) -> Words:
    name = str(path[-1])
    hint = _EXAMPLES.get(dotted(path), _EXAMPLES.get(name, ""))
    return {"message": f"{name} is missing", "hint": f"write e.g. {hint}" if hint else ""}


_EXAMPLES: Final = {
    "version": "version: 1",
    "name": "name: my-strategy",
    "universe": "universe: {symbols: [BTC/USDT], bar: 1h}",
    "universe.symbols": "symbols: [BTC/USDT]",
    "universe.bar": "bar: 1h",
    "data": "data: {candles: {use: sample}}",
    "data.candles": "candles: {use: sample}",
    "signal": "signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}; a grid or regular "
    "buys (risk: {position: {grid: ...}} or {buy_every: ...}) and a portfolio (portfolio: {use: "
    "top, ...}) need none",
    "risk": "risk: {sizing: {use: fixed_fraction, fraction: 10%}}",
    "risk.sizing": "sizing: {use: fixed_fraction, fraction: 10%}",
    "period": "period: 20",
    "path": "path: candles/BTCUSDT-1h.parquet",
    "trade_in": "trade_in: [low, mid]",
}


def _literal(context: dict[str, Any], node: Node | None, found: str) -> Words:
    options = str(context.get("expected", "")).replace("'", "")
    options_listed = [each for part in options.split(" or ") for each in part.split(", ")]
    text = node.value if node is not None and isinstance(node.value, str) else ""
    close = difflib.get_close_matches(text, options_listed, n=1)
    hint = f"did you mean {close[0]}?" if close else ""
    message = "this value is not one of those allowed"
    return {"message": message, "expected": options, "found": found, "hint": hint}


def _tag(context: dict[str, Any], node: Node | None, found: str) -> Words:
    tags = str(context.get("expected_tags", "direction, threshold, triple_barrier"))
    use = node.children.get("use") if node is not None else None
    text = str(use.value) if use is not None else ""
    plugins = [each.strip(" '") for each in tags.split(",")]
    close = difflib.get_close_matches(text, plugins, n=1)
    hint = f"did you mean {close[0]}?" if close else ""
    message = f"unknown label {text!r}" if text else "this label does not state which it is"
    return {"message": message, "expected": f"use: {', '.join(plugins)}", "hint": hint}


def _pattern(path: Path, found: str, context: dict[str, Any]) -> Words:
    top, last = path[0] if path else "", str(path[-1]) if path else ""
    message = "this name cannot be used"
    if path == ("name",):
        expected = "letters, digits, - _ . (it names the folder of the runs)"
    elif "symbols" in path or "instruments" in path:
        message, expected = "this is not a symbol", "a symbol such as BTC/USDT or AAPL"
    elif last == "prometheus":
        message, expected = "this is not an address", "host:port such as 127.0.0.1:9108"
    elif top in ("features", "data", "risk", "execution", "monitoring"):
        expected = "a word of letters, digits and _ that begins with a letter"
        found = f"'{last}'" if found.startswith(("a block", "an empty")) else found
    else:
        expected = f"text that matches {context.get('pattern', '')}"
    return {"message": message, "expected": expected, "found": found}


_NUMBER = "this is not a number"
_PLAIN: Final[dict[str, tuple[str, str]]] = {
    "string_type": ("this is not text", "text"),
    "int_type": ("this is not a whole number", "a whole number"),
    "int_parsing": ("this is not a whole number", "a whole number"),
    "int_from_float": ("this is not a whole number", "a whole number"),
    "int_parsing_size": ("this number is too large", "a whole number of ordinary size"),
    "float_type": (_NUMBER, "a number"),
    "float_parsing": (_NUMBER, "a number"),
    "finite_number": (_NUMBER, "a finite number"),
    "bool_type": ("this is neither true nor false", "true or false"),
    "bool_parsing": ("this is neither true nor false", "true or false"),
    "list_type": ("this is not a list", "a list such as [a, b]"),
    "tuple_type": ("this is not a list", "a list such as [a, b]"),
    "dict_type": ("this is not a block of keys", "a block of keys"),
    "model_type": ("this is not a block of keys", "a block of keys"),
    "mapping_type": ("this is not a block of keys", "a block of keys"),
    "model_attributes_type": ("this is not a block of keys", "a block of keys"),
    "none_required": ("nothing may stand here", "nothing"),
    "greater_than": ("this is out of range", "more than {gt}"),
    "greater_than_equal": ("this is out of range", "{ge} or more"),
    "less_than": ("this is out of range", "less than {lt}"),
    "less_than_equal": ("this is out of range", "{le} or less"),
    "too_short": ("there are too few entries", "{min_length} or more"),
    "too_long": ("there are too many entries", "{max_length} or fewer"),
    "string_too_short": ("this text is too short", "at least {min_length} characters"),
    "string_too_long": ("this text is too long", "at most {max_length} characters"),
}


_READ_AS: Final = {
    "column": "this is not the name of a column",
    "cost": "no trade costs as much",
    "count": "this is not a count",
    "daily": "this is not a time of every day",
    "day_time": "this is not a time of day",
    "duration": "this is not a duration",
    "expression": "this is not an expression",
    "fraction": "this is not a fraction",
    "moment": "this is not a date or a time",
    "number": _NUMBER,
    "poll": "this is not an interval",
    "reentry": "this states nothing about re-entry",
    "resume": "nothing clears a halt in this way",
    "span": "this is neither bars nor a duration",
    "time_zone": "this is not a time zone",
    "use_block": "this is not a block",
}


def _custom(error: dict[str, Any], context: dict[str, Any], found: str) -> Words:
    expected = str(context.get("expected", ""))
    message = str(error["msg"])
    if message.startswith("expected "):
        message = _READ_AS.get(error["type"], "this value cannot be read")
    hint = str(context.get("hint", ""))
    if error["type"] in ("value_error", "assertion_error"):
        message = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if error["type"] == "portfolio" and found.startswith(("a block", "a list")):
        found = str(context.get("found", found))  # numbers of the block, as they are read
    if error["type"] in ("plugin", "secret"):
        found = "" if error["type"] == "plugin" else HIDDEN
    if error["type"] == "secret":
        message = "a secret must not stand in the file"
    return {"message": message, "expected": expected, "found": found, "hint": hint}
