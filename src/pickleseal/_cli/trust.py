"""Print the trust list that artifacts ask for, from their headers alone.

A PATH is a file, a folder (all `.pseal` files in it and below), a pattern, a URL, or - for standard input. Nothing is
imported or unpickled, and sections are not read. The list is for a policy file, or with --format python for trust=. A
preset takes the place of the names that it has. A header is a claim: whoever wrote the file wrote its list, and a
payload can use what you trust with any arguments. So read each name before you trust it. Names that run what their
arguments say are marked, and commented out. With --policy, only the names that it does not trust are printed.

    pickleseal trust data/ >> policy.toml
    pickleseal trust model.pseal --format python
    pickleseal trust inbox/ --policy policy.toml
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, takewhile
from typing import NamedTuple

from .._format.header import Header
from .._policy import Policy
from .._schema.distributions import DISTRIBUTIONS, normal
from .._schema.names import is_standard
from .._trust.allow_list import is_dangerous
from .._trust.learning import is_given, presets_for
from ..errors import printable
from .inputs import Target, expand, headers_of
from .options import add_path_arguments, add_policy_arguments, policy_of
from .output import EXIT_FINDING, EXIT_UNREADABLE, Output, exit_code_of, plural, progress

_STANDARD = "the standard library"
_SCRIPTS = "scripts (__main__)"
_LEAST_CLASSES = 2  # of one package, for which a rule is proposed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_path_arguments(parser)
    parser.add_argument(
        "--format", choices=("toml", "python"), default="toml", help="the language of the list (default: toml)"
    )
    add_policy_arguments(parser)


@dataclass
class _Name:
    """One global that artifacts import, and what is known of it."""

    name: str
    group: str
    artifacts: int = 0
    example: str = ""
    versions: set[str] = field(default_factory=set)
    registered: str | None = None
    preset: str | None = None
    note: str | None = None
    is_class: bool = False

    @property
    def problem(self) -> str | None:
        """Why no reader can be told to trust it, or None."""
        return 'it runs what its arguments say; only level = "signed" loads it' if is_dangerous(self.name) else None

    @property
    def is_needed(self) -> bool:
        """Whether the list has to hold it, or its preset."""
        return self.problem is None and self.registered is None


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    policy = policy_of(options)
    out.comment = "# "  # what is no result is a comment, so that the output as a whole is TOML or Python
    found = _Found(policy, options.policy is not None)
    targets: Iterable[Target] = expand(options.paths, allow_empty=options.allow_empty)
    total = None
    if out.shows_progress:
        targets = list(targets)
        total = len(targets)
    with progress(out, total, "files") as bar:
        files = 0
        for path, entries in groupby(headers_of(targets, policy, found.refuse), key=lambda entry: entry.path):
            files += 1
            for entry in entries:
                if entry.header is None:
                    found.refuse(path, entry.error or OSError("not read"))
                else:
                    found.add(path, entry.header)
            bar.advance()
    for path, error in found.unreadable:
        out.refuse(path, error)
        if exit_code_of(error) == EXIT_UNREADABLE:
            out.is_complete = False
    names = found.ordered()
    dangerous = sum(one.problem is not None for one in names)
    if dangerous:
        out.worsen(EXIT_FINDING)
    if not found.artifacts:
        out.message("there is no artifact, so nothing is known of what artifacts import")
    for one in names:
        out.result(_facts(one), path=one.name if one.is_needed else None)
    out.text(*_lines(names, found.artifacts, _LANGUAGES[options.format]))
    out.summary = {"files": files, "artifacts": found.artifacts, "names": len(names), "dangerous": dangerous}


class _Found:
    """What the headers say, together."""

    def __init__(self, policy: Policy, has_policy: bool) -> None:
        self._policy = policy
        self._has_policy = has_policy
        self._names: dict[str, _Name] = {}
        self.artifacts = 0
        self.unreadable: list[tuple[str, Exception]] = []

    def refuse(self, path: str, error: Exception) -> None:
        """Note what can't be read."""
        self.unreadable.append((path, error))

    def add(self, path: str, header: Header) -> None:
        """Add the names that one artifact imports."""
        self.artifacts += 1
        registered = {schema.global_: name for name, schema in header.types.items() if ":" not in name}
        packages = {normal(name): version for name, version in header.packages.items()}
        classes = {schema.global_ for schema in header.types.values()}
        missing = self._policy.missing(header) if self._has_policy else dict.fromkeys(header.globals, "")
        for name, why in missing.items():
            if is_given(name):
                continue
            group = _group_of(name, packages)
            one = self._names.setdefault(name, _Name(name, group, example=path))
            one.artifacts += 1
            one.registered = registered.get(name, one.registered)
            one.note = why.partition("; ")[2] or None
            one.is_class = one.is_class or name in classes
            version = packages.get(normal(group))
            if version is not None:
                one.versions.add(version)

    def ordered(self) -> list[_Name]:
        """Return the names, those of one group together. Give each its preset, so that few presets have them all."""
        needed = [name for name, one in self._names.items() if one.is_needed]
        for preset, covered in presets_for(needed).items():
            for name in covered:
                self._names[name].preset = preset
        return sorted(self._names.values(), key=lambda one: (one.group.startswith(_STANDARD), one.group, one.name))


def _group_of(name: str, packages: Mapping[str, str]) -> str:
    """Return the distribution that a global comes from, as the header has it, or else its top-level module."""
    module = name.partition(":")[0]
    top = module.partition(".")[0]
    if top in ("__main__", "__mp_main__"):
        return _SCRIPTS
    if is_standard(top):
        return _STANDARD
    parts = module.split(".")
    for prefix in (".".join(parts[:count]) for count in range(len(parts), 0, -1)):
        for one in DISTRIBUTIONS.get(prefix, (prefix.replace(".", "-"),)):
            if normal(one) in packages:
                return one
    return top


def _facts(one: _Name) -> dict[str, object]:
    return {
        "name": one.name,
        "trust": one.is_needed,
        "problem": one.problem,
        "registered": one.registered,
        "preset": one.preset,
        "package": one.group,
        "versions": sorted(one.versions),
        "artifacts": one.artifacts,
        "example": one.example,
    }


# --- the list as text -------------------------------------------------------------------------------------------------


class _Language(NamedTuple):
    """How the list is written in one language."""

    head: str
    rule: str

    def item(self, name: str, argument: str) -> str:
        """Return a rule as an item of the list."""
        return self.rule.format(name, quoted(argument))


_LANGUAGES = {
    "toml": _Language("", "{{{0} = {1}}},"),
    "python": _Language("from pickleseal.trust import preset\n", "{0}({1}),"),
}


def _lines(names: Sequence[_Name], artifacts: int, language: _Language) -> Iterator[str]:
    needed = sum(one.is_needed for one in names)
    yield f"# {plural(artifacts, 'artifact')} to load: {plural(needed, 'name') if needed else 'nothing'} to trust."
    if not names:
        return
    yield "# A payload can use each of them with any arguments. Strike what you do not know."
    presets = sorted({one.preset for one in names if one.preset is not None})
    if presets and language.head:
        yield language.head
    yield "trust = ["
    for name in presets:
        count = sum(one.preset == name for one in names)
        yield f"    {language.item('preset', name)}  # for {plural(count, 'name')}"
    for group, members in groupby((one for one in names if one.preset is None), key=lambda one: one.group):
        of_group = list(members)
        versions = sorted(set[str]().union(*(one.versions for one in of_group)))
        yield f"    # {' '.join([printable(group), ', '.join(map(printable, versions))]).strip()}"
        yield from _proposal(of_group, language)
        for one in of_group:
            yield f"    {_item(one)}"
    yield "]"


def _item(one: _Name) -> str:
    item = f"{quoted(one.name)},"
    if one.problem is not None:
        return f"# DANGEROUS: {item} {one.problem}: {printable(one.example, 4096)}"
    if one.registered is not None:
        return f"# {item} registered as {printable(one.registered)}: programs that register it trust it"
    return item if one.note is None else f"{item}  # {printable(one.note)}"


def _proposal(group: Sequence[_Name], language: _Language) -> Iterator[str]:
    """Propose a rule in place of several classes of one package. A comment, as it trusts other classes as well."""
    modules = [one.name.partition(":")[0].split(".") for one in group if one.is_class and one.is_needed]
    package = [parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*modules, strict=False))]
    if len(modules) >= _LEAST_CLASSES and package and group[0].group not in (_STANDARD, _SCRIPTS):
        rule = language.item("classes_in", ".".join(package))
        yield f"    # or for all its classes that need no call: {rule}"


def quoted(text: str) -> str:
    """Return a text as a string of both TOML and Python, on one line, without what could change a terminal."""
    parts = [f"\\{char}" if char in '"\\' else char if char.isprintable() else f"\\U{ord(char):08x}" for char in text]
    return f'"{"".join(parts)}"'
