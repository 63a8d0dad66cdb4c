"""Identity of a file's model (bar, symbols, label, inputs), for `_learn.model_compatibility`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from septet._host.step_source import step_digest
from septet._plan.graph import Column, Graph, Node
from septet_schemas.base import marks_of
from septet_schemas.units import Span, format_duration

__all__ = ["label_facts", "subject_of"]


def subject_of(strategy: Any, graph: Graph, inputs: Sequence[str]) -> dict[str, Any]:
    """Describe bar, symbols and label of a file, and the steps of its model's inputs."""
    steps: dict[str, Any] = {}
    features = {name: _column(graph, graph.named[name], steps) for name in inputs}
    return {
        "bar": format_duration(strategy.universe.bar),
        "symbols": list(strategy.universe.symbols),
        "label": label_facts(strategy.model.extra["label"], strategy.universe.bar),
        "features": features,
        "steps": steps,
    }


def label_facts(label: Any, bar_ns: int) -> dict[str, Any]:
    """Return a label as written in a strategy file, with its length in bars."""
    written = json.loads(json.dumps(label.model_dump(mode="json")))
    return {name: _plain(getattr(label, name), written[name], bar_ns) for name in written}


def _plain(value: Any, written: Any, bar_ns: int) -> Any:
    return str(Span(bar_count=value.bars(bar_ns))) if isinstance(value, Span) else written


def _column(graph: Graph, column: Column, steps: dict[str, Any]) -> str:
    """Return the name of a column, after adding its step and everything that it reads."""
    waiting = [column]
    while waiting:
        each = waiting.pop()
        if each.kind == "node" and (node := graph.nodes[each.node]) and node.label not in steps:
            reads = {name: list(columns) for name, columns in _reads(node)}
            steps[node.label] = _step(graph, node, reads)
            waiting += [part for columns in reads.values() for part in columns]
    return _name(graph, column)


def _name(graph: Graph, column: Column) -> str:
    if column.kind == "node":
        return f"@{graph.nodes[column.node].label}:{column.output}"
    return f"series {column}" if column.kind == "series" else str(column)


def _reads(node: Node) -> Iterable[tuple[str, Iterable[Column]]]:
    for name, found in node.inputs.items():
        yield name, (found,) if isinstance(found, Column) else found
    for name, (_, columns) in node.expressions.items():
        for text, column in columns.items():
            yield f"{name}: {text}", (column,)


def _step(graph: Graph, node: Node, reads: dict[str, list[Column]]) -> dict[str, Any]:
    """Describe one step; settings that name columns are replaced by what they read."""
    written = json.loads(json.dumps(node.config.model_dump(mode="json")))
    inputs = {name for name, kind in marks_of(type(node.config)).items() if kind == "input"}
    settings = {
        name: _plain(getattr(node.config, name), value, node.bar_ns)
        for name, value in written.items()
        if name not in inputs
    }
    return {
        "use": f"{node.distribution}:{node.use}",
        "bar": format_duration(node.bar_ns),
        "settings": settings,
        "reads": {
            name: [_name(graph, each) for each in columns] for name, columns in reads.items()
        },
        "code": step_digest(node.step),
    }
