"""A cache on disk that processes share. An entry that is refused is a miss, with a reason. Copy this module.

python examples/disk_cache.py

Each key has one file, named by the SHA-256 of the key. `get` checks the file as `load` does. An entry is a miss if it
is damaged, expired, of another version, of a class that has changed, or not signed. A miss is logged and counted by its
code, and the entry is removed (or moved to a quarantine, if the reader has one). `set` replaces the file atomically and
without a sync. After a power cut, entries may be missing or damaged, and are misses then. Neither method raises for a
problem with the cache or its disk.

**The key must hold everything that the value depends on**: the function, its arguments, settings, and the state of the
data that it read (a date, an ETag, a revision). `version` stands for the code: change it, and all entries are misses.
Two versions that run at the same time remove each other's entries, so give each its own folder. Keys are plain values
and tuples of them. 1, 1.0 and True are three different keys.

If two processes miss at the same time, both compute the value, and the last `set` wins. Scans bound the size: after
each sixteenth of the bound that was written, a scan removes what was used longest ago. Time stamps come from the system
clock. Anyone who can write to the folder can choose the values. If that matters, sign (`PackOptions(keys=...)`,
`Policy(keys=...)`).
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, ParamSpec, TypeVar

import pickleseal
from pickleseal.errors import PicklesealError

P = ParamSpec("P")
T = TypeVar("T")
_MISSING: Any = object()
_LEFT_OVER = 3600  # a temporary file that is older, in seconds, is from a process that was killed
_log = logging.getLogger("disk_cache")


def _digest(key: Any) -> str:
    """Return the name of a key: the same in every process, and different for different keys."""
    if not _is_plain(key):
        raise TypeError(f"key: expected str, bytes, int, float, bool, None, or tuples of them, found {key!r}")
    return hashlib.sha256(repr(key).encode("utf-8", "surrogatepass")).hexdigest()


def _is_plain(key: Any) -> bool:
    return all(map(_is_plain, key)) if type(key) is tuple else type(key) in (str, bytes, int, float, bool, type(None))


class DiskCache:
    """A cache in the folder `folder`, which holds nothing else.

    Args:
        folder: where the entries are. It is made if it is missing, accessible only to its owner.
        version: the version of the code that computes the values.
        reader, options: read and pack the values: types, trust, signatures, quarantine.
        max_age: seconds after which an entry is a miss; None: never.
        max_bytes: the bound for the size of all entries together.
        on_miss: called with (key, code, reason) for each miss: `"absent"`, `"os-error"`, or a code of pickleseal.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        version: str = "0",
        reader: pickleseal.Reader | None = None,
        options: pickleseal.PackOptions | None = None,
        max_age: float | None = None,
        max_bytes: int = 1 << 30,
        on_miss: Callable[[Any, str, str], object] | None = None,
    ) -> None:
        self.folder = os.path.abspath(folder)
        os.makedirs(self.folder, 0o700, exist_ok=True)
        self.version = version
        reader = reader or pickleseal.Reader()
        policy = reader.policy or pickleseal.Policy()
        policy = replace(
            policy, meta={**policy.meta, "version": version}, max_age=policy.max_age if max_age is None else max_age
        )
        self._reader, self._options, self._on_miss = replace(reader, policy=policy), options, on_miss
        self._max_bytes = max_bytes
        self._unscanned = max_bytes  # bytes written since the last scan; the first `set` scans
        self.counts: Counter[str] = Counter()
        """How often: `"hit"`, `"stored"`, and each code of a miss or of a value that was not stored."""

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value, or the default if no entry is accepted. TypeError: the key is not plain."""
        path, digest = self.path(key), _digest(key)
        try:
            header, value = self._reader.read(path)
            if header.meta.get("key") != digest:  # a file that was renamed
                return self._miss(key, path, "policy", "an entry of another key", default)
        except FileNotFoundError:
            return self._miss(key, None, "absent", "no such entry", default)
        except PicklesealError as error:
            return self._miss(key, path, error.code, str(error), default)
        except OSError as error:
            return self._miss(key, None, "os-error", str(error), default)
        self.counts["hit"] += 1
        with suppress(OSError):
            os.utime(path)  # the scan removes what was used longest ago
        return value

    def set(self, key: Any, value: Any) -> bool:
        """Store a value, and return whether that worked. TypeError: the key is not plain."""
        path, meta = self.path(key), {"key": _digest(key), "version": self.version}
        try:
            pickleseal.dump(value, path, meta=meta, durable=False, options=self._options)
            with suppress(FileNotFoundError):  # another process removed it already
                self._unscanned += os.stat(path).st_size
            if self._unscanned >= self._max_bytes // 16:
                self._scan()
        except (PicklesealError, OSError) as error:
            code = getattr(error, "code", "os-error")
            self.counts[code] += 1
            _log.warning("not stored: %s: %s", code, error)
            return False
        self.counts["stored"] += 1
        return True

    def delete(self, key: Any) -> None:
        """Remove an entry, if there is one."""
        with suppress(OSError):
            os.unlink(self.path(key))

    def memoize(self, function: Callable[P, T]) -> Callable[P, T]:
        """Cache what a function returns, by its name and arguments: plain values, on which alone the result depends."""

        @functools.wraps(function)
        def cached(*args: P.args, **kwargs: P.kwargs) -> T:
            key = (function.__module__, function.__qualname__, args, tuple(sorted(kwargs.items())))
            value: T = self.get(key, _MISSING)
            if value is _MISSING:
                value = function(*args, **kwargs)
                self.set(key, value)
            return value

        return cached

    def path(self, key: Any) -> str:
        """Return the path of the entry of a key, whether or not it exists."""
        return os.path.join(self.folder, f"{_digest(key)}.pseal")

    def _miss(self, key: Any, path: str | None, code: str, reason: str, default: Any) -> Any:
        self.counts[code] += 1
        if path is not None:
            with suppress(OSError):
                os.unlink(path)  # if another process has just replaced it, the new entry is a miss too
        if code != "absent":
            _log.info("miss: %s: %s", code, reason)
        if self._on_miss is not None:
            self._on_miss(key, code, reason)
        return default

    def _scan(self) -> None:
        """Remove what was used longest ago, down to nine tenths of the bound, and the files of killed processes."""
        self._unscanned, total, entries = 0, 0, []
        with os.scandir(self.folder) as files:
            for file in files:
                with suppress(FileNotFoundError):  # another process may scan at the same time
                    stat = file.stat()
                    if file.name.endswith(".pseal"):
                        total += stat.st_size
                        entries.append((stat.st_mtime_ns, stat.st_size, file.path))
                    elif file.name.endswith(".tmp") and stat.st_mtime < time.time() - _LEFT_OVER:
                        os.unlink(file.path)
        if total > self._max_bytes:
            for _, size, path in sorted(entries):
                if total <= self._max_bytes * 9 // 10:
                    break
                with suppress(FileNotFoundError):
                    os.unlink(path)
                total -= size


@dataclass
class Report:
    title: str
    rows: int


@dataclass
class ReportToday:
    """The same report after a deploy."""

    title: str
    lines: int


def main() -> None:
    logging.getLogger("pickleseal.reader").setLevel(logging.CRITICAL)  # the output below shows the same

    def why(key: Any, code: str, reason: str) -> None:
        said = reason.rpartition(".pseal: ")[2].partition("\n")[0]  # without the path, and without the line of help
        print(f"{key}: a miss: {said}"[:100])

    with tempfile.TemporaryDirectory() as folder:
        cache = DiskCache(folder)

        @cache.memoize
        def total(month: str) -> int:
            print("computing", month)
            return 7

        print(total("May"), total("May"), dict(cache.counts))

        yesterday, today = pickleseal.Registry(), pickleseal.Registry()
        yesterday.register(Report, "reports.Report")
        today.register(ReportToday, "reports.Report")
        cache = DiskCache(folder, options=pickleseal.PackOptions(registry=yesterday))
        for key in ("changed", "damaged"):
            cache.set(key, Report("May", 7) if key == "changed" else "May")
        with open(cache.path("damaged"), "r+b") as file:
            file.seek(-64, os.SEEK_END)
            file.write(b"\xff")
        cache = DiskCache(folder, reader=pickleseal.Reader(pickleseal.Policy(registry=today)), on_miss=why)
        print(cache.get("changed"), cache.get("damaged"))
        cache.set("old", "May")
        cache = DiskCache(folder, version="1", on_miss=why)
        print(cache.get("old"), dict(cache.counts))


if __name__ == "__main__":
    main()
