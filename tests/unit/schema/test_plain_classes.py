"""Classes whose fields are known from their code alone: what `__init__` and other methods store (spec 6.2 and 6.3)."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from _helpers.evolving import MODULE, installed
from hypothesis import given, settings
from hypothesis import strategies as st

import pickleseal
from pickleseal import Policy, Registry
from pickleseal.errors import SchemaDriftError, SchemaWarning

Make = Callable[[Any], Any]


def pack(text: str, make: Make = lambda m: m.C()) -> bytes:
    with installed(MODULE, text) as module:
        return pickleseal.pack(make(module))


def read(data: bytes, text: str, drift: str = "resolve", **given: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the attributes of the object that is loaded, and the warnings."""
    with installed(MODULE, text) as module, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        obj = pickleseal.unpack(data, trust=[module.C], policy=Policy(drift=drift, **given))
        assert type(obj) is module.C
    assert all(issubclass(warning.category, SchemaWarning) for warning in caught)
    return vars(obj), [str(warning.message) for warning in caught]


def attributes(data: bytes) -> dict[str, str] | None:
    (schema,) = pickleseal.peek(data).types.values()
    return None if schema.attributes is None else dict(schema.attributes)


def plain(*names: str, more: str = "", base: str = "") -> str:
    body = "".join(f"\n  self.{name} = {number}" for number, name in enumerate(names)) or "\n  pass"
    return f"class C{base}:\n def __init__(self):{body}\n{more}"


XY = plain("x", "y")


class TestChanges:
    @pytest.mark.parametrize("drift", ["resolve", "strict"])
    def test_an_unchanged_class_loads(self, drift: str) -> None:
        assert read(pack(XY), XY, drift) == ({"x": 0, "y": 1}, [])

    @pytest.mark.parametrize(
        ("now", "what"),
        [
            (plain("x", "z"), "'y' was removed or renamed"),
            (plain("x"), "'y' was removed or renamed"),
            (plain("x", "y", "z"), "'z' was added"),
            (plain("x", more=" def y(self): return 1\n"), "'y' was removed or renamed"),
            (plain("x", "_y", more=" @property\n def y(self): return self._y\n"), "'y' was removed or renamed"),
        ],
    )
    @pytest.mark.parametrize("drift", ["resolve", "strict"])
    def test_a_required_name_that_is_gone_renamed_or_new_is_refused(self, now: str, what: str, drift: str) -> None:
        with pytest.raises(SchemaDriftError, match=what):
            read(pack(XY), now, drift)

    def test_the_refusal_of_a_renamed_attribute_names_both(self) -> None:
        with pytest.raises(SchemaDriftError, match=r'renames=\{"y": "z"\}'):
            read(pack(XY), plain("x", "z"))

    @pytest.mark.parametrize(
        "now",
        [
            plain("x", "y", "z", more=" z = 5\n"),
            plain("y", "x"),
            plain("x", more=" def reset(self): self.y = 3\n"),
            plain("x", more=" y = 3\n"),
            plain("x", "y", more=" def run(self): self.result = 3\n"),
            f"class B:\n def __init__(self): self.y = 1\n{plain('x', base='(B)')}  super().__init__()\n",
            "class C:\n x: int\n y: int\n",
            "from dataclasses import dataclass\n@dataclass\nclass C:\n x: int\n y: int\n",
        ],
    )
    def test_changes_that_lose_nothing_are_resolved(self, now: str) -> None:
        found, notes = read(pack(XY), now)
        assert (found, [note for note in notes if "of kind" not in note]) == ({"x": 0, "y": 1}, [])

    def test_a_registered_rename_brings_the_value(self) -> None:
        registry = Registry()
        data = pack(XY)
        with installed(MODULE, plain("x", "z")) as module:
            registry.register(module.C, "c", renames={"y": "z"}, formerly=[f"{MODULE}:C"])
            obj = pickleseal.unpack(data, policy=Policy(registry=registry))
            assert vars(obj) == {"x": 0, "z": 1}

    def test_an_optional_name_that_is_gone_is_a_warning(self) -> None:
        old = plain("x", more=" def run(self): self.result = 3\n")
        found, notes = read(pack(old), plain("x"))
        assert found == {"x": 0}
        assert len(notes) == 1
        assert notes[0].startswith(f"{MODULE}:C: 'result' was removed or renamed")
        with pytest.raises(SchemaDriftError) as caught:
            read(pack(old), plain("y"))
        assert {change.type for change in caught.value.changes} == {f"{MODULE}:C"}
        with pytest.raises(SchemaDriftError):
            read(pack(old), plain("x"), "strict")

    @pytest.mark.parametrize(
        "now",
        [
            "class C:\n __slots__ = ('x', 'y')\n",
            "class C:\n x: int\n y: int\n",
            "from dataclasses import dataclass\n@dataclass\nclass C:\n x: int\n y: int\n",
        ],
    )
    def test_declarations_taken_off_a_class_that_sets_the_same_lose_nothing(self, now: str) -> None:
        def make(module: Any) -> Any:
            obj = module.C.__new__(module.C)
            obj.x, obj.y = 0, 1
            return obj

        assert read(pack(now, make), XY)[0] == {"x": 0, "y": 1}
        with pytest.raises(SchemaDriftError, match="'y' was removed"):
            read(pack(now, make), plain("x"))

    def test_a_class_that_became_a_dataclass_with_other_fields_is_refused(self) -> None:
        with pytest.raises(SchemaDriftError, match="'y' was removed"):
            read(pack(XY), "from dataclasses import dataclass\n@dataclass\nclass C:\n x: int\n")


class TestUnusualClasses:
    def test_nothing_of_what_lies_on_a_class_is_asked(self) -> None:
        text = "class Proxy:\n def __getattribute__(self, name): raise OSError(name)\n"
        text += plain("x", more=" proxy = Proxy()\n")
        data = pack(text)
        assert attributes(data) == {"x": "required"}
        assert read(data, text, "strict") == ({"x": 0}, [])

    def test_names_come_from_wrapped_functions_and_descriptors(self) -> None:
        text = """
import functools
def logged(function):
    def wrapper(self, *given):
        self.logged = True
        return function(self, *given)
    return wrapper
def kept(function):
    @functools.wraps(function)
    def wrapper(*given): return function(*given)
    return wrapper
class C:
    total = 0
    @logged
    @kept
    def __init__(self):
        self.__x = 1
        self.total += 1
        other = C
        other.elsewhere = 1
        del self.total
    @functools.singledispatchmethod
    def take(self, value): self.a = 1
    @take.register
    def _(self, value: int): self.b = 1
    @functools.cached_property
    def c(self): self.d = 1
    @property
    def e(self): return 1
    @e.setter
    def e(self, value): self.f = value
    @classmethod
    def make(cls):
        made = cls()
        made.g = 1
        return made
    def later(self):
        self.e = 1
        def inner(): self.h = 1
"""
        optional = dict.fromkeys(["a", "b", "d", "f", "g", "h", "total"], "optional")
        assert attributes(pack(text)) == {"logged": "required", "_C__x": "required", **optional}
        for drift in ("resolve", "strict"):
            assert read(pack(text), text, drift)[1] == []


class TestConstructors:
    """`__new__` makes objects of classes over builtins, as `__init__` does elsewhere."""

    MADE = """
class C(str):
    made = 0
    def __new__(cls, text, {name}=0):
        other = Exception()
        other.elsewhere = 1
        self = super().__new__(cls, text)
        self.{name} = {name}
        object.__setattr__(self, "size", len(text))
        return self
    def fold(self):
        self.folded = self.lower()
    @classmethod
    def make(cls):
        made = cls("x")
        made.later = 1
        return made
"""

    def test_what_new_stores_in_the_object_that_it_returns_is_required(self) -> None:
        data = pack(self.MADE.format(name="unit"), lambda m: m.C("a", 3))
        optional = dict.fromkeys(["elsewhere", "folded", "later"], "optional")
        assert attributes(data) == {"unit": "required", "size": "required", **optional}
        for drift in ("resolve", "strict"):
            assert read(data, self.MADE.format(name="unit"), drift) == ({"unit": 3, "size": 1}, [])
        for drift in ("resolve", "strict"):
            with pytest.raises(SchemaDriftError, match="'unit' was removed or renamed"):
                read(data, self.MADE.format(name="measure"), drift)

    def test_a_name_that_new_stores_in_a_branch_is_optional(self) -> None:
        text = "class C(int):\n def __new__(cls, n):\n  self = int.__new__(cls, n)\n  if n: self.x = 1\n  return self\n"
        data = pack(text, lambda m: [m.C(1), m.C(0)])
        assert attributes(data) == {"x": "optional"}

    def test_the_only_object_of_a_class_is_none_that_new_makes(self) -> None:
        text = (
            "class C:\n one = None\n def __new__(cls):\n  cls.one = cls.one or super().__new__(cls)\n  return cls.one\n"
        )
        data = pack(text)
        assert attributes(data) == {}
        assert read(data, text, "strict") == ({}, [])

    @pytest.mark.parametrize("base", ["types.SimpleNamespace", "argparse.Namespace"])
    def test_what_is_assigned_over_a_base_that_takes_any_name_is_compared(self, base: str) -> None:
        text = f"import types, argparse\nclass C({base}):\n def __init__(self, **kw):\n"
        text += "  super().__init__(**kw)\n  self.{} = 5\n"
        data = pack(text.format("level"), lambda m: m.C(more=1))
        assert attributes(data) == {"level": "required"}
        for drift in ("resolve", "strict"):
            assert read(data, text.format("level"), drift) == ({"level": 5, "more": 1}, [])
        with pytest.raises(SchemaDriftError, match="'level' was removed or renamed"):
            read(data, text.format("depth"))


class TestFirstObjects:
    BRANCH = "class C:\n def __init__(self, a=0):\n  self.x = 1\n  if a: self.y = 2\n"

    def test_a_name_that_one_of_the_first_lacks_is_optional(self) -> None:
        for count, word in ((0, "required"), (62, "optional"), (63, "required")):
            data = pack(self.BRANCH, lambda m, n=count: [*(m.C(1) for _ in range(n + 1)), m.C()][: 100 if n else 1])
            assert attributes(data) == {"x": "required", "y": word}
        for drift in ("resolve", "strict"):
            assert read(pack(self.BRANCH), self.BRANCH, drift) == ({"x": 1}, [])

    def test_the_next_artifact_starts_anew(self) -> None:
        with installed(MODULE, self.BRANCH) as module:
            words = [attributes(pickleseal.pack(module.C(a)))["y"] for a in (0, 1, 0)]  # type: ignore[index]
        assert words == ["optional", "required", "optional"]

    def test_a_stream_and_reproducible_options_do_the_same(self, tmp_path: Any) -> None:
        with installed(MODULE, self.BRANCH) as module:
            data = pickleseal.pack(module.C(), options=pickleseal.PackOptions(reproducible=True))
            assert attributes(data) == {"x": "required", "y": "optional"}
            with pickleseal.StreamWriter(tmp_path / "s", batch=3) as stream:
                for record in (module.C(1), {module.C(): [1]}, module.C(1)):
                    stream.append(record)
            (schema,) = pickleseal.peek(tmp_path / "s").types.values()
            assert dict(schema.attributes or ())["y"] == "optional"
            assert len([*pickleseal.iter_load(tmp_path / "s", trust=[module.C])]) == 3


class TestUnknown:
    @pytest.mark.parametrize(
        "body",
        [
            "for k, v in kw.items(): setattr(self, k, v)",
            "self.__dict__.update(kw)",
            "vars(self).update(kw)",
            "self.__dict__ = kw",
            "object.__setattr__(self, kw.popitem()[0], 1)",
        ],
    )
    def test_strict_refuses_what_can_not_be_known(self, body: str) -> None:
        text = f"class C:\n def __init__(self, **kw):\n  {body}\n"
        data = pack(text, lambda m: m.C(a=1))
        assert attributes(data) is None
        assert pickleseal.peek(data).preamble.version_minor == 0
        assert read(data, text)[1] == []
        with pytest.raises(SchemaDriftError, match="not compared"):
            read(data, text, "strict")

    @pytest.mark.parametrize("base", ["types.SimpleNamespace", "argparse.Namespace"])
    def test_attributes_of_a_namespace_are_data(self, base: str) -> None:
        head = f"import types, argparse\nclass C({base}):\n"
        own = head + " def mark(self): self.marked = 1\n"
        data = pack(own, lambda m: m.C(a=1))
        assert attributes(data) == {"marked": "optional"}
        for drift in ("resolve", "strict"):
            assert read(data, own, drift) == ({"a": 1}, [])
        with pytest.raises(SchemaDriftError, match="'marked' was removed"):
            read(data, own.replace("marked", "seen"), "strict")
        # Here the class says what its attributes are, in a way that is not read.
        told = head + " def __init__(self, a=1): super().__init__(a=a)\n"
        with pytest.raises(SchemaDriftError, match="not compared"):
            read(pack(told), told, "strict")

    def test_a_class_that_is_stored_by_reference_has_no_entry(self) -> None:
        for text in (XY, "class C:\n def __init__(self, **kw): self.__dict__.update(kw)\n"):
            assert pickleseal.peek(pack(text, lambda m: m.C)).types == {}

    def test_an_entry_of_format_1_0_is_compared_as_before(self) -> None:
        from frames import Frame

        header = pickleseal.peek(pack(XY))
        data = pack(XY)
        fields = {key: value for key, value in header.as_dict().items() if key not in ("format", "sections")}
        start = header.preamble.head_len
        payload = data[start : start + header.sections[0].len]
        del fields["types"][f"{MODULE}:C"]["attributes"]
        assert read(Frame(payload, **fields).data, plain("x", "z"), "strict") == ({"x": 0, "y": 1}, [])
        del fields["types"]
        assert read(Frame(payload, **fields).data, plain("x", "z"), "strict") == ({"x": 0, "y": 1}, [])

    def test_methods_for_pickling_of_its_own_say_what_is_stored(self) -> None:
        more = " def __getstate__(self): return {'z': 1}\n def __setstate__(self, s): self.x = s['z']\n"
        data = pack(plain("x", more=more))
        assert pickleseal.peek(data).types == {}
        assert read(data, plain("q", more=more)) == ({"x": 1}, [])


# --- sources that hypothesis makes ------------------------------------------------------------------------------------

STORES = [
    "self.{0} = 1",
    "self.{0}: int = 1",
    "self.{0}, other = 1, 2",
    "[self.{0}, *rest] = [1, 2]",
    "for self.{0} in (1,): pass",
    "self.{0} = other = 1",
    "with nothing() as self.{0}: pass",
    "setattr(self, '{0}', 1)",
    "object.__setattr__(self, '{0}', 1)",
    "self.__dict__['{0}'] = 1",
    "[None for self.{0} in (1,)]",
    "if True: self.{0} = 1",
]
HEAD = "from contextlib import nullcontext as nothing\n"
NAMES = st.lists(st.sampled_from(["a", "b", "c", "_d", "__e", "f"]), min_size=1, unique=True)
METHODS = ["", " def later(self): self.lazy = 1\n", " @property\n def p(self): return 1\n"]


@st.composite
def sources(draw: st.DrawFn, names: list[str], methods: str) -> str:
    stores = [draw(st.sampled_from(STORES)).format(name) for name in names]
    if any("__dict__['__e']" in s or "'__e'" in s for s in stores):  # such a name is not mangled
        stores = [f"self.{name} = 1" for name in names]
    split = draw(st.integers(0, len(stores)))

    def init(lines: list[str], first: str = "pass") -> str:
        return " def __init__(self):\n" + "".join(f"  {line}\n" for line in (first, *lines))

    if draw(st.booleans()) and "__e" not in names:
        base = f"class B:\n{init(stores[:split])}"
        return f"{HEAD}{base}class C(B):\n{init(stores[split:], 'super().__init__()')}{methods}"
    return f"{HEAD}class C:\n{init(stores)}{methods}"


def mangled(names: list[str]) -> set[str]:
    return {f"_C{name}" if name.startswith("__") else name for name in names}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_same_attributes_load_and_others_are_refused(data: st.DataObject) -> None:
    """However two classes spell what they store: the same names load in silence, and other names are refused."""
    old, new = data.draw(NAMES), data.draw(NAMES)
    methods = data.draw(st.sampled_from(METHODS))
    packed = pack(data.draw(sources(old, methods)))
    assert {name for name, word in (attributes(packed) or {}).items() if word == "required"} == mangled(old)
    for drift in ("resolve", "strict"):
        found, notes = read(packed, data.draw(sources(old, methods)), drift)
        assert (set(found), notes) == (mangled(old), [])
    other = data.draw(sources(new, methods))
    if set(old) == set(new):
        return
    with pytest.raises(SchemaDriftError):
        read(packed, other)


LAZY = plain(
    "x", more=" def fit(self):\n  self.coef_ = 1\n  return self\n @property\n def y(self):\n  self._y = 2\n  return 2\n"
)


@pytest.mark.parametrize("drift", ["resolve", "strict"])
def test_attributes_that_are_set_later_never_raise_or_warn(drift: str) -> None:
    for make in (lambda m: m.C(), lambda m: m.C().fit()):
        assert read(pack(LAZY, make), LAZY, drift)[1] == []
