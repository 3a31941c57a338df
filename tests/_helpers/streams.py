"""What several tests of streams share: settings, and small streams to begin with."""

import errno
import functools
import os
import time
from pathlib import Path
from typing import Any

import pytest
import stream_kinds
from hypothesis import HealthCheck, settings
from stream_kinds import KINDS

from pickleseal import StreamReader, StreamWriter, iter_load

SHORT = bool(os.environ.get("PICKLESEAL_SHORT"))
FEW = settings(
    max_examples=20 if SHORT else 60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
HAS_FORK = hasattr(os, "fork")
needs_fork = pytest.mark.skipif(not HAS_FORK, reason="no fork here")
load = functools.partial(iter_load, trust=KINDS)
Plain = stream_kinds.Plain


def write_numbers(path: str, count: int, batch: int | None = None) -> None:
    with StreamWriter(path, batch=batch, fsync=0) as stream:
        for n in range(count):
            stream.append(n)


def frames_of(path: str) -> list[Any]:
    with StreamReader(path) as reader:
        return list(reader.frames(verify=True))


def write_frames(path: str, *frames: Any) -> bytes:
    data = b"".join(frame if isinstance(frame, bytes) else frame.data for frame in frames)
    Path(path).write_bytes(data)
    return data


def wait_until(condition: Any, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def append_all(stream: StreamWriter, *records: Any) -> None:
    for record in records:
        stream.append(record)


def fails(*_: Any) -> None:
    raise OSError(errno.EIO, "input/output error")
