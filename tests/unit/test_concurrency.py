"""Many threads pack, read and register at once; a subinterpreter gets a clear error.

Each test runs a program of its own, because it changes the default registry, or may leave an interpreter that crashes.
The threads take turns after every few instructions.
"""

import io
import pickle
import subprocess
import sys
import textwrap
import types

import pytest
from _helpers.support import child_environment

import pickleseal

START = """
import copyreg, itertools, sys, threading
import pickleseal
from pickleseal import KeyRing, Key, Limits, Policy, Registry, PackOptions

sys.setswitchinterval(1e-6)

def in_threads(*works, times=1):
    failures, barrier = [], threading.Barrier(len(works) * times)
    def run(work, number):
        try:
            barrier.wait()
            work(number)
        except BaseException as exc:
            failures.append(repr(exc))
    threads = [threading.Thread(target=run, args=(work, n)) for n, work in enumerate(works * times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures

def new_class(name):
    cls = type(name, (), {"__annotations__": {"x": "int"}, "__init__": lambda self, x: setattr(self, "x", x)})
    cls.__module__ = "__main__"
    globals()[name] = cls
    return cls
"""


def run(code: str) -> None:
    program = START + textwrap.dedent(code) + "\nprint('right')\n"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=child_environment(),
    )
    assert done.stdout == "right\n", done.stderr[-3000:]


def test_each_thread_gets_its_own_objects() -> None:
    """The pickler's idle objects and the caches of headers and classes are shared by all threads."""
    run("""
        strict, ring = Policy(level="strict"), KeyRing([Key.hmac("k", b"s" * 32)])
        signed, signer = Policy(keys=ring), PackOptions(keys=ring)

        def work(number):
            for turn in range(60):
                value = {"thread": number, "turn": turn, "more": [(number, turn), {number}, str(turn) * number]}
                data = pickleseal.pack(value, meta={"n": f"{number}-{turn}"})  # more headers than the cache holds
                assert pickleseal.peek(data).meta == {"n": f"{number}-{turn}"}
                assert pickleseal.unpack(data) == value
                assert pickleseal.unpack(data, policy=strict) == value
                assert pickleseal.unpack(pickleseal.pack(value, options=signer), policy=signed) == value
                cls = new_class(f"Own{number}")
                found = pickleseal.unpack(pickleseal.pack([cls(turn)], type="t"), trust=[cls])
                assert type(found[0]) is cls and found[0].x == turn
                reader = pickleseal.IncrementalReader()
                for start in range(0, len(data), 50):
                    reader.feed(data[start : start + 50])
                assert reader.finish() == value

        in_threads(work, times=8)
    """)


def test_threads_register_while_others_read() -> None:
    run("""
        def register(number):
            for turn in range(80):
                cls = new_class(f"Registered{number}x{turn}")
                pickleseal.register(cls, f"test.{number}.{turn}", version=1)
                data = pickleseal.pack(cls(turn))
                assert pickleseal.peek(data).type == f"test.{number}.{turn}"
                assert pickleseal.unpack(data, expect=cls).x == turn

        data = pickleseal.pack({"a": (1, 2)})

        def read(number):
            for turn in range(300):
                assert pickleseal.unpack(data) == {"a": (1, 2)}

        in_threads(register, read, times=4)
        assert repr(pickleseal.default_registry).startswith("<Registry of 320 classes")
    """)


def test_threads_make_registries_while_others_pack() -> None:
    """A class that was not seen before is looked up in all registries of the process."""
    run("""
        done = threading.Event()

        def make(number):
            kept = []
            while not done.is_set():
                kept.append(Registry())
                if len(kept) == 1000:
                    kept.clear()

        def pack(number):
            try:
                for turn in range(300):
                    cls = new_class(f"Fresh{number}x{turn}")
                    assert pickleseal.peek(pickleseal.pack(cls(1))).types
            finally:
                done.set()

        in_threads(make, make, pack)
    """)


def test_threads_add_to_copyreg_while_others_pack() -> None:
    """A class whose description failed would be packed without a schema from then on."""
    run("""
        for number in range(2000):
            copyreg.dispatch_table[type(f"Known{number}", (), {})] = None

        done = threading.Event()

        def add(number):
            while not done.is_set():
                classes = [type("Other", (), {}) for _ in range(50)]
                for cls in classes:
                    copyreg.dispatch_table[cls] = None
                for cls in classes:
                    del copyreg.dispatch_table[cls]

        def pack(number):
            try:
                for turn in range(300):
                    cls = new_class(f"Fresh{number}x{turn}")
                    assert pickleseal.peek(pickleseal.pack(cls(1))).types
            finally:
                done.set()

        in_threads(add, add, pack)
    """)


def test_sections_are_read_while_another_thread_imports_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module is in sys.modules before it has any function."""
    file = io.BytesIO(pickleseal.pack([bytearray(100_000), pickle.PickleBuffer(bytearray(200_000))]))
    monkeypatch.setitem(sys.modules, "numpy", types.ModuleType("numpy"))
    assert len(pickleseal.load(file)[1]) == 200_000


SUBINTERPRETER = """
try:
    import _interpreters as interpreters  # Python 3.13
except ImportError:
    import _xxsubinterpreters as interpreters

def run_in(interpreter, code):
    if hasattr(interpreters, "exec"):
        failure = interpreters.exec(interpreter, code)
        return "" if failure is None else failure.formatted
    try:
        interpreters.run_string(interpreter, code)
    except interpreters.RunFailedError as exc:
        return str(exc)
    return ""

def create(config):
    if hasattr(interpreters, "exec"):
        return interpreters.create(config)
    return interpreters.create(isolated=config == "isolated")

code = f"import sys; sys.path[:] = {sys.path!r}; import pickleseal"
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="older versions do not say which interpreter runs")
@pytest.mark.parametrize("config", ["legacy", "isolated"])
def test_a_subinterpreter_gets_a_clear_error_and_does_no_harm(config: str) -> None:
    code = f"""
        for turn in range(3):
            interpreter = create({config!r})
            said = run_in(interpreter, code)
            assert "pickleseal does not work in a subinterpreter" in said, said
            assert run_in(interpreter, "x = 1") == ""
            interpreters.destroy(interpreter)
            assert pickleseal.unpack(pickleseal.pack([turn])) == [turn]
            try:
                pickleseal.unpack(b"x" * 100)
            except pickleseal.errors.NotAnArtifactError:
                pass
    """
    run(SUBINTERPRETER + textwrap.dedent(code))
