"""The code that artifacts are checked against: what `--import` names. A module that only artifacts name stays out."""

import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from ..._schema.names import global_name, is_script, spellings
from ..options import import_all, import_problem


class Code:
    """The modules that `--import` names, and those below them.

    A module that an artifact names is imported only if it is one of these, and never if it is a `__main__`. Any other
    module is used only if it was imported already.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Import the modules.

        Raises:
            UsageError: a module can't be imported.
        """
        self.names = tuple(names)
        self._problems: dict[str, str | None] = {}  # module: why it can't be imported, or None
        import_all(names)

    def covers(self, module: str) -> bool:
        """Return whether `--import` names a module or one above it."""
        if any(map(is_script, module.split("."))):
            return False
        return any(module == name or module.startswith(f"{name}.") for name in self.names)

    def problem_of(self, name: str) -> str | None:
        """Return why there is no `module:qualname`, or None if there is one. Imports the module if it is covered."""
        problems = [self._problem_of(spelling) for spelling in spellings(name)]
        return None if None in problems else problems[0]

    def is_unknown(self, name: str) -> bool:
        """Return whether the module was not searched: it is neither covered nor imported already."""
        return all(
            not self.covers(module) and module not in sys.modules
            for module in (spelling.partition(":")[0] for spelling in spellings(name))
        )

    def _problem_of(self, name: str) -> str | None:
        module, _, qualname = name.partition(":")
        is_covered = self.covers(module)
        if is_covered and module not in self._problems:
            self._problems[module] = import_problem(module)
        problem = self._problems.get(module)
        if problem is not None:
            return problem
        value: Any = sys.modules.get(module)
        if not isinstance(value, ModuleType):
            return f"{module} is not imported"
        if not is_covered and qualname.partition(".")[0] not in vars(value):
            return f"{module} has no {qualname}"  # without its __getattr__, which may import more
        try:
            for part in qualname.split("."):
                value = getattr(value, part)
        except Exception:
            return f"{module} has no {qualname}"
        return None

    def classes_called(self, name: str) -> list[type]:
        """Return the classes of an unqualified name in the covered modules that are imported."""
        found = []
        for module, value in sorted(sys.modules.items()):
            cls = vars(value).get(name) if isinstance(value, ModuleType) and self.covers(module) else None
            if isinstance(cls, type) and global_name(cls) == f"{module}:{name}":
                found.append(cls)
        return found


def source_of(cls: type) -> str | None:
    """Return where a class is defined, as `path:line`, or None if it is not known."""
    import inspect

    try:
        path = inspect.getsourcefile(cls)
        line = inspect.getsourcelines(cls)[1]
    except (OSError, TypeError):
        return None
    return None if path is None else f"{shown_path(path)}:{line}"


def shown_path(path: str) -> str:
    """Return a path relative to the current folder, if it is below."""
    here = os.getcwd()
    return os.path.relpath(path, here) if os.path.abspath(path).startswith(here + os.sep) else path
