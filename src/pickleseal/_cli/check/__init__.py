"""Check before a deploy whether artifacts would load with the code as it is now.

Each header is compared with the classes, versions, migrations and packages of the code that --import names. Nothing is
unpickled, and sections are not read; `pickleseal verify` finds damage in them. Of the modules that artifacts name, only
those that --import names and those below them are imported. The current folder comes first in sys.path, as for
`python -m`. Without --trust and --policy, every class and function that is found counts as trusted.

    pickleseal check data/ --import myapp
    pickleseal check data/ --import myapp --policy policy.toml --sarif ci.sarif
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import replace

from ..._policy import Policy
from ..._schema.names import resolve
from ..._schema.registry import Registry
from ...errors import package_notes, printable
from ..inputs import Target, expand, headers_of
from ..options import add_import_arguments, add_path_arguments, add_trust_arguments
from ..output import (
    EXIT_FINDING,
    EXIT_UNREADABLE,
    Output,
    UsageError,
    columns,
    cut,
    exit_code_of,
    path_text,
    plural,
    progress,
    wrap,
)
from .code import Code, shown_path
from .evaluation import BREAKS, Evaluator
from .report import Finding, Report, text_of, write_junit, write_sarif

__all__ = ["add_arguments", "run"]

_MOST_NAMES = 20  # of classes that are not compared
_INDENT = " " * 8
_LABEL = " " * 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_path_arguments(parser)
    add_import_arguments(parser, "a module or package of the code to check against")
    add_trust_arguments(parser, "a class or function that the readers trust; its module is imported")
    parser.add_argument("--policy", metavar="FILE.toml", help="the policy of the readers, as Policy.from_toml reads it")
    parser.add_argument(
        "--registry", metavar="MODULE:NAME", help="the Registry of the readers (default: the default one)"
    )
    parser.add_argument("--sarif", metavar="FILE", help="write the findings as SARIF 2.1.0, for code scanning")
    parser.add_argument("--junit", metavar="FILE", help="write a JUnit report with a test case for each file")


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    code = Code(options.imports)
    policy = _policy(options, code)
    evaluator = Evaluator(policy, code, trusts_all=options.policy is None and not options.trust)
    report = Report(keeps_all=options.junit is not None)
    targets: Iterable[Target] = expand(options.paths, allow_empty=options.allow_empty)
    total, unit = None, "files"
    if out.shows_progress:
        targets = list(targets)
        total, unit = (len(targets), "files") if len(targets) > 1 else (None, "artifacts")  # one may be a long stream
    for name in code.names:
        path = getattr(sys.modules.get(name), "__file__", None)
        out.text(out.style(f"{name} is {shown_path(path) if path else 'built in'}", "dim"))
    with progress(out, total, unit) as bar:
        for entry in headers_of(targets, policy, report.refuse):
            before = report.counts["files"]
            if entry.header is None:
                report.refuse(entry.path, entry.error or OSError("not read"))
            elif report.add(entry, evaluator.problems(entry.header)) and out.form == "quiet":
                out.result({}, path=entry.path)
            bar.advance(report.counts["files"] - before if total is not None else 1)
    for path, error in report.unreadable:
        out.refuse(path, error)
        if exit_code_of(error) == EXIT_UNREADABLE:
            out.is_complete = False
    if report.counts["break"]:
        out.worsen(EXIT_FINDING)
    findings = report.ordered()
    for finding in findings:
        out.result(finding.as_dict(), *_finding_lines(finding, out))
    out.summary = {**report.counts, "findings": len(findings)}
    if not report.counts["files"]:
        out.message("there is no artifact, so nothing was checked")
    out.text(*_table(findings), *_not_compared(report), *_summary(report, out))
    for path, write in ((options.sarif, write_sarif), (options.junit, write_junit)):
        if path is not None:
            try:
                write(path, report)
            except OSError as exc:
                raise UsageError(f"{path}: {exc.strerror or exc}") from None


def _policy(options: argparse.Namespace, code: Code) -> Policy:
    """Return the policy of the readers, as the options describe it."""
    try:
        policy = Policy() if options.policy is None else Policy.from_toml(options.policy)
        if options.trust:
            policy = replace(policy, trust=[*policy.trust, *options.trust])
        if options.registry is not None:
            if not code.covers(options.registry.partition(":")[0]):
                raise UsageError(f"--registry {options.registry}: --import must name its module")
            registry = resolve(options.registry)
            if not isinstance(registry, Registry):
                raise UsageError(f"--registry {options.registry}: it is not a Registry")
            policy = replace(policy, registry=registry)
    except (OSError, TypeError, ValueError, ImportError, AttributeError) as exc:
        raise UsageError(str(exc)) from None
    return policy


def _finding_lines(finding: Finding, out: Output) -> list[str]:
    """Return a finding as lines: what it is, how often, where, and what to do."""
    problem = finding.problem
    level = out.style(f"{problem.level:<6}", "red" if problem.level == BREAKS else "yellow", "bold")
    subject = out.style(printable(problem.subject, 200), "bold")
    version = f", version {problem.version}" if problem.version else ""
    count = plural(finding.artifacts, "artifact")
    lines = ["", f"{level}  {subject}{version}: {count}  {out.style(problem.code, 'dim')}"]
    for change in problem.changes:
        lines += wrap(printable(change, 1000), _INDENT)
    example = finding.example
    where = path_text(example.path) + (f", record {example.record}" if example.offset else "")
    lines.append(f"{_label('example', out)}{where}")
    lines += [f"{_INDENT}        {note}" for note in package_notes(finding.packages)]
    if problem.source is not None:
        lines.append(f"{_label('class', out)}{printable(problem.source, 1000)}")
    for fix in problem.fixes:
        text = printable(f"{fix.when}:" if fix.when else fix.code, 2000)
        lines += wrap(text, _label("fix", out), _LABEL)
        for line in fix.code.split("\n") if fix.when else ():
            lines.append(f"{_INDENT}    {out.style(printable(line, 2000), 'cyan')}" if line else "")
    return lines


def _label(label: str, out: Output) -> str:
    return f"{_INDENT}{out.style(f'{label:<7}', 'dim')} "


def _table(findings: list[Finding]) -> list[str]:
    """Return all findings with one line for each, if there are several."""
    if len(findings) < 2:
        return []
    counts = [f"{found.artifacts:,}" for found in findings]
    width = max(map(len, counts))
    lines = [
        f"{found.problem.level:<6}  {count:>{width}}  {printable(text_of(found.problem), 4096)}"
        for found, count in zip(findings, counts, strict=True)
    ]
    return ["", *(cut(line, columns()) for line in lines)]


def _not_compared(report: Report) -> list[str]:
    """Return the classes of which nothing can be compared."""
    names = [printable(name, 200) for name in list(report.not_compared)[:_MOST_NAMES]]
    if not names:
        return []
    more = len(report.not_compared) - len(names)
    listed = ", ".join(names) + (f", and {more:,} more" if more else "")
    return ["", *wrap(f"not compared, as their code does not say what it assigns: {listed}", "")]


def _summary(report: Report, out: Output) -> list[str]:
    counts = report.counts
    parts = [f"{counts['load']:,} of {plural(counts['artifacts'], 'artifact')} would load"]
    if counts["warn"]:
        parts[0] += f", {counts['warn']:,} of them with a warning"
    if counts["break"]:
        parts.append(out.style(f"{counts['break']:,} would not", "red", "bold"))
    if counts["unreadable"]:
        parts.append(out.style(f"{counts['unreadable']:,} can't be checked", "red"))
    is_good = not counts["break"] and not counts["unreadable"] and counts["artifacts"]
    return [""] * bool(report.findings) + [out.style("; ".join(parts), *(["green"] if is_good else []))]
