"""The dry run in a child process, under limits of time and memory.

A helper process starts when it is first needed: a fresh interpreter with this library and nothing else. It forks a
child for each payload, and the child limits itself and makes the dry run. So the caller's process, which may have
threads, never forks, and the child has none of the caller's memory. The helper ends when the caller does.

The child gets the payload, and the traits of each global. Out-of-band buffers stay with the caller, as a dry run does
not look into them. What comes back is text, and nothing in it is trusted.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any, NoReturn

from .. import errors
from .._payload.opcodes import CODE
from .._payload.unpickler import Resolved
from ..errors import Hint, IsolationError, PolicyError, ReadError
from .allow_list import limits_of
from .dryrun import Found, run_stand_ins, stand_in_of, traits_within
from .hash_cost import check_hashes
from .traits import Traits

_START = "import sys; sys.path[:] = sys.argv[1:]; from pickleseal._trust.sandbox import serve; serve()"
_KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # what an interpreter may need to start
_MOST = 65_536  # bytes of an answer
_MEMBERS = ("expected", "found", "hint", "where")  # of an error, beside code and reason
_LONGEST = 2000  # characters of each text in it: 5 of them fit, at 6 bytes for a character
_ROOT = str(Path(__file__).resolve().parents[2])


class Helper:
    """The helper process, which makes one dry run after the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, request: bytes, payload: bytes) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises:
            OSError, ValueError: the helper could not be started, or it ended.
        """
        with self._lock:
            if self.process is not None and self.process.poll() is not None:
                self._stop(self.process)
                self.process = None
            process = self.process = self.process or self._start()
            try:
                _write(process, len(request).to_bytes(8, "little") + len(payload).to_bytes(8, "little") + request)
                _write(process, payload)
                answer: dict[str, Any] = json.loads(_read(process, int.from_bytes(_read(process, 8), "little")))
                return answer
            except BaseException:
                self._stop(process)  # its pipes may hold half a message
                self.process = None
                raise

    @staticmethod
    def _start() -> "subprocess.Popen[bytes]":
        if not sys.executable:
            raise OSError("this interpreter does not know where it is (sys.executable)")
        path = [_ROOT, *(entry for entry in sys.path if entry)]
        return subprocess.Popen(  # noqa: S603 - this very interpreter
            [sys.executable, "-I", "-c", _START, *path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,  # a fork must not copy locks, or bytes that wait
            env={name: os.environ[name] for name in _KEPT if name in os.environ},
            start_new_session=True,  # an interrupt from the keyboard goes to the caller alone
        )

    @staticmethod
    def _stop(process: "subprocess.Popen[bytes]") -> None:
        _close(process)
        try:
            os.killpg(process.pid, signal.SIGKILL)  # the whole session: a child may still be at work
        except OSError:
            process.kill()
        process.wait()

    def stop(self) -> None:
        """End the helper."""
        with self._lock:
            if self.process is not None:
                self._stop(self.process)
                self.process = None

    def forget(self) -> None:
        """Leave the helper to the parent, in a process that was forked."""
        process, self.process, self._lock = self.process, None, threading.Lock()
        if process is not None:
            _close(process)
            process.returncode = 0  # the parent waits for it


def _close(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _write(process: "subprocess.Popen[bytes]", data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(process.stdin.fileno(), left) :]  # type: ignore[union-attr]  # it was asked for


def _read(process: "subprocess.Popen[bytes]", count: int) -> bytes:
    parts = []
    while count:
        part = os.read(process.stdout.fileno(), count)  # type: ignore[union-attr]  # it was asked for
        if not part:
            raise OSError("it ended")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


# The one helper of this process. It is started again if it has ended, ends with the process, and is dropped by a fork.
helper = Helper()
atexit.register(helper.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=helper.forget)


def check_isolated(
    payload: bytes,
    protocol: int,
    resolved: Resolved,
    max_depth: int,
    seconds: int,
    memory: int,
    migrated: Collection[int] = (),
) -> Found:
    """Make the dry run of a payload in a child process.

    Args:
        seconds: processor time that the child may take.
        memory: bytes that it may take beyond what it has when it starts.
        migrated: as for `check_operations`.

    Returns:
        What the dry run found out.

    Raises:
        PolicyError: this platform has no fork or no resource limits.
        IsolationError: the child exceeded a limit, crashed, or could not be started.
        ReadError: what the dry run found, as for `check_operations` and `check_hashes`.
    """
    try:
        import resource  # noqa: F401 - whether there is one
    except ImportError:
        hint = "use it on a platform with fork and resource limits (Linux, macOS, BSD), or leave out `isolated`"
        raise PolicyError("isolated=True, and this platform has no resource limits", None, sys.platform, hint) from None
    limits = limits_of(resolved)
    traits = [
        (*key, traits_within(":".join(key), value, limits.get(key), id(value) in migrated))
        for key, value in resolved.items()
    ]
    buffers = payload.count(CODE["NEXT_BUFFER"])  # a payload takes at most so many
    request = {"buffers": buffers, "depth": max_depth, "globals": traits, "protocol": protocol}
    request |= {"seconds": seconds, "memory": memory}
    try:
        answer = helper.ask(json.dumps(request).encode(), payload)
    except (OSError, ValueError) as exc:
        raise IsolationError(
            f"the helper process failed: {exc}", hint="check that this interpreter can start itself (sys.executable)"
        ) from exc
    if "reason" not in answer:
        return Found(tuple(map(str, answer["built"])), tuple(map(str, answer["kept"])))
    raise _refusal(answer, f"at most {seconds} s of processor time and {memory} bytes of memory")


_CLASSES = {cls.code: cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, ReadError)}


def _refusal(answer: dict[str, Any], limits: str) -> ReadError:
    """Make an error of the answer: what the dry run found, or how the child ended. It is used as text only."""
    cls = _CLASSES.get(str(answer.get("code")), IsolationError)
    texts = [None if answer.get(name) is None else str(answer[name]) for name in _MEMBERS]
    if cls is IsolationError:
        texts[0] = limits
    error = cls(str(answer.get("reason")), *texts)
    if answer.get("commands") and error.hint is not None:
        error.hint = Hint(error.hint, *map(str, answer["commands"]))
    return error.at(20)


def serve() -> None:
    """Be the helper process: answer requests until the caller closes the pipe. A refusal has a reason."""
    signal.signal(
        signal.SIGCHLD, signal.SIG_DFL
    )  # if it were ignored, as it may be in the caller, nobody could wait for the child
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
    except BaseException:  # this process must never go on as a second helper
        os._exit(1)


def _limit(seconds: int, memory: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_CPU, seconds, seconds + 1)
    try:
        with open("/proc/self/statm") as file:
            size = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:  # not Linux: take the most that this process ever had
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
    """Make the dry run. Return what it found out, or the members of an error."""
    try:
        tuples = check_hashes(payload, request["protocol"], request["depth"])
        table = {(module, name): stand_in_of(_traits(traits)) for module, name, traits in request["globals"]}
        found = run_stand_ins(payload, [b""] * request["buffers"], table, request["depth"], tuples)
    except ReadError as exc:
        if isinstance(exc.__cause__, MemoryError):
            return {"reason": "the dry run took too much memory"}
        members: dict[str, Any] = {
            name: None if (value := getattr(exc, name)) is None else str(value)[:_LONGEST] for name in _MEMBERS
        }
        members["commands"] = list(exc.hint.commands) if isinstance(exc.hint, Hint) else []
        return {"code": exc.code, "reason": exc.reason[:_LONGEST], **members}
    except MemoryError:
        return {"reason": "the dry run took too much memory"}
    return found._asdict()


def _traits(values: list[Any]) -> Traits:
    """Make traits of what came as JSON, which has lists where they have tuples."""
    plain: list[Any] = [tuple(value) if type(value) is list else value for value in values]
    return Traits(*plain)
