"""What a check found over all files: equal problems are counted together, each with an example."""

from typing import Any

from ..storage.headers import HeaderEntry
from .check_judge import BREAKS, Problem

__all__ = ["Finding", "Report", "text_of"]


class Finding:
    """A problem, and the artifacts that have it."""

    def __init__(self, problem: Problem, first: HeaderEntry) -> None:
        self.problem = problem
        self.example = first
        self.artifacts = 0
        self.files = 0
        self._last: str | None = None

    def count(self, entry: HeaderEntry) -> None:
        """Count one more."""
        self.artifacts += 1
        if entry.path != self._last:
            self.files, self._last = self.files + 1, entry.path

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as plain values."""
        problem = self.problem
        return {
            **{name: getattr(problem, name) for name in ("level", "code", "subject", "version")},
            "changes": list(problem.changes),
            "fixes": [fix._asdict() for fix in problem.fixes],
            "source": problem.source,
            "artifacts": self.artifacts,
            "files": self.files,
            "example": {name: getattr(self.example, name) for name in ("path", "offset", "record")},
        }


class Report:
    """What was found over all files."""

    def __init__(self, keeps_all: bool) -> None:
        self.findings: dict[Problem, Finding] = {}
        self.files: dict[str, dict[str, None]] = {}  # what is wrong with each file; the good ones for JUnit only
        self.unreadable: list[tuple[str, Exception]] = []
        self.counts = dict.fromkeys(("files", "artifacts", "load", "warn", "break", "unreadable"), 0)
        self._keeps_all = keeps_all
        self._last: str | None = None

    def add(self, entry: HeaderEntry, problems: tuple[Problem, ...]) -> bool:
        """Count an artifact, and tell whether it is the first of its file that would not load."""
        self.enter(entry.path)
        breaks = any(problem.level == BREAKS for problem in problems)
        self.counts["artifacts"] += 1
        self.counts["break" if breaks else "load"] += 1
        self.counts["warn"] += bool(problems) and not breaks
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
        return is_first

    def enter(self, path: str) -> None:
        """Begin with a file, unless this is one more of its frames."""
        if path != self._last:
            self._last = path
            self.counts["files"] += 1
            if self._keeps_all:
                self.files.setdefault(path, {})

    def refuse(self, path: str, error: Exception) -> None:
        """Count what could not be judged."""
        self.enter(path)
        self.counts["unreadable"] += 1
        self.unreadable.append((path, error))

    def ordered(self) -> list[Finding]:
        """Return the findings: what breaks, most of it first, then what warns."""
        return sorted(self.findings.values(), key=lambda found: (found.problem.level, -found.artifacts))


def text_of(problem: Problem) -> str:
    """Return a problem in one line."""
    return f"{problem.subject}: {problem.code}: {'; '.join(problem.changes)}"
