"""A process that loads artifacts of `sized` and prints of each, as JSON, what came of it and what it took.

    sized_child.py LEVEL ISOLATED FIRST LAST

A case that takes more processor time than any may is ended by a signal, with the process.
"""

from __future__ import annotations

import contextlib
import gc
import json
import resource
import signal
import sys
import time
import warnings
from pathlib import Path

import pickleseal
from _helpers import mutations, sized
from _helpers.hostile_child import peak_memory, reset_peak
from pickleseal import Limits, Policy
from pickleseal.errors import ReadError

ROOM = 2**30  # bytes of address space beyond what the process starts with


def attempt(data: bytes, policy: Policy) -> str:
    """Load an artifact, let go of what came of it, and return a code."""
    try:
        obj = pickleseal.unpack(data, trust=mutations.TRUSTED, policy=policy)
        del obj
    except ReadError as error:
        error.__traceback__ = None
        str(error)
        return error.code
    except BaseException as error:
        return f"undocumented {type(error).__name__}: {error}"[:300]
    return "loads"


def main() -> None:
    level, isolated, first, last = sys.argv[1:]
    policy = Policy(
        level=level, isolated=isolated == "1", drift="ignore", limits=Limits(max_memory=500_000_000, max_seconds=20)
    )  # type: ignore[arg-type]
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, size + ROOM))
    for number in range(int(first), int(last)):
        data = sized.artifact(number)
        mutations.marked.clear()
        gc.collect()
        reset_peak()
        before, start = peak_memory(), time.process_time()
        signal.setitimer(signal.ITIMER_PROF, 10)
        code = attempt(data, policy)
        signal.setitimer(signal.ITIMER_PROF, 0)
        found = {"number": number, "code": code, "length": len(data), "marked": mutations.marked[:3]}
        found |= {"seconds": round(time.process_time() - start, 3), "memory": peak_memory() - before}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
