"""Estimators without a layout of septet, served by ONNX Runtime with one thread.

Every row goes through the runtime on its own, in a batch too: a matrix product over many rows adds
up in another order than over one, and the two must agree bit for bit.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from septet._data.bars import Floats
from septet._extras import need
from septet._learn import kernels
from septet._learn.extract import Response
from septet._learn.flat_model import Member, Scaler, assemble
from septet._learn.onnx_graph import check_graph
from septet._learn.soundness import DAMAGED, STRIDE, check_frame, probability
from septet.errors import ModelError, RunError

__all__ = ["Exported", "OnnxModel", "ServingError", "convert", "require_onnx_packages"]

_INPUT: Final = "x"
_PREFIX: Final = "session_"


class ServingError(RunError):
    """The runtime refused a row."""


class Exported(msgspec.Struct, frozen=True):
    """One estimator as ONNX bytes, and the member that finishes what it answers."""

    data: bytes
    member: Member


def require_onnx_packages(estimator: Any) -> None:
    """Refuse an estimator that is served by ONNX where the packages for it are missing.

    Raises
    ------
    InputError
        With the extra that installs them.
    """
    for package in ("onnxruntime", "skl2onnx"):
        need(package, f"a fitted {type(estimator).__name__}")


def convert(estimator: Any, response: Response, width: int, *, double: bool) -> bytes:
    """Export one fitted classifier, in float64 (`double`) or float32.

    Raises
    ------
    RunError
        If the converter or the runtime has no way for this estimator.
    InputError
        If they are not installed: they come with the extra `onnx`.
    """
    require_onnx_packages(estimator)
    import skl2onnx
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    options = {"zipmap": False, **({"raw_scores": True} if response == "score" else {})}
    kind = DoubleTensorType if double else FloatTensorType
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = skl2onnx.to_onnx(
                estimator,
                initial_types=[(_INPUT, kind([None, width]))],
                options={id(estimator): options},
            )
        data: bytes = graph.SerializeToString()
        _session(data)
    except Exception as error:  # the converter and the runtime raise what they like
        first = (str(error).strip() or "no reason given").splitlines()[0][:200]
        raise RunError(
            f"{type(estimator).__name__} cannot be exported to ONNX: "
            f"{type(error).__name__}: {first}",
            hint="choose another estimator; trees, forests, boosting and linear models are exact",
        ) from error
    return data


def _session(data: bytes) -> Any:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = 4
    return onnxruntime.InferenceSession(data, settings, providers=["CPUExecutionProvider"])


class OnnxModel:
    """Sessions, their scaler and their calibration, behind the interface of `FlatModel`."""

    format = "onnx"

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._arrays = dict(arrays)
        plan = self._arrays["plan"]
        self._plan, self._numbers = plan, self._arrays["numbers"]
        self._width, self._members, self._base = int(plan[0]), int(plan[2]), int(plan[3])
        self._sessions = [
            _session(self._arrays[f"{_PREFIX}{each}"].tobytes()) for each in range(self._members)
        ]
        self._outputs = [each.get_outputs()[-1].name for each in self._sessions]
        self._types = [
            np.float64 if "double" in each.get_inputs()[0].type else np.float32
            for each in self._sessions
        ]

    @classmethod
    def build(cls, width: int, scaler: Scaler, parts: Sequence[Exported]) -> OnnxModel:
        """Put a scaler and exported members together; their probabilities are averaged."""
        frame = assemble(width, scaler, [each.member for each in parts]).arrays()
        arrays = {"plan": frame["plan"], "numbers": frame["numbers"]}
        for number, each in enumerate(parts):
            arrays[f"{_PREFIX}{number}"] = np.frombuffer(each.data, dtype=np.uint8).copy()
        return cls(arrays)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> OnnxModel:
        """Take arrays as `arrays` gave them.

        Raises
        ------
        ModelError
            If something is missing or the runtime refuses a session.
        InputError
            If the extra `onnx` is not installed.
        """
        for package in ("onnx", "onnxruntime"):
            need(package, "a model in ONNX format")
        width, members = check_frame(arrays)
        try:
            for number in range(members):
                check_graph(arrays[f"{_PREFIX}{number}"], width)
            model = cls({name: np.ascontiguousarray(each).copy() for name, each in arrays.items()})
            with np.errstate(all="ignore"):
                model.predict_row(np.zeros(width))  # shapes and types are for the runtime to check
        except Exception as error:  # the runtime and its reader raise their own kinds
            raise ModelError(
                f"{DAMAGED}{type(error).__name__}: {str(error)[:200]}",
                hint="train and store it again",
            ) from error
        return model

    @property
    def width(self) -> int:
        """Number of features."""
        return self._width

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Everything the model is, as plain arrays; sessions are ONNX bytes."""
        return dict(self._arrays)

    def predict_row(self, vector: Floats) -> float:
        """Return the probability up of a finite `vector`, float64 (f,); NaN without an answer."""
        if len(vector) != self._width:
            raise ValueError(f"expected {self._width} features, found {len(vector)}")
        row = np.empty((1, self._width))
        for j in range(self._width):
            row[0, j] = kernels.scaled(vector[j], j, self._plan, self._numbers)
        total = 0.0
        for number, session in enumerate(self._sessions):
            feed = {_INPUT: row.astype(self._types[number])}
            try:
                answer = session.run([self._outputs[number]], feed)[0]
            except Exception as error:  # the runtime raises its own kinds
                raise ServingError(f"ONNX Runtime cannot answer: {error}") from error
            raw = float(np.ravel(answer)[-1])
            if not math.isfinite(raw):  # a calibration would make a probability of it
                return math.nan
            place = self._base + number * STRIDE
            total += kernels.finish(raw, place, self._numbers)
        return probability(total / self._members)

    def predict(self, x: Floats) -> Floats:
        """Return the probabilities up of finite rows `x`, float64 (n, f), as float64 (n,)."""
        return np.array([self.predict_row(row) for row in x], dtype=np.float64)
