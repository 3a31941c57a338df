"""numpy arrays, scalars and dtypes: every kind, shape and order comes back, without trust, through sections."""

import itertools
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _helpers.support import VECTORS

import pickleseal
from pickleseal import errors

np = pytest.importorskip("numpy")

DTYPES = [
    *("?", "i1", "u1", "<i2", ">i2", "<u4", ">i8", "<f2", "<f4", ">f8", "<c8", "<c16", "S5", "S0", "<U3", ">U3", "V7"),
    *("<M8[ns]", "<M8[25s]", "<m8[D]", "<m8", ">M8[us]", "longdouble", "clongdouble"),
    [("a", "<i4"), ("b", "S3")],
    {"names": ["x", "y"], "formats": ["<f8", "u1"], "offsets": [8, 0], "itemsize": 24},
    [("pos", "<f4", (3,)), ("inner", [("u", "i1"), ("v", "<M8[s]")])],
    [(("title of a", "a"), "<i4")],
    np.dtype([("a", "i1"), ("b", "f8")], align=True),
]
SHAPES = [(), (0,), (1,), (7,), (3, 0, 2), (4, 5), (2, 3, 4)]


def filled(dtype: Any, shape: tuple[int, ...]) -> Any:
    """An array of a dtype with arbitrary, repeatable bytes that are valid for it."""
    built = np.dtype(dtype)
    count = int(np.prod(shape, dtype=int)) * built.itemsize
    raw = bytes((i * 7 + 1) % 2 if built.kind in "bU" else (i * 7 + 1) % 120 for i in range(count))
    if built.kind == "U":
        return np.full(shape, "añ", dtype=built)
    if built.char in "gG":
        return np.arange(int(np.prod(shape, dtype=int)), dtype=built).reshape(shape)
    return np.ndarray(shape, built, bytearray(raw) if count else None)


def same(left: Any, right: Any) -> bool:
    assert left.dtype == right.dtype
    assert left.dtype.str == right.dtype.str
    assert left.dtype.isalignedstruct == right.dtype.isalignedstruct
    assert left.shape == right.shape
    assert left.flags.c_contiguous == right.flags.c_contiguous
    assert left.flags.f_contiguous == right.flags.f_contiguous
    if left.dtype.fields is not None:  # bytes between fields are arbitrary
        return bool((left == right).all())
    return bool(left.tobytes() == right.tobytes())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
class TestEveryDtype:
    def test_arrays(self, dtype: Any, shape: tuple[int, ...]) -> None:
        array = filled(dtype, shape)
        data = pickleseal.pack(array)
        assert all(name.startswith("pickleseal:") for name in pickleseal.peek(data).globals)
        again = pickleseal.unpack(data, expect=np.ndarray)
        assert same(again, array)
        assert again.flags.writeable

    def test_fortran_order(self, dtype: Any, shape: tuple[int, ...]) -> None:
        array = np.asfortranarray(filled(dtype, shape))
        assert same(pickleseal.unpack(pickleseal.pack(array)), array)

    def test_strided(self, dtype: Any, shape: tuple[int, ...]) -> None:
        array = np.repeat(filled(dtype, shape).reshape(-1), 2)[::2]
        assert same(pickleseal.unpack(pickleseal.pack(array)), array.copy())

    def test_as_from_pickle(self, dtype: Any, shape: tuple[int, ...]) -> None:
        """spec 3, I7: plain pickle loads the payload to an equal array."""
        array = filled(dtype, shape)
        data = pickleseal.pack(array)
        header = pickleseal.peek(data)
        start = header.preamble.head_len
        assert same(pickle.loads(data[start : start + header.sections[0].len]), array)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_scalars_and_dtypes(dtype: Any) -> None:
    scalar = filled(dtype, ())[()]
    again, built = pickleseal.unpack(pickleseal.pack((scalar, np.dtype(dtype))))
    assert type(again) is type(scalar)
    assert again.tobytes() == scalar.tobytes()
    assert built == np.dtype(dtype)
    assert built.isalignedstruct == np.dtype(dtype).isalignedstruct


def test_big_arrays_are_sections_of_their_own_aligned_and_writable(tmp_path: Path) -> None:
    arrays = {"a": np.arange(10_000.0), "b": np.arange(500_000, dtype="<i4").reshape(500, 1000), "small": np.arange(3)}
    data = pickleseal.pack(arrays)
    header = pickleseal.peek(data)
    assert [section.len for section in header.sections[1:]] == [80_000, 2_000_000]
    pickleseal.dump(arrays, tmp_path / "a")
    for again in (pickleseal.unpack(data), pickleseal.load(tmp_path / "a")):
        for name, array in arrays.items():
            assert same(again[name], array)
            again[name][...] = 0
    assert pickleseal.load(tmp_path / "a")["b"].ctypes.data % 64 == 0
    assert arrays["a"][5] == 5


def test_empty_strings_and_deep_dtypes() -> None:
    values = [np.array(["", "a"])[0], np.bytes_(b""), np.str_("")]
    assert pickleseal.unpack(pickleseal.pack(values)) == values
    deep = np.dtype("<f8")
    for _ in range(40):
        deep = np.dtype([("a", deep)])
    names = pickleseal.peek(pickleseal.pack(np.zeros(1, deep))).globals
    assert any(name.startswith("numpy") for name in names)  # no plain form: numpy's own way


def test_strided_arrays_of_nothing() -> None:
    for kind in ("S0", "U0"):
        array = np.zeros(3, [("a", kind), ("b", "i4")])["a"]
        again = pickleseal.unpack(pickleseal.pack(array))
        assert again.shape == (3,)
        assert again.dtype == array.dtype


def test_more_large_buffers_than_sections() -> None:
    block = np.zeros(9000)
    again = pickleseal.unpack(pickleseal.pack([block[:] for _ in range(10_002)]))
    assert len(again) == 10_002
    assert again[-1].shape == (9000,)


def test_gaps_between_fields_hold_no_foreign_memory() -> None:
    """They are the array's own bytes or zero, as numpy copies them; never what lay in fresh memory."""
    array = np.zeros(4000, dtype=np.dtype([("a", "u1"), ("b", "f8")], align=True))
    array.view("u1")[:] = 255
    packed = [bytes(max(pickleseal.pack_parts(array[::2]), key=len)) for _ in range(5)]
    raw = np.frombuffer(packed[0], dtype="u1").reshape(-1, 16)
    assert (raw[:, 0] == 255).all()
    assert np.isin(raw[:, 1:8], (0, 255)).all()
    assert len(set(packed)) == 1


def test_read_only_arrays_stay_read_only() -> None:
    for size in (0, 10, 10_000):
        array = np.arange(float(size))
        array.flags.writeable = False
        strided = np.arange(2.0 * size)[::2]
        strided.flags.writeable = False
        for again in pickleseal.unpack(pickleseal.pack([array, strided])):
            assert not again.flags.writeable


def _layouts(array: Any) -> Iterator[Any]:
    """Yield an array with its axes in every order, and parts of it that are reversed or have gaps."""
    for axes in itertools.permutations(range(array.ndim)):
        transposed = array.transpose(axes)
        for step in (1, -1, 2):
            yield transposed[..., ::step]
            yield transposed[::step]
        yield np.asfortranarray(transposed)
        yield transposed[..., None, :]


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 3, 4), (2, 1, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", ["f8", "O", "M8[s]", [("a", "u1"), ("b", "f8")]])
def test_arrays_come_back_with_the_strides_that_they_had(dtype: Any, shape: tuple[int, ...]) -> None:
    """Without gaps they keep the order of their axes in memory; with gaps they come back in C order, as by pickle."""
    plain = np.arange(np.prod(shape)).reshape(shape)
    array = np.zeros(shape, dtype)
    array["b" if array.dtype.names else ...] = plain
    for layout in _layouts(array):
        for options in (None, pickleseal.PackOptions(reproducible=True)):
            again = pickleseal.unpack(pickleseal.pack(layout, options=options))
            assert np.array_equal(again, layout)
            by_stride = layout.transpose(np.argsort(layout.strides)[::-1])
            if by_stride.flags.c_contiguous and dtype != "O":
                assert _strides(again) == _strides(layout)
            else:
                assert again.flags.c_contiguous or layout.flags.f_contiguous
            assert again.flags.c_contiguous >= layout.flags.c_contiguous
            assert again.flags.f_contiguous >= layout.flags.f_contiguous


def _strides(array: Any) -> list[int]:
    """Return the strides of the axes that have more than one element: the others may be anything."""
    return [stride for stride, length in zip(array.strides, array.shape, strict=True) if length != 1]


def test_a_transposed_array_is_neither_copied_nor_reordered() -> None:
    array = np.arange(24_000.0).reshape(20, 30, 40).transpose(2, 0, 1)
    [section] = [part for part in pickleseal.pack_parts(array) if isinstance(part, memoryview) and part.nbytes > 9000]
    assert np.shares_memory(np.frombuffer(section), array)
    again = pickleseal.unpack(pickleseal.pack(array, options=pickleseal.PackOptions(read_back=True)))
    assert again.strides == array.strides
    assert again.flags.writeable


def test_arrays_of_objects_keep_identity_and_cycles() -> None:
    shared = ["x"]
    array = np.empty((2, 2), dtype=object, order="F")
    array[0, 0], array[1, 1], array[0, 1] = shared, shared, array
    again = pickleseal.unpack(pickleseal.pack(array))
    assert again[0, 0] is again[1, 1]
    assert again[0, 1] is again
    assert again[1, 0] is None
    assert again.flags.f_contiguous


def test_one_array_in_two_places_is_one() -> None:
    array = np.arange(10_000.0)
    data = pickleseal.pack([array, array])
    assert len(pickleseal.peek(data).sections) == 2
    left, right = pickleseal.unpack(data)
    assert left is right


def test_arrays_without_a_plain_form_are_pickled_by_numpy_and_need_trust() -> None:
    class_of_own = np.ma.masked_array([1, 2], mask=[True, False])
    data = pickleseal.pack(class_of_own)
    with pytest.raises(errors.UntrustedGlobalError) as caught:
        pickleseal.unpack(data)
    again = pickleseal.unpack(data, trust=caught.value.missing)
    assert (again.mask == class_of_own.mask).all()
    for obj in (np.dtype("O"), np.dtype("f8", metadata={"a": 1}), np.rec.array([(1,)], dtype=[("a", "i4")])):
        names = pickleseal.peek(pickleseal.pack(obj)).globals
        assert any(name.startswith("numpy") for name in names)
        pickleseal.unpack(pickleseal.pack(obj), trust=[n for n in names if n.startswith("numpy")])


@pytest.mark.parametrize(
    "arguments",
    [
        ("<f8", (2,), "C", bytes(15)),
        ("<f8", (2,), "C", bytes(17)),
        ("<f8", (2**62, 8), "C", b""),
        ("<f8", (2**40, 2**40), "C", b""),
        ("<f8", (-1,), "C", b""),
        ("<f8", (True,), "C", bytes(8)),
        ("<f8", [2], "C", bytes(16)),
        ("<f8", (1,) * 65, "C", bytes(8)),
        ("<f8", (2,), "K", bytes(16)),
        ("<f8", (1, 2), (0,), bytes(16)),
        ("<f8", (1, 2), (0, 0), bytes(16)),
        ("<f8", (1, 2), (1, 2), bytes(16)),
        ("<f8", (1, 2), (-1, 0), bytes(16)),
        ("<f8", (1, 2), (False, True), bytes(16)),
        ("<f8", (1, 2), ("0", 1), bytes(16)),
        ("<f8", (1, 2), [1, 0], bytes(16)),
        ("<f8", (2,), 1, bytes(16)),
        ("|O", (1,), "C", bytes(8)),
        ("O", (1,), "C", bytes(8)),
        ("f8", (1,), "C", bytes(8)),
        ("=f8", (1,), "C", bytes(8)),
        ("|f8", (1,), "C", bytes(8)),
        ("<b1", (1,), "C", bytes(1)),
        ("<f7", (1,), "C", bytes(7)),
        ("<f8,<f8", (1,), "C", bytes(16)),
        ("|V99999999999", (0,), "C", b""),
        (b"<f8", (1,), "C", bytes(8)),
        (("struct", 8, False, (("a", "|O", 0, None),)), (1,), "C", bytes(8)),
        (("struct", 8, False, (("a", "<f8", 4, None),)), (1,), "C", bytes(8)),
        (("struct", 8, False, (("a", "<f8", -8, None),)), (1,), "C", bytes(8)),
        (("struct", -8, False, (("a", "<f8", 0, None),)), (1,), "C", bytes(8)),
        (("struct", 8, False, (("a", "<f8", 0),)), (1,), "C", bytes(8)),
        (("struct", 8, False, (("a", "<f8", 0, None), ("a", "<f8", 0, None))), (1,), "C", bytes(8)),
        (("struct", 8, False, ((1, "<f8", 0, None),)), (1,), "C", bytes(8)),
        (("struct", "8", False, (("a", "<f8", 0, None),)), (1,), "C", bytes(8)),
        (("struct", 8, 1, (("a", "<f8", 0, None),)), (1,), "C", bytes(8)),
        (("struct", 8, False, 7), (1,), "C", bytes(8)),
        (("subarray", "<f8", (-1,)), (1,), "C", bytes(8)),
        (("subarray", "<f8"), (1,), "C", bytes(8)),
        (("other", "<f8", (1,)), (1,), "C", bytes(8)),
        ((), (1,), "C", bytes(8)),
        ("<f8", (2,), "C", "text"),
        ("<f8", (2,), "C", None),
    ],
    ids=str,
)
def test_rebuild_array_checks_what_it_is_given(arguments: tuple[Any, ...]) -> None:
    with pytest.raises((ValueError, TypeError)):
        pickleseal.rebuild_array(*arguments)


def test_dtype_descriptions_do_not_nest_without_end() -> None:
    described: Any = "<f8"
    for _ in range(100):
        described = ("subarray", described, (1,))
    with pytest.raises(ValueError, match="not a dtype description"):
        pickleseal.rebuild_dtype(described)


def test_the_other_rebuild_functions_check_as_well() -> None:
    with pytest.raises(ValueError, match="scalar: expected 8 bytes"):
        pickleseal.rebuild_scalar("<f8", b"x")
    with pytest.raises(ValueError, match="scalar: expected"):
        pickleseal.rebuild_scalar("<f8", bytearray(8))
    with pytest.raises(ValueError, match="shape"):
        pickleseal.rebuild_object_array((-1,), "C")
    for array, items in ((np.zeros(2), [1, 2]), (np.full(2, None), [1]), (np.full(2, None), (1, 2)), ([None], [1])):
        with pytest.raises(ValueError, match="fill_object_array"):
            pickleseal.fill_object_array(array, items)


def test_without_numpy_everything_else_works() -> None:
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "import pickleseal\n"
        "assert pickleseal.unpack(pickleseal.pack({'a': {1, 2}})) == {'a': {1, 2}}\n"
        "try:\n    pickleseal.load(sys.argv[1])\n"
        "except pickleseal.errors.UnpickleError as error: print(error)\n"
    )
    vector = VECTORS / "valid" / "array.pseal"
    done = subprocess.run([sys.executable, "-c", code, str(vector)], capture_output=True, text=True, check=True)
    assert "unpickle-failed" in done.stdout
    assert "pickleseal[numpy]" in done.stdout
