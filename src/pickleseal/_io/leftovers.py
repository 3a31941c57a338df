"""What killed processes leave: temporary files beside the file that they replaced, and unfinished uploads to S3.

A writer holds the lock of its temporary file until the file is renamed, so that `clean` can tell a file that is being
written from one that was left. An upload has no such sign; its age decides.
"""

import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .._format.units import seconds_of
from . import processes
from .atomic import TEMPORARY
from .url import check_options, import_fsspec, is_url, local_path, masked, os_error

_LEAST = 60  # seconds: a file that was just made may not have its lock yet
_NAME = re.compile(TEMPORARY.format("[0-9a-f]{16}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """What `clean` found: a temporary file, or an upload that was not finished.

    Attributes:
        path: the file, or the URL of the object that the upload was for.
        size: bytes; None for an upload.
        age: seconds since it was last written, or since the upload began.
    """

    path: str
    size: int | None
    age: float


def clean(
    folder: str | os.PathLike[str],
    *,
    older_than: float | str = "1d",
    dry_run: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> list[Leftover]:
    """Remove what killed processes left in a folder: the temporary files of everything that replaces files.

    It is safe beside programs that write there: a file is removed only if nobody holds its lock. On a file system
    without locks, the age alone decides. For an `s3://` URL, uploads in parts that began so long ago are given up,
    below this key and whoever began them; an upload that is still running then fails.

    Args:
        folder: the folder, which is searched with all folders in it; or an `s3://` URL of a bucket or the beginning of
            a key. Links are not followed.
        older_than: seconds, or a text such as `"12h"`; at least a minute counts.
        dry_run: remove nothing.
        storage_options: for URLs, as for `load`.

    Returns:
        What was removed, or would be.

    Raises:
        OSError: from the operating system or the store.
        MissingExtraError: s3fs is not installed.
        TypeError, ValueError: an argument is not what it should be, or the URL is of another kind.
    """
    check_options(folder, storage_options)
    least = max(_LEAST, seconds_of(older_than, "a number") if isinstance(older_than, str) else older_than)
    local = local_path(str(folder)) if is_url(folder) else os.fsdecode(folder)
    if local is None:
        return list(_uploads(str(folder), storage_options or {}, least, dry_run))
    return list(_files(local, least, dry_run))


def _files(folder: str, least: float, dry_run: bool) -> Iterator[Leftover]:
    def fail(error: OSError) -> None:
        raise error

    for here, folders, names in os.walk(folder, onerror=fail):
        folders.sort()
        for name in sorted(names):
            if _NAME.fullmatch(name):
                path = os.path.join(here, name)
                with suppress(FileNotFoundError):  # it was renamed or removed meanwhile
                    status = os.lstat(path)
                    age = time.time() - status.st_mtime
                    if stat.S_ISREG(status.st_mode) and age >= least and _remove(path, dry_run):
                        yield Leftover(path=path, size=status.st_size, age=age)


def _remove(path: str, dry_run: bool) -> bool:
    """Remove a file that nobody writes to. Return whether it was removed, or would be."""
    if processes.fcntl is None:  # Windows removes no file that is open
        if not dry_run:
            try:
                os.unlink(path)
            except PermissionError:
                return False
        return True
    file = processes.OwnDescriptor(lambda: os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW))
    try:
        try:
            is_free = processes.try_acquire(file.number)
        except OSError:  # no locks here
            is_free = True
        if is_free and not dry_run:
            os.unlink(path)
        return is_free
    finally:
        file.close()


def _uploads(url: str, options: Mapping[str, Any], least: float, dry_run: bool) -> Iterator[Leftover]:
    if not url.startswith("s3://"):
        raise ValueError(f"clean: expected a folder or an s3:// URL, found {masked(url)}")
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    fsspec = import_fsspec()
    try:
        system = fsspec.filesystem("s3", **options)
        markers: dict[str, str] = {}
        while True:
            page = system.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix, **markers)
            for upload in page.get("Uploads", ()):
                age = time.time() - upload["Initiated"].timestamp()
                if age >= least:
                    if not dry_run:
                        names = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                        system.call_s3("abort_multipart_upload", Bucket=bucket, **names)
                    yield Leftover(path=f"s3://{bucket}/{upload['Key']}", size=None, age=age)
            if not page.get("IsTruncated"):
                return
            markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
    except ImportError as exc:
        from ..errors import MissingExtraError

        raise MissingExtraError("a package for s3:// is missing", None, None, str(exc)) from None
    except Exception as exc:  # a store raises whatever its library raises
        raise os_error(exc, url) from None
