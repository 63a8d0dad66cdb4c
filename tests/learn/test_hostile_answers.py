"""What a stored model answers is a finite number from 0 to 1, or there is no decision."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest

from septet._learn import onnx_graph
from septet._learn.fitting import Untrainable, Window
from septet._learn.flat_model import Calibration, Member, Scaler, assemble
from septet._learn.onnx_graph import LARGEST_TENSOR, check_graph
from septet._learn.onnx_model import Exported, OnnxModel
from septet._learn.walk_forward_models import NOT_FINITE, OK, answers, predict_checked
from septet.errors import ModelError, SeptetError
from tests.learn.sample import trainer, window

WIDTH = 2
ISOTONIC = Calibration("isotonic", x=np.array([0.2, 0.8]), y=np.array([0.0, 1.0]))
ROW = np.array([0.25, -1.0])


def _graph(*nodes: Any, constants: dict[str, Any] | None = None) -> bytes:
    """Return a graph from `x` to `y`."""
    from onnx import TensorProto, helper, numpy_helper

    made = [
        numpy_helper.from_array(np.asarray(value), name)
        for name, value in (constants or {}).items()
    ]
    graph = helper.make_graph(
        list(nodes), "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], initializer=made,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def _node(kind: str, inputs: list[str], output: str = "y", **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, inputs, [output], **attributes)


def _constant(value: float) -> bytes:
    """A graph that answers one number to any row."""
    nodes = [_node("Mul", ["x", "zero"], "nothing"), _node("Add", ["nothing", "value"])]
    return _graph(*nodes, constants={"zero": np.float32(0.0), "value": np.float32(value)})


def _served(data: bytes, calibration: Calibration | None = None) -> OnnxModel:
    member = Member(calibration=calibration or Calibration())
    return OnnxModel.from_arrays(
        OnnxModel.build(WIDTH, Scaler(), [Exported(data, member)]).arrays()
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 5.0, -0.2, 1.01, 1e18])
@pytest.mark.parametrize("calibration", [None, ISOTONIC])
def test_an_answer_that_is_no_probability_decides_nothing(
    value: float, calibration: Calibration | None
) -> None:
    """A calibration makes 0 of NaN, and a clamp makes certainty of 5; neither was returned."""
    model = _served(_constant(value), calibration)
    if calibration is not None and math.isfinite(value):
        assert predict_checked(model, ROW) == (1.0 if value > 0.5 else 0.0, OK)  # a score it maps
        return
    up, state = predict_checked(model, ROW)
    assert math.isnan(up)
    assert state == NOT_FINITE
    assert np.isnan(answers(model, np.array([ROW, ROW]))).all()


def test_rounding_beyond_one_is_still_a_probability() -> None:
    for value, expected in ((1.00001, 1.0), (-0.00001, 0.0), (0.25, 0.25)):
        assert predict_checked(_served(_constant(value)), ROW) == (expected, OK)


class Plugin:
    """A model of a package, which answers what it likes."""

    format, width = "x/y", WIDTH

    def __init__(self, answer: float) -> None:
        self.answer = answer

    def predict(self, x: Any) -> Any:
        return np.full(len(x), self.answer)

    def predict_row(self, vector: Any) -> float:
        return self.answer

    def arrays(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e18, -1.0, 1.5])
def test_whatever_serves_it(value: float) -> None:
    """Alone and among others, of a package and of septet's own kernels."""
    flat = assemble(WIDTH, Scaler(), [Member(weights=np.zeros(WIDTH), base=5.0)])
    for model in (Plugin(value), flat):
        up, state = predict_checked(model, ROW)
        assert math.isnan(up)
        assert state == NOT_FINITE
        assert np.isnan(answers(model, np.array([ROW]))).all()


@pytest.mark.parametrize("knots", [[0.0, 1e18], [-1.0, 1.0], [0.0, 1.001], [2.0, 0.5]])
def test_knots_that_are_no_probabilities_are_refused(knots: list[float]) -> None:
    calibration = Calibration("isotonic", x=np.array([0.2, 0.8]), y=np.array(knots))
    with pytest.raises(ModelError, match="values that are no probabilities"):
        assemble(WIDTH, Scaler(), [Member(weights=np.zeros(WIDTH), calibration=calibration)])
    with pytest.raises(ModelError, match="values that are no probabilities"):
        _served(_constant(0.5), calibration)


@pytest.mark.parametrize(
    "kind",
    [
        "Bernoulli", "RandomNormalLike", "RandomUniformLike", "RandomNormal", "RandomUniform",
        "Multinomial", "Dropout",
    ],
)  # fmt: skip
def test_operators_that_draw_are_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=f"{kind}, which draws random numbers"):
        check_graph(np.frombuffer(_graph(_node(kind, ["x"])), np.uint8), WIDTH)


@pytest.mark.parametrize(
    ("nodes", "constants", "expected"),
    [
        ([_node("ConstantOfShape", ["s"])], {"s": np.array([400_000_000])}, "400,000,000 values"),
        ([_node("Expand", ["x", "s"])], {"s": np.array([90_000_000, 2])}, "180,000,000 values"),
        ([_node("Tile", ["x", "s"])], {"s": np.array([90_000_000, 1])}, "180,000,000 values"),
        (
            [_node("MatMul", ["a", "b"])],
            {"a": np.ones((6_000, 1), np.float32), "b": np.ones((1, 6_000), np.float32)},
            "36,000,000 values",
        ),
        (
            [_node("ReduceSum", ["x"], "t", keepdims=0), _node("Cast", ["t"], "u", to=7),
             _node("Range", ["zero", "u", "one"])],
            {"zero": np.array(0), "one": np.array(1)}, "how large the result of its Range",
        ),
    ],
)  # fmt: skip
def test_tensors_of_any_size_are_refused_before_the_runtime_makes_them(
    nodes: list[Any], constants: dict[str, Any], expected: str
) -> None:
    data = np.frombuffer(_graph(*nodes, constants=constants), np.uint8)
    with pytest.raises(ValueError, match=expected):
        check_graph(data, WIDTH)
    assert LARGEST_TENSOR < 30_000_000


@cache
def _exported() -> dict[str, OnnxModel]:
    """Every classifier of scikit-learn that is served by way of ONNX."""
    from sklearn.utils import all_estimators

    rows = window()
    short = Window(
        rows.x[:120], rows.y[:120], rows.time_ns[:120], rows.known_ns[:120], rows.feature_names, 1
    )
    found = {}
    for name, kind in all_estimators(type_filter="classifier"):
        try:
            model = trainer(kind, "standard", "none").fit(short).model
        except (SeptetError, TypeError, ValueError, Untrainable):  # not exported, or other rows
            continue
        if isinstance(model, OnnxModel):
            found[name] = model
    return found


def test_what_septet_exports_is_served() -> None:
    """The bounds refuse none of them; one with a loop (neighbours) is refused as before."""
    served, refused = [], []
    for name, model in _exported().items():
        try:
            again = OnnxModel.from_arrays(model.arrays())
        except ModelError as error:
            refused.append(f"{name}: {error.message}")
        else:
            served.append(name)
            assert predict_checked(again, window().x[0])[1] == OK
    assert all("the operator Scan" in each for each in refused), refused
    assert len(served) >= 4, served


def test_the_lists_name_operators_of_onnx() -> None:
    from onnx import defs

    known = {each.name for each in defs.get_all_schemas()}
    assert known >= onnx_graph._RANDOM
    assert known >= onnx_graph._SIZED - {"CenterCropPad", "Upsample"}
