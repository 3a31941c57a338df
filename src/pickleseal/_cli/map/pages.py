"""The map of a code base for people: a table by module on a terminal, or a page of Markdown."""

import textwrap
from collections.abc import Sequence
from typing import Protocol

from ...errors import printable
from ..output import Output
from .places import Place
from .rules import QUESTIONS, offer, questions

__all__ = ["markdown", "table"]

_DIRECTIONS = {"read": "read", "write": "write", "both": "r + w"}
_FOREIGN = 200  # characters of a name that are shown


class _File(Protocol):
    @property
    def path(self) -> str: ...
    @property
    def module(self) -> str: ...
    @property
    def places(self) -> list[Place]: ...
    def position(self, place: Place) -> str:
        """Return line and column."""


def _cut(text: str, width: int) -> str:
    text = printable(text, _FOREIGN)
    return text if len(text) <= width else text[: max(width - 1, 1)] + "…"


def _tail(text: str, width: int) -> str:
    return text if len(text) <= width else "…" + text[1 - width :]


def _remarks(place: Place) -> list[str]:
    found = [] if place.kind == "call" or place.source is None else [place.kind]
    if place.note:
        found.append(printable(place.note, _FOREIGN))
    if place.accepted:
        found.append(f"accepted: {printable(place.accepted, _FOREIGN)}")
    return found


def _source(place: Place) -> str:
    """Return where the data comes from, or what kind of a place it is that reads none."""
    if place.source is not None:
        return place.source.kind
    return "" if place.kind == "call" else place.kind


def table(files: "Sequence[_File]", out: Output, width: int) -> None:
    """Print a table by module, the totals, and what to ask."""
    rows = [(file, place) for file in files for place in file.places]
    position = max([len(file.position(place)) for file, place in rows], default=0)
    source = max([len(_source(place)) for _, place in rows], default=0)
    call = min(max([len(place.call) for _, place in rows], default=0), max(20, width // 3))
    for file in files:
        out.text(out.style(printable(file.path, 4096), "bold"))
        for place in file.places:
            mark, colour = " ", ""
            if place.is_untrusted:
                mark, colour = "!", "red"
            elif place.accepted is not None or place.kind == "sealed":
                colour = "dim"
            head = (
                f"{mark} {file.position(place):>{position}}  {_DIRECTIONS[place.rule.direction]:<5}  "
                f"{_tail(place.call, call):<{call}}  {_source(place):<{source}}  "
            )
            where, remarks = _cut(place.where or "(module)", max(width - len(head), 12)), "; ".join(_remarks(place))
            fits = not remarks or len(head) + len(where) + 2 + len(remarks) <= width
            line = head + where + (f"; {remarks}" if remarks and fits else "")
            out.text(out.style(line, colour) if colour else line)
            if not fits:
                indent = " " * (position + 11)
                for more in textwrap.wrap(remarks, width, initial_indent=indent, subsequent_indent=indent):
                    out.text(out.style(more, "dim"))
        out.text()
    _totals(out, width)


def _totals(out: Output, width: int) -> None:
    said = out.summary
    text = (
        f"{_many(said['places'], 'place')} in {said['files_with_places']} of {_many(said['files'], 'file')}: "
        f"{_many(said['reads'], 'read')} ({said['untrusted']} untrusted), {_many(said['writes'], 'write')}"
    )
    if said["accepted"]:
        text += f", {said['accepted']} accepted"
    for line in textwrap.wrap(text, width):
        out.text(out.style(line, "bold"))
    if said["untrusted"]:
        out.text(out.style("! = unpickles what somebody else may have written: who?", "red"))
    if said["places"]:
        out.text()
        out.text("Ask at each place:")
        for key, question in QUESTIONS.items():
            for line in textwrap.wrap(
                f"{key}: {question}", width - 2, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
            ):
                out.text(line)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def markdown(files: "Sequence[_File]", out: Output) -> None:
    """Print a page of Markdown: the totals, the checklist, a table for each module with what to ask and what to use."""
    said = out.summary
    out.text("# Serialization map")
    out.text()
    out.text(
        f"{_many(said['places'], 'place')} in {said['files_with_places']} of {_many(said['files'], 'file')}. "
        f"{_many(said['reads'], 'read')}, of which {said['untrusted']} untrusted; {_many(said['writes'], 'write')}; "
        f"{said['accepted']} accepted."
    )
    out.text()
    out.text("## What to ask")
    out.text()
    for key, question in QUESTIONS.items():
        out.text(f"- **{key}**: {question}")
    out.text()
    offers: dict[str, None] = {}
    for file in files:
        out.text(f"## {_escaped(file.module)}")
        out.text()
        out.text(f"`{_escaped(file.path)}`")
        out.text()
        out.text("| line | what | by | data from | where | ask | remarks |")
        out.text("|---|---|---|---|---|---|---|")
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
        out.text("## What pickleseal has for them")
        out.text()
        for line in offers:
            out.text(f"- {line}")


def _escaped(text: str) -> str:
    """Return foreign text so that it is no Markdown."""
    return "".join(f"\\{c}" if c in "|`*_<>[]\\" and c not in "._" else c for c in printable(text, 1000))
