"""Stored models from strangers: refused in words, or served without leaving an array."""

from __future__ import annotations

import io
import json
import random
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from septet._learn import kernels
from septet._learn.fitting import Served
from septet._learn.flat_model import FlatModel
from septet._learn.onnx_model import OnnxModel
from septet._learn.stored import CARD, MODEL, _seal, fingerprint, iso_time, load_model, store_model
from septet.errors import ModelError, SeptetError
from tests.learn.sample import trainer, window
from tests.scale import examples

Arrays = dict[str, Any]
NAMES = list("abcd")


class Bounded:
    """An array that raises where a kernel leaves it; numpy would wrap a negative index around."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def _at(self, i: Any) -> Any:
        if isinstance(i, slice):
            return i
        at = int(i)
        if not 0 <= at < len(self.array):
            raise AssertionError(f"index {at} of {len(self.array)}")
        return at

    def __getitem__(self, i: Any) -> Any:
        found = self.array[self._at(i)]
        return Bounded(found) if isinstance(found, np.ndarray) else found

    def __setitem__(self, i: Any, value: Any) -> None:
        self.array[self._at(i)] = value

    def __len__(self) -> int:
        return len(self.array)


@cache
def _models() -> Mapping[str, Served]:
    from sklearn import ensemble, linear_model

    seeds: Any = {"random_state": 3}
    made = {
        "forest": trainer(ensemble.RandomForestClassifier, n_estimators=9, max_depth=4, **seeds),
        "histogram": trainer(
            ensemble.HistGradientBoostingClassifier, "standard", "sigmoid", max_iter=3, **seeds
        ),
        "isotonic": trainer(linear_model.LogisticRegression, "minmax", "isotonic"),
    }
    return {name: each.fit(window()).model for name, each in made.items()}


ROWS = np.random.default_rng(5).normal(size=(5, 4)) * [1.0, 1e3, 1e-3, 1e30]


@contextmanager
def _any_number() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


def _served_within_bounds(model: FlatModel) -> None:
    """Serve with the kernels' own text, uncompiled, over arrays that are checked at each index."""
    table, numbers = Bounded(model._table), Bounded(model._numbers)
    width = model.width
    with _any_number():
        one = [
            kernels.serve_row(Bounded(row), table, numbers, Bounded(np.zeros(width, np.int64)))
            for row in ROWS[:, :width]
        ]
        keys, sums = np.zeros(64 * width, np.int64), np.zeros(64)
        many = np.empty(len(ROWS))
        kernels.serve_rows(
            Bounded(ROWS[:, :width]), 0, len(ROWS), Bounded(many), table, numbers, Bounded(keys),
            Bounded(sums),
        )  # fmt: skip
    rows = np.ascontiguousarray(ROWS[:, :width])
    assert np.array_equal(one, many, equal_nan=True)
    assert np.array_equal(model.predict(rows), many, equal_nan=True)
    assert np.array_equal(model.predict(rows), model.predict(rows), equal_nan=True)


INTERESTING = (
    0, 1, 2, 3, 5, 7, 63, 64, 100, 2**11, 2**21, 100_000, 2**31 - 1, -(2**31), -1, -2, 2**32,
    2**62, 2**63 - 1, -(2**63), -(2**63) + 1,
)  # fmt: skip
FLOATS = (0.0, -0.0, 1.0, 2.0, -1.0, 0.5, 1e308, -1e308, 5e-324, np.inf, -np.inf, np.nan, 2.0**53)


def _mutate(draw: random.Random, arrays: Arrays) -> None:
    name = draw.choice(sorted(arrays))
    array = np.array(arrays[name])
    way = draw.randrange(10)
    if way < 6 and array.size and array.dtype.kind in "if":
        at = draw.randrange(array.size)
        if array.dtype.kind == "f":
            values = [*FLOATS, *map(float, INTERESTING), float(array.flat[at]) + 1.0]
        else:
            bounds = np.iinfo(array.dtype)
            near = int(array.flat[at])
            values = [each for each in INTERESTING if bounds.min <= each <= bounds.max]
            values += [near + 1, near - 1] if bounds.min < near < bounds.max else []
        with _any_number():
            array.flat[at] = draw.choice(values)
    elif way == 6 and array.ndim == 1 and len(array):
        array = array[: draw.randrange(len(array))]
    elif way == 7 and array.ndim:
        array = np.concatenate([array, array[: draw.randrange(3)]])
    elif way == 8 and array.dtype.kind in "if":
        kind = draw.choice(["<i4", "<i8", ">i8", "<f4", "<f8", "<U3", "?", "<u8", "<c16"])
        with _any_number():
            array = np.zeros(array.shape, kind) if kind == "<U3" else array.astype(kind)
    elif array.size > 1:
        a, b = draw.randrange(array.size), draw.randrange(array.size)
        array.flat[a], array.flat[b] = array.flat[b], array.flat[a]
    if draw.randrange(40) == 0:
        del arrays[name]
    else:
        arrays[name] = array


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
@pytest.mark.parametrize("kind", ["forest", "histogram", "isotonic"])
def test_a_damaged_model_is_refused_or_served_within_its_arrays(kind: str) -> None:
    accepted = 0
    for seed in range(examples(400)):
        draw, arrays = random.Random(f"{kind} {seed}"), dict(_models()[kind].arrays())
        for _ in range(draw.randint(1, 3)):
            if arrays:
                _mutate(draw, arrays)
        try:
            model = FlatModel.from_arrays(arrays)
        except SeptetError:
            continue
        accepted += 1
        try:
            _served_within_bounds(model)
        except BaseException as error:
            raise AssertionError(f"seed {seed} of {kind}") from error
    assert accepted >= 10  # else the fuzzer tries nothing but refusals


def _forest() -> Arrays:
    return {name: each.copy() for name, each in _models()["forest"].arrays().items()}


def _wrapped_child(arrays: Arrays) -> None:
    arrays["left"][0] = 2**31 - 1


def _wrapped_offset(arrays: Arrays) -> None:
    arrays["trees"][1, 1] = -(2**63)


def _falling_offsets(arrays: Arrays) -> None:
    arrays["trees"][[1, 2], 1] = arrays["trees"][[2, 1], 1]


def _claimed_depth(arrays: Arrays) -> None:
    arrays["trees"][0, 0] = 100_000


def _understated_depth(arrays: Arrays) -> None:
    arrays["trees"][0, 0] -= 1


def _child_before_parent(arrays: Arrays) -> None:
    inner = np.flatnonzero(arrays["left"] != np.arange(len(arrays["left"])))
    arrays["left"][inner[1]] = 0


def _shared_child(arrays: Arrays) -> None:
    inner = np.flatnonzero(arrays["left"] != np.arange(len(arrays["left"])))
    arrays["left"][inner[1]] = arrays["left"][inner[0]]


def _members_overlap(arrays: Arrays) -> None:
    arrays["numbers"][int(arrays["plan"][3]) + 9] = 1.0


def _many_members(arrays: Arrays) -> None:
    arrays["plan"][2] = 2**62


def _other_byte_order(arrays: Arrays) -> None:
    arrays["trees"] = arrays["trees"].astype(">i8")


CRAFTED = (
    _wrapped_child, _wrapped_offset, _falling_offsets, _claimed_depth, _understated_depth,
    _child_before_parent, _shared_child, _members_overlap, _many_members, _other_byte_order,
)  # fmt: skip


@pytest.mark.parametrize("craft", CRAFTED, ids=lambda craft: craft.__name__)
def test_a_crafted_model_is_refused(craft: Callable[[Arrays], None]) -> None:
    arrays = _forest()
    FlatModel.from_arrays(arrays)
    craft(arrays)
    with pytest.raises(ModelError, match="damaged"):
        FlatModel.from_arrays(arrays)


def test_a_chain_of_nodes_is_walked_in_little_time() -> None:
    """The depth is that of the nodes, and one that no estimator makes is refused."""
    inner = 50_000
    size = 2 * inner + 1
    left = np.arange(size, dtype=np.int32)
    own = np.concatenate([[0], np.arange(1, size - 2, 2)])
    left[own] = 2 * np.arange(inner) + 1
    threshold = np.full(size, np.inf)
    threshold[own] = 0.0
    arrays = {**_forest(), "left": left, "feature": np.zeros(size, np.int32)}
    arrays |= {"threshold": threshold, "value": np.zeros(size)}
    arrays["trees"] = np.array([[inner, 0]])
    plan, numbers = arrays["plan"], arrays["numbers"]
    numbers[int(plan[3]) + 9 : int(plan[3]) + 11] = 0.0, 1.0
    with pytest.raises(SeptetError, match=f"{inner} nodes deep"):
        FlatModel.from_arrays(arrays)


# ---------------------------------------------------------------------------- files


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = _models()["forest"]
    instants = ("first_row", "last_row", "last_label", "trained_to")
    card = {
        "version": 2, "format": "flat", "features": NAMES, "rows": 10, "rows_up": 4,
        "rows_down": 6, "model_sha256": fingerprint(model),
        **dict.fromkeys((f"{each}_ns" for each in instants), 10**18),
        **dict.fromkeys(instants, iso_time(10**18)),
        "reference": {"a": {"edges": [0.0, 1.0], "share": [0.2, 0.3, 0.5], "chance": None}},
    }  # fmt: skip
    return store_model(tmp_path_factory.mktemp("model"), model, card)


def _read_again(folder: Path) -> None:
    try:
        load_model(folder, NAMES)
    except SeptetError as error:
        found = error
    else:
        return
    assert found.hint
    assert len(str(found)) < 1_000


def test_damaged_bytes_end_as_messages(stored: Path, tmp_path: Path) -> None:
    whole = (stored / MODEL).read_bytes()
    (tmp_path / CARD).write_bytes((stored / CARD).read_bytes())
    for seed in range(examples(300)):
        draw, data = random.Random(seed), bytearray(whole)
        for _ in range(draw.randint(1, 8)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        (tmp_path / MODEL).write_bytes(data[: draw.choice([len(data), draw.randrange(len(data))])])
        _read_again(tmp_path)


def _headers(draw: random.Random) -> bytes:
    """An array as NumPy writes it, with a header of the fuzzer's choosing."""
    kind = draw.choice(["<i8", "|O", "<f8", "|V0", "<U0", "nonsense", "<i8, <f8"])
    shape = draw.choice(["(5,)", "(10**15,)", "(-1,)", "()", "(0,)", "5", "(2, 3)", "[", "(1e3,)"])
    text = f"{{'descr': '{kind}', 'fortran_order': {draw.choice('FTx')}alse, 'shape': {shape}, }}"
    if draw.randrange(3) == 0:
        text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    head = text.encode()
    size = draw.choice([len(head), 0, 65_535, len(head) // 2])
    version = draw.choice([b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x09"])
    return b"\x93NUMPY" + version + size.to_bytes(2, "little") + head + bytes(40)


def test_crafted_archives_end_as_messages(stored: Path, tmp_path: Path) -> None:
    (tmp_path / CARD).write_bytes((stored / CARD).read_bytes())
    for seed in range(examples(120)):
        draw = random.Random(seed)
        with zipfile.ZipFile(tmp_path / MODEL, "w") as archive:
            for name in ("plan", "numbers", "trees", "feature", "threshold", "left", "value"):
                archive.writestr(f"{name}.npy", _headers(draw))
        _read_again(tmp_path)


def test_a_small_archive_does_not_become_a_large_array(stored: Path, tmp_path: Path) -> None:
    (tmp_path / CARD).write_bytes((stored / CARD).read_bytes())
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000,), }"
    data = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head
    with zipfile.ZipFile(tmp_path / MODEL, "w") as archive:
        archive.writestr("plan.npy", data)
    with pytest.raises(ModelError, match="0 bytes for shape"):
        load_model(tmp_path)


def _members(stored: Path) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(stored / MODEL) as archive:
        return [(each.filename, archive.read(each)) for each in archive.infolist()]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("../../evil.npy", r"arrays that its model does not have: \.\./\.\./evil"),
        ("further.npy", "arrays that its model does not have: further"),
        ("plan.npy", "two of one name"),
        ("notes.txt", "members that are no arrays"),
        ("plan", "members that are no arrays"),
    ],
)
def test_a_member_that_is_not_the_models_is_refused(
    stored: Path, tmp_path: Path, name: str, text: str
) -> None:
    members = _members(stored)
    data = dict(members)["plan.npy"]
    (tmp_path / CARD).write_bytes((stored / CARD).read_bytes())
    for further in (False, True):
        with zipfile.ZipFile(tmp_path / MODEL, "w") as archive:
            for each, content in [*members, *([(name, data)] if further else [])]:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of two of one name, which is the point
                    archive.writestr(each, content)
        if further:
            with pytest.raises(ModelError, match=text):
                load_model(tmp_path, NAMES)
        else:
            load_model(tmp_path, NAMES)


@pytest.mark.parametrize("name", [CARD, MODEL])
def test_a_file_of_a_stored_model_is_no_link(stored: Path, tmp_path: Path, name: str) -> None:
    for each in (CARD, MODEL):
        (tmp_path / each).write_bytes((stored / each).read_bytes())
    load_model(tmp_path, NAMES)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to(stored / name)
    with pytest.raises(ModelError, match="it is a symbolic link"):
        load_model(tmp_path, NAMES)


def test_the_folder_of_a_stored_model_may_be_reached_by_a_link(
    stored: Path, tmp_path: Path
) -> None:
    (tmp_path / "latest").symlink_to(stored, target_is_directory=True)
    load_model(tmp_path / "latest", NAMES)


VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 2**63, -(2**80), 1.5, "x", "\x1b[2J\u202e", [], {}, [1], [None], {"a": 1},
    float("nan"), [["a"]],
)  # fmt: skip


def test_resealed_cards_end_as_messages(stored: Path, tmp_path: Path) -> None:
    """A stranger can seal a card as well as we can: nothing in it is trusted for its seal."""
    whole = json.loads((stored / CARD).read_text())
    (tmp_path / MODEL).write_bytes((stored / MODEL).read_bytes())
    refused = 0
    for key in sorted(whole):
        for value in VALUES:
            card = {**whole, key: value}
            if key != "card_sha256":
                card["card_sha256"] = _seal(card)
            (tmp_path / CARD).write_text(json.dumps(card))
            try:
                load_model(tmp_path, NAMES)
            except SeptetError:
                refused += 1
    assert refused > 100


def test_a_pipe_is_no_model(stored: Path, tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / CARD)
    with pytest.raises(ModelError, match="regular"):
        load_model(tmp_path)


# ---------------------------------------------------------------------------- ONNX


@cache
def _onnx() -> OnnxModel:
    from sklearn.naive_bayes import GaussianNB

    found = trainer(GaussianNB, "minmax", "sigmoid").fit(window()).model
    assert isinstance(found, OnnxModel)
    return found


def test_damaged_onnx_ends_as_a_message() -> None:
    for seed in range(examples(60)):
        draw, arrays = random.Random(seed), dict(_onnx().arrays())
        if draw.randrange(2):
            session = arrays["session_0"].copy()
            for _ in range(draw.randint(1, 4)):
                session[draw.randrange(len(session))] = draw.randrange(256)
            arrays["session_0"] = session[: draw.choice([len(session), draw.randrange(9_000)])]
        else:
            _mutate(draw, arrays)
        try:
            model = OnnxModel.from_arrays(arrays)
        except SeptetError:
            continue
        with _any_number():
            for row in ROWS[:, : model.width]:
                try:
                    model.predict_row(row)
                except SeptetError:
                    continue


def test_an_onnx_graph_reads_no_other_file() -> None:
    import onnx

    arrays = dict(_onnx().arrays())
    graph = onnx.ModelProto()
    graph.ParseFromString(arrays["session_0"].tobytes())
    tensor = graph.graph.initializer.add()
    tensor.name, tensor.data_type, tensor.data_location = "w", 1, onnx.TensorProto.EXTERNAL
    tensor.dims.append(1)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "private"
    buffer = io.BytesIO(graph.SerializeToString())
    arrays["session_0"] = np.frombuffer(buffer.getvalue(), np.uint8)
    with pytest.raises(ModelError, match="another file"):
        OnnxModel.from_arrays(arrays)
