"""The code that artifacts are checked against: what `--import` brings in, and nothing that an artifact alone names."""

import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib import import_module
from types import ModuleType
from typing import Any

from ..._schema.names import global_name, spellings
from ...errors import text_of
from ..output import UsageError

__all__ = ["Code", "shown_path", "source_of"]


class Code:
    """Modules that were named on the command line, and those below them.

    A module that an artifact names is imported only if it is one of them, and never if it is a `__main__`. Others are
    looked at where they were imported already.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Import the modules, with the current folder in front of `sys.path` as `python -m` has it.

        What they print goes to stderr.

        Raises:
            UsageError: a module can't be imported.
        """
        self.names = tuple(names)
        self._problems: dict[str, str | None] = {}  # by module: why it is not there, None where it is
        here = os.getcwd()
        if names and sys.path[:1] != [here]:
            sys.path.insert(0, here)
        for name in names:
            problem = _import(name)
            if problem is not None:
                raise UsageError(f"--import {name}: {problem}")

    def covers(self, module: str) -> bool:
        """Tell whether a module is one that was named, or below one."""
        if "__main__" in module.split("."):
            return False
        return any(module == name or module.startswith(f"{name}.") for name in self.names)

    def problem_of(self, name: str) -> str | None:
        """Tell why there is no `module:qualname`, or None where it is there. Imports what `covers` says."""
        problems = [self._problem_of(spelling) for spelling in spellings(name)]
        return None if None in problems else problems[0]

    def is_out_of_reach(self, name: str) -> bool:
        """Tell whether the module was not looked for: neither named nor imported by what was named."""
        return all(
            not self.covers(module) and module not in sys.modules
            for module in (spelling.partition(":")[0] for spelling in spellings(name))
        )

    def _problem_of(self, name: str) -> str | None:
        module, _, qualname = name.partition(":")
        is_covered = self.covers(module)
        if is_covered and module not in self._problems:
            self._problems[module] = _import(module)
        problem = self._problems.get(module)
        if problem is not None:
            return problem
        value: Any = sys.modules.get(module)
        if not isinstance(value, ModuleType):
            return f"{module} is not imported"
        if not is_covered and qualname.partition(".")[0] not in vars(value):
            return f"{module} has no {qualname}"  # and its own __getattr__, which may import more, is not asked
        try:
            for part in qualname.split("."):
                value = getattr(value, part)
        except Exception:
            return f"{module} has no {qualname}"
        return None

    def classes_called(self, name: str) -> list[type]:
        """Return the classes with an unqualified name among the modules that were named, as far as imported."""
        found = []
        for module, value in sorted(sys.modules.items()):
            cls = vars(value).get(name) if isinstance(value, ModuleType) and self.covers(module) else None
            if isinstance(cls, type) and global_name(cls) == f"{module}:{name}":
                found.append(cls)
        return found


def _import(module: str) -> str | None:
    """Import a module, and return why that did not work, or None."""
    try:
        with redirect_stdout(sys.stderr):
            import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name is not None and (module == exc.name or module.startswith(f"{exc.name}.")):
            return f"there is no module {module}"
        return f"{module} can't be imported: {text_of(exc)}"
    except (Exception, SystemExit) as exc:  # a module may do anything while it is imported
        return f"{module} can't be imported: {type(exc).__name__}: {text_of(exc)}"
    return None


def source_of(cls: type) -> str | None:
    """Return where a class is defined, as `path:line`, the path from the current folder on; None where unknown."""
    import inspect

    try:
        path = inspect.getsourcefile(cls)
        line = inspect.getsourcelines(cls)[1]
    except (OSError, TypeError):
        return None
    return None if path is None else f"{shown_path(path)}:{line}"


def shown_path(path: str) -> str:
    """Return a path from the current folder on, if it is below."""
    here = os.getcwd()
    return os.path.relpath(path, here) if os.path.abspath(path).startswith(here + os.sep) else path
