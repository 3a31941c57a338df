"""Find every place in a code base that pickles or unpickles, and say what to ask there.

`map` reads the syntax trees of Python files and notebooks. It imports and runs nothing of them. Names are followed
through imports, aliases, attributes of `self`, defaults of parameters, and from module to module. A comment with a
reason, in the line of a place or alone in the line above, accepts that place:

    # pickleseal: ok REASON

    pickleseal map src
    pickleseal map src --markdown > docs/pickles.md
    pickleseal map src --fail-on untrusted-read
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ...errors import printable
from ..options import add_path_arguments
from ..output import EXIT_FINDING, Output, UsageError, columns, cut, cut_start, path_text, plural, wrap
from .code_base import File, find_places, read_files
from .places import Place
from .rules import QUESTIONS, offer, questions

__all__ = ["add_arguments", "run"]

_FAIL_ON = ("untrusted-read",)
_DIRECTIONS = {"read": "read", "write": "write", "both": "r + w"}
_MOST_TEXT = 200  # characters of a text from the code base


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_path_arguments(parser, "a file or folder of Python code, or - for standard input", "sources")
    parser.add_argument("--markdown", action="store_true", help="write a page in Markdown")
    parser.add_argument(
        "--fail-on",
        choices=_FAIL_ON,
        help="exit with 1 if data that somebody else may have written is read, and no comment accepts it",
    )


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    if options.markdown and out.form != "text":
        raise UsageError("--markdown can't be used with --json, --jsonl or --quiet")
    files = list(read_files(options.sources, out, options.allow_empty))
    find_places(files, out)
    for file in files:
        for line in file.unexplained:
            out.message(f"{file.path}:{line}: `# pickleseal: ok` needs a reason, and accepts nothing without it")
    mapped = [file for file in files if file.places]
    out.summary = _summary(files)
    if options.fail_on and out.summary["untrusted"]:
        out.worsen(EXIT_FINDING)
    if out.form == "text":
        (_show_markdown if options.markdown else _show_table)(mapped, out)
        return
    for file in mapped:
        for place in file.places:
            found = {"path": file.path, "module": file.module, "cell": file.cell_of(place), **place.as_json()}
            found["line"] = file.line_of(place)
            out.result(found)
        if out.form == "quiet":
            out.result({}, path=file.path)


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


def _remarks(place: Place) -> list[str]:
    found = [] if place.kind == "call" or place.source is None else [place.kind]
    if place.note:
        found.append(printable(place.note, _MOST_TEXT))
    if place.accepted:
        found.append(f"accepted: {printable(place.accepted, _MOST_TEXT)}")
    return found


def _source(place: Place) -> str:
    """Return where the data of a read comes from; for other places, what kind of place it is."""
    if place.source is not None:
        return place.source.kind
    return "" if place.kind == "call" else place.kind


def _show_table(files: Sequence[File], out: Output) -> None:
    """Print a table of places for each module, the totals, and what to ask."""
    width = max(columns(), 60)
    rows = [(file, place) for file in files for place in file.places]
    position = max([len(file.position(place)) for file, place in rows], default=0)
    source = max([len(_source(place)) for _, place in rows], default=0)
    call = min(max([len(place.call) for _, place in rows], default=0), max(20, width // 3))
    for file in files:
        out.text(out.style(path_text(file.path), "bold"))
        for place in file.places:
            is_dim = place.accepted is not None or place.kind == "sealed"
            style = ["red"] if place.is_untrusted else ["dim"] if is_dim else []
            head = (
                f"{'!' if place.is_untrusted else ' '} {file.position(place):>{position}}  "
                f"{_DIRECTIONS[place.rule.direction]:<5}  {cut_start(place.call, call):<{call}}  "
                f"{_source(place):<{source}}  "
            )
            where = cut(printable(place.where or "(module)", _MOST_TEXT), max(width - len(head), 12))
            line, remarks = head + where, "; ".join(_remarks(place))
            if remarks and len(line) + 2 + len(remarks) <= width:
                out.text(out.style(f"{line}; {remarks}", *style))
                continue
            out.text(out.style(line, *style))
            for more in wrap(remarks, " " * (position + 11)) if remarks else ():
                out.text(out.style(more, "dim"))
        out.text()
    totals = out.summary
    text = (
        f"{plural(totals['places'], 'place')} in {totals['files_with_places']} of {plural(totals['files'], 'file')}: "
        f"{plural(totals['reads'], 'read')} ({totals['untrusted']} untrusted), {plural(totals['writes'], 'write')}"
    )
    if totals["accepted"]:
        text += f", {totals['accepted']} accepted"
    for line in wrap(text):
        out.text(out.style(line, "bold"))
    if totals["untrusted"]:
        out.text(out.style("! marks a read of data that somebody else may have written", "red"))
    if totals["places"]:
        out.text("", "Ask at each place:")
        for key, question in QUESTIONS.items():
            out.text(*wrap(f"{key}: {question}", "  ", "    "))


def _show_markdown(files: Sequence[File], out: Output) -> None:
    """Print a page in Markdown: the totals, what to ask, a table for each module, and what to use instead."""
    totals = out.summary
    out.text(
        "# Serialization map",
        "",
        f"{plural(totals['places'], 'place')} in {totals['files_with_places']} of {plural(totals['files'], 'file')}. "
        f"{plural(totals['reads'], 'read')}, of which {totals['untrusted']} untrusted; "
        f"{plural(totals['writes'], 'write')}; {totals['accepted']} accepted.",
        "",
        "## What to ask",
        "",
        *(f"- **{key}**: {question}" for key, question in QUESTIONS.items()),
        "",
    )
    offers: dict[str, None] = {}
    for file in files:
        out.text(f"## {_escaped(file.module)}", "", f"`{_escaped(file.path)}`", "")
        out.text("| line | direction | call | data from | where | ask | remarks |", "|---|---|---|---|---|---|---|")
        for place in file.places:
            rule = place.rule._replace(kind=place.kind)
            offers[f"{_escaped(place.call)}: {offer(rule, place.source.kind if place.source else None)}"] = None
            remarks = [*(["**untrusted**"] if place.is_untrusted else []), *map(_escaped, _remarks(place))]
            cells = [
                file.position(place),
                _DIRECTIONS[place.rule.direction],
                f"`{_escaped(place.call)}`",
                _source(place),
                _escaped(place.where) or "(module)",
                ", ".join(questions(rule)),
                "; ".join(remarks),
            ]
            out.text(f"| {' | '.join(cells)} |")
        out.text()
    if offers:
        out.text("## What pickleseal offers", "", *(f"- {line}" for line in offers))


def _escaped(text: str) -> str:
    """Return a text from the code base so that Markdown shows it as it is."""
    return "".join(f"\\{c}" if c in "|`*<>[]\\" else c for c in printable(text, 1000))
