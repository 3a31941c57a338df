"""Compare what comes of stored objects when their class changes: pickleseal beside other ways to store objects.

`python benchmarks/drift.py [--quick] [--docs]`. `--docs` writes the tables of docs/schemas.md.

The cells are those of the drift matrix of the tests: every way in which classes keep their fields, with every change.
The old class writes in one process, and the new one reads in another. Nothing is timed. A tool that is not installed is
left out, and so is a way whose library is not.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from _helpers.drift_runs import ABSENT, RIGHT, WRONG, run  # noqa: E402
from _helpers.drift_ways import CHANGES, NOTHING, Cell, all_cells  # noqa: E402

# The tools, with the distribution of each.
TOOLS = {
    "pickleseal": "pickleseal",
    "pickleseal, registered": "pickleseal",
    "pickle": "",
    "joblib": "joblib",
    "pyfory, compatible": "pyfory",
    "pyfory, schema-consistent": "pyfory",
}


class Counts(NamedTuple):
    """How many cells came back right, ended with an error, and came back wrong without one."""

    right: int
    error: int
    wrong: int

    def __str__(self) -> str:
        return f"{self.right} / {self.error} / **{self.wrong}**" if self.wrong else f"{self.right} / {self.error} / 0"


def count(outcomes: list[str]) -> Counts:
    words = Counter(outcome.partition(":")[0] for outcome in outcomes if outcome != ABSENT)
    return Counts(words[RIGHT], words.total() - words[RIGHT] - words[WRONG], words[WRONG])


def measure(quick: bool) -> dict[str, Any]:
    """Return the counts, by tool: for unchanged classes, by group of ways, and by change."""
    groups = ["fields"] if quick else ["light", "orm"]
    versions = {tool: version_of(name) for tool, name in TOOLS.items()}
    installed = [tool for tool, version in versions.items() if version]
    cells, outcomes = all_cells(groups), run(installed, groups)
    columns = {tool: column(cells, outcomes[tool]) for tool in installed}
    return {"python": platform.python_version(), "versions": versions, "tools": columns}


def version_of(distribution: str) -> str:
    """Return the version that is installed, or nothing. The standard library has Python's."""
    if not distribution:
        return platform.python_version()
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def column(cells: list[Cell], outcomes: dict[str, str]) -> dict[str, Any]:
    """Count what came of the cells for one tool. Changes count where an object of an unchanged class comes back."""
    unchanged = {cell.way: outcomes[cell.name] for cell in cells if cell.change == NOTHING}
    changed = [cell for cell in cells if cell.change != NOTHING and unchanged[cell.way] == RIGHT]

    def counted(word: str, attribute: str) -> Counts:
        return count([outcomes[cell.name] for cell in changed if getattr(cell, attribute) == word])

    return {
        "unchanged": count(list(unchanged.values())),
        "groups": {group: counted(group, "group") for group in dict.fromkeys(cell.group for cell in cells)},
        "changes": {change: counted(change, "change") for change in CHANGES if change != NOTHING},
        "all": count([outcomes[cell.name] for cell in changed]),
    }


def text(figures: dict[str, Any]) -> str:
    """Return the tables, in Markdown."""
    tools, versions = figures["tools"], figures["versions"]
    named = {name: versions[tool] for tool, name in TOOLS.items() if name and versions[tool]}
    lines = [f"Python {figures['python']}, " + ", ".join(f"{name} {version}" for name, version in named.items()) + "."]
    missing = sorted({name for tool, name in TOOLS.items() if not versions[tool]})
    lines += [f"Not installed: {', '.join(missing)}."] if missing else []

    def rows(title: str, of: str) -> list[str]:
        found = ["", f"| {title} | {' | '.join(tools)} |", "|---" * (len(tools) + 1) + "|"]
        for name in next(iter(tools.values()))[of]:
            counts = [tools[tool][of][name] for tool in tools]
            if any(map(sum, counts)):
                found.append(f"| {name} | {' | '.join(str(one) if sum(one) else '' for one in counts)} |")
        return found

    lines += rows("way to keep fields", "groups")
    lines.append(f"| all | {' | '.join(str(tools[tool]['all']) for tool in tools)} |")
    lines += rows("change", "changes")
    lines += ["", f"| | {' | '.join(tools)} |", "|---" * (len(tools) + 1) + "|"]
    lines.append(f"| the class did not change | {' | '.join(str(tools[tool]['unchanged']) for tool in tools)} |")
    return "\n".join(lines)


def write_docs(figures: dict[str, Any]) -> None:
    """Write the tables between their marks in docs/schemas.md."""
    page, begin, end = ROOT / "docs" / "schemas.md", "<!-- drift:begin -->\n", "<!-- drift:end -->"
    before, _, rest = page.read_text("utf-8").partition(begin)
    page.write_text(f"{before}{begin}{text(figures)}\n{end}{rest.partition(end)[2]}", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer ways to keep fields, to see that it runs")
    parser.add_argument("--docs", action="store_true", help="write the tables to docs/schemas.md")
    parser.add_argument("--json", metavar="FILE", help="write the counts to a file as well")
    options = parser.parse_args()
    figures = measure(options.quick)
    print(text(figures))
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")
    if options.docs:
        write_docs(figures)


if __name__ == "__main__":
    main()
