"""Real faults for tests: system calls that fail, come short, or are a process's last (fault_preload.c).

The tests start a child process with the library preloaded (`run`). In there `Faults` says which call goes wrong, and
`every_call` tries an operation once for each of its system calls. A child does all rounds of its kind, so that a round
costs a fraction of a millisecond and no start of an interpreter.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import gc
import importlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _helpers.support import child_environment

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "fault_preload.c"
# What needs room on the disk: these fail, and go on to fail, when it is full.
ROOM = ("create", "write", "writev", "pwrite", "pwritev", "posix_fallocate", "fsync", "fdatasync", "mkdir")
_ACTIONS = {"short": -1, "kill": -2, "interrupt": -4, "tear": -5}
_CALL = -3
_HOOK = ctypes.CFUNCTYPE(None)


@functools.cache
def library() -> str:
    """Compile the library, once in a process, or skip the test where that can't be. On CI it has to be possible."""
    import atexit

    import pytest

    if not sys.platform.startswith("linux") or "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or ""):
        pytest.skip("the library wraps the functions of glibc on Linux")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        missing("a C compiler")
    folder = tempfile.mkdtemp(prefix="pickleseal-faults-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    built = os.path.join(folder, "faults.so")
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([str(compiler), *flags, "-o", built, str(SOURCE), "-ldl", "-lpthread"], check=True)
    return built


def missing(what: str) -> None:
    """Skip a test for want of a tool; where CI=true is set, fail: .ci/run installs what is needed."""
    import pytest

    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"needs {what}")


def run(name: str, folder: Path, *arguments: Any, preload: bool = True, seconds: float = 120) -> Any:
    """Call `module.function` of a helper module in a child with the library preloaded; return what it returned.

    It gets an empty folder below `folder`, and the arguments, which go through JSON. With the library that folder is
    in memory, where there is such a place: a sync costs nothing there.
    """
    if preload and os.access("/dev/shm", os.W_OK):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
            return _run(name, Path(place), arguments, preload, seconds)
    return _run(name, folder, arguments, preload, seconds)


def _run(name: str, folder: Path, arguments: tuple[Any, ...], preload: bool, seconds: float) -> Any:
    env = child_environment(PYTHONWARNINGS="error")
    if preload:
        env["LD_PRELOAD"] = library()
    code = "from _helpers import fault_kit; fault_kit.main()"
    command = [sys.executable, "-c", code, name, str(folder), json.dumps(arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode:
        raise AssertionError(f"{name}{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def run_each(name: str, folder: Path, cases: Sequence[str]) -> dict[str, Any]:
    """`run` for several cases in one child: what the function returned for each."""
    return dict(zip(cases, run(name, folder, list(cases)), strict=True))


def main() -> None:
    """Do in the child what `run` was asked for. A list of cases is done one after the other."""
    name, folder, given = sys.argv[1:]
    module, _, function = name.partition(".")
    work, arguments = getattr(importlib.import_module(f"_helpers.{module}"), function), json.loads(given)
    cases = arguments[0] if arguments and isinstance(arguments[0], list) else None
    found = []
    for number, case in enumerate([None] if cases is None else cases):
        path = Path(folder, f"watched{number}")
        path.mkdir()
        try:
            found.append(work(path, *(arguments if cases is None else [case])))
        except BaseException:
            print(f"{name}, case {case}:")
            raise
    print(json.dumps(found[0] if cases is None else found))


# --- in the child -----------------------------------------------------------------------------------------------------


class Faults:
    """The preloaded library. Counts the calls on what lies below one folder, the folder itself included."""

    def __init__(self) -> None:
        self._lib = ctypes.CDLL(os.environ["LD_PRELOAD"])
        self._lib.fault_calls.restype = ctypes.c_char_p
        self._lib.fault_fired.restype = ctypes.c_long
        self._lib.fault_arm.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int]
        self._lib.fault_arm.argtypes += [_HOOK]
        self.fired = 0
        self.calls: list[str] = []

    @contextmanager
    def on(
        self,
        folder: Path,
        what: str | Callable[[], None] = "watch",
        at: int = 1,
        kinds: Sequence[str] = (),
        for_ever: bool = False,
    ) -> Iterator[None]:
        """Have the call number `at` go wrong, or it and all later ones. Afterwards `calls` and `fired` say what came.

        Args:
            folder: below which calls count.
            what: the name of an errno, "short" (one byte is read or written), "kill" or "interrupt" (SIGKILL or SIGINT
                in front of the call), "tear" (half of a
                write, then SIGKILL), a function to call in front of it, or "watch": nothing.
            at: the number of the call, among those of `kinds` where there are any.
        """
        hook = _HOOK(what) if callable(what) else _HOOK()
        action = _CALL if callable(what) else _ACTIONS.get(what, getattr(errno, what, 0))
        text = f",{','.join(kinds)}," if kinds else ""
        self._lib.fault_arm(os.fsencode(folder), text.encode(), 0 if what == "watch" else at, action, for_ever, hook)
        try:
            yield
        finally:
            self.disarm()
            self.fired = self._lib.fault_fired()
            self.calls = self._lib.fault_calls().decode().splitlines()

    def disarm(self) -> None:
        """Let all further calls be, as a child of the process has to."""
        self._lib.fault_disarm()


class Outcome:
    """What came of one attempt: a value or an OSError, and the calls that were made."""

    def __init__(self, value: Any, error: OSError | None, calls: list[str]) -> None:
        self.value = value
        self.error = error
        self.calls = calls

    def did(self, call: str) -> bool:
        """Tell whether a call was made and did not go wrong. `call` is how its line begins."""
        return any(line.startswith(call) and not line.endswith(" !") for line in self.calls)


def every_call(
    faults: Faults,
    folder: Path,
    what: str,
    before: Callable[[], None],
    attempt: Callable[[], Any],
    judge: Callable[[int, Outcome], None],
    kinds: Sequence[str] = (),
    for_ever: bool = False,
) -> int:
    """Attempt an operation with its first call going wrong, then with its second, until no call is left; count them.

    `before` puts things in place for each attempt, and `judge` says whether what came of it may be. No descriptor may
    stay open.
    """
    number = 1
    while True:
        before()
        value, error, descriptors = None, None, os.listdir("/proc/self/fd")
        with faults.on(folder, what, number, kinds, for_ever):
            try:
                value = attempt()
            except OSError as exc:
                error = exc
        if not faults.fired:
            if error is not None:
                raise error
            return number - 1
        try:
            judge(number, Outcome(value, error, faults.calls))
            shown = repr(error)
            value = error = None  # a traceback and a map hold descriptors
            if os.listdir("/proc/self/fd") != descriptors:
                gc.collect()
                assert os.listdir("/proc/self/fd") == descriptors, shown
        except BaseException:
            print(f"call {number}, {what}: {error!r}", *faults.calls, sep="\n  ")
            raise
        number += 1


def every_death(
    faults: Faults,
    folder: Path,
    before: Callable[[], None],
    attempt: Callable[[], Any],
    judge: Callable[[int], None],
    what: str = "kill",
    kinds: Sequence[str] = (),
) -> int:
    """Kill a forked process in front of its first call, then of its second, until it ends by itself; count them.

    With `what="tear"` it dies within the call, which writes.
    """
    number = 1
    while True:
        before()
        child = os.fork()
        if not child:
            try:
                with faults.on(folder, what, number, kinds):
                    attempt()
                os._exit(0)
            finally:
                os._exit(1)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0
            return number - 1
        judge(number)
        number += 1
