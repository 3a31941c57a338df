"""Code to paste for a class that changed, so that it loads what was written before. It looks at no file."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..._schema.describe import describe_any
from ..._schema.drift import Change, fixes_of
from ..._schema.names import global_name
from ..._schema.registry import Registered
from ...errors import Hint, printable

_BY_FIELDS = frozenset({"added", "removed", "value", "reordered"})


class Fix(NamedTuple):
    """One fix: when it is the right one, and what to write."""

    when: str
    code: str


def fixes_for_drift(
    cls: type, registered: Registered | None, was: Mapping[str, Any], changes: Sequence[Change]
) -> tuple[Fix, ...]:
    """Return the fixes for changes that are refused: a map of renames, a default, a migration."""
    other = [change for change in changes if change.what not in _BY_FIELDS]
    if other or not was or describe_any(cls).is_called:
        commands = [change.fix.commands[0] if isinstance(change.fix, Hint) else change.fix for change in changes]
        return tuple(dict.fromkeys(Fix("", command) for command in commands if command))
    now = describe_any(cls)
    removed = {change.field or "": change.now for change in changes if change.what == "removed"}
    renamed = {old: new for old, new in removed.items() if new is not None}
    added = [change.field or "" for change in changes if change.what == "added"]
    values = [change for change in changes if change.what == "value"]
    fixes = []
    if renamed and renamed == removed and not set(added) - set(renamed.values()) and not values:
        pairs = _listed([f"{old!r} was renamed to {new!r}" for old, new in renamed.items()])
        fixes.append(Fix(f"if {pairs}", _decorator(cls, registered, renames=renamed)))
    if added and not removed:
        texts = dict(now.fields)
        # What the code of a class assigns has no annotation, and needs none.
        lines = [f"{field}: {texts[field] or '...'} = ..." if field in texts else f"{field} = ..." for field in added]
        fixes.append(Fix(f"to give old objects a default, in class {cls.__name__}", "\n".join(lines)))
    for change in () if removed else values:
        if change.fix is not None:
            fixes.append(Fix("if the value need not change", change.fix.partition(", or ")[0]))
    version = registered.version if registered is not None else 0
    body = _enum_body(removed) if now.adapter.has_members else _body(removed, added)
    code = f"{_decorator(cls, registered, version=version + 1)}\n\n{_migration(cls, registered, version, body)}"
    fixes.append(Fix("else, with a migration" if fixes else "with a migration", code))
    return tuple(fixes)


def fixes_for_warned(cls: type, registered: Registered | None, changes: Sequence[Change]) -> tuple[Fix, ...]:
    """Return the fixes for changes that are loaded with a warning, in case loading them is wrong."""
    fields = [change for change in changes if change.what == "annotation" and change.field is not None]
    fixes = [Fix("if that is wrong", change.fix) for change in changes if change not in fields and change.fix]
    if fields:
        version = registered.version if registered is not None else 0
        body = []
        for change in fields:
            state = f"state[{_quoted(change.field or '')}]"
            body.append(f"{state} = ...({state})  # from {printable(change.was)} to {printable(change.now)}")
        code = f"{_decorator(cls, registered, version=version + 1)}\n\n{_migration(cls, registered, version, body)}"
        fixes.append(Fix("if the values have to be converted", code))
    return tuple(fixes)


def fixes_for_versions(
    cls: type, registered: Registered, recorded: int, was: Mapping[str, Any] | None
) -> tuple[Fix, ...]:
    """Return the migrations that are missing between a recorded version and that of the class."""
    last = registered.version - 1
    old = [field for field, _ in was["fields"]] if was is not None else []
    new = [field for field, _ in describe_any(cls).fields]
    removed: dict[str, str | None] = dict.fromkeys(field for field in old if field not in new)
    added = [field for field in new if field not in old]
    steps = []
    for version in range(recorded, registered.version):
        body = _body(removed, added) if version == last else ["..."]
        steps.append(_migration(cls, registered, version, body))
        if len(steps) == 3 and version < last:
            steps.append(f"...  # and so on, up to from_version={last}")
            break
    return (Fix("add those of these migrations that are missing", "\n\n".join(steps)),)


def fixes_for_moved(name: str, today: type | None, registered: Registered | None) -> tuple[Fix, ...]:
    """Return the fixes for a class that is not where it was."""
    module, _, qualname = name.partition(":")
    if today is None:
        code = f"Policy(renames={{{_quoted(name)}: {_quoted(f'its.module.today:{qualname}')}}})"
        return (Fix("if it moved", code), Fix("else", f"restore {module}, or keep these artifacts away"))
    policy = f"Policy(renames={{{_quoted(name)}: {_quoted(global_name(today))}}})"
    where = f"if it is {today.__qualname__} in {today.__module__} today, write above that class"
    return (Fix(where, _decorator(today, registered, formerly=name)), Fix("or for one reader", policy))


def _decorator(
    cls: type,
    registered: Registered | None,
    version: int | None = None,
    renames: Mapping[str, str] | None = None,
    formerly: str | None = None,
) -> str:
    """Return the whole decorator of a class, with the arguments that it has already."""
    name = fixes_of(cls, registered).name
    names = [*(registered.formerly if registered is not None else ()), *([formerly] if formerly else ())]
    pairs = {**(registered.renames if registered is not None else {}), **(renames or {})}
    number = version if version is not None else (registered.version if registered is not None else 0)
    parts = [_quoted(name)]
    if number:
        parts.append(f"version={number}")
    if names:
        parts.append(f"formerly=[{', '.join(map(_quoted, names))}]")
    if pairs:
        parts.append(f"renames={{{', '.join(f'{_quoted(old)}: {_quoted(new)}' for old, new in pairs.items())}}}")
    if registered is not None and registered.validate is not None:
        parts.append(f"validate={getattr(registered.validate, '__name__', '...')}")
    return f"@pickleseal.artifact({', '.join(parts)})\nclass {cls.__name__}:  # as it is"


def _migration(cls: type, registered: Registered | None, version: int, body: Sequence[str]) -> str:
    lines = [f"@pickleseal.migration({_quoted(fixes_of(cls, registered).name)}, from_version={version})"]
    lines.append(f"def {cls.__name__.lower()}_{version}_to_{version + 1}(state):")
    return "\n".join([*lines, *(f"    {line}" for line in body), "    return state"])


def _body(removed: Mapping[str, str | None], added: Sequence[str]) -> list[str]:
    lines = [f"state[{_quoted(new)}] = state.pop({_quoted(old)})" for old, new in removed.items() if new is not None]
    lines += [f"state.pop({_quoted(old)}, None)" for old, new in removed.items() if new is None]
    lines += [f"state[{_quoted(field)}] = ..." for field in added if field not in removed.values()]
    return lines or ["..."]


def _enum_body(removed: Mapping[str, str | None]) -> list[str]:
    """Return the lines that give members another name: after a migration, a member is found by its name."""
    if not removed:
        return []
    pairs = ", ".join(f"{_quoted(old)}: {_quoted(new or '...')}" for old, new in removed.items())
    return [f'state["name"] = {{{pairs}}}.get(state["name"], state["name"])']


def _quoted(text: str) -> str:
    """Return a Python string, in double quotes if that is simple: names come from a file."""
    return f'"{text}"' if text.isprintable() and not set(text) & {'"', "\\"} else ascii(text)


def _listed(texts: Sequence[str]) -> str:
    return ", and ".join(texts)
