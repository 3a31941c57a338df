"""The helper process of `isolated`: it forks a child for each payload, which limits itself and does the dry run.

It reads requests from its standard input until that ends, and writes one answer to each: `{}`, or what is wrong.
"""

import json
import os
import signal
import sys
from typing import Any, NoReturn

from ..errors import ReadError
from .dryrun import run_inert
from .hash_cost import check_hashes
from .inert import inert
from .traits import Traits

__all__ = ["serve"]

_MOST = 65_536  # bytes of an answer
_SAID = ("expected", "found", "hint", "where")  # of a refusal, beside code and reason
_LONGEST = 2000  # characters of each text in it: 5 of them fit, at 6 bytes for a character


def serve() -> None:
    """Answer requests until the caller is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored is inherited, and nobody could wait for the child
    while True:
        sizes = sys.stdin.buffer.read(16)
        if len(sizes) < 16:
            return
        request = json.loads(sys.stdin.buffer.read(int.from_bytes(sizes[:8], "little")))
        payload = sys.stdin.buffer.read(int.from_bytes(sizes[8:], "little"))
        answer = _ask_child(request, payload)
        del payload
        sys.stdout.buffer.write(len(answer).to_bytes(8, "little") + answer)
        sys.stdout.buffer.flush()


def _ask_child(request: dict[str, Any], payload: bytes) -> bytes:
    back, to = os.pipe()
    child = os.fork()
    if child == 0:
        _be_the_child(request, payload, to)
    os.close(to)
    with os.fdopen(back, "rb") as pipe:
        answer = pipe.read(_MOST)
    _, status = os.waitpid(child, 0)
    if status == 0 and answer:
        return answer
    code = os.waitstatus_to_exitcode(status)
    how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
    return json.dumps({"reason": f"the dry run took too much, or crashed: its process {how}"}).encode()


def _be_the_child(request: dict[str, Any], payload: bytes, to: int) -> NoReturn:
    try:
        _limit(request["seconds"], request["memory"])
        answer = _answer(request, payload)
        os.write(to, json.dumps(answer).encode()[:_MOST])
        os._exit(0)
    except BaseException:  # whatever it is, this process must not go on as a second helper
        os._exit(1)


def _limit(seconds: int, memory: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_CPU, seconds, seconds + 1)
    try:
        with open("/proc/self/statm") as file:
            size = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:  # no such file: all that this process may ever have had
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    _lower(resource.RLIMIT_AS, size + memory, size + memory)


def _lower(what: int, soft: int, hard: int) -> None:
    """Set a limit, or leave the caller's own hard limit where that is lower."""
    import resource

    most = resource.getrlimit(what)[1]
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(what, (soft, hard))


def _answer(request: dict[str, Any], payload: bytes) -> dict[str, Any]:
    """Do the dry run, and say what is wrong, or nothing."""
    try:
        check_hashes(payload, request["protocol"], request["depth"])
        table = {(module, name): inert(Traits(*traits)) for module, name, traits in request["globals"]}
        run_inert(payload, [b""] * request["buffers"], table, request["depth"])
    except ReadError as exc:
        if isinstance(exc.__cause__, MemoryError):
            return {"reason": "the dry run took too much memory"}
        members = {name: None if (value := getattr(exc, name)) is None else str(value)[:_LONGEST] for name in _SAID}
        return {"code": exc.code, "reason": exc.reason[:_LONGEST], **members}
    except MemoryError:
        return {"reason": "the dry run took too much memory"}
    return {}
