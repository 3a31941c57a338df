"""The files of a code base: reading them, and finding the places in all of them.

Nothing of them is imported or run. The places of one module are found by `places`.
"""

import errno
import json
import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

from ..inputs import STDIN, expand
from ..output import Output, UsageError, size_text
from .names import parse
from .places import Module, Place
from .rules import may_have_places

_ENDINGS = (".py", ".pyw", ".ipynb")
_SKIPPED = frozenset(("__pycache__", "node_modules", "site-packages"))
_LARGEST = 20_000_000  # bytes of a file; the largest modules that people write have a tenth of that
_MOST_ROUNDS = 5  # of following names from module to module


class File(NamedTuple):
    """One file of the code base, and the places in it."""

    path: str
    module: str
    text: bytes
    cells: list[tuple[int, int]]  # of a notebook: the first line and the number of each code cell
    places: list[Place]
    unexplained: list[int]
    by_serializer: list[Place]

    def cell_of(self, place: Place) -> int | None:
        """Return the number of the code cell of a place, from 1; None if this is no notebook."""
        return max((number for start, number in self.cells if start <= place.line), default=None)

    def line_of(self, place: Place) -> int:
        """Return the line of a place in its file, or in its cell."""
        return place.line - max((start for start, _ in self.cells if start <= place.line), default=1) + 1

    def position(self, place: Place) -> str:
        """Return line and column of a place, for people."""
        cell = self.cell_of(place)
        text = f"{self.line_of(place)}:{place.column}"
        return text if cell is None else f"cell {cell}, {text}"


def read_files(sources: list[str], out: Output, allow_empty: bool) -> Iterator[File]:
    for target in expand(sources, endings=_ENDINGS, allow_empty=allow_empty):
        if target.is_url:
            raise UsageError(f"{target.path}: only local files can be mapped")
        inside = os.path.relpath(target.path, target.top).split(os.sep)[:-1] if target.top is not None else []
        if any(part in _SKIPPED or (part.startswith(".") and part != "..") for part in inside):
            continue
        try:
            if target.error is not None:
                raise target.error
            yield _read(target.path)
        except OSError as exc:
            out.refuse(target.path, exc)
        except ValueError as exc:  # the notebook is not valid
            _refuse_unparsed(target.path, exc, out)


def _refuse_unparsed(path: str, exc: Exception, out: Output) -> None:
    reason = f"line {exc.lineno}: {exc.msg}" if isinstance(exc, SyntaxError) else str(exc)
    if isinstance(exc, RecursionError | MemoryError):
        reason = "nested too deeply"
    out.refuse(path, OSError(None, f"can't be parsed: {reason}"))


def _read(path: str) -> File:
    if path == STDIN:
        text = sys.stdin.buffer.read(_LARGEST + 1)
    else:
        with open(path, "rb") as file:
            text = file.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise OSError(errno.EFBIG, f"larger than {size_text(_LARGEST)}, so it is not read as code")
    cells: list[tuple[int, int]] = []
    if path.endswith(".ipynb"):
        text, cells = _notebook(text)
    return File(path, _module_of(path), text, cells, [], [], [])


def _notebook(text: bytes) -> tuple[bytes, list[tuple[int, int]]]:
    """Return the code cells as one module, without the lines for the shell and for IPython."""
    try:
        loaded = json.loads(text)
        found = [cell for cell in loaded.get("cells", []) if cell.get("cell_type") == "code"]
        sources = ["".join(cell.get("source", [])) for cell in found]
    except (AttributeError, TypeError) as exc:
        raise ValueError(f"not a notebook: {exc}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    lines: list[str] = []
    cells: list[tuple[int, int]] = []
    for number, source in enumerate(sources, 1):
        cells.append((len(lines) + 1, number))
        kept = [] if source.lstrip().startswith("%%") else source.split("\n")
        lines += ["pass" if line.lstrip().startswith(("%", "!", "?")) else line for line in kept]
    return "\n".join(lines).encode("utf-8", "replace"), cells


def _module_of(path: str) -> str:
    """Return the dotted name of a module, with all packages above it."""
    if path == STDIN:
        return "-"
    folder, name = os.path.split(os.path.abspath(path))
    parts = [] if name == "__init__.py" else [name.rpartition(".")[0]]
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, name = os.path.split(folder)
        parts.insert(0, name)
    return ".".join(parts) or os.path.basename(folder)


def find_places(files: list[File], out: Output) -> None:
    """Find the places of all files. A file is read again if a module that it imports passes on something new."""
    exports: dict[str, frozenset[str]] = {}
    unparsed: set[str] = set()
    todo = [file for file in files if may_have_places(file.text)]
    for _ in range(_MOST_ROUNDS):
        fresh: dict[str, frozenset[str]] = {}
        for file in todo:
            try:
                is_package = file.path.endswith("__init__.py")
                found = Module(file.text, parse(file.text), file.module, is_package, exports)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
                if file.path not in unparsed:
                    unparsed.add(file.path)
                    _refuse_unparsed(file.path, exc, out)
                continue
            file.places[:] = found.places
            file.unexplained[:] = found.unexplained
            file.by_serializer[:] = found.by_serializer
            fresh |= {name: values for name, values in found.exports().items() if exports.get(name) != values}
        if not fresh:
            break
        exports |= fresh
        by_module: dict[str, set[bytes]] = {}
        for name in fresh:
            module, _, last = name.rpartition(".")
            by_module.setdefault(module, set()).add(last.removesuffix("()").encode())
        todo = [file for file in files if _imports(file, by_module)]
    _add_serializers(files)


def _add_serializers(files: list[File]) -> None:
    """Add the calls of serializers, if the code base passes the functions of pickle on to other code."""
    places = [place for file in files for place in file.places]
    if any(place.kind == "handed-on" and place.call.endswith((".loads", ".dumps")) for place in places):
        for file in files:
            file.places[:] = sorted([*file.places, *file.by_serializer], key=lambda place: (place.line, place.column))


def _imports(file: File, fresh: dict[str, set[bytes]]) -> bool:
    """Return whether the text of a module shows that it may import one of these names, given by module."""
    for module, names in fresh.items():
        if module == file.module:
            continue
        is_near = file.module.startswith(f"{module}.") and b"from ." in file.text
        if (is_near or module.rpartition(".")[2].encode() in file.text) and any(name in file.text for name in names):
            return True
    return False
