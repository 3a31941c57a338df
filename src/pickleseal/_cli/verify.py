"""Check everything that can be checked without running anything: headers, all checksums, the structure of the pickles.

A PATH is a file, a folder (all `.pseal` files in it and below), a pattern, a URL, or - for standard input. Streams are
recognised by their contents, and checked frame by frame. Nothing is imported or unpickled. Intact does not mean
authentic: with --key, a signature must verify as well.

    pickleseal verify model.pseal
    pickleseal verify models/ --key public.keys --policy policy.toml
    pickleseal verify inbox/ --quarantine refused/
"""

import argparse
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from .._files import verify_intact
from .._format.header import Header, fields_of
from .._io.threads import ThreadPool
from .._policy import Decision, NoImports, Policy, evaluate, request_of
from .._reading import name_packages
from .._streams.scanner import SkippedRange
from ..errors import ReadError, printable
from .inputs import Subject, Target, expand, lost_facts, opened, quietly
from .options import FORMS, add_path_arguments, add_policy_arguments, is_bound, policy_of
from .output import Output, path_text, plural, progress, signatures_text, size_text

_LISTED = 20  # up to so many files, whole ones are listed too
_THREADS = 4
_AHEAD = 64  # targets in the queue of the threads
_SMALL = 1 << 20  # bytes; smaller files are checked in the main thread
_LARGE = 1 << 28  # bytes in all from which progress is shown in bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_path_arguments(parser)
    add_policy_arguments(parser)
    parser.add_argument(
        "--as", dest="form_of", choices=FORMS, default="auto", help="what the files are (default: auto)"
    )
    parser.add_argument("--all", action="store_true", help=f"list whole files even if there are more than {_LISTED}")
    parser.add_argument("--quarantine", metavar="DIR", help="copy refused files to DIR, each with the reason in JSON")


class Found(NamedTuple):
    """The result for one target."""

    path: str
    size: int | None
    found: dict[str, Any]
    errors: tuple[Exception, ...]


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    policy = policy_of(options)
    has_policy = options.policy is not None
    start = time.perf_counter()
    targets = list(expand(options.paths, allow_empty=options.allow_empty))
    shows_all = options.all or len(targets) <= _LISTED
    counts = {"checked": 0, "whole": 0, "refused": 0, "unreadable": 0, "records": 0, "bytes": 0}

    def check(target: Target) -> Found:
        return _check_target(target, policy, options.form_of, has_policy, options.quarantine)

    sizes = [_size_of(target) for target in targets]
    is_large = sum(sizes) >= _LARGE
    with quietly(), progress(out, sum(sizes) if is_large else len(targets), "bytes" if is_large else "files") as bar:
        for found, size in zip(_in_order(check, targets, sizes), sizes, strict=True):
            counts["checked"] += 1
            counts["records"] += found.found.get("records", 0)
            counts["bytes"] += found.size or 0
            bar.clear()
            _show(found, out, shows_all, counts)
            bar.advance(size if is_large else 1)
    seconds = time.perf_counter() - start
    out.summary = {**counts, "seconds": round(seconds, 3)}
    if len(targets) != 1:
        out.text(_summary(counts, seconds, out))


def _in_order(check: Callable[[Target], Found], targets: list[Target], sizes: list[int]) -> Iterator[Found]:
    """Check all targets, and yield the results in their order.

    Large files and URLs are checked in threads, because hashing and waiting release the interpreter. Small files are
    checked in this thread: with threads, they took twice as long.
    """
    if len(targets) == 1:
        yield check(targets[0])
        return
    with ThreadPool(_THREADS) as pool:  # after an interrupt, it starts nothing more
        waiting: deque[Callable[[], Found]] = deque()
        for target, size in zip(targets, sizes, strict=True):
            work, is_small = partial(check, target), 0 < size < _SMALL or target.error is not None
            waiting.append(work if is_small else pool.start(work))
            if len(waiting) >= _AHEAD:
                yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()


def _size_of(target: Target) -> int:
    """Return the length of a file, or 0 if it is not known."""
    try:
        return os.stat(target.path).st_size
    except (OSError, ValueError):
        return 0


def _check_target(target: Target, policy: Policy, form: str, has_policy: bool, folder: str | None) -> Found:
    """Check one target. What is wrong with it is part of the result."""
    path, size, found, errors = target.path, None, dict[str, Any](), list[Exception]()
    try:
        with opened(target) as subject:
            path = subject.path
            try:
                size = subject.steady(partial(_check, subject, policy, form, has_policy, found, errors))
            except ReadError as exc:
                errors.append(exc)
            if folder is not None and errors and isinstance(errors[0], ReadError):
                found["quarantined"] = _keep(subject, folder, errors[0])
    except (OSError, ValueError) as exc:
        errors.append(exc)
    return Found(path, size, found, tuple(errors))


def _check(
    subject: Subject, policy: Policy, form: str, has_policy: bool, found: dict[str, Any], errors: list[Exception]
) -> int | None:
    if form != "stream":
        try:
            header = verify_intact(subject.source, policy)
        except ReadError:
            if form == "artifact" or not subject.is_stream():
                raise
        else:
            if has_policy:
                errors += _refusals(header, policy)
            found.update(_facts(header), in_context=is_bound(policy))
            return header.frame_len
    return _check_stream(subject, policy, has_policy, found, errors)


def _facts(header: Header) -> dict[str, Any]:
    facts = {
        "kind": "artifact",
        "type": header.type,
        "version": header.version,
        "created": header.created,
        "size": header.frame_len,
        "signatures": [list(pair) for pair in header.signatures],
        "verified": [list(pair) for pair in header.verified],
    }
    if header.records is not None:
        facts["records"] = header.records
    return facts


def _refusals(header: Header, policy: Policy) -> list[ReadError]:
    """Return what a policy refuses in a header, as far as no class has to be imported for it (spec 11, step 15).

    Names are looked at if the policy itself lists trusted ones: if it does not, each call does.
    """
    findings = evaluate(fields_of(header), request_of(policy=policy), NoImports(), Decision())
    errors = [error for error, _, _ in findings if isinstance(error, ReadError)]
    for error in errors:
        name_packages(error, fields_of(header))
    return errors


def _check_stream(
    subject: Subject, policy: Policy, has_policy: bool, found: dict[str, Any], errors: list[Exception]
) -> int | None:
    """Check all frames of a stream. Damaged frames are skipped, and the frames after them are checked too."""
    lost: list[SkippedRange] = []
    frames = records = 0
    verified: set[tuple[str, str]] | None = None
    try:
        for frame in subject.frames(policy, True, lost):
            frames, records = frames + 1, records + frame.records
            keys = set(frame.header.verified)
            verified = keys if verified is None else verified & keys
            if has_policy:
                for error in _refusals(frame.header, policy):
                    error.offset, error.record = frame.offset, frame.record
                    errors.append(error)
    except ReadError as exc:
        errors.append(exc)
    size = subject.size()
    found.update(
        kind="stream",
        frames=frames,
        records=records,
        size=size,
        verified=sorted(map(list, verified or ())),
        in_context=is_bound(policy),
        lost=lost_facts(lost),
    )
    errors.extend(one.error for one in lost)
    return size


def _keep(subject: Subject, folder: str, error: ReadError) -> str:
    """Copy a refused file to a quarantine, and return the path of the copy.

    Raises:
        OSError: from the operating system, or the quarantine is full.
    """
    import sys

    from .._ingestion.quarantine import QuarantineFolder
    from .._ingestion.reader import reason_of
    from .._ingestion.rereadable import RereadableSource

    reason = reason_of(error, subject.path, None, None)
    try:
        with RereadableSource(subject.source, sys.maxsize) as source:
            kept = QuarantineFolder(os.path.abspath(folder), sys.maxsize, sys.maxsize).keep(source, error.code, reason)
    except OSError as exc:
        raise OSError(exc.errno, f"can't copy it to the quarantine {folder}: {exc.strerror or exc}") from None
    if kept is None:
        raise OSError(f"the quarantine {folder} is full")
    return kept.path


def _show(found: Found, out: Output, shows_all: bool, counts: dict[str, int]) -> None:
    if not found.errors:
        counts["whole"] += 1
        if shows_all or out.form != "text":
            out.result({"path": found.path, "ok": True, "code": None, **found.found}, _line(found, out))
        return
    first, *others = found.errors
    is_refused = isinstance(first, ReadError)
    counts["refused" if is_refused else "unreadable"] += 1
    out.refuse(found.path, first, *others, **found.found)
    if "quarantined" in found.found:
        out.text(out.style(f"  copied to {path_text(found.found['quarantined'])}", "dim"))
    if found.found.get("kind") == "stream" and is_refused:
        out.text(out.style(f"  whole: {_records_text(found.found)}", "dim"))


def _line(found: Found, out: Output) -> str:
    """Return a line about a whole artifact or stream."""
    facts = found.found
    if facts["kind"] == "stream":
        what = f"stream, {_records_text(facts)}"
    else:
        what = printable(facts["type"]) + (f" version {facts['version']}" if facts["version"] else "")
    if facts["verified"]:
        signed = f"signed by {signatures_text(facts['verified'], facts['in_context'])}"
    elif facts.get("signatures"):
        signed = f"claims to be signed by {signatures_text(facts['signatures'])}, not verified: give --key"
    else:
        signed = "signatures not checked" if facts["kind"] == "stream" else "not signed"
    return f"{path_text(found.path)}: {out.style('ok', 'green')}: {what}, {size_text(found.size or 0)}, {signed}"


def _records_text(facts: dict[str, Any]) -> str:
    return f"{plural(facts['records'], 'record')} in {plural(facts['frames'], 'frame')}"


def _summary(counts: dict[str, int], seconds: float, out: Output) -> str:
    color = "green" if counts["whole"] == counts["checked"] else "red"
    parts = [f"{counts['whole']:,} whole"]
    parts += [f"{counts[name]:,} {name}" for name in ("refused", "unreadable") if counts[name]]
    speed = f"{size_text(counts['bytes'])} in {seconds:.1f} s"
    return out.style(f"{plural(counts['checked'], 'file')}: {', '.join(parts)}", color) + f" ({speed})"
