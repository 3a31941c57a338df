"""Find every place in a code base that pickles or unpickles, and say what to ask there.

Reads the syntax trees of Python files and notebooks; imports and runs nothing of them. Names are followed through
imports, aliases, attributes of `self`, defaults of parameters and from module to module. A comment
`# pickleseal: ok REASON` in the line of a place, or alone in the line above it, accepts it.

  pickleseal map src
  pickleseal map src --markdown > docs/pickles.md
  pickleseal map src --fail-on untrusted-read
"""

import argparse
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..inputs import STDIN, expand
from ..output import EXIT_FINDING, Output, UsageError
from .names import parse
from .places import Module, Place
from .rules import QUESTIONS, WORDS

__all__ = ["add_arguments", "run"]

_ENDINGS = (".py", ".pyw", ".ipynb")
_SKIPPED = frozenset(("__pycache__", "node_modules", "site-packages"))
_MOST_ROUNDS = 5  # of following names from module to module
_FAIL_ON = ("untrusted-read",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("sources", nargs="+", metavar="SRC", help="files and folders of Python code; - for stdin")
    parser.add_argument("--markdown", action="store_true", help="write a Markdown page")
    parser.add_argument(
        "--fail-on",
        choices=_FAIL_ON,
        help="exit with 1 if there is one: a read of what somebody else may have written, not accepted by a comment",
    )


def run(options: argparse.Namespace, out: Output) -> None:
    """Map the sources."""
    if options.markdown and out.form != "text":
        raise UsageError("--markdown goes with none of --json, --jsonl and --quiet")
    files = list(_read_all(options.sources, out))
    _analyse(files, out)
    for file in files:
        for line in file.unexplained:
            out.complain(f"{file.path}:{line}: `# pickleseal: ok` accepts nothing without a reason behind it")
    mapped = [file for file in files if file.places]
    out.summary = _summary(files)
    if options.fail_on and out.summary["untrusted"]:
        out.worsen(EXIT_FINDING)
    if out.form == "text" and options.markdown:
        from .pages import markdown

        markdown(mapped, out)
    elif out.form == "text":
        from .pages import table

        table(mapped, out, _width())
    else:
        for file in mapped:
            for place in file.places:
                found = {"path": file.path, "module": file.module, "cell": file.cell_of(place), **place.as_json()}
                found["line"] = file.line_of(place)
                out.result(found)
            if out.form == "quiet":
                out.result({}, path=file.path)


class File(NamedTuple):
    """One file of the code base, and what was found in it."""

    path: str
    module: str
    text: bytes
    cells: list[tuple[int, int]]  # of a notebook: in which line each cell of code begins, and its number
    places: list[Place]
    unexplained: list[int]
    by_serializer: list[Place]

    def cell_of(self, place: Place) -> int | None:
        """Return the number of the cell that a place is in, from 1, in a notebook."""
        return max((number for start, number in self.cells if start <= place.line), default=None)

    def line_of(self, place: Place) -> int:
        """Return the line of a place in its file, or in its cell."""
        return place.line - max((start for start, _ in self.cells if start <= place.line), default=1) + 1

    def position(self, place: Place) -> str:
        """Return line and column of a place, for people."""
        cell = self.cell_of(place)
        text = f"{self.line_of(place)}:{place.column}"
        return text if cell is None else f"cell {cell}, {text}"


def _read_all(sources: list[str], out: Output) -> Iterator[File]:
    for source in sources:
        is_folder = os.path.isdir(source)
        for target in expand([source], endings=_ENDINGS):
            if target.is_url:
                raise UsageError(f"map reads local files: {target.path}")
            inside = os.path.relpath(target.path, source).split(os.sep)[:-1] if is_folder else []
            if any(part in _SKIPPED or (part.startswith(".") and part != "..") for part in inside):
                continue
            try:
                if target.error is not None:
                    raise target.error
                yield _read(target.path)
            except OSError as exc:
                out.refuse(target.path, exc)
            except ValueError as exc:  # of a notebook
                _unparsed(target.path, exc, out)


def _unparsed(path: str, exc: Exception, out: Output) -> None:
    reason = f"line {exc.lineno}: {exc.msg}" if isinstance(exc, SyntaxError) else str(exc)
    if isinstance(exc, RecursionError | MemoryError):
        reason = "nested too deeply"
    out.refuse(path, OSError(None, f"not to be parsed: {reason}"))


def _read(path: str) -> File:
    if path == STDIN:
        text = sys.stdin.buffer.read()
    else:
        with open(path, "rb") as file:
            text = file.read()
    cells: list[tuple[int, int]] = []
    if path.endswith(".ipynb"):
        text, cells = _notebook(text)
    return File(path, _module_of(path), text, cells, [], [], [])


def _notebook(text: bytes) -> tuple[bytes, list[tuple[int, int]]]:
    """Return the cells of code as one module. Lines for the shell and for IPython say nothing."""
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
    """Return the dotted name of a module: as far up as there are packages."""
    if path == STDIN:
        return "-"
    folder, name = os.path.split(os.path.abspath(path))
    parts = [] if name == "__init__.py" else [name.rpartition(".")[0]]
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, name = os.path.split(folder)
        parts.insert(0, name)
    return ".".join(parts) or os.path.basename(folder)


def _analyse(files: list[File], out: Output) -> None:
    """Find the places; again, where a module imports what another one hands on, until nothing new is handed on."""
    exports: dict[str, frozenset[str]] = {}
    unparsed: set[str] = set()
    todo = [file for file in files if WORDS.search(file.text)]
    for _ in range(_MOST_ROUNDS):
        fresh: dict[str, frozenset[str]] = {}
        for file in todo:
            try:
                is_package = file.path.endswith("__init__.py")
                found = Module(file.text, parse(file.text), file.module, is_package, exports)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
                if file.path not in unparsed:
                    unparsed.add(file.path)
                    _unparsed(file.path, exc, out)
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
    """Add the calls of serializers, in a code base that hands pickle's functions on to somebody."""
    places = [place for file in files for place in file.places]
    if any(place.kind == "handed-on" and place.call.endswith((".loads", ".dumps")) for place in places):
        for file in files:
            file.places[:] = sorted([*file.places, *file.by_serializer], key=lambda place: (place.line, place.column))


def _imports(file: File, fresh: dict[str, set[bytes]]) -> bool:
    """Tell by its text whether a module may import one of these names, given by module."""
    for module, names in fresh.items():
        if module == file.module:
            continue
        is_near = file.module.startswith(f"{module}.") and b"from ." in file.text
        if (is_near or module.rpartition(".")[2].encode() in file.text) and any(name in file.text for name in names):
            return True
    return False


def _summary(files: list[File]) -> dict[str, Any]:
    places = [place for file in files for place in file.places]
    kinds = Counter(place.kind for place in places)
    return {
        "files": len(files),
        "files_with_places": sum(bool(file.places) for file in files),
        "places": len(places),
        "reads": sum(place.rule.direction != "write" for place in places),
        "writes": sum(place.rule.direction != "read" for place in places),
        "untrusted": sum(place.is_untrusted for place in places),
        "accepted": sum(place.accepted is not None for place in places),
        "kinds": dict(sorted(kinds.items())),
        "questions": QUESTIONS,
    }


def _width() -> int:
    return max(60, min(shutil.get_terminal_size((80, 24)).columns, 200))
