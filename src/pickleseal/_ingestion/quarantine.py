"""The folder of a `Quarantine`: refused bytes, each with its reason beside it, bounded in number and size.

Many processes may write to one folder. Everything happens under one lock of the folder, which the operating system
releases when its holder dies. So entries can be counted, and any temporary file is left over from a crash. The bytes
get their name before the reason does: an entry with a `.json` is complete. Nothing here interprets the bytes.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from .._format.timestamps import timestamp
from .._io.atomic import open_folder, sync_folder
from .._io.processes import OwnDescriptor, release, try_acquire
from .rereadable import RereadableSource

_LOCK = ".lock"
_TEMPORARY = ".incoming-"
_WAIT = 10.0  # seconds for the lock: a refusal must not wait for ever for a process that was stopped
_CHUNK = 1 << 20


class Kept(NamedTuple):
    """Where refused bytes are kept, and whether this call put them there."""

    path: str
    is_new: bool


class _TooLargeError(Exception):
    """There is no room for the bytes."""


class QuarantineFolder:
    """The files behind a `Quarantine`."""

    __slots__ = ("_folder", "_max_bytes", "_max_count")

    def __init__(self, folder: str, max_count: int, max_bytes: int) -> None:
        self._folder = folder
        self._max_count = max_count
        self._max_bytes = max_bytes

    def keep(self, source: RereadableSource, code: str, reason: dict[str, Any]) -> Kept | None:
        """Keep refused bytes and the reason, once. Return None if there is no room for them.

        Raises:
            OSError: from the operating system; the lock was not free for 10 seconds.
        """
        size = source.size()
        if size is not None and size > self._max_bytes:
            return None
        try:
            sha256, _ = self._digest(source.chunks())
        except _TooLargeError:
            return None
        os.makedirs(self._folder, 0o700, exist_ok=True)
        with self._locked():
            entries = [name for name in os.listdir(self._folder) if name.endswith(".pseal")]
            for name in entries:
                if name.endswith(f"-{code}-{sha256[:16]}.pseal") and self._is_kept(name, sha256):
                    return Kept(self._path(name), False)
            if len(entries) >= self._max_count:  # by names alone, so that a full folder is not a slow one
                return None
            try:
                return self._put(source, code, reason, self._max_bytes - self._total())
            except _TooLargeError:
                return None

    def _digest(self, chunks: Iterable[bytes]) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        for chunk in chunks:
            size += len(chunk)
            if size > self._max_bytes:
                raise _TooLargeError
            digest.update(chunk)
        return digest.hexdigest(), size

    def _total(self) -> int:
        """Return how many bytes all files have, and remove what a crash left."""
        total = 0
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name == _LOCK:
                    continue
                with suppress(FileNotFoundError):  # the user may take entries out
                    if entry.name.startswith(_TEMPORARY):
                        os.unlink(entry.path)
                        continue
                    total += entry.stat(follow_symlinks=False).st_size
        return total

    def _is_kept(self, name: str, sha256: str) -> bool:
        """Return whether an entry is complete and has these bytes: its name has only a part of the hash."""
        try:
            with open(self._path(name.removesuffix(".pseal") + ".json"), "rb") as file:
                return bool(json.load(file)["sha256"] == sha256)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _put(self, source: RereadableSource, code: str, reason: dict[str, Any], room: int) -> Kept:
        now, unique = timestamp(time.time_ns()), os.urandom(8).hex()
        data, text = (self._path(f"{_TEMPORARY}{unique}.{kind}.tmp") for kind in ("pseal", "json"))
        named: list[str] = []
        try:
            sha256, size = self._write(data, source.chunks(), room)  # a file may have changed since it was hashed
            facts = {
                **reason,
                "complete": source.is_complete(),
                "sha256": sha256,
                "size": size,
                "time": now,
            }
            line = json.dumps(facts, sort_keys=True, indent=2, ensure_ascii=True) + "\n"
            self._write(text, [line.encode("ascii")], room - size)
            stem = self._path(f"{now.replace('-', '').replace(':', '')}-{code}-{sha256[:16]}")
            named = [f"{stem}.json", f"{stem}.pseal"]
            os.replace(data, f"{stem}.pseal")
            os.replace(text, f"{stem}.json")
        except BaseException:
            for path in (data, text, *named):
                with suppress(OSError):
                    os.unlink(path)
            raise
        descriptor = open_folder(self._folder)
        if descriptor is not None:
            try:
                sync_folder(descriptor)
            finally:
                os.close(descriptor)
        return Kept(f"{stem}.pseal", True)

    def _write(self, path: str, chunks: Iterable[bytes], room: int) -> tuple[str, int]:
        """Write and sync a new file that only its owner can read. Return SHA-256 and size."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        digest, size = hashlib.sha256(), 0
        with open(os.open(path, flags, 0o600), "wb", buffering=0) as file:
            for chunk in chunks:
                size += len(chunk)
                if size > room:
                    raise _TooLargeError
                digest.update(chunk)
                view = memoryview(chunk)
                while view:
                    view = view[file.write(view[:_CHUNK]) :]
            os.fsync(file.fileno())
        return digest.hexdigest(), size

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        file = OwnDescriptor(lambda: os.open(self._path(_LOCK), flags, 0o600))
        try:
            end, pause = time.monotonic() + _WAIT, 0.001
            while not try_acquire(file.number):
                if time.monotonic() > end:
                    raise TimeoutError(f"another process held the quarantine's lock for {_WAIT:.0f} seconds")
                time.sleep(pause)
                pause = min(2 * pause, 0.05)
            try:
                yield
            finally:
                if file.number >= 0:  # else this is the child of a fork, and the lock is the parent's
                    release(file.number)
        finally:
            file.close()
