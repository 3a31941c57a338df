"""State that lives as long as the process is listed in one place, and one function empties it."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from _helpers.support import ROOT

import pickleseal
from pickleseal import Policy, Registry
from pickleseal._state import STATE

SOURCE = ROOT / "src" / "pickleseal"
CACHES = {"cache", "lru_cache"}
CONTAINERS = {"dict", "list", "set", "deque", "local", "WeakSet", "WeakKeyDictionary", "WeakValueDictionary"}
OURS = {"ClassCache", "HeaderCache", "Helper", "Registry"}
# Defaults of look-ups, which nothing fills.
EMPTY = {"_NO_TYPES", "_NO_NAMES", "_NOTHING"}


class Point:
    pass


def last_name(node: ast.expr) -> str:
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def state_of(path: Path) -> set[str]:
    """Return the names in a module that look like state: cached functions, empty containers, globals that change."""
    tree = ast.parse(path.read_text("utf-8"))
    found = {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and any(last_name(item) in CACHES for item in node.decorator_list):
            found.add(node.name)
        value = getattr(node, "value", None)
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if not isinstance(target, ast.Name) or target.id in EMPTY:
            continue
        is_empty = isinstance(value, ast.Dict | ast.List | ast.Set) and not ast.unparse(value).strip("{}[]")
        is_made = isinstance(value, ast.Call) and last_name(value) in CONTAINERS | OURS and not value.args
        if is_empty or is_made:
            found.add(target.id)
    return found


def test_the_table_lists_all_state() -> None:
    found = {
        (".".join(path.relative_to(SOURCE).with_suffix("").parts), name)
        for path in SOURCE.rglob("*.py")
        for name in state_of(path)
    }
    assert found == {(state.module, state.name) for state in STATE}


def test_each_row_can_be_cleared() -> None:
    for state in STATE:
        thing = getattr(import_module(f"pickleseal.{state.module}"), state.name)
        assert not state.clear or callable(getattr(thing, state.clear)), state
        assert len(state.rule) > 10, state


def test_clear_forgets_registrations_and_headers() -> None:
    code = """if True:
        import pickleseal
        from pickleseal._format.header_cache import header_cache
        from pickleseal._state import clear

        @pickleseal.artifact("test.Point", version=1)
        class Point:
            pass

        data = pickleseal.pack([1, 2])
        text = data[64 : pickleseal.peek(data).preamble.head_len]
        pickleseal.unpack(data)
        assert header_cache.find(text) is not None
        clear()
        assert header_cache.find(text) is None
        assert "test.Point" not in repr(pickleseal.default_registry)
        assert pickleseal.unpack(data) == [1, 2]
        print("right")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "right\n"


def test_a_registry_can_be_emptied() -> None:
    registry = Registry()

    registry.register(Point, "test.Point", version=3)
    registry.clear()
    assert "test.Point" not in repr(registry)
    registry.register(Point, "test.Point", version=1)
    assert "test.Point" in repr(registry)


def test_what_was_read_before_is_read_again_after_clear() -> None:
    class_free = pickleseal.pack({"id": 7})
    policy = Policy(types={"builtins:dict": "*"})
    before = pickleseal.unpack(class_free, policy=policy)
    for state in STATE:
        if state.clear and state.name not in ("default_registry", "helper"):
            getattr(getattr(import_module(f"pickleseal.{state.module}"), state.name), state.clear)()
    assert pickleseal.unpack(class_free, policy=policy) == before
