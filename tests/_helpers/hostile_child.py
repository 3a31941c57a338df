"""A process that loads cases of the hostile corpus and says of each what came of it: `test_hostile` starts it.

    hostile_child.py LEVEL ISOLATED SECONDS FILE

SECONDS is the processor time that a case may take before its process is ended, by a signal that no code of Python has
to handle. It reads names of cases from its standard input and writes to FILE, for each, first its name and then a JSON
object. So it is known which case ended the process, where one does. Its memory is limited, too.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

ROOM = 600_000_000  # bytes of address space beyond what the process starts with
SECONDS_PER_BYTE = 5e-7  # of processor time: a slow machine takes 2 s for an honest payload of 12 MB
# Events of which none may come while a case is loaded (sys.addaudithook).
EVENTS = frozenset(
    line
    for lines in (
        "builtins.input code.__new__ cpython.run_command ctypes.dlopen ctypes.call_function exec",
        "ftplib.connect function.__new__ os.chmod os.exec os.fork os.forkpty os.kill os.link os.mkdir",
        "os.posix_spawn os.putenv os.remove os.rename os.rmdir os.spawn os.symlink os.system os.truncate",
        "pty.spawn shutil.copyfile shutil.rmtree socket.__new__ socket.bind socket.connect socket.getaddrinfo",
        "subprocess.Popen sys.setprofile sys.settrace tempfile.mkstemp urllib.Request webbrowser.open",
    )
    for line in lines.split()
)


class Watch:
    """What must not happen while a case is loaded, and what must be as before when it is over."""

    def __init__(self, modules: list[Any], classes: list[type]) -> None:
        self.on = False
        self.fired: list[str] = []
        self._modules = [(module, dict(vars(module))) for module in modules]
        self._classes = [(cls, dict(cls.__dict__), cls.__bases__, cls.__name__) for cls in classes]
        maps = [member for cls in classes for member in getattr(cls, "_member_map_", {}).values()]
        self._members = [(member, dict(member.__dict__)) for member in maps]
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.on:
            file = getattr(args[0], "co_filename", "") if event == "exec" else ""
            if file.startswith("<frozen ") or os.path.exists(file):
                return  # an import, which is judged by what was imported
            if event in EVENTS:
                self.fired.append(f"{event} {args!r}"[:200])
            elif event == "open" and isinstance(args[1], str) and not set("wax+").isdisjoint(args[1]):
                self.fired.append(f"open {args!r}"[:200])

    def changes(self) -> list[str]:
        """Return the names of modules, classes and members that are not as they were."""
        found = []
        for module, before in self._modules:
            if not _same(before, vars(module)):
                found.append(module.__name__)
        for cls, attributes, bases, name in self._classes:
            if cls.__bases__ is not bases or cls.__name__ != name or not _same(attributes, cls.__dict__):
                found.append(str(cls))
        for member, attributes in self._members:
            if not _same(attributes, member.__dict__):
                found.append(str(member))
        return found


def _same(before: dict[str, Any], now: Any) -> bool:
    return len(before) == len(now) and all(now.get(name) is value for name, value in before.items())


def peak_memory() -> int:
    """The most memory that was resident since `reset_peak`, in bytes. 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def prepare() -> Watch:
    """Import what payloads and the library need, so that what is imported later is a payload's doing."""
    import encodings.idna
    import encodings.punycode  # noqa: F401
    import zoneinfo

    import targets

    import pickleseal
    from _helpers import hostile_corpus as hostile
    from pickleseal._payload import (
        arrays,  # noqa: F401
        standin,  # noqa: F401
    )
    from pickleseal._schema import annotations  # noqa: F401
    from pickleseal._trust import (
        dryrun,  # noqa: F401
        hash_cost,  # noqa: F401
        sandbox,  # noqa: F401
    )
    from pickleseal._trust.allow_list import AllowList, resolve_globals

    with contextlib.suppress(ImportError):
        import numpy  # noqa: F401
    with contextlib.suppress(zoneinfo.ZoneInfoNotFoundError):
        zoneinfo.ZoneInfo("No/Such")  # what it imports to look in the package tzdata
    resolved = resolve_globals(hostile.VALUES, AllowList())
    classes = [value for value in resolved.values() if isinstance(value, type)]
    classes += [value for value in vars(targets).values() if isinstance(value, type)]
    for obj in (pickleseal.pack(1), pickleseal.pack({1: {2}})):
        pickleseal.unpack(obj, policy=pickleseal.Policy(level="strict", isolated=True))  # starts the helper
    names = (
        "builtins os sys types collections uuid http datetime decimal fractions ipaddress pathlib enum targets pickle"
    )
    modules = [
        sys.modules[name]
        for name in (*names.split(), "pickleseal._trust.safe_functions", "pickleseal._trust.allow_list")
    ]
    return Watch(modules, list(dict.fromkeys(classes)))


def attempt(data: bytes, trust: tuple[str, ...], policy: Any) -> str:
    """Load an artifact, let go of what came of it, and return a code."""
    import pickleseal
    from pickleseal.errors import ReadError

    try:
        obj = pickleseal.unpack(data, trust=trust, policy=policy)
        del obj
    except ReadError as error:
        code = error.code
        error.__traceback__ = None
        str(error)
        return code
    except ValueError as error:
        return "trust-refused" if str(error).startswith("trust:") else f"undocumented ValueError: {error}"[:200]
    except BaseException as error:
        return f"undocumented {type(error).__name__}: {error}"[:200]
    return "loads"


def main() -> None:
    level, isolated, seconds, place = sys.argv[1:]
    import pickleseal
    from _helpers import hostile_corpus as hostile

    watch = prepare()
    policy = pickleseal.Policy(level=level, isolated=isolated == "1", limits=pickleseal.Limits(max_memory=200_000_000))
    names = sys.stdin.read().splitlines()
    warnings.simplefilter("ignore")
    gc.disable()  # what a case leaves is collected when it is measured
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if peak_memory() else 0
    if size:
        resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, size + ROOM))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open(place, "a", buffering=1) as out:
        for name in names:
            case = hostile.CASES[name]
            data = case.make()
            out.write(name + "\n")
            reset_peak()
            before, modules, start = peak_memory(), set(sys.modules), time.process_time()
            signal.setitimer(signal.ITIMER_PROF, float(seconds) + SECONDS_PER_BYTE * len(data))
            watch.on = True
            code = attempt(data, case.trust, policy)
            watch.on = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            took, peak = time.process_time() - start, peak_memory() - before
            if len(data) > 100_000 or code == "loads":
                gc.collect(0)
            told = {"code": code, "seconds": round(took - SECONDS_PER_BYTE * len(data), 3), "memory": peak}
            told["changed"] = watch.changes()
            imported = set(sys.modules) - modules
            named = {entry for entry in imported if any(entry == text.partition(":")[0] for text in _names(data))}
            told["fired"] = [*watch.fired, *sys.modules["targets"].fired, *sorted(named)]
            watch.fired.clear()
            sys.modules["targets"].fired.clear()
            if os.path.exists("fired"):
                told["fired"] = [*told["fired"], "a file"]
                os.remove("fired")
            out.write(json.dumps(told) + "\n")


def _names(data: bytes) -> list[str]:
    import pickleseal
    from pickleseal.errors import ReadError

    try:
        return list(pickleseal.peek(data).globals)
    except ReadError:
        return []


if __name__ == "__main__":
    main()
