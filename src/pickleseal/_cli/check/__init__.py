"""Tell whether artifacts would load with the code as it is now: the gate before a deploy.

Each header is compared with the classes, versions, migrations and packages
of the code that --import names. Nothing is unpickled, and sections are not
read: damage in them is the matter of `verify`. The current folder is put in
front of sys.path, as `python -m` has it, and the named modules are imported;
of modules that an artifact names only those below them. Without --trust and
--policy every class and function that is found counts as trusted.

  pickleseal check data/ --import myapp
  pickleseal check data/ --import myapp --policy policy.toml --sarif check.sarif
"""

import argparse
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ..._policy import Policy
from ..._schema.names import resolve
from ..._schema.registry import Registry
from ...catalog import HeaderEntry, iter_headers, read_headers
from ...errors import printable
from ..inputs import STDIN, Target, expand
from ..output import EXIT_FINDING, EXIT_UNREADABLE, Output, UsageError, exit_code_of, progress
from .code import Code, shown_path
from .evaluation import BREAKS, Evaluator
from .report import Finding, Report, text_of

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="file, folder, pattern, URL, or - for standard input")
    parser.add_argument(
        "--import",
        action="append",
        default=[],
        dest="imports",
        metavar="MODULE",
        help="module or package of the code to check against; its import code runs. May be given again",
    )
    parser.add_argument("--policy", metavar="FILE", help="a policy in TOML: what the readers accept")
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="MODULE:NAME",
        help="a class or function that the readers trust; its module is imported. May be given again",
    )
    parser.add_argument("--registry", metavar="MODULE:NAME", help="a Registry of your own; else the default one")
    parser.add_argument("--sarif", metavar="FILE", help="write the findings as SARIF 2.1.0, for code scanning")
    parser.add_argument("--junit", metavar="FILE", help="write a JUnit report, one test case for each file")


def run(options: argparse.Namespace, out: Output) -> None:
    """Check, and say what breaks and how to mend it."""
    code = Code(options.imports)
    policy = _policy(options, code)
    evaluator = Evaluator(policy, code, trusts_all=options.policy is None and not options.trust)
    report = Report(keeps_all=options.junit is not None)
    targets: Iterable[Target] = expand(options.paths)
    total, unit = None, "files"
    if out.shows_progress:
        targets = list(targets)
        total, unit = (len(targets), "files") if len(targets) > 1 else (None, "artifacts")  # it may be a long stream
    for name in code.names:
        place = getattr(sys.modules.get(name), "__file__", None)
        out.text(out.style(f"{name} is {shown_path(place) if place else 'built in'}", "dim"))
    with progress(out, total, unit) as shown:
        for entry in _entries(targets, policy, report):
            before = report.counts["files"]
            _take(entry, evaluator, report, out)
            shown.advance(report.counts["files"] - before if total is not None else 1)
    for path, error in report.unreadable:
        out.refuse(path, error)
        if exit_code_of(error) == EXIT_UNREADABLE:
            out.is_complete = False
    if report.counts["break"]:
        out.worsen(EXIT_FINDING)
    findings = report.ordered()
    for finding in findings:
        out.result(finding.as_dict(), *_lines(finding, out))
    out.summary = {**report.counts, "findings": len(findings)}
    if not report.counts["files"]:
        out.complain("no artifact there: nothing was checked")
    for line in (*_table(findings), *_closing(report, out)):
        out.text(line)
    if options.sarif is not None or options.junit is not None:
        from .report import write_junit, write_sarif

        for path, write in ((options.sarif, write_sarif), (options.junit, write_junit)):
            if path is not None:
                try:
                    write(path, report)
                except OSError as exc:
                    raise UsageError(f"{path}: {exc.strerror or exc}") from None


def _policy(options: argparse.Namespace, code: Code) -> Policy:
    """Make the policy that the readers have, as far as the command line says."""
    try:
        policy = Policy() if options.policy is None else Policy.from_toml(options.policy)
        if options.trust:
            policy = replace(policy, trust=[*policy.trust, *options.trust])
        if options.registry is not None:
            if not code.covers(options.registry.partition(":")[0]):
                raise UsageError(f"--registry {options.registry}: its module has to be named by --import")
            registry = resolve(options.registry)
            if not isinstance(registry, Registry):
                raise UsageError(f"--registry {options.registry}: that is no Registry")
            policy = replace(policy, registry=registry)
    except (OSError, TypeError, ValueError, ImportError, AttributeError) as exc:
        raise UsageError(str(exc)) from None
    return policy


def _entries(targets: Iterable[Target], policy: Policy, report: Report) -> Iterator[HeaderEntry]:
    def paths() -> Iterator[str]:
        for target in targets:
            if target.error is not None:
                report.refuse(target.path, target.error)
            elif target.path == STDIN:
                stdin.append(sys.stdin.buffer.read())
            else:
                yield target.path

    stdin: list[bytes] = []
    yield from iter_headers(paths(), policy=policy)
    for data in stdin:
        yield from read_headers(STDIN, data, policy)


def _take(entry: HeaderEntry, evaluator: Evaluator, report: Report, out: Output) -> None:
    if entry.header is None:
        report.refuse(entry.path, entry.error or OSError("not read"))
    elif report.add(entry, evaluator.problems(entry.header)) and out.form == "quiet":
        out.result({}, path=entry.path)


def _lines(finding: Finding, out: Output) -> list[str]:
    """Show a finding: what, how often, where, and what to do."""
    problem, width = finding.problem, min(shutil.get_terminal_size().columns, 120)
    breaks = problem.level == BREAKS
    version = f", version {problem.version}" if problem.version else ""
    counted = _counted(finding.artifacts, "artifact")
    head = out.style(f"{problem.level:<6}", "red" if breaks else "yellow", "bold")
    subject = out.style(printable(problem.subject, 200), "bold")
    lines = ["", f"{head}  {subject}{version}: {counted}  {out.style(problem.code, 'dim')}"]
    for change in problem.changes:
        lines += _wrapped(printable(change, 1000), width)
    example = finding.example
    where = printable(example.path, 1000) + (f", record {example.record}" if example.offset else "")
    lines.append(f"        {out.style('example', 'dim')} {where}")
    if problem.source is not None:
        lines.append(f"        {out.style('class  ', 'dim')} {printable(problem.source, 1000)}")
    for fix in problem.fixes:
        if not fix.when:
            lines += _wrapped(printable(fix.code, 2000), width, out.style("fix    ", "dim") + " ")
            continue
        lines += _wrapped(f"{printable(fix.when, 1000)}:", width, out.style("fix    ", "dim") + " ")
        for line in fix.code.split("\n"):
            lines.append(f"            {out.style(printable(line, 2000), 'cyan')}" if line else "")
    return lines


def _wrapped(text: str, width: int, head: str = "") -> list[str]:
    indent = " " * (16 if head else 8)
    lines = textwrap.wrap(text, max(width - len(indent), 20), break_long_words=False, break_on_hyphens=False) or [""]
    return [f"        {head}{lines[0]}", *(indent + line for line in lines[1:])]


def _table(findings: list[Finding]) -> list[str]:
    """List what was found, a line for each, where it is more than one thing."""
    if len(findings) < 2:
        return []
    width = shutil.get_terminal_size().columns
    counts = [f"{found.artifacts:,}" for found in findings]
    most = max(map(len, counts))
    lines = [""]
    for found, count in zip(findings, counts, strict=True):
        line = f"{found.problem.level:<6}  {count:>{most}}  {text_of(found.problem)}"
        lines.append(printable(line, 4096) if len(line) <= width else printable(line[: width - 3], 4096) + "...")
    return lines


def _closing(report: Report, out: Output) -> list[str]:
    """Say how it ended, in a sentence."""
    counts = report.counts
    said = [f"{counts['load']:,} of {_counted(counts['artifacts'], 'artifact')} would load"]
    if counts["warn"]:
        said[0] += f", {counts['warn']:,} with a warning"
    if counts["break"]:
        said.append(out.style(f"{counts['break']:,} would not", "red", "bold"))
    if counts["unreadable"]:
        said.append(out.style(f"{counts['unreadable']:,} can't be judged", "red"))
    is_good = not counts["break"] and not counts["unreadable"] and counts["artifacts"]
    return [""] * bool(report.findings) + [out.style("; ".join(said), "green") if is_good else "; ".join(said)]


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
