"""Wrap an existing pickle in an artifact without running it, or take it out again with --extract.

Pickles of protocol 2 to 5 are wrapped as they are: no opcode is run, and nothing is imported. Files that are compressed
(gzip, bzip2, xz, lzma, zlib, zstd) are recognised by their first bytes. Any other pickle needs --load, which UNPICKLES
the file and packs the object again; this runs the code that --trust names. The output shows the call that reads the
artifact, with the names that the reader has to trust.

    pickleseal convert model.pkl model.pseal
    pickleseal convert old/ --out new/
    pickleseal convert --extract model.pseal model.pkl
    pickleseal convert a.pkl b.pseal --load --trust app:User --encoding latin-1
"""

import argparse
import os
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from .._format.timestamps import timestamp_of_file
from .._io.url import is_url
from ..errors import MissingExtraError, PicklesealError, printable
from .inputs import STDIN, expand
from .options import add_path_arguments, add_trust_arguments
from .output import EXIT_FINDING, Output, UsageError, path_text, size_text

if TYPE_CHECKING:
    from .._format.header import Header
    from ..convert import Converted

_PICKLES = tuple(
    stem + suffix
    for stem in (".pkl", ".pickle", ".pck", ".pcl", ".p", ".joblib", ".jbl", ".dill")
    for suffix in ("", ".gz", ".bz2", ".xz", ".lzma", ".z", ".zst")
)
_ENDING = ".pseal"
_MAX_SIZE = 1 << 30  # bytes, once decompressed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_path_arguments(parser, "OLD NEW; with --out: files, folders and patterns")
    parser.add_argument("--out", metavar="DIR", help="convert all PATHs into this folder, each under its own name")
    parser.add_argument("--extract", action="store_true", help="take the pickle out of an artifact")
    parser.add_argument("--force", action="store_true", help="replace existing files")
    parser.add_argument("--type", metavar="NAME", help="the type in the header (default: what the opcodes say)")
    parser.add_argument(
        "--max-size", type=int, default=_MAX_SIZE, metavar="BYTES", help="the limit once decompressed (default: 1 GiB)"
    )
    group = parser.add_argument_group("unpickling")
    group.add_argument("--load", action="store_true", help="UNPICKLE the file and pack the object again")
    add_trust_arguments(group, "with --load: a class or function that the pickle may import")
    group.add_argument(
        "--encoding",
        default="ascii",
        help="with --load: the encoding of strings of Python 2; `bytes` keeps them as bytes (default: ascii)",
    )


class _Job(NamedTuple):
    source: str
    target: str
    error: OSError | None = None


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    if options.extract and (options.load or options.type):
        raise UsageError("--extract can't be used with --load or --type")
    if options.max_size < 0:
        raise UsageError(f"--max-size: expected 0 or more, found {options.max_size}")
    if (options.trust or options.encoding != "ascii") and not options.load:
        raise UsageError("--trust and --encoding need --load")
    if options.load:
        out.message("--load unpickles the files, which runs the code that --trust names")
    counts = {"converted": 0, "refused": 0}
    taken: dict[str, str] = {}  # new file to old file
    for job in _jobs(options):
        try:
            if job.error is not None:
                raise job.error
            if job.target in taken:
                raise FileExistsError(17, f"it was made from {printable(taken[job.target])}", job.target)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                found = _convert(job, options)
            for warning in caught:
                out.message(f"{job.source}: {warning.message}")
        except FileExistsError as exc:
            counts["refused"] += 1
            out.worsen(EXIT_FINDING)
            facts = {"path": job.source, "ok": False, "code": "exists", "reason": exc.strerror, "to": job.target}
            line = f"{path_text(job.source)}: exists: {path_text(job.target)} exists already; {exc.strerror}"
            out.result(facts, out.style(line, "yellow"), path=job.source)
        except MissingExtraError:
            raise
        except (PicklesealError, OSError) as exc:
            counts["refused"] += 1
            out.refuse(job.source, exc)
        else:
            counts["converted"] += 1
            taken[job.target] = job.source
            if found.get("refused_globals"):
                out.worsen(EXIT_FINDING)
            _show(job, found, out)
    out.summary = counts
    if options.out is not None:
        out.text(f"{counts['converted']:,} converted, {counts['refused']:,} refused")


def _jobs(options: argparse.Namespace) -> Iterator[_Job]:
    if options.out is None:
        if len(options.paths) != 2:
            raise UsageError("expected OLD and NEW, or --out DIR with any number of files and folders")
        yield _Job(*options.paths)
        return
    endings = (_ENDING,) if options.extract else _PICKLES
    for path in options.paths:  # before anything is read or written
        if is_url(path) or path == STDIN:
            raise UsageError(f"{path}: only local files can be converted with --out")
    for target in expand(options.paths, endings=endings, allow_empty=options.allow_empty):
        inside = os.path.basename(target.path) if target.top is None else os.path.relpath(target.path, target.top)
        ending = ".pkl" if options.extract else _ENDING
        yield _Job(target.path, os.path.join(options.out, _stem(inside) + ending), target.error)


def _stem(name: str) -> str:
    """Return a path without the ending of a pickle or artifact."""
    for ending in sorted((*_PICKLES, _ENDING), key=len, reverse=True):
        if name.endswith(ending) and os.path.basename(name) != ending:
            return name.removesuffix(ending)
    return name


def _convert(job: _Job, options: argparse.Namespace) -> dict[str, Any]:
    from .._io.atomic import replace_file

    if not options.force and os.path.lexists(job.target):
        raise FileExistsError(17, "--force replaces it", job.target)
    parts, found = _extracted(job.source) if options.extract else _adopted(job.source, options)
    try:
        if options.out is not None:
            os.makedirs(os.path.dirname(job.target) or ".", exist_ok=True)
        replace_file(job.target, parts, durable=True)
    except OSError as exc:  # the error is of the new file, and must not become a FileExistsError
        raise OSError(None, f"{path_text(job.target)} can't be written: {exc.strerror or exc}") from None
    return {**found, "size": sum(memoryview(part).nbytes for part in parts)}


def _extracted(path: str) -> tuple[list[Any], dict[str, Any]]:
    from .._files import peek
    from ..convert import extract_parts

    data = sys.stdin.buffer.read() if path == STDIN else path
    return extract_parts(data), _needs(peek(data))


def _needs(header: "Header") -> dict[str, Any]:
    return {"needs_pickleseal": any(name.startswith("pickleseal:") for name in header.globals)}


def _adopted(path: str, options: argparse.Namespace) -> tuple[list[Any], dict[str, Any]]:
    from ..convert import adopt, decompress, repickle

    data, written = _read(path, options.max_size)
    data, compression = decompress(data, max_size=options.max_size)
    meta = {} if written is None else {"convert.mtime": written}
    try:
        if options.load:
            found = repickle(data, trust=options.trust, encoding=options.encoding, type=options.type, meta=meta)
        else:
            found = adopt(data, type=options.type, meta=meta)
    except (TypeError, ValueError, LookupError) as exc:
        raise UsageError(str(exc)) from None
    facts = {
        "type": found.type,
        "type_known": found.is_type_known,
        "protocol": found.protocol,
        "globals": found.globals,
        "refused_globals": found.refused,
        "renames": found.renamed,
        "compression": compression,
        "loaded": options.load,
        "read": None if found.refused else _call(found),
    }
    return found.parts, facts


def _read(path: str, most: int) -> tuple[bytes, str | None]:
    """Return the bytes of a file, at most one more than the limit, and when it was written (None: not known)."""
    if path == STDIN:
        return sys.stdin.buffer.read(most + 1), None
    with open(path, "rb") as file:
        written = timestamp_of_file(os.fstat(file.fileno()).st_mtime_ns)
        return file.read(most + 1), f"{written[:19]}Z"


def _call(found: "Converted") -> str:
    """Return the call that reads the artifact, with the names and the policy that it needs."""
    from .._policy import DEFAULT_POLICY

    arguments = []
    if found.trust:
        arguments.append(f"trust={list(found.trust)!r}")
    policy = []
    if found.protocol not in DEFAULT_POLICY.protocols:
        policy.append(f"protocols=({found.protocol},)")
    if found.renamed:
        policy.append(f"renames={found.renamed!r}")
    if policy:
        arguments.append(f"policy=Policy({', '.join(policy)})")
    return f"load(path{''.join(f', {argument}' for argument in arguments)})"


def _show(job: _Job, found: dict[str, Any], out: Output) -> None:
    names = f"{path_text(job.source)} -> {path_text(job.target)}"
    lines = [f"{out.style(names, 'bold')}: {size_text(found['size'])}"]
    if "type" in found:
        how = "unpickled and packed again" if found["loaded"] else "wrapped without running it"
        unknown = "" if found["type_known"] else " (the opcodes do not say which; --type NAME does)"
        lines[0] += f", protocol {found['protocol']}, {how}"
        lines.append(f"  type {printable(found['type'])}{unknown}")
        if found["read"] is None:
            names = ", ".join(map(printable, found["refused_globals"]))
            lines.append(out.style(f"  readers refuse it, because it imports {names}", "yellow"))
        else:
            lines.append(f"  read it with {printable(found['read'], 4000)}")
    elif found["needs_pickleseal"]:
        lines.append("  to load it, pickleseal must be installed, because it has arrays")
    out.result({"path": job.source, "ok": True, "to": job.target, **found}, *lines, path=job.target)
