"""Classes of a script in workers of multiprocessing that are started by spawn or forkserver: `__mp_main__` there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pickleseal
from pickleseal import Policy, Registry, errors

SCRIPT = """
import enum, json, multiprocessing, sys, warnings
from dataclasses import dataclass
import pickleseal

@dataclass
class Job:
    id: int

class Color(enum.Enum):
    RED = 1

@pickleseal.artifact("jobs.Named", version=1)
@dataclass
class Named:
    id: int

def helper():
    pass

def tries(call, *args, **named):
    try:
        return repr(call(*args, **named))
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def work(data, path):
    done = {
        "expect": tries(pickleseal.unpack, data, expect=list, trust=[Job, Color, helper]),
        "strings": tries(pickleseal.unpack, data, trust=["__main__:Job", "__main__:Color", "__main__:helper"]),
        "of their own": tries(pickleseal.unpack, data, trust=["__mp_main__:Job", "__mp_main__:Color", helper]),
        "one": tries(pickleseal.unpack, pickleseal.pack(Job(3)), expect=Job),
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pickleseal.dump([Job(2), Color.RED, helper, Named(4)], path)
        pickleseal.dump(Job(5), path + ".one")
        pickleseal.append(path + ".stream", Job(6))
    done["warnings"] = sorted({str(w.message) for w in caught})
    return done

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    path = sys.argv[2]
    stored = pickleseal.pack([Job(1), Color.RED, helper, Named(1)])
    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
        done = pool.apply(work, (stored, path))
    trust = [Job, Color, helper]
    done["parent"] = tries(pickleseal.load, path, trust=trust)
    done["parent expects"] = tries(pickleseal.load, path + ".one", expect=Job)
    done["parent expects a name"] = tries(pickleseal.load, path + ".one", expect="__main__:Job", trust=[Job])
    done["parent lists types"] = tries(
        pickleseal.load, path + ".one", policy=pickleseal.Policy(types={"__main__:Job": "*"}, trust=[Job])
    )
    done["parent iterates"] = tries(lambda: list(pickleseal.iter_load(path + ".stream", expect=Job)))
    done["module"] = Job.__module__
    print(json.dumps(done))
"""
METHODS = ["spawn"] if sys.platform == "win32" else ["spawn", "forkserver"]


@pytest.fixture(scope="module", params=METHODS)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("script")
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(folder / "script.py"), request.param, str(folder / "made.pseal")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), folder / "made.pseal"


def test_script_and_worker_read_what_the_other_wrote(ran: tuple[dict[str, Any], Path]) -> None:
    done, _ = ran
    for name in ("expect", "strings", "of their own"):
        assert done[name].startswith("[Job(id=1), <Color.RED: 1>, <function helper"), name
        assert done[name].endswith("Named(id=1)]"), name
    assert done["one"] == "Job(id=3)"
    assert done["parent"].startswith("[Job(id=2), <Color.RED: 1>, <function helper")
    assert {done[f"parent {how}"] for how in ("expects", "expects a name", "lists types")} == {"Job(id=5)"}
    assert done["parent iterates"] == "[Job(id=6)]"
    assert done["module"] == "__main__"


def test_a_worker_is_warned_of_classes_of_the_script(ran: tuple[dict[str, Any], Path]) -> None:
    done, _ = ran
    warned = {text.partition(" is defined in the script")[0] for text in done["warnings"]}
    assert warned == {"__main__:Job", "__main__:Color", "__main__:helper"}  # a registered class has a name


def test_headers_name_the_script_by_its_usual_name(ran: tuple[dict[str, Any], Path]) -> None:
    _, path = ran
    assert pickleseal.peek(f"{path}.one").type == "__main__:Job"
    header = pickleseal.peek(path)
    assert set(header.types) == {"__main__:Job", "__main__:Color", "jobs.Named"}
    assert header.types["__main__:Job"].global_ == "__mp_main__:Job"  # as the payload names it
    assert header.packages == {}


def test_another_program_finds_the_class_where_it_is_told(ran: tuple[dict[str, Any], Path]) -> None:
    import shapes

    _, path = ran
    one = f"{path}.one"
    with pytest.raises(errors.ClassMissingError):
        pickleseal.load(one, trust=["__main__:Job"])
    registry = Registry()
    registry.register(shapes.Job, "x.Job", formerly=["__main__:Job"])
    for policy in (Policy(registry=registry, drift="ignore"), Policy(renames={"__main__": "shapes"}, drift="ignore")):
        assert type(pickleseal.load(one, trust=[shapes.Job], policy=policy)) is shapes.Job
