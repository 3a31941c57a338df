"""What a refusal of changed classes says: each class with its changes, and the fixes ready to paste."""

from typing import NamedTuple

from ..errors import SchemaDriftError
from .change import REFUSED, Change
from .compare import Ways
from .entries import Registered
from .names import global_name

__all__ = ["Refused", "refusal", "ways_of"]

_CLASSES, _FIXES = 6, 4  # shown in full


class Refused(NamedTuple):
    """The changes of one class, and how its fixes are written."""

    name: str
    changes: list[Change]
    ways: Ways


def ways_of(cls: type, entry: Registered | None) -> Ways:
    """Return how fixes for a class are written: by its registered name, or by one that it could have."""
    if entry is not None:
        return Ways(cls.__name__, entry.name, True, entry.version)
    return Ways(cls.__name__, global_name(cls).replace(":", ".").removeprefix("__main__."), False, 0)


def refusal(classes: list[Refused], drift: str) -> SchemaDriftError:
    """Compose the refusal. With `drift="strict"` every change is one."""
    chosen = []
    for name, changes, ways in classes:
        refused = [change for change in changes if drift == "strict" or change.level == REFUSED]
        if refused:
            chosen.append(Refused(name, refused, ways))
    shown = [f"{name}: {', '.join(c.text for c in changes)}" for name, changes, _ in chosen[:_CLASSES]]
    if len(chosen) == 1:
        reason, where = "changed since it was written: " + shown[0].removeprefix(f"{chosen[0].name}: "), chosen[0].name
    else:
        reason, where = f"{len(chosen)} classes changed since it was written: {'; '.join(shown)}", None
    if len(chosen) > _CLASSES:
        reason += f"; and {len(chosen) - _CLASSES} more"
    fixes = [fix for _, changes, ways in chosen for fix in _fixes(changes, ways)]
    hint = "; ".join(fixes[:_FIXES]) + ("; and more: see error.changes" if len(fixes) > _FIXES else "")
    if drift == "strict":
        resolvable = all(change.level != REFUSED for _, changes, _ in chosen for change in changes)
        hint = 'Policy(drift="resolve") loads it' if resolvable else hint
    first = [change for _, changes, _ in chosen for change in changes]
    rest = [change for _, changes, _ in classes for change in changes if change not in first]
    return SchemaDriftError(reason, None, (*first, *rest), hint or None, f"types.{where}" if where else "types")


def _fixes(changes: list[Change], ways: Ways) -> list[str]:
    """Return the fixes for one class, all its renames in one."""
    renames = {c.field: c.now for c in changes if c.what == "removed" and c.now is not None}
    fixes = []
    if renames:
        pairs = ", ".join(f'"{old}": "{new}"' for old, new in renames.items())
        gone = "return another member's name" if changes[0].kind == "enum" else f"drop {', '.join(map(repr, renames))}"
        fixes.append(f"if renamed: {ways.register(f'renames={{{pairs}}}')}; if gone: {ways.migrate(gone)}")
    for change in changes:
        explained = change.field in renames or (change.what == "added" and change.field in renames.values())
        if change.fix is not None and not explained:
            fixes.append(change.fix)
    return list(dict.fromkeys(fixes))
