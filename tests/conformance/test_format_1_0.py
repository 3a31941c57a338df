"""The last release that knows format 1.0 alone, installed from its wheel, reads what this version writes (spec 13)."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import orjson
import pytest
import xxhash
from _helpers.evolving import installed
from _helpers.support import DATA, SPEC, manifest

import pickleseal

(WHEEL,) = (DATA / "old" / "wheels" / "format-1.0").glob("*.whl")
READ = """
import sys, pathlib, pickleseal
assert pathlib.Path(pickleseal.__file__).is_relative_to(sys.prefix), pickleseal.__file__
from pickleseal._format.preamble import VERSION_MINOR
assert VERSION_MINOR == 0
for path in sys.argv[1:]:
    data = pathlib.Path(path).read_bytes()
    for read in (pickleseal.peek, pickleseal.verify):
        header = read(data)
        assert header.preamble.version_minor == 1, path
        for schema in header.types.values():
            assert (schema.fields, schema.kind) is not None
"""


@pytest.fixture(scope="module")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment with the old release, and with the two packages that it needs."""
    folder = tmp_path_factory.mktemp("format-1.0")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
    paths = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", sysconfig.get_default_scheme(), paths))
    with zipfile.ZipFile(WHEEL) as wheel:
        wheel.extractall(packages)
    needed = {str(Path(module.__file__ or "").parent.parent) for module in (orjson, xxhash)}
    (packages / "needed.pth").write_text("\n".join(needed) + "\n", "utf-8")
    return folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"


def run(python: Path, code: str, *arguments: str) -> str:
    done = subprocess.run(
        [str(python), "-I", "-c", code, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_peeks_at_and_verifies_the_vectors_of_format_1_1(old_python: Path) -> None:
    paths = [
        str(SPEC / "vectors" / entry["file"])
        for entry in manifest()["valid"]
        if entry["header"]["format"] == "pickleseal/1.1"
    ]
    assert len(paths) > 2
    run(old_python, READ, *paths)


LOADS = """
import sys, pathlib, warnings, pickleseal
import evolving_values
paths = [pathlib.Path(path).read_bytes() for path in sys.argv[2:]]
print([pickleseal.unpack(data, trust=[evolving_values.Plan, evolving_values.Job]) for data in paths[:2]])
try:
    pickleseal.unpack(paths[2])
except pickleseal.errors.UnpickleError as error:
    print(error.reason)
"""
VALUES = """
import enum, dataclasses
class Plan(enum.Enum):
    FREE = {'seats': 1}
    PRO = [10, 'seats']
@dataclasses.dataclass
class Job:
    id: int
"""


def test_it_loads_what_has_new_texts_and_refuses_the_order_of_axes(old_python: Path, tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    (tmp_path / "evolving_values.py").write_text(VALUES)
    with installed("evolving_values", VALUES) as module:
        array = numpy.zeros((2, 3, 4)).transpose(1, 0, 2)
        for name, obj in (("plan", module.Plan.PRO), ("job", module.Job(1)), ("array", array)):
            (tmp_path / name).write_bytes(pickleseal.pack(obj))
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{LOADS}"
    loaded, refused = run(
        old_python, code, "", *(str(tmp_path / name) for name in ("plan", "job", "array"))
    ).splitlines()
    assert loaded == "[<Plan.PRO: [10, 'seats']>, Job(id=1)]"
    assert "order: expected 'C' or 'F'" in refused  # spec 8.1


SHOP = """
class Job:
    def __init__(self, name):
        self.name = name
        self.started = None

    def start(self):
        self.started = self.now = 5


class Failed(ValueError):
    def __init__(self, text, code=0):
        super().__init__(text, code)
        self.code = code


class Noted:
    name: str

    def __init__(self, name):
        self.name = name
        self.extra = 1
"""
LOAD = """
import sys, pickleseal, shop
for drift in ("resolve", "strict"):
    policy = pickleseal.Policy(trust=["shop:Job", "shop:Noted", "shop:Failed"], drift=drift)
    jobs = pickleseal.load(sys.argv[1], policy=policy)
    assert [vars(job) for job in jobs] == [
        {"name": "a", "started": None}, {"name": "b", "started": 5, "now": 5}, {"name": "c", "extra": 1}
    ], jobs
failed = pickleseal.load(sys.argv[2], trust=["shop:Job", "shop:Noted", "shop:Failed"])
assert (failed.args, failed.code) == (("no", 3), 3)
"""


def test_it_loads_plain_classes_and_exceptions_that_format_1_1_records(old_python: Path, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP, "utf-8")
    code = "import sys; sys.path.insert(0, sys.argv.pop())\n"
    with installed("shop", SHOP) as shop:
        job = shop.Job("b")
        job.start()
        pickleseal.dump([shop.Job("a"), job, shop.Noted("c")], tmp_path / "jobs")
        pickleseal.dump(shop.Failed("no", 3), tmp_path / "failed")
    for name in ("jobs", "failed"):
        assert pickleseal.peek(tmp_path / name).preamble.version_minor == 1
    run(old_python, code + LOAD, str(tmp_path / "jobs"), str(tmp_path / "failed"), str(tmp_path))
