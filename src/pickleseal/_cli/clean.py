"""Remove what killed processes left: temporary files in a folder, unfinished uploads in a bucket.

A file that another process is writing stays, as its lock is held. An upload is given up if it began long enough ago,
whoever began it. --dry-run only lists them.

    pickleseal clean models/ --dry-run
    pickleseal clean s3://bucket/models/ --older-than 7d
"""

import argparse
from datetime import timedelta

from .._format.timestamps import duration_text
from .._io.url import is_url, masked
from ..errors import MissingExtraError
from ..maintenance import clean
from .inputs import STDIN
from .output import EXIT_FINDING, Output, UsageError, path_text, plural, size_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a folder, or an s3:// URL of a bucket or folder")
    parser.add_argument(
        "--dry-run", action="store_true", help="remove nothing; the exit code is 1 if there is something"
    )
    parser.add_argument(
        "--older-than",
        default="1d",
        metavar="DURATION",
        help="how old it has to be: 7d, 12h, 15m; at least a minute counts (default: 1d)",
    )


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    counts = {"found": 0, "bytes": 0}
    for path in options.paths:
        if path == STDIN:
            raise UsageError("-: expected a folder or an s3:// URL")
        try:
            found = clean(path, older_than=options.older_than, dry_run=options.dry_run)
        except MissingExtraError:
            raise
        except ValueError as exc:
            raise UsageError(str(exc)) from None
        except OSError as exc:
            out.refuse(masked(path) if is_url(path) else path, exc)
            continue
        for one in found:
            counts["found"] += 1
            counts["bytes"] += one.size or 0
            what = "unfinished upload" if one.size is None else size_text(one.size)
            verb = "would be removed" if options.dry_run else "removed"
            facts = {"path": one.path, "size": one.size, "age": round(one.age), "removed": not options.dry_run}
            age = duration_text(timedelta(seconds=round(one.age)))
            out.result(facts, f"{path_text(one.path)}: {verb}: {what}, {age} old", path=one.path)
    if counts["found"] and options.dry_run:
        out.worsen(EXIT_FINDING)
    out.summary = counts
    out.text(f"{plural(counts['found'], 'leftover')}, {size_text(counts['bytes'])}")
