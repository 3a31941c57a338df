"""Classes of libraries have no schema, because their layout follows from the version of the library.

An application is no library, also where it is installed as a distribution.
"""

from __future__ import annotations

import base64
import hashlib
import pickle
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _helpers.evolving import installed

import pickleseal
from pickleseal import PackOptions, Policy, Registry
from pickleseal._schema import distributions
from pickleseal._schema.libraries import LIBRARIES
from pickleseal.errors import SchemaDriftError, SchemaWarning

LIBRARY = "shapely"  # in the table; nothing here needs the real one
PLAIN = "class Point:\n    x: int\n    y: int = 0\n    __array_priority__: float = 1.0\n"
SLOTS = "class Point:\n    __slots__ = ('x', 'y')\n"
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Give a function that makes distributions count as installed. Before it is called, none of them is."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def forget() -> None:
        distributions.package_of.cache_clear()
        distributions.installed_version.cache_clear()

    def install(name: str, version: str = "2.0") -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        forget()

    forget()
    yield install
    forget()


def made(module: Any, cls: str = "Point", **values: Any) -> Any:
    obj = object.__new__(getattr(module, cls))
    for name, value in (values or {"x": 1, "y": 2}).items():
        object.__setattr__(obj, name, value)
    return obj


def packed(text: str, options: PackOptions | None = None, module: str = LIBRARY, **values: Any) -> bytes:
    """Pack a point of a module with this source."""
    with installed(module, text) as now:
        return pickleseal.pack(made(now, **values), options=options)


def read(data: bytes, text: str, module: str = LIBRARY, **policy: Any) -> tuple[Any, list[str]]:
    """Return the point that some bytes hold, under this source, and the warnings about schemas."""
    with installed(module, text) as now, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        point = pickleseal.unpack(data, trust=[now.Point], policy=Policy(**policy))
    return point, [str(warning.message) for warning in caught if warning.category is SchemaWarning]


# --- what is recorded -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [PLAIN, SLOTS])
def test_a_class_of_a_library_has_no_schema_but_a_version(install: Install, text: str) -> None:
    install(LIBRARY)
    header = pickleseal.peek(packed(text))
    assert not header.types
    assert header.packages == {LIBRARY: "2.0"}


@pytest.mark.parametrize(
    "text",
    [
        "import dataclasses\n@dataclasses.dataclass\nclass Point:\n    x: int\n    y: int\n",
        "import attrs\n@attrs.define\nclass Point:\n    x: int\n    y: int\n",
        "import attrs\n@attrs.define(slots=False)\nclass Base:\n    x: int\nclass Point(Base):\n    y: int\n",
    ],
)
def test_a_class_whose_fields_a_framework_declares_is_recorded(install: Install, text: str) -> None:
    install(LIBRARY)
    with installed(LIBRARY, text) as module:
        header = pickleseal.peek(pickleseal.pack(made(module)))
    assert [name for name, _ in header.types[f"{LIBRARY}:Point"].fields] == ["x", "y"]


def test_an_enum_of_a_library_is_recorded(install: Install) -> None:
    install(LIBRARY)
    with installed(LIBRARY, "import enum\nclass Point(enum.Enum):\n    A = 1\n") as module:
        assert pickleseal.peek(pickleseal.pack(module.Point.A)).types[f"{LIBRARY}:Point"].kind == "enum"


def test_a_registered_class_of_a_library_is_recorded_and_refused(install: Install) -> None:
    install(LIBRARY)
    registry = Registry()
    with installed(LIBRARY, "class Point:\n    x: int\n    y: int\n") as module:
        registry.register(module.Point, "geo.Point")
        data = pickleseal.pack(made(module), options=PackOptions(registry=registry))
    assert pickleseal.peek(data).types["geo.Point"].fields == (("x", "int"), ("y", "int"))
    with installed(LIBRARY, "class Point:\n    x: int\n    z: int\n"), pytest.raises(SchemaDriftError):
        pickleseal.unpack(data, policy=Policy(registry=registry))


def test_a_module_with_the_name_of_a_library_that_is_not_installed_is_recorded(install: Install) -> None:
    data = packed(PLAIN)
    assert [name for name, _ in pickleseal.peek(data).types[f"{LIBRARY}:Point"].fields] == ["x", "y"]
    with pytest.raises(SchemaDriftError):
        read(data, PLAIN.replace("x", "z"))


def test_options_name_further_libraries_in_any_form(install: Install) -> None:
    install("geo")
    install("PyYAML")
    for module, libraries, is_recorded in [
        ("yaml", ["PyYAML"], False),
        ("geo", ["geo"], False),
        ("geo", iter(["Geo"]), False),
        ("geo", ["other"], True),
        ("geo", [], True),
    ]:
        data = packed(PLAIN, PackOptions(libraries=libraries), module)  # type: ignore[arg-type]
        assert bool(pickleseal.peek(data).types) is is_recorded
    options = PackOptions(libraries=["geo"])
    assert pickle.loads(pickle.dumps(options)).libraries == ("geo",)
    assert not pickleseal.peek(packed(PLAIN, pickle.loads(pickle.dumps(options)), "geo")).types


@pytest.mark.parametrize("wrong", ["numpy", b"numpy", 3, [3], [""], None])
def test_libraries_are_a_list_of_names(wrong: Any) -> None:
    with pytest.raises(TypeError, match="libraries: expected"):
        PackOptions(libraries=wrong)


def test_the_table_has_names_in_their_normal_form() -> None:
    assert {distributions.distribution_called(name) for name in LIBRARIES} == LIBRARIES
    for module, name in [("sklearn", "scikit-learn"), ("PIL", "pillow"), ("yaml", "pyyaml"), ("numpy", "numpy")]:
        assert distributions.distribution_called(module) == name
        assert name in LIBRARIES


# --- artifacts that early versions wrote ------------------------------------------------------------------------------

CHANGES = {
    "a removed name": PLAIN.replace("    x: int\n", ""),
    "a renamed name": PLAIN.replace("x", "z"),
    "a removed name with a default": PLAIN.replace("    y: int = 0\n", ""),
    "a new name": PLAIN + "    z: int\n",
    "another annotation": PLAIN.replace("x: int", "x: float"),
    "another kind": "class Point:\n    __slots__ = ('__dict__', 'z')\n",
    "no annotations": "class Point: pass\n",
}


@pytest.mark.parametrize("change", CHANGES)
def test_drift_of_an_early_artifact_is_a_warning(install: Install, change: str) -> None:
    data = packed(PLAIN)  # while nobody knows that this is a library
    assert pickleseal.peek(data).types
    install(LIBRARY)
    point, notes = read(data, CHANGES[change])
    assert vars(point) == {"x": 1, "y": 2}
    assert notes
    assert all(f"install the version of {LIBRARY} that wrote it" in note for note in notes)
    assert read(data, CHANGES[change], drift="ignore")[1] == []
    assert read(data, CHANGES[change], drift={LIBRARY: "ignore"})[1] == []
    with pytest.raises(SchemaDriftError):
        read(data, CHANGES[change], drift="strict")


def test_an_unchanged_class_of_a_library_raises_and_warns_nothing(install: Install) -> None:
    early = packed(PLAIN)
    install(LIBRARY)
    for data in (early, packed(PLAIN)):
        for drift in ("resolve", "strict", "ignore"):
            point, notes = read(data, PLAIN, drift=drift)
            assert (vars(point), notes) == ({"x": 1, "y": 2}, [])


def test_names_of_protocols_that_early_versions_recorded_take_no_part() -> None:
    from frames import Frame

    data = packed("class Point:\n    x: int\n    y: int\n", module="geo")
    header = pickleseal.peek(data)
    start = 64 + header.preamble.header_len
    fields = {name: value for name, value in header.as_dict().items() if name not in ("format", "sections")}
    del fields["types"]["geo:Point"]["attributes"]
    fields["types"]["geo:Point"]["fields"].append(["__array_priority__", "float"])
    early = Frame(data[start : start + header.sections[0].len], **fields).data
    assert "__array_priority__" in dict(pickleseal.peek(early).types["geo:Point"].fields)
    for text in (PLAIN, "class Point:\n    x: int\n    y: int = 0\n"):
        point, notes = read(early, text, "geo")
        assert (vars(point), notes) == ({"x": 1, "y": 2}, [])


# --- an application's class over a library's --------------------------------------------------------------------------

BASE = "class Base:\n    training: bool\n    hooks: dict = {}\n"
OVER = "import shapely\nclass Point(shapely.Base):\n    x: int\n    y: int\n"


def test_annotations_of_a_librarys_base_are_no_fields(install: Install) -> None:
    install(LIBRARY)
    with installed(LIBRARY, BASE):
        data = packed(OVER, module="geo")
    assert pickleseal.peek(data).types["geo:Point"].fields == (("x", "int"), ("y", "int"))
    for base in (BASE + "    more: int\n", "class Base:\n    more: int\n", "class Base: pass\n", BASE):
        with installed(LIBRARY, base):
            for drift in ("resolve", "strict"):
                point, notes = read(data, OVER, "geo", drift=drift)
                assert (vars(point), notes) == ({"x": 1, "y": 2}, [])
            with pytest.raises(SchemaDriftError):
                read(data, OVER.replace("x:", "z:"), "geo")


def test_an_early_artifact_with_annotations_of_a_librarys_base_loads(install: Install) -> None:
    with installed(LIBRARY, BASE):
        data = packed(OVER, module="geo")
    assert len(pickleseal.peek(data).types["geo:Point"].fields) == 4
    install(LIBRARY)
    with installed(LIBRARY, BASE):
        assert read(data, OVER, "geo")[1] == []
        with pytest.raises(SchemaDriftError):
            read(data, OVER.replace("x:", "z:"), "geo")


def test_a_removed_name_with_a_default_warns_only_where_it_can_have_been_a_librarys(install: Install) -> None:
    base, over = "class Base:\n    flag: bool = True\n", OVER + "    depth: int = 3\n"
    with installed(LIBRARY, base):
        data = packed(over, module="geo", x=1, y=2, depth=9)
    install(LIBRARY)
    with installed(LIBRARY, "class Base: pass\n"):
        point, notes = read(data, over, "geo")
        assert point.depth == 9
        assert len(notes) == 1
        with pytest.raises(SchemaDriftError):  # `depth` may be called `height` today
            read(data, over.replace("depth", "height"), "geo")
    own = packed("class Point:\n    x: int\n    y: int = 0\n", module="geo")
    with pytest.raises(SchemaDriftError):
        read(own, "class Point:\n    x: int\n", "geo")


# --- an application ---------------------------------------------------------------------------------------------------

APPLICATION = """
class Order:
    number: int
    price: int
    def __init__(self, number, price):
        self.number, self.price = number, price
"""


def build_wheel(folder: Path, name: str, files: dict[str, str]) -> Path:
    """Write a wheel with these files."""
    info = f"{name}-1.0.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in content.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            lines.append(f"{place},sha256={digest},{len(text.encode())}\n")
            archive.writestr(place, text)
        archive.writestr(f"{info}/RECORD", "".join(lines) + f"{info}/RECORD,,\n")
    return path


def test_an_application_that_is_installed_from_a_wheel_is_recorded_and_refused(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path, "shopapplication", {"shopapplication/__init__.py": APPLICATION})
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "--disable-pip-version-check", "--target", str(site), str(wheel)], check=True)
    stored = tmp_path / "order.pseal"
    begin = f"import sys; sys.path.insert(0, {str(site)!r}); import pickleseal, shopapplication as shop\n"

    def run(code: str) -> str:
        done = subprocess.run([sys.executable, "-B", "-c", begin + code], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    run(f"pickleseal.dump(shop.Order(1, 2), {str(stored)!r})")
    header = pickleseal.peek(stored)
    assert header.packages == {"shopapplication": "1.0"}
    assert [name for name, _ in header.types["shopapplication:Order"].fields] == ["number", "price"]
    load = f"""
try:
    print(vars(pickleseal.load({str(stored)!r}, expect=shop.Order)))
except pickleseal.errors.ReadError as error:
    print(error.code)
"""
    assert run(load) == "{'number': 1, 'price': 2}"
    changed = APPLICATION.replace("price", "cents")
    (site / "shopapplication" / "__init__.py").write_text(changed)
    assert run(load) == "schema-drift"


# --- `Policy(drift={...})` --------------------------------------------------------------------------------------------


def test_drift_may_differ_by_distribution(install: Install) -> None:
    install("geo", "1.0")
    old = packed("class Point:\n    x: int\n    y: int\n", module="geo")
    new = "class Point:\n    z: int\n    y: int\n"
    for drift in ("ignore", {"geo": "ignore"}, {"*": "strict", "GEO": "ignore"}, {"*": "ignore", "other": "strict"}):
        assert vars(read(old, new, "geo", drift=drift)[0]) == {"x": 1, "y": 2}
    for drift in ("resolve", {}, {"other": "ignore"}, {"*": "ignore", "geo": "resolve"}):
        with pytest.raises(SchemaDriftError):
            read(old, new, "geo", drift=drift)
    reordered = "class Point:\n    y: int\n    x: int\n"
    assert vars(read(old, reordered, "geo", drift={"other": "strict"})[0]) == {"x": 1, "y": 2}
    for drift in ("strict", {"geo": "strict"}, {"*": "strict"}, {"*": "strict", "other": "ignore"}):
        with pytest.raises(SchemaDriftError) as caught:
            read(old, reordered, "geo", drift=drift)
        assert 'drift="resolve"' in str(caught.value)


def test_each_rule_is_applied_to_the_classes_of_its_distribution_alone(install: Install) -> None:
    install("geo", "1.0")
    old = "class Point:\n    x: int\n    y: int\n"
    with installed("geo", old) as geo, installed("shop", old) as shop:
        data = pickleseal.pack([made(geo), made(shop)])
    new = old.replace("x:", "z:")
    trust = ["geo:Point", "shop:Point"]
    with installed("geo", new), installed("shop", new):
        for drift, refused in [({"geo": "ignore"}, "shop"), ({"shop": "ignore"}, "geo")]:
            with pytest.raises(SchemaDriftError) as caught:
                pickleseal.unpack(data, trust=trust, policy=Policy(drift=drift))
            assert {change.type for change in caught.value.changes} == {f"{refused}:Point"}


def test_rules_for_drift_are_compared_hashed_and_pickled() -> None:
    policy = Policy(drift={"*": "strict", "Scikit_Learn": "ignore"})
    assert policy == Policy(drift={"*": "strict", "Scikit_Learn": "ignore"})
    assert hash(policy) == hash(Policy(drift={"*": "strict", "Scikit_Learn": "ignore"}))
    assert policy != Policy(drift="strict")
    assert pickle.loads(pickle.dumps(policy)) == policy
    with pytest.raises(TypeError):
        policy.drift["numpy"] = "ignore"  # type: ignore[index]


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ("strikt", ValueError, "drift: expected one of resolve, strict, ignore, found 'strikt'"),
        ({"numpy": "strikt"}, ValueError, "drift: expected one of resolve, strict, ignore, found 'strikt'"),
        ({"numpy": 3}, TypeError, "drift: expected strings, found 'numpy': 3"),
        ({3: "ignore"}, TypeError, "drift: expected strings, found 3: 'ignore'"),
        (None, TypeError, "drift: expected one of resolve, strict, ignore, or a mapping from distributions to these"),
        (["strict"], TypeError, "found list"),
    ],
)
def test_a_wrong_drift_is_an_error_when_the_policy_is_made(wrong: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match="drift: ") as caught:
        Policy(drift=wrong)
    assert text in str(caught.value)


def test_many_rules_in_one_process_are_forgotten_in_time(install: Install) -> None:
    data = packed("class Point:\n    x: int\n", module="geo")
    for number in range(40):
        assert read(data, "class Point:\n    x: int\n", "geo", drift={f"other{number}": "strict"})[1] == []


def test_an_upgrade_refuses_to_ignore_any_drift(tmp_path: Path) -> None:
    path = tmp_path / "point.pseal"
    pickleseal.dump(1, path)
    for drift in ("ignore", {"numpy": "ignore"}):
        with pytest.raises(ValueError, match="would write old states"):
            pickleseal.maintenance.upgrade(path, policy=Policy(drift=drift))  # type: ignore[arg-type]
    assert not pickleseal.maintenance.upgrade(path, policy=Policy(drift={"numpy": "strict"}))
