"""The shapes of level `strict` in one table: how honest pickles make each listed type (spec section 8.2, table 8-A).

A row says by which arguments REDUCE calls a class or function, by which NEWOBJ makes an object, and which state BUILD
may give it. What no row and no rule of `traits` admits is refused. A row comes into the table only together with the
pickle that needs it: `tests/unit/trust/test_shapes.py` pickles something for each row and each alternative.

A pattern gets a plain value, or what stands for an object in a dry run. It looks at exact types and at attributes of
these stand-ins, which are set here: `stands_for` and `like`. This module imports none of the types that it describes,
and runs no code but its own.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any


class Pattern:
    """A test of one value, and the words for it in an error. `is_small`: it accepts nothing of more than some bytes."""

    __slots__ = ("accepts", "is_small", "text")

    def __init__(self, text: str, accepts: Callable[[Any], bool], is_small: bool = False) -> None:
        self.text = text
        self.accepts = accepts
        self.is_small = is_small

    def __or__(self, other: "Pattern") -> "Pattern":
        first, second = self.accepts, other.accepts
        is_small = self.is_small and other.is_small
        return Pattern(f"{self.text} or {other.text}", lambda value: first(value) or second(value), is_small)


class StandIn:
    """Base of all that stands for a global or an object in a dry run, except for classes."""

    __slots__ = ()
    is_a = "object"  # or "function", "value" (nothing can be done with it) or "alias" (a value that refers to types)
    like = ""  # the row of the table that made it, if it was one
    args: Sequence[Any] = ()
    leaves = 1  # how many types an alias refers to


def _exact(kind: type) -> Pattern:
    return Pattern(kind.__name__, lambda value: type(value) is kind)


def _one_of(text: str, *values: Any) -> Pattern:
    return Pattern(text, lambda value: any(type(value) is type(one) and value == one for one in values), True)


def _integer(lowest: int, highest: int) -> Pattern:
    text = f"an int from {lowest} to {highest}" if highest < 2**32 else "an int of limited size"
    return Pattern(text, lambda value: type(value) is int and lowest <= value <= highest, True)


def _text(longest: int) -> Pattern:
    return Pattern(f"str of at most {longest}", lambda value: type(value) is str and len(value) <= longest)


def _bytes(length: int) -> Pattern:
    # Python 2 has text where later versions have bytes.
    kinds = (bytes, str)
    return Pattern(f"{length} bytes", lambda value: type(value) in kinds and len(value) == length, True)


def _is(kind: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, StandIn) and value.is_a == kind


def like(*rows: str) -> Pattern:
    """Return a pattern for objects that these rows made, and those of subclasses."""
    names = " or ".join(row.partition(":")[2] for row in rows)
    return Pattern(names, lambda value: isinstance(value, StandIn) and value.like in rows, True)


def _every(kind: Any, item: Pattern, longest: int = 2**63, shortest: int = 0) -> Pattern:
    accepts = item.accepts
    return Pattern(
        f"{kind.__name__} of {item.text}",
        lambda value: type(value) is kind and shortest <= len(value) <= longest and all(map(accepts, value)),
    )


def _mapping(item: Pattern) -> Pattern:
    accepts = item.accepts
    return Pattern(
        f"dict of str to {item.text}",
        lambda value: (
            type(value) is dict and all(type(key) is str for key in value) and all(map(accepts, value.values()))
        ),
    )


ANY = Pattern("any value", lambda value: True)
NONE = Pattern("None", lambda value: value is None, True)
INT, STR, BYTES = (_exact(kind) for kind in (int, str, bytes))
FLOAT = Pattern("float", lambda value: type(value) is float, True)
BOOL = Pattern("bool", lambda value: type(value) is bool, True)
TUPLE, LIST, DICT = (_exact(kind) for kind in (tuple, list, dict))
CLASS = Pattern("a class", lambda value: isinstance(value, type), True)
FUNCTION = Pattern("a function", _is("function"), True)
OBJECT = Pattern("an object", _is("object"), True)
PLAIN = NONE | BOOL | INT | FLOAT | STR | BYTES
INT64 = _integer(-(2**63), 2**63 - 1)
EMPTY = Pattern("()", lambda value: type(value) is tuple and not value, True)
CHARACTER = Pattern("one character", lambda value: type(value) is str and len(value) == 1)
_DIGITS = re.compile(r"-?[0-9]+(/[0-9]+)?")
DIGITS = Pattern("digits", lambda value: type(value) is str and _DIGITS.fullmatch(value) is not None)
NUMBERS = Pattern("a number", lambda value: type(value) in (int, float) or CHARACTER.accepts(value))
# What an alias may hold: nothing of which `typing` or `types` would ask for an attribute that code of a class answers.
_SAFE_TYPES = ("builtins:bytearray", "builtins:type")  # a payload gets functions for these, until they are kept
_TYPE = Pattern(
    "a type",
    lambda v: (
        isinstance(v, type)
        or v is None
        or v is ...
        or (
            isinstance(v, StandIn)
            and (v.is_a in ("alias", "value") or (v.is_a == "function" and v.like in _SAFE_TYPES))
        )
    ),
)


def _types(item: Pattern) -> Pattern:
    """Return a pattern for the parameters of an alias: types, and lists and tuples of types."""
    accepts = (item | _every(list, item, 100) | _every(tuple, item, 100)).accepts
    return Pattern(
        "a tuple of types", lambda value: type(value) is tuple and len(value) <= 100 and all(map(accepts, value))
    )


_TYPES = _types(_TYPE)  # text would be compiled, so `typing` gets none
_TYPES_AND_TEXTS = _types(_TYPE | STR)
_LITERALS = PLAIN | Pattern("a member of an enum", _is("value"))


def _of_typing(*names: str) -> Pattern:
    """Return a pattern for what `typing` has under these names: classes in some versions, and values in others."""
    known = {f"typing:{name}" for name in names}
    return Pattern(" or ".join(names), lambda value: getattr(value, "stands_for", None) in known)


_GENERIC = CLASS | Pattern(
    "a name of typing", lambda value: _is("value")(value) and value.stands_for.startswith("typing:")
)
MAPPING = DICT | Pattern("an object like a dict", lambda value: isinstance(value, StandIn) and value.is_a == "object")
PATH = like("pathlib:PurePosixPath", "pathlib:PureWindowsPath")

# What `functools.partial` may hold: none of the functions that stand for others. Nothing in a payload calls it. A call
# that it prepares of a listed type is as small as its arguments.
_CALLED = (
    CLASS
    | OBJECT
    | Pattern("a method", _is("value"), True)
    | Pattern("a function", lambda v: _is("function")(v) and not v.like and v.stands_for != "builtins:getattr", True)
)
_LAZY = ("builtins:range", "ipaddress:IPv4Network", "ipaddress:IPv6Network")
_SMALL = Pattern(
    "a small value",
    lambda v: (type(v) is not int or abs(v) < 2**16) and not (isinstance(v, StandIn) and v.like in _LAZY),
)
_SHOWN = ("__name__", "__qualname__", "__module__", "__doc__")
_ATTRIBUTE = Pattern(
    "names that do not begin with two underscores",
    lambda v: (
        type(v) is str and len(v) <= 1000 and not any(p.startswith("__") and p not in _SHOWN for p in v.split("."))
    ),
)
_METHOD = Pattern(
    "a name that does not begin with two underscores",
    lambda v: type(v) is str and len(v) <= 1000 and not v.startswith("__"),
)

LONGEST_PATTERN = 1_000_000  # characters of a regular expression
LONGEST_DECIMAL = 100_000


class Args:
    """Arguments of a call: these, one after the other, then any number that fit `more`."""

    __slots__ = ("fit", "is_small", "text")

    def __init__(self, *patterns: Pattern, more: Pattern | None = None, optional: int = 0) -> None:
        texts = [pattern.text for pattern in patterns] + ([] if more is None else [f"{more.text} ..."])
        self.text = f"({', '.join(texts)})"
        self.is_small = more is None and all(pattern.is_small for pattern in patterns)
        self.fit = _test_of([pattern.accepts for pattern in patterns], optional, more)


def _test_of(
    accepts: list[Callable[[Any], bool]], optional: int, more: Pattern | None
) -> Callable[[tuple[Any, ...]], bool]:
    """Return the function that finds out whether arguments have a shape. Frequent ones are written out, for speed."""
    count, fewest = len(accepts), len(accepts) - optional
    if more is not None:
        others = more.accepts if more is not ANY else None
        return lambda args: (
            len(args) >= fewest
            and all(test(arg) for test, arg in zip(accepts, args, strict=False))
            and (others is None or all(map(others, args[count:])))
        )
    if count == 1 and not optional:
        (only,) = accepts
        return lambda args: len(args) == 1 and only(args[0])
    if count == 2:
        first, second = accepts
        return lambda args: (
            first(args[0]) and second(args[1])
            if len(args) == 2
            else fewest <= len(args) < 2 and (not args or first(args[0]))
        )
    return lambda args: (
        fewest <= len(args) <= count and all(test(arg) for test, arg in zip(accepts, args, strict=False))
    )


class Fields:
    """A state that is a dict with text for keys: the `required` ones, `optional` ones, and `others` if any may come."""

    __slots__ = ("is_kept", "optional", "others", "required")

    def __init__(
        self,
        required: Mapping[str, Pattern] | None = None,
        optional: Mapping[str, Pattern] | None = None,
        others: bool = False,
        is_kept: bool = False,
    ) -> None:
        self.required = required or {}
        self.optional = optional or {}
        self.others = others
        self.is_kept = is_kept  # whether the object keeps a list of its state, which may change later

    def fit(self, state: Any) -> bool:
        """Return whether a state has this shape."""
        if type(state) is not dict or not self.required.keys() <= state.keys():
            return False
        for name, value in state.items():
            if type(name) is not str:
                return False
            pattern = self.required.get(name) or self.optional.get(name)
            if not (self.others if pattern is None else pattern.accepts(value)):
                return False
        return True

    @property
    def text(self) -> str:
        parts = [f"{name}: {pattern.text}" for name, pattern in {**self.required, **self.optional}.items()]
        return "{" + ", ".join(parts + ["str: any value"] * self.others) + "}"


class Prepared:
    """The state of a `functools.partial`: what is called, its arguments, its keywords, and attributes."""

    __slots__ = ()
    is_kept = True
    text = "(a callable, tuple, dict with names or None, dict with names or None)"

    def fit(self, state: Any) -> bool:
        """Return whether a state has this shape."""
        if type(state) is not tuple or len(state) != 4 or type(state[1]) is not tuple or not _CALLED.accepts(state[0]):
            return False
        if not all(part is None or NAMED.accepts(part) for part in state[2:]):
            return False
        if not getattr(state[0], "has_row_of_its_own", False):
            return True
        is_small = all(map(_SMALL.accepts, (*state[1], *(state[2] or {}).values())))
        return is_small and state[0].like != "fractions:Fraction"


NAMED = _mapping(ANY)


def _times(args: tuple[Any, ...]) -> int:
    """Return the steps of a greatest common divisor: words by words."""
    sizes = [arg.bit_length() // 64 if type(arg) is int else len(arg) // 19 for arg in args if type(arg) in (int, str)]
    return max(sizes, default=0) ** 2 // 16


_IGNORES_CASE = re.compile(r"\(\?[aLmsux]*i")
_END = r"(\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\x[0-9a-fA-F]{2}|\\N|.)"
_RANGES = re.compile(f"(?s){_END}-{_END}")
_WIDEST = 65_536  # characters of a table that `re` makes for a set
_WIDE_SET, _SET, _SET_ANY_CASE = 2000, 100, 300


def _pattern_steps(args: tuple[Any, ...]) -> int:
    """Return the steps of compiling a pattern: its characters and sets, and the ranges in these if case is ignored."""
    pattern: Any = args[0] if args and type(args[0]) in (str, bytes) else ""
    text: str = pattern if type(pattern) is str else pattern.decode("latin-1")
    sets = text.count("[")
    steps = 10 * len(text) + _SET * sets
    if not sets:
        return steps
    wide = ranges = 0
    if type(pattern) is str:
        wide = len(text) - len(text.encode("latin-1", "ignore")) + sum(map(text.count, ("\\u", "\\U", "\\N")))
    flags = args[1] if len(args) > 1 and type(args[1]) is int else 0
    if flags & re.IGNORECASE or _IGNORES_CASE.search(text) is not None:
        steps += _SET_ANY_CASE * sets
        ranges = sum(min(abs(_code(last) - _code(first)), _WIDEST) >> 4 for first, last in _RANGES.findall(text))
    return steps + max(_WIDE_SET * min(sets, wide), ranges)


def _code(end: str) -> int:
    """Return the code point of an end of a range; a name has one that is as far away as can be."""
    return ord(end) if len(end) == 1 else -_WIDEST if end == "\\N" else int(end.lstrip("\\uUx"), 16)


class Row:
    """How honest pickles make one listed type, or call one listed function.

    `calls` and `makes` are alternatives, for REDUCE and NEWOBJ. `state` is None where BUILD is refused. `items` says
    which opcodes add items. `hashes`: the call hashes, compares or prints its arguments, so that nested ones cost as
    often as they are met. `steps`: what a call costs beside the length of its arguments. `versions` are those of Python
    that write it, where these are not all.
    """

    __slots__ = (
        *(
            "calls",
            "copies",
            "fits_small",
            "gives",
            "hashes",
            "is_exact",
            "items",
            "makes",
            "number",
            "state",
            "steps",
            "versions",
        ),
    )

    def __init__(
        self,
        *calls: Args,
        makes: Sequence[Args] = (),
        state: "Fields | Prepared | None" = None,
        items: str = "",
        hashes: bool = False,
        steps: int | Callable[[tuple[Any, ...]], int] = 0,
        gives: str = "object",
        number: str = "",
        is_exact: bool = False,
        copies: bool = True,
        versions: str = "",
    ) -> None:
        self.calls = calls
        self.copies = copies  # whether the length of its arguments counts: it copies or parses them
        self.makes = tuple(makes)
        self.state = state
        self.items = items
        self.hashes = hashes
        self.steps = steps
        self.gives = gives  # "object", "alias", "value", or "plain": the row is called for real
        self.number = number  # the type that computes its hash, where an attacker can choose that
        self.is_exact = is_exact  # whether subclasses have no part in the row
        self.versions = versions
        # Whether arguments have the shape of a call whose price is a single step; None if there is no such call.
        is_small = all(args.is_small for args in calls) and gives == "object" and not (hashes or steps)
        self.fits_small = calls[0].fit if is_small and calls else None

    def expected(self, opcode: str) -> str:
        """Return the words for what an opcode may do by this row."""
        if opcode == "BUILD":
            return "no state" if self.state is None else self.state.text
        alternatives = self.calls if opcode == "REDUCE" else self.makes
        return " or ".join(args.text for args in alternatives) or f"no {opcode}"


_MORE = Fields(others=True)
_NO_ARGS = (Args(),)
_ZONE = NONE | OBJECT | Pattern("a time zone by name", _is("value"), True)
_NEW_PATH = Row(Args(more=STR))
_DTYPE = STR | TUPLE
_ORDER = _one_of("'C' or 'F'", "C", "F")
_BUFFER = Pattern(
    "bytes or a buffer", lambda v: type(v) in (bytes, bytearray, memoryview) or type(v).__name__ == "PickleBuffer"
)
_INFO = _every(tuple, PLAIN, 6, 4)

ROWS: dict[str, Row] = {
    "builtins:object": Row(Args(), makes=_NO_ARGS, is_exact=True),
    "builtins:complex": Row(Args(FLOAT, FLOAT), number="builtins:complex", is_exact=True),
    "builtins:range": Row(Args(INT64, INT64, INT64, optional=2), number="builtins:range"),
    "builtins:slice": Row(Args(ANY, ANY, ANY), number="builtins:tuple", copies=False),
    "builtins:bytes": Row(Args(), gives="plain", is_exact=True, versions="protocol 2"),
    "builtins:bytearray": Row(Args(), Args(BYTES), gives="plain"),
    "_codecs:encode": Row(Args(STR, _one_of("'latin1'", "latin1")), gives="plain", versions="protocol 2"),
    "builtins:set": Row(Args(), Args(LIST), hashes=True),
    "builtins:frozenset": Row(Args(), Args(LIST), hashes=True, number="builtins:frozenset"),
    # A class of the user may be pickled as a call of one of these, by a `__reduce__` of its own.
    "builtins:list": Row(Args(), Args(LIST | TUPLE), items="append", is_exact=True),
    "builtins:tuple": Row(Args(), Args(LIST | TUPLE), number="builtins:tuple", is_exact=True),
    "builtins:dict": Row(Args(), Args(DICT), items="setitem", is_exact=True),
    "builtins:int": Row(Args(INT), number="builtins:int", is_exact=True),
    "builtins:float": Row(Args(FLOAT), number="builtins:float", is_exact=True),
    "builtins:str": Row(Args(STR), is_exact=True),
    "builtins:type": Row(Args(NONE | _one_of("... or NotImplemented", ..., NotImplemented)), gives="value"),
    "types:GenericAlias": Row(Args(_TYPE, _TYPES_AND_TEXTS), hashes=True, gives="alias", is_exact=True),
    "collections.abc:_CallableGenericAlias": Row(Args(CLASS, _TYPES), hashes=True, gives="alias"),
    "_functools:reduce": Row(Args(Pattern("or_", lambda v: _is("function")(v) and v.like == "_operator:or_"), _TYPES),
                             hashes=True, gives="alias"),
    "_operator:or_": Row(Args(_TYPE, _TYPE), hashes=True, gives="alias"),
    "_operator:getitem": Row(Args(_of_typing("Literal"), _LITERALS | _every(tuple, _LITERALS)),
                             Args(_of_typing("Annotated"), TUPLE),
                             Args(_GENERIC, _TYPE | _TYPES), hashes=True, gives="alias"),
    "types:SimpleNamespace": Row(Args(), state=_MORE),
    "collections:OrderedDict": Row(Args(), state=_MORE, items="setitem"),
    "collections:defaultdict": Row(Args(), Args(NONE | CLASS | FUNCTION | OBJECT | Pattern("a method", _is("value"))),
                                   items="setitem"),
    "collections:Counter": Row(Args(DICT), hashes=True, items=""),
    "collections:deque": Row(Args(), Args(EMPTY, INT64), items="append", steps=48),
    "collections:UserDict": Row(makes=_NO_ARGS, state=Fields({"data": MAPPING}, others=True)),
    "collections:UserList": Row(makes=_NO_ARGS, state=Fields({"data": LIST}, others=True)),
    "collections:UserString": Row(makes=[Args(STR)], state=Fields({"data": STR}, others=True)),
    "collections:ChainMap": Row(makes=_NO_ARGS,
                                state=Fields({"maps": _every(list, MAPPING)}, others=True, is_kept=True)),
    "array:_array_reconstructor": Row(Args(CLASS, CHARACTER, _integer(0, 21), BYTES)),
    "array:array": Row(Args(CHARACTER, _every(list, NUMBERS)), state=_MORE, versions="protocol 2"),
    "functools:partial": Row(Args(_CALLED), state=Prepared()),
    "operator:itemgetter": Row(Args(ANY, more=ANY), copies=False),
    "operator:attrgetter": Row(Args(_ATTRIBUTE, more=_ATTRIBUTE)),
    "operator:methodcaller": Row(Args(_METHOD, more=ANY), copies=False),
    "decimal:Decimal": Row(Args(_text(LONGEST_DECIMAL)), number="decimal:Decimal"),
    "fractions:Fraction": Row(Args(INT, INT), Args(DIGITS), steps=_times, number="fractions:Fraction"),
    "uuid:UUID": Row(makes=_NO_ARGS, number="uuid:UUID",
                     state=Fields({"int": _integer(0, 2**128 - 1)}, {"is_safe": _integer(-128, 127) | NONE})),
    "datetime:date": Row(Args(_bytes(4))),
    "datetime:time": Row(Args(_bytes(6), _ZONE, optional=1)),
    "datetime:datetime": Row(Args(_bytes(10), _ZONE, optional=1)),
    "datetime:timedelta": Row(Args(INT64, INT64, INT64), number="datetime:timedelta"),
    "datetime:timezone": Row(Args(like("datetime:timedelta"), _text(1000), optional=1)),
    "zoneinfo:ZoneInfo": Row(),
    "zoneinfo:ZoneInfo._unpickle": Row(Args(_text(200), BOOL | _integer(0, 1)), steps=500),
    "time:struct_time": Row(Args(_every(tuple, PLAIN, 11, 9), _mapping(PLAIN)), number="builtins:tuple"),
    "pathlib:PurePosixPath": _NEW_PATH,
    "pathlib:PureWindowsPath": _NEW_PATH,
    "ipaddress:IPv4Address": Row(Args(_integer(0, 2**32 - 1))),
    "ipaddress:IPv6Address": Row(Args(_integer(0, 2**128 - 1)), Args(_text(100))),
    **{name: Row(Args(_text(100)), number=name)
       for name in (f"ipaddress:IPv{n}{kind}" for n in (4, 6) for kind in ("Interface", "Network"))},
    "re:_compile": Row(
        Args(_text(LONGEST_PATTERN) | Pattern("bytes", lambda v: type(v) is bytes and len(v) <= LONGEST_PATTERN),
             Pattern("flags without DEBUG", lambda v: type(v) is int and 0 <= v < 2**16 and not v & 128)),
        steps=_pattern_steps, gives="value"),
    # Exceptions. Their own `__setstate__` sets each name of a state as an attribute: see `traits.state_of`.
    "builtins:BaseException": Row(Args(more=ANY), state=_MORE, copies=False),
    "builtins:BaseExceptionGroup": Row(Args(STR, _every(list, OBJECT) | _every(tuple, OBJECT)), state=_MORE),
    "builtins:OSError": Row(*(Args(*[PLAIN | PATH] * count) for count in (2, 3, 5)),
                            Args(ANY, optional=1), state=_MORE),
    "builtins:SyntaxError": Row(Args(ANY, _INFO, optional=2), state=_MORE),
    "builtins:UnicodeDecodeError": Row(Args(STR, BYTES, INT64, INT64, STR), state=_MORE),
    "builtins:UnicodeEncodeError": Row(Args(STR, STR, INT64, INT64, STR), state=_MORE),
    "builtins:UnicodeTranslateError": Row(Args(STR, INT64, INT64, STR), state=_MORE),
    # This library's own functions for numpy (spec 8.1).
    "pickleseal:rebuild_dtype": Row(Args(_DTYPE), gives="array"),
    "pickleseal:rebuild_array": Row(Args(_DTYPE, TUPLE, _ORDER, _BUFFER), gives="array", copies=False),
    "pickleseal:rebuild_scalar": Row(Args(_DTYPE, BYTES), gives="array"),
    "pickleseal:rebuild_object_array": Row(Args(TUPLE, _ORDER), gives="array"),
    "pickleseal:fill_object_array": Row(Args(like("pickleseal:rebuild_object_array"), LIST), gives="value"),
}  # fmt: skip

# Functions that return a new object, which then gets a state. Of other functions this library finds out when they are
# called whether what they return is new.
NEW_RESULTS = frozenset(
    f"{module}:{name}"
    for module, names in {
        "numpy.core.multiarray": ("_reconstruct",),
        "numpy._core.multiarray": ("_reconstruct",),
        "numpy.ma.core": ("_mareconstruct",),
        "numpy.random._pickle": ("__bit_generator_ctor", "__randomstate_ctor", "__generator_ctor"),
        "sklearn.neighbors._kd_tree": ("newObj",),
        "sklearn.neighbors._ball_tree": ("newObj",),
        "sklearn.metrics._dist_metrics": ("newObj",),
        "hdbscan.dist_metrics": ("newObj",),
        "django.db.models.base": ("model_unpickle",),
        "astropy.units.core": ("_recreate_irreducible_unit",),
    }.items()
    for name in names
)
