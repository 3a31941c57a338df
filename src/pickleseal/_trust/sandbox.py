"""The dry run in a child process, under limits of time and memory: the caller's side.

A helper is started when it is first needed: a fresh interpreter with this library and nothing else (`helper`), which
forks a child for each payload. So no fork happens in the caller's process, which may have threads, and the child has
none of its memory. The helper ends when the caller does.

What goes to the child: the payload, and of each global its traits. Out-of-band buffers stay here: a dry run does not
look into them.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from .. import errors
from .._payload.unpickler import Resolved
from ..errors import IsolationError, PolicyError, ReadError
from .traits import traits_of

__all__ = ["check_isolated"]

_START = "import sys; sys.path[:] = sys.argv[1:]; from pickleseal._trust.sandbox_helper import serve; serve()"
_KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # what an interpreter may need to start
_ROOT = str(Path(__file__).resolve().parents[2])


class _Helper:
    """The one helper of this process. It serves one payload after the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, request: bytes, payload: bytes) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises:
            OSError, ValueError: the helper could not be started, or ended.
        """
        with self._lock:
            if self._process is not None and self._process.poll() is not None:
                self._stop(self._process)
                self._process = None
            process = self._process = self._process or self._start()
            try:
                _write(process, len(request).to_bytes(8, "little") + len(payload).to_bytes(8, "little") + request)
                _write(process, payload)
                answer: dict[str, Any] = json.loads(_read(process, int.from_bytes(_read(process, 8), "little")))
                return answer
            except BaseException:
                self._stop(process)  # what is in its pipes belongs to nobody now
                self._process = None
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
            bufsize=0,  # no locks and no bytes of ours that a fork could double
            env={name: os.environ[name] for name in _KEPT if name in os.environ},
            start_new_session=True,  # an interrupt from the keyboard is the caller's business
        )

    @staticmethod
    def _stop(process: "subprocess.Popen[bytes]") -> None:
        _close(process)
        try:
            os.killpg(process.pid, signal.SIGKILL)  # its session: a child of it may still be at work
        except OSError:
            process.kill()
        process.wait()

    def stop(self) -> None:
        """End the helper."""
        with self._lock:
            if self._process is not None:
                self._stop(self._process)
                self._process = None

    def forget(self) -> None:
        """In a forked process: leave the helper to the parent."""
        process, self._process, self._lock = self._process, None, threading.Lock()
        if process is not None:
            _close(process)
            process.returncode = 0  # not ours to wait for


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


_helper = _Helper()
atexit.register(_helper.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helper.forget)


def check_isolated(
    payload: bytes, protocol: int, resolved: Resolved, max_depth: int, seconds: int, memory: int
) -> None:
    """Do the dry run of a payload in a child process.

    Args:
        seconds: processor time that the child may take.
        memory: bytes that it may take beyond what it has when it starts.

    Raises:
        PolicyError: this platform has no fork or no resource limits.
        IsolationError: the child took more than that, crashed, or could not be started.
        ReadError: what the dry run found, as `check_operations` and `check_hashes` say.
    """
    try:
        import resource  # noqa: F401 - to know whether it is there
    except ImportError:
        hint = "use it where there are fork and resource limits (Linux, macOS, BSD), or do without isolated"
        raise PolicyError("isolated=True, and this platform has no resource limits", None, sys.platform, hint) from None
    traits = [(module, name, traits_of(f"{module}:{name}", value)) for (module, name), value in resolved.items()]
    buffers = payload.count(b"\x97")  # at most so many are taken
    request = {"buffers": buffers, "depth": max_depth, "globals": traits, "protocol": protocol}
    request |= {"seconds": seconds, "memory": memory}
    try:
        answer = _helper.ask(json.dumps(request).encode(), payload)
    except (OSError, ValueError) as exc:
        raise IsolationError(
            f"the helper process failed: {exc}", hint="is this interpreter able to start itself?"
        ) from exc
    if answer:
        raise _refusal(answer, f"at most {seconds} s of processor time and {memory} bytes of memory")


_CLASSES = {cls.code: cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, ReadError)}


def _refusal(answer: dict[str, Any], limits: str) -> ReadError:
    """Make an error of what the child said, or of how it died. Nothing of it is trusted but as text."""
    cls = _CLASSES.get(str(answer.get("code")), IsolationError)
    texts = [None if answer.get(name) is None else str(answer[name]) for name in ("expected", "found", "hint", "where")]
    if cls is IsolationError:
        texts[0] = limits
    error = cls(str(answer.get("reason")), *texts)
    return error.at(20)
