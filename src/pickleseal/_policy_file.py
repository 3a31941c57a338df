"""`Policy.from_toml`: the fields of a policy from a TOML file, with errors that name the line.

TOML libraries give a line only for wrong syntax. For a wrong value, the line of its key is found with the same parser,
which parses the statements one by one. That is right for tables, dotted keys, inline tables and values of many lines,
and is done only for errors.

A new field of `Policy` needs a row in `_CONVERTERS`. This module reads one file and decides nothing about artifacts.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from ._format.limits import Limits
from ._format.seal import is_purpose
from ._format.units import DURATION, SIZE, bytes_of, seconds_of
from ._keys import KeyRing
from ._schema.drift_rules import MODES, NEWER
from ._trust.levels import LEVELS
from .errors import MissingExtraError, printable

P = TypeVar("P")
Key = tuple[str, ...]


class _WrongError(Exception):
    """A value has the wrong type or form for its key: where it is, and what is wrong."""

    def __init__(self, key: Key, text: str) -> None:
        super().__init__(key, text)
        self.key = key
        self.text = text


def read_policy(path: str | os.PathLike[str], make: Callable[..., P]) -> P:
    """Read the fields of a policy from a TOML file, and call `make` with them.

    Raises:
        ValueError: `file:line: key: what is wrong`.
        OSError, MissingExtraError: as `Policy.from_toml` says.
    """
    loads = _parser()
    name = printable(os.fsdecode(path), 4096)
    with open(path, "rb") as file:
        data = file.read()
    try:
        text = data.decode("utf-8-sig")  # some editors put a byte order mark in front
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ValueError(f"{name}:{line}: expected UTF-8, found the byte 0x{data[exc.start]:02x}") from None
    try:
        table = loads(text)
    except (ValueError, RecursionError) as exc:  # TOMLDecodeError
        raise ValueError(f"{name}:{_line_of_syntax(str(exc), text)}: not valid TOML: {printable(str(exc))}") from None
    try:
        return _construct(_fields(table), make)
    except _WrongError as exc:
        raise ValueError(f"{name}:{_line_of(exc.key, text, loads)}: {printable(exc.text, 1200)}") from None


def _parser() -> Callable[[str], dict[str, Any]]:
    try:
        import tomllib  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        try:
            import tomli as tomllib  # type: ignore[import-not-found, no-redef, unused-ignore]
        except ImportError as exc:
            raise MissingExtraError(
                "a policy in TOML needs tomli before Python 3.11", hint="pip install 'pickleseal[toml]'"
            ) from exc
    loads: Callable[[str], dict[str, Any]] = tomllib.loads
    return loads


def _fields(table: dict[str, Any]) -> dict[str, Any]:
    """Convert the values of TOML to those of the fields."""
    return {
        name: _limits(value) if name == "limits" else _converted((name,), value, _CONVERTERS)
        for name, value in table.items()
    }


def _converted(key: Key, value: Any, converters: Mapping[str, Callable[[Any], Any]]) -> Any:
    dotted = ".".join(key)
    convert = converters.get(key[-1])
    if convert is None:
        if key == ("registry",):
            raise _WrongError(key, "registry: set it in Python: dataclasses.replace(policy, registry=...)")
        names = [*converters, "limits"] if len(key) == 1 else list(converters)
        meant = "; did you mean 'limits." + key[-1] + "'?" if key[-1] in _LIMITS else _meant(key[-1], names)
        raise _WrongError(key, f"{dotted}: unknown key; expected one of {', '.join(names)}{meant}")
    try:
        return convert(value)
    except _WrongError as exc:
        raise _WrongError((*key, *exc.key), f"{dotted}: {exc.text}") from None
    except ValueError as exc:
        raise _WrongError(key, f"{dotted}: {exc}") from None


def _limits(value: Any) -> Limits:
    if not isinstance(value, dict):
        raise _WrongError(("limits",), f"limits: expected a table, found {_found(value)}")
    sizes = {name: _converted(("limits", name), size, _LIMITS) for name, size in value.items()}
    for name, size in sizes.items():
        try:
            Limits(**{name: size})
        except ValueError as exc:
            raise _WrongError(("limits", name), f"limits.{exc}") from None
    return Limits(**sizes)


def _construct(fields: dict[str, Any], make: Callable[..., P]) -> P:
    """Make the policy, or find the field, and the entry of its table, that is wrong."""
    try:
        return make(**fields)
    except (TypeError, ValueError) as exc:
        with_keys = {name: fields[name] for name in ("keys",) if name in fields}
        for name, value in fields.items():
            found = _refusal(make, {name: value, **(with_keys if name in ("level", "signed_by") else {})})
            if found is None:
                continue
            for entry in value if isinstance(value, dict) else ():
                narrower = _refusal(make, {name: {entry: value[entry]}})
                if narrower is not None:
                    raise _WrongError((name, entry), narrower + _meant_value(name, value[entry])) from None
            raise _WrongError((name,), found + _meant_value(name, value)) from None
        raise _WrongError((str(exc).partition(":")[0],), str(exc)) from None  # two fields contradict each other


def _refusal(make: Callable[..., Any], fields: dict[str, Any]) -> str | None:
    try:
        make(**fields)
    except (TypeError, ValueError) as exc:
        return str(exc)
    return None


# --- values -----------------------------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a string, found {_found(value)}")
    return value


def _text_or_table(value: Any) -> str | dict[str, str]:
    if not isinstance(value, str | dict):
        raise ValueError(f"expected a string or a table, found {_found(value)}")
    return _table(value) if isinstance(value, dict) else value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"expected a list of strings, found {_found(value)}")
    return tuple(value)


def _trust(value: Any) -> tuple[Any, ...]:
    """Read exact names, and tables with one rule each."""
    if not isinstance(value, list):
        raise ValueError(f"expected a list of names and rules, found {_found(value)}")
    return tuple(item if isinstance(item, str) else _rule(item) for item in value)


def _rule(value: Any) -> Any:
    from ._trust.rules import classes_in, preset, subclasses_of

    rules: dict[str, Callable[[str], Any]] = {
        "classes_in": classes_in,
        "subclasses_of": subclasses_of,
        "preset": preset,
    }
    if not isinstance(value, dict) or len(value) != 1 or not rules.keys() >= value.keys():
        found = ", ".join(map(printable, value)) if isinstance(value, dict) else _found(value)
        expected = 'a name, {classes_in = "shop"}, {subclasses_of = "shop:Base"} or {preset = "pandas"}'
        raise ValueError(f"expected {expected}, found {found or 'an empty table'}")
    ((name, argument),) = value.items()
    try:
        return rules[name](_text(argument))
    except TypeError as exc:
        raise ValueError(str(exc)) from None


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"expected an integer, found {_found(value)}")
    return value


def _integers(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list of integers, found {_found(value)}")
    return tuple(map(_integer, value))


def _table(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"expected a table, found {_found(value)}")
    for key, item in value.items():
        if isinstance(item, dict):
            dotted = ".".join([key, *list(item)[:1]])
            raise _WrongError((key,), f'{key}: expected a string, found a table; did you mean "{dotted}", in quotes?')
        if not isinstance(item, str):
            raise _WrongError((key,), f"{key}: expected a string, found {_found(item)}")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, found {_found(value)}")
    return value


def _keys(value: Any) -> KeyRing:
    """Read the keys from the file or environment variable that the table names, for its purpose."""
    table = _table(value)
    places = [name for name in ("file", "env") if name in table]
    if len(places) != 1 or not {"file", "env", "purpose"}.issuperset(table):
        found = ", ".join(map(printable, table)) or "nothing"
        raise ValueError(f"expected file or env, and optionally purpose, found {found}")
    purpose = table.get("purpose", "")
    if not is_purpose(purpose):
        raise _WrongError(("purpose",), "purpose: expected 0 to 255 of letters, digits, . _ : / -")
    try:
        read = KeyRing.from_file if places == ["file"] else KeyRing.from_env
        return read(table[places[0]], purpose)
    except (OSError, ValueError) as exc:
        raise _WrongError((places[0],), f"{places[0]}: {exc}") from None


def _duration(value: Any) -> int:
    return _with_unit(value, seconds_of, DURATION.format("an integer"))


def _size(value: Any) -> int:
    return _with_unit(value, bytes_of, SIZE)


def _with_unit(value: Any, parse: Callable[[str], int], expected: str) -> int:
    if isinstance(value, str):
        return parse(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"expected {expected}, found {_found(value)}")
    return value


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "protocols": _integers,
    "drift": _text_or_table,
    "newer": _text,
    "renames": _table,
    "packages": _table,
    "python": _text,
    "trust": _trust,
    "types": _table,
    "max_age": _duration,
    "max_skew": _duration,
    "build": _table,
    "meta": _table,
    "codecs": _texts,
    "level": _text,
    "isolated": _bool,
    "keys": _keys,
    "signed_by": _texts,
}
_LIMITS: dict[str, Callable[[Any], Any]] = {
    "max_frame": _size,
    "max_header": _size,
    "max_sections": _integer,
    "max_decoded": _size,
    "max_section": _size,
    "max_depth": _integer,
    "max_memory": _size,
    "max_seconds": _duration,
}
_CHOICES = {"drift": [*MODES], "newer": [*NEWER], "level": [*LEVELS]}

# --- messages and lines -----------------------------------------------------------------------------------------------


def _found(value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, bool):
        return str(value).lower()
    return printable(repr(value), 120)


def _meant(name: str, names: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _meant_value(name: str, value: Any) -> str:
    choices = _CHOICES.get(name, [])
    return _meant(value, choices) if isinstance(value, str) and choices and value not in choices else ""


def _line_of_syntax(message: str, text: str) -> int:
    match = re.search(r"at line (\d+)", message)
    return int(match[1]) if match else text.count("\n") + 1


# What may hold a line's end that ends no statement: text of several lines, and arrays over several lines.
_TOKEN = re.compile(
    r"""
    \"{3} (?: [^"\\] | \\. | ""? (?!") )* \"{3,5}   # text of several lines, which may end with two quotes of its own
    | '{3} (?: [^'] | ''? (?!') )* '{3,5}
    | " (?: [^"\\\n] | \\. )* " | '[^'\n]*' | \#[^\n]* | [\[\]{}\n]
    """,
    re.DOTALL | re.VERBOSE,
)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Split valid TOML into statements, each with the number of its first line."""
    start = depth = 0
    line = 1
    for token in _TOKEN.finditer(text + "\n"):
        if token[0] in ("[", "{"):
            depth += 1
        elif token[0] in ("]", "}"):
            depth -= 1
        elif token[0] == "\n" and not depth:
            statement = text[start : token.start()]
            yield line, statement
            line += statement.count("\n") + 1
            start = token.end()


def _line_of(key: Key, text: str, loads: Callable[[str], dict[str, Any]]) -> int:
    """Return the line where a key is set, else the line of the nearest table around it, else 1.

    Each statement is parsed once, by itself, so that the time is linear in the length of the text.
    """
    found = 1
    longest = 0
    header: Any = {}
    for line, statement in _statements(text):
        table = loads(statement + "\n")
        path = key
        if statement.lstrip().startswith("["):
            header = table
        elif table:
            for name in _path(header):
                if path[:1] != (name,):
                    break
                path = path[1:]
            else:
                if (depth := len(key) - len(path) + _common(table, path)) > longest:
                    found, longest = line, depth
            continue
        if (depth := _common(table, key)) > longest:
            found, longest = line, depth
    return found


def _path(header: Any) -> Iterator[str]:
    """Give the names of a table's header: of `[a.b]`, which is parsed as nested tables, "a" and "b"."""
    while header := header[-1] if isinstance(header, list) else header:
        ((name, header),) = header.items()
        yield name


def _common(table: Any, key: Key) -> int:
    """Return how many parts of a key a table has."""
    for count, part in enumerate(key):
        if not isinstance(table, dict) or part not in table:
            return count
        table = table[part]
    return len(key)
