"""The house: which floor may import which, and which door leads to orjson, xxhash and pickle."""

import ast
from pathlib import Path

from _helpers.support import ROOT

import pickleseal

SOURCE = ROOT / "src" / "pickleseal"
# A module imports only from its own floor or from those below (a higher number).
FLOORS = {
    "errors": 5,
    "_version": 5,
    "format": 4,
    "schema": 3,
    "payload": 2,
    "atomic": 2,
    "compression": 2,
    "hashing": 2,
    "keyfile": 2,
    "keys": 2,
    "signing": 2,
    "policy": 1,
    "policy_file": 1,
    "rules": 1,
    "writer": 1,
    "reader": 1,
    "storage": 0,
    "__init__": -1,
    "cli": -2,
    "__main__": -3,
}
DOORS = {"orjson": {"format/canonical.py"}, "xxhash": {"format/checksum.py"}}
LONGEST = 400
LISTS = {"errors.py": 500}  # one short class after the other


def modules() -> dict[str, ast.Module]:
    found = {
        str(path.relative_to(SOURCE)).replace("\\", "/"): ast.parse(path.read_text("utf-8"))
        for path in SOURCE.rglob("*.py")
    }
    assert len(found) > 15
    return found


def floor(path: str) -> int:
    return FLOORS[path.split("/")[0].removesuffix(".py")]


def imports(path: str, tree: ast.Module) -> list[str]:
    """Return what a module imports: ours as paths below the package, others by their top-level name."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.append((node.module or "").partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = Path(path).parent
            for _ in range(node.level - 1):
                base = base.parent
            target = base.joinpath(*(node.module or "").split(".")) if node.module else base
            for alias in node.names:
                inner = target / alias.name
                is_module = (SOURCE / inner).with_suffix(".py").exists()
                found.append(str((inner if is_module else target).with_suffix(".py")).replace("\\", "/"))
    return found


def test_no_module_imports_from_a_floor_above() -> None:
    for path, tree in modules().items():
        for target in imports(path, tree):
            if target.endswith(".py"):
                assert floor(path) <= floor(target), f"{path} imports {target}"


def test_there_are_no_cycles() -> None:
    graph = {
        path: {target for target in imports(path, tree) if target.endswith(".py")} for path, tree in modules().items()
    }
    done: set[str] = set()

    def visit(path: str, above: tuple[str, ...]) -> None:
        assert path not in above, " -> ".join((*above, path))
        if path not in done:
            for target in graph.get(path, ()):
                visit(target, (*above, path))
            done.add(path)

    for path in graph:
        visit(path, ())


def test_orjson_xxhash_and_pickle_are_behind_one_door() -> None:
    for path, tree in modules().items():
        for target in imports(path, tree):
            if target in DOORS:
                assert path in DOORS[target], f"{path} imports {target}"
            if target in ("pickle", "_pickle"):
                # The tour shows what bare pickle does with the same bytes.
                assert path.startswith("payload/") or path in ("errors.py", "cli/tour.py"), f"{path} imports {target}"


def test_zstandard_is_behind_one_door() -> None:
    for path, tree in modules().items():
        if {"compression", "backports"} & set(imports(path, tree)):
            assert path == "format/codec.py", path


def test_the_format_floor_touches_no_file_clock_or_environment() -> None:
    for path, tree in modules().items():
        if path.startswith("format/"):
            assert not {"os", "io", "time", "socket", "pathlib", "mmap"} & set(imports(path, tree)), path
            names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            assert "open" not in names, path


def test_no_module_is_too_long() -> None:
    for path in modules():
        assert len((SOURCE / path).read_text("utf-8").splitlines()) <= LISTS.get(path, LONGEST), path


def test_all_is_what_the_docs_list() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text("utf-8")
    for name in pickleseal.__all__:
        assert hasattr(pickleseal, name), name
        assert f"`{name}" in reference, f"docs/reference.md does not mention {name}"
    for name in pickleseal.errors.__all__:
        assert f"`{name}`" in reference, f"docs/reference.md does not mention {name}"
    public = {name for name in vars(pickleseal) if not name.startswith("_")}
    assert public - set(pickleseal.__all__) <= {
        *(
            "atomic",
            "cli",
            "compression",
            "format",
            "hashing",
            "keyfile",
            "keys",
            "payload",
            "policy",
            "policy_file",
            "reader",
            "rules",
        ),
        *("cli", "schema", "signing", "storage", "writer"),
    }


def test_every_public_function_says_what_it_raises_and_does() -> None:
    for name in pickleseal.__all__:
        value = getattr(pickleseal, name)
        if callable(value):
            doc = value.__doc__ or ""
            assert len(doc) > 60, name
            if name not in (
                "Artifact",
                "Change",
                "ClassSchema",
                "Event",
                "Frame",
                "Header",
                "HeaderEntry",
                "Lost",
                "Section",
                "Policy",
                "dumps",
                "loads",
                "rebuild_object_array",
            ):
                assert "Raises:" in doc or "errors and guarantees as for `pack_parts`" in doc, f"{name} does not say"
            if name in (
                "pack",
                "pack_parts",
                "unpack",
                "dump",
                "load",
                "peek",
                "verify",
                "dumps",
                "loads",
                "Writer",
                "Policy",
                "Limits",
            ):
                assert ">>>" in doc or name == "loads", f"{name} has no example"


def test_there_is_no_assert_for_input() -> None:
    for path, tree in modules().items():
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Assert)], path


def test_the_import_is_small() -> None:
    import subprocess
    import sys

    heavy = "importlib.metadata asyncio numpy rich cryptography fsspec sqlite3 hashlib mmap multiprocessing"
    code = (
        "import orjson, xxhash, sys; before = set(sys.modules); import pickleseal; "
        f"print([m for m in {heavy.split()!r} if m in set(sys.modules) - before])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ast.literal_eval(said.stdout)) <= {"mmap"}
