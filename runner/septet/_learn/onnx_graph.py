"""Whether an ONNX graph of a stored model may be given to the runtime."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["LARGEST_TENSOR", "check_graph"]

LARGEST_TENSOR: Final = 1 << 24
"""Elements of one tensor while one row is served; a model of a strategy needs thousands."""
_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_GRAPHS: Final = 10
"""`onnx.AttributeProto.GRAPHS`."""
_RANDOM: Final = frozenset(
    {
        "Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike",
        "RandomUniform", "RandomUniformLike",
    }
)  # fmt: skip
_SIZED: Final = frozenset(
    {
        "CenterCropPad", "ConstantOfShape", "Expand", "GridSample", "MaxUnpool", "OneHot", "Pad",
        "Range", "Resize", "Tile", "Upsample",
    }
)  # fmt: skip
"""Operators whose result is as large as a value states."""


def check_graph(data: npt.NDArray[Any], width: int) -> None:
    """Refuse an ONNX graph that could do more than compute one row from its input.

    Other files, functions and loops, foreign operators, operators that draw random numbers, and
    tensors that are larger than any model needs: the runtime makes constants when it loads.

    Parameters
    ----------
    data : uint8 (n,)
        The graph as it is stored.
    width : int
        Number of features.

    Raises
    ------
    ValueError
        With what was found.
    """
    import onnx

    if data.dtype != np.uint8 or data.ndim != 1:
        raise ValueError(f"a session is {data.dtype} of shape {data.shape}")
    proto = onnx.ModelProto()
    proto.ParseFromString(data.tobytes())
    if proto.functions or {each.domain for each in proto.opset_import} - _DOMAINS:
        raise ValueError("a graph brings operators of its own")
    for node in proto.graph.node:
        parts = {each.type for each in node.attribute}
        if node.domain not in _DOMAINS or parts & {onnx.AttributeProto.GRAPH, _GRAPHS}:
            kind = f"{node.domain}:{node.op_type}" if node.domain else node.op_type
            raise ValueError(
                f"its ONNX graph has the operator {kind}, and none may run a graph of its own or "
                "be foreign"
            )
        if node.op_type in _RANDOM:
            raise ValueError(
                f"a graph has the operator {node.op_type}, which draws random numbers: the same "
                "row would give another answer each time"
            )
    tensors = [*proto.graph.initializer]
    tensors += [
        each.t for node in proto.graph.node for each in node.attribute if each.HasField("t")
    ]
    if proto.graph.sparse_initializer or any(each.external_data for each in tensors):
        raise ValueError("a graph keeps values in another file")
    _check_sizes(proto, width)


def _check_sizes(model: Any, width: int) -> None:
    """Refuse tensors above the bound, and those whose size no shape gives."""
    from onnx import shape_inference

    constants = {each.name for each in model.graph.initializer}
    for each in model.graph.input:
        shape = each.type.tensor_type.shape
        if each.name not in constants and len(shape.dim) == 2:
            shape.dim[0].dim_value, shape.dim[1].dim_value = 1, width
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    sizes: dict[str, int | None] = {}
    for each in (*graph.value_info, *graph.output, *graph.input):
        sizes[each.name] = _elements(each.type)
    for each in graph.initializer:
        sizes[each.name] = math.prod(each.dims)
    for name, size in sizes.items():
        if size is not None and size > LARGEST_TENSOR:
            raise ValueError(f"{name!r} of a graph has {size:,} values, {_AT_MOST}")
    for name, kind in _sized(graph):
        if sizes.get(name) is None:
            raise ValueError(f"a graph does not state how large the result of its {kind} is")


_AT_MOST: Final = f"and {LARGEST_TENSOR:,} are the most that are served"


def _sized(graph: Any) -> Iterator[tuple[str, str]]:
    for node in graph.node:
        if node.op_type in _SIZED:
            for name in node.output:
                yield name, node.op_type


def _elements(kind: Any) -> int | None:
    """Return how many values a tensor has; None where a dimension is not known."""
    tensor = kind.tensor_type
    if not kind.HasField("tensor_type") or not tensor.HasField("shape"):
        return None
    dims = tensor.shape.dim
    if not all(each.HasField("dim_value") for each in dims):
        return None
    return math.prod(int(each.dim_value) for each in dims)
