"""Wrap an existing pickle in an artifact without running it, or take it out again with --extract.

Pickles of protocol 2 to 5 are wrapped as they are: their opcodes are read, none is run, nothing is imported. Compressed
ones (gzip, bzip2, xz, lzma, zlib, zstd) are recognised by their first bytes. Anything else needs --load, which
UNPICKLES the file under the allow-list that --trust gives, running the code of what it names, and packs it anew.
What reads the artifact has to trust the names that are printed.

  pickleseal convert model.pkl model.pseal
  pickleseal convert old/ --out new/
  pickleseal convert --extract model.pseal model.pkl
  pickleseal convert py2.pkl new.pseal --load --trust myapp.models:User --encoding latin-1
"""

import argparse
import os
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from .._format.timestamps import timestamp_of_file
from .._io.url import is_url
from ..errors import PicklesealError, printable
from .inputs import STDIN, expand
from .output import EXIT_FINDING, Output, UsageError, exit_code_of, size_text

if TYPE_CHECKING:
    from .._format.header import Header
    from ..convert import Adopted

__all__ = ["add_arguments", "run"]

_PICKLES = tuple(
    stem + suffix
    for stem in (".pkl", ".pickle", ".pck", ".pcl", ".p", ".joblib", ".jbl", ".dill")
    for suffix in ("", ".gz", ".bz2", ".xz", ".lzma", ".z", ".zst")
)
_ENDING = ".pseal"
_MOST = 1 << 30  # bytes, once decompressed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="OLD NEW; with --out: files, folders and patterns")
    parser.add_argument("--out", metavar="DIR", help="convert all PATHs into this folder, under their own names")
    parser.add_argument("--extract", action="store_true", help="the other way: an artifact to a plain pickle")
    parser.add_argument("--force", action="store_true", help="replace what is there already")
    parser.add_argument("--type", metavar="NAME", help="the header's type; else what the opcodes say of the root")
    parser.add_argument(
        "--max-size", type=int, default=_MOST, metavar="BYTES", help="refuse what holds more, decompressed (1 GiB)"
    )
    group = parser.add_argument_group("running it")
    group.add_argument(
        "--load", action="store_true", help="UNPICKLE the file and pack the object anew: runs the code of --trust"
    )
    group.add_argument(
        "--trust", action="append", default=[], metavar="NAME", help="with --load: may be imported, as module:qualname"
    )
    group.add_argument(
        "--encoding", default="ascii", help="with --load: of strings of Python 2; bytes leaves them bytes (ascii)"
    )


class _Job(NamedTuple):
    source: str
    target: str
    error: OSError | None = None


def run(options: argparse.Namespace, out: Output) -> None:
    """Convert what is asked for."""
    if options.extract and (options.load or options.type):
        raise UsageError("--extract goes with neither --load nor --type: it runs nothing")
    if options.max_size < 0:
        raise UsageError(f"--max-size {options.max_size}: expected no negative number")
    if (options.trust or options.encoding != "ascii") and not options.load:
        raise UsageError("--trust and --encoding say how to run a pickle: they need --load")
    if options.load:
        out.complain("--load: unpickling; the code of what --trust names runs")
    counts = {"converted": 0, "refused": 0}
    taken: dict[str, str] = {}
    for job in _jobs(options):
        try:
            if job.error is not None:
                raise job.error
            if job.target in taken:
                raise FileExistsError(17, f"{printable(taken[job.target])} became that already", job.target)
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                found = _convert(job, options)
            for warning in told:
                out.complain(f"{job.source}: {warning.message}")
        except FileExistsError as exc:
            counts["refused"] += 1
            out.worsen(EXIT_FINDING)
            said = {"path": job.source, "ok": False, "code": "exists", "reason": exc.strerror, "to": job.target}
            line = f"{printable(job.source, 4096)}: exists: {printable(job.target, 4096)}: {exc.strerror}"
            out.result(said, out.style(line, "yellow"), path=job.source)
        except (PicklesealError, OSError) as exc:
            counts["refused"] += 1
            _refuse(job.source, exc, out)
        else:
            counts["converted"] += 1
            taken[job.target] = job.source
            if found.get("refused_globals"):
                out.worsen(EXIT_FINDING)
            _tell(job, found, out)
    out.summary = counts
    if options.out is not None and out.form == "text":
        out.text(f"{counts['converted']:,} converted, {counts['refused']:,} refused")


def _refuse(path: str, exc: PicklesealError | OSError, out: Output) -> None:
    from .._trust.allow_list import is_dangerous
    from ..errors import MissingExtraError, ReadError, UntrustedGlobalError

    if isinstance(exc, MissingExtraError):
        raise exc
    if isinstance(exc, UntrustedGlobalError) and exc.missing and not any(map(is_dangerous, exc.missing)):
        trust = " ".join(f"--trust {name}" for name in exc.missing)
        exc.hint = f"if you know who wrote the file, you can allow this with {trust}"
    if isinstance(exc, OSError | ReadError):
        out.refuse(path, exc)
        return
    exc.path = path  # it could be read, and not be packed
    out.worsen(exit_code_of(exc))
    found = {"path": path, "ok": False, "code": exc.code, "reason": exc.reason, "hint": exc.hint, "where": exc.where}
    out.result(found, out.style(str(exc), "red"), path=path)


def _jobs(options: argparse.Namespace) -> Iterator[_Job]:
    if options.out is None:
        if len(options.paths) != 2:
            raise UsageError("expected OLD and NEW; --out DIR takes any number of files and folders")
        yield _Job(*options.paths)
        return
    endings = (_ENDING,) if options.extract else _PICKLES
    for path in options.paths:  # before anything is asked of a store, or written
        if is_url(path) or path == STDIN:
            raise UsageError(f"--out takes local files: {path}")
    for path in options.paths:
        top = path if os.path.isdir(path) else None
        for target in expand([path], endings=endings):
            inside = os.path.relpath(target.path, top) if top is not None else os.path.basename(target.path)
            ending = ".pkl" if options.extract else _ENDING
            yield _Job(target.path, os.path.join(options.out, _stem(inside) + ending), target.error)


def _stem(name: str) -> str:
    """Return a path without the endings of pickles and artifacts."""
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
    except OSError as exc:  # the old file is not to blame
        said = f"{printable(job.target, 4096)} can't be written: {exc.strerror or exc}"
        raise OSError(None, said) from None  # no FileExistsError, whatever the number
    return {**found, "size": sum(memoryview(part).nbytes for part in parts)}


def _extracted(path: str) -> tuple[list[Any], dict[str, Any]]:
    import io

    from .._io.source import BytesSource, FileSource
    from ..convert import extract

    if path == STDIN:
        parts, header = extract(BytesSource(sys.stdin.buffer.read()))
        return parts, _needs(header)
    with io.FileIO(path) as file:
        parts, header = extract(FileSource(file, whole=True))
    return parts, _needs(header)


def _needs(header: "Header") -> dict[str, Any]:
    return {"needs_pickleseal": any(name.startswith("pickleseal:") for name in header.globals)}


def _adopted(path: str, options: argparse.Namespace) -> tuple[list[Any], dict[str, Any]]:
    from ..convert import adopt, decompressed, repickle

    data, written = _read(path, options.max_size)
    data, compression = decompressed(data, options.max_size)
    meta = {} if written is None else {"convert.mtime": written}
    try:
        if options.load:
            found = repickle(data, trust=options.trust, encoding=options.encoding, type=options.type, meta=meta)
        else:
            found = adopt(data, type=options.type, meta=meta)
    except (TypeError, ValueError, LookupError) as exc:
        raise UsageError(str(exc)) from None
    told = {
        "type": found.type,
        "type_known": found.is_known,
        "protocol": found.protocol,
        "globals": found.globals,
        "refused_globals": found.refused,
        "renames": found.renamed,
        "compression": compression,
        "loaded": options.load,
        "read": None if found.refused else _reading(found),
    }
    return found.parts, told


def _read(path: str, most: int) -> tuple[bytes, str | None]:
    """Return the bytes of a file, at most one more than the limit, and when it was written."""
    if path == STDIN:
        return sys.stdin.buffer.read(most + 1), None
    with open(path, "rb") as file:
        written = timestamp_of_file(os.fstat(file.fileno()).st_mtime_ns)
        return file.read(most + 1), f"{written[:19]}Z"


def _reading(found: "Adopted") -> str:
    """Return the call that reads the artifact: with the names and the policy that it needs."""
    from .._policy import DEFAULT_POLICY
    from .._trust.allow_list import is_listed

    arguments = []
    named = [found.renamed.get(name, name) for name in found.globals]
    trust = sorted({name for name in named if not is_listed(name) and not _is_guarded(name)})
    if trust:
        arguments.append(f"trust={trust!r}")
    policy = []
    if found.protocol not in DEFAULT_POLICY.protocols:
        policy.append(f"protocols=({found.protocol},)")
    if found.renamed:
        policy.append(f"renames={found.renamed!r}")
    if policy:
        arguments.append(f"policy=Policy({', '.join(policy)})")
    return f"load(path{''.join(f', {argument}' for argument in arguments)})"


def _is_guarded(name: str) -> bool:
    from .._trust.safe_functions import SAFE_FUNCTIONS

    return name in SAFE_FUNCTIONS


def _tell(job: _Job, found: dict[str, Any], out: Output) -> None:
    said = {"path": job.source, "ok": True, "to": job.target, **found}
    shown = f"{printable(job.source, 4096)} -> {printable(job.target, 4096)}"
    lines = [f"{out.style(shown, 'bold')}: {size_text(found['size'])}"]
    if "type" in found:
        how = "unpickled under the allow-list and packed anew" if found["loaded"] else "wrapped as it was, not run"
        unknown = "" if found["type_known"] else " (the opcodes do not say: --type NAME)"
        lines[0] += f", protocol {found['protocol']}, {how}"
        lines.append(f"  type {printable(found['type'])}{unknown}")
        if found["read"] is None:
            names = ", ".join(map(printable, found["refused_globals"]))
            lines.append(out.style(f"  every checked reader refuses it: it imports {names}", "yellow"))
        else:
            lines.append(f"  read it with {printable(found['read'], 4000)}")
    elif found["needs_pickleseal"]:
        lines.append("  its arrays need pickleseal where it is loaded")
    out.result(said, *lines, path=job.target)
