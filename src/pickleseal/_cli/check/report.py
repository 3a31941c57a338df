"""What `check` found in all files, and its reports as SARIF and JUnit. Equal problems are counted together."""

import os
from typing import Any
from urllib.parse import quote

from ..._format.header import fields_of
from ..._io.atomic import replace_file
from ..._schema.package_rules import differences
from ..._version import __version__
from ...catalog import HeaderEntry
from ...errors import PackageDifference, ReadError, one_line, package_notes, printable
from ..output import as_json
from .evaluation import BREAKS, Problem


class Finding:
    """A problem, the number of artifacts that have it, and one of them as an example."""

    def __init__(self, problem: Problem, first: HeaderEntry) -> None:
        self.problem = problem
        self.example = first
        self.artifacts = 0
        self.files = 0
        self._last: str | None = None

    def count(self, entry: HeaderEntry) -> None:
        """Count one more artifact."""
        self.artifacts += 1
        if entry.path != self._last:
            self.files, self._last = self.files + 1, entry.path

    @property
    def packages(self) -> tuple[PackageDifference, ...]:
        """Which distributions of the example are installed in another version, if it would not load."""
        header = self.example.header
        return () if header is None or self.problem.level != BREAKS else differences(header.packages)

    def as_dict(self) -> dict[str, Any]:
        """Return the finding for programs."""
        problem = self.problem
        return {
            **{name: getattr(problem, name) for name in ("level", "code", "subject", "version")},
            "changes": list(problem.changes),
            "fixes": [fix._asdict() for fix in problem.fixes],
            "source": problem.source,
            "artifacts": self.artifacts,
            "files": self.files,
            "example": {name: getattr(self.example, name) for name in ("path", "offset", "record")},
            "packages": [package._asdict() for package in self.packages],
        }


class Report:
    """The findings in all files."""

    def __init__(self, keeps_all: bool) -> None:
        self.findings: dict[Problem, Finding] = {}
        self.files: dict[str, dict[str, None]] = {}  # problems by path; files without any only for JUnit
        self.unreadable: list[tuple[str, Exception]] = []
        self.counts = dict.fromkeys(("files", "artifacts", "load", "warn", "break", "unreadable"), 0)
        self.not_compared: dict[str, None] = {}  # classes of which the headers say nothing that could be compared
        self._keeps_all = keeps_all
        self._last: str | None = None

    def add(self, entry: HeaderEntry, problems: tuple[Problem, ...]) -> bool:
        """Count an artifact, and return whether it is the first of its file that would not load."""
        self.enter(entry.path)
        breaks = any(problem.level == BREAKS for problem in problems)
        self.counts["artifacts"] += 1
        self.counts["break" if breaks else "load"] += 1
        self.counts["warn"] += bool(problems) and not breaks
        if entry.header is not None and "types" in fields_of(entry.header):
            for name, schema in entry.header.types.items():
                if not schema.is_compared and schema.state == "default":
                    self.not_compared[name] = None
        for problem in problems:
            finding = self.findings.get(problem)
            if finding is None:
                finding = self.findings[problem] = Finding(problem, entry)
            finding.count(entry)
        if not breaks:
            return False
        known = self.files.setdefault(entry.path, {})
        is_first = not known
        known.update(dict.fromkeys(text_of(problem) for problem in problems if problem.level == BREAKS))
        if entry.header is not None:
            known.update(dict.fromkeys(package_notes(differences(entry.header.packages))))
        return is_first

    def enter(self, path: str) -> None:
        """Count a file, unless this is a further frame of the last one."""
        if path != self._last:
            self._last = path
            self.counts["files"] += 1
            if self._keeps_all:
                self.files.setdefault(path, {})

    def refuse(self, path: str, error: Exception) -> None:
        """Count an artifact that could not be checked."""
        self.enter(path)
        self.counts["unreadable"] += 1
        self.unreadable.append((path, error))

    def ordered(self) -> list[Finding]:
        """Return the findings: first those that break, then those that warn; the most frequent first."""
        return sorted(self.findings.values(), key=lambda found: (found.problem.level, -found.artifacts))


def text_of(problem: Problem) -> str:
    """Return a problem in one line."""
    return f"{problem.subject}: {problem.code}: {'; '.join(problem.changes)}"


# --- reports for other programs ---------------------------------------------------------------------------------------

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def write_sarif(path: str, report: Report) -> None:
    """Write SARIF 2.1.0: one result for each finding, at the class that needs the fix, or else at an artifact.

    Raises:
        OSError: from the operating system; an older file is unchanged then.
    """
    results = [_result(finding) for finding in report.ordered()]
    for name, error in report.unreadable:
        code = error.code if isinstance(error, ReadError) else "unreadable"
        text = error.reason if isinstance(error, ReadError) else str(error)
        results.append(_as_result(code, "error", printable(text, 1000), [_location(name, None)], 1))
    codes = sorted({result["ruleId"] for result in results})
    rules = [{"id": code, "shortDescription": {"text": code.replace("-", " ")}} for code in codes]
    driver = {"name": "pickleseal check", "version": __version__, "rules": rules}
    invocation = {"executionSuccessful": not report.unreadable}
    run = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "results": results,
        "columnKind": "unicodeCodePoints",
    }
    text = as_json({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})
    replace_file(path, [text.encode("ascii"), b"\n"], durable=False)


def _result(finding: Finding) -> dict[str, Any]:
    problem, example = finding.problem, finding.example
    level = "error" if problem.level == BREAKS else "warning"
    text = f"{printable(problem.subject)}: {printable('; '.join(problem.changes), 2000)}"
    text += f" ({finding.artifacts:,} artifacts, for example {printable(example.path, 1000)})"
    text += "".join(f"\n\n{note}" for note in package_notes(finding.packages))
    for fix in problem.fixes:
        text += f"\n\n{printable(fix.when, 1000)}\n\n{fix.code}" if fix.when else f"\n\n{printable(fix.code, 2000)}"
    at_example = _location(example.path, None)
    if problem.source is None:
        return _as_result(problem.code, level, text, [at_example], finding.artifacts)
    path, _, line = problem.source.rpartition(":")
    result = _as_result(problem.code, level, text, [_location(path, int(line))], finding.artifacts)
    return {**result, "relatedLocations": [{"id": 1, **at_example}]}


def _as_result(code: str, level: str, text: str, locations: list[Any], count: int) -> dict[str, Any]:
    message = {"text": text}
    return {"ruleId": code, "level": level, "message": message, "locations": locations, "occurrenceCount": count}


def _location(path: str, line: int | None) -> dict[str, Any]:
    uri = quote(path, safe=":/?&=%*@") if "://" in path else quote(_slashed(path))
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    if line is not None:
        physical["region"] = {"startLine": line}
    return {"physicalLocation": physical}


def _slashed(path: str) -> str:
    return path.replace(os.sep, "/").encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def write_junit(path: str, report: Report) -> None:
    """Write a JUnit report with a test case for each file, which fails if an artifact in it would not load.

    Raises:
        OSError: from the operating system; an older file is unchanged then.
    """
    from xml.etree.ElementTree import Element, SubElement, tostring

    refused: dict[str, list[str]] = {}
    for name, error in report.unreadable:
        refused.setdefault(name, []).append(one_line(error))
    names = list(dict.fromkeys([*report.files, *refused]))
    failed = [name for name in names if report.files.get(name)]
    counts = {"tests": len(names), "failures": len(failed), "errors": len(refused)}
    attributes = {key: str(count) for key, count in counts.items()}
    suites = Element("testsuites", attributes)
    suite = SubElement(suites, "testsuite", {"name": "pickleseal check", "skipped": "0", **attributes})
    for name in names:
        case = SubElement(suite, "testcase", {"classname": "pickleseal.check", "name": printable(name, 4096)})
        for element, texts in (("failure", list(report.files.get(name, ()))), ("error", refused.get(name, []))):
            if texts:
                shown = [printable(text, 2000) for text in texts]
                SubElement(case, element, {"message": shown[0]}).text = "\n".join(shown)
    replace_file(path, [tostring(suites, "utf-8", xml_declaration=True)], durable=False)
