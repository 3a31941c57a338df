"""`pickleseal map`: it finds the places that pickle, and no others. It runs nothing of the code that it reads."""

# ruff: noqa: E501 - tables are read best as tables
from __future__ import annotations

import json
import os
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from _helpers.support import GOLDEN

from pickleseal._cli.main import main

# What stands in a module: what is found, as `line direction call source`, `!` in front where it is untrusted.
PLACES = {
    # names
    "import pickle\npickle.loads(data)": ["2 read pickle.loads unknown!"],
    "import pickle as p\np.dumps(1)": ["2 write pickle.dumps"],
    "from pickle import loads as l\nl(b'N.')": ["2 read pickle.loads literal"],
    "from pickle import *\nloads(b'N.')": ["2 read pickle.loads literal"],
    "import _pickle\n_pickle.loads(b'')": ["2 read pickle.loads literal"],
    "import importlib\np = importlib.import_module('pickle')\np.dumps(1)": ["3 write pickle.dumps"],
    "__import__('pickle').dumps(1)": ["1 write pickle.dumps"],
    "import pickle\ngetattr(pickle, 'dumps')(1)": ["2 write pickle.dumps"],
    "try:\n    import cPickle as pickle\nexcept ImportError:\n    import pickle\npickle.dumps(1)": ["5 write pickle.dumps"],
    "try:\n    import dill as p\nexcept ImportError:\n    import pickle as p\np.dumps(1)": ["5 write dill.dumps"],
    "def f():\n    from pickle import dumps\n    return dumps(1)": ["3 write pickle.dumps"],
    "import pickle\nd = pickle.dumps\nd(1)": ["3 write pickle.dumps"],
    "import pickle\nx = pickle if 1 else None\nx.dumps(1)": ["3 write pickle.dumps"],
    "import pickle\nif (d := pickle.dumps):\n    d(1)": ["3 write pickle.dumps"],
    "import pickle, functools\nd = functools.partial(pickle.dumps, protocol=5)\nd(1)": ["3 write pickle.dumps"],
    "import pickle\ndef f(o, dumps=pickle.dumps):\n    return dumps(o)": ["3 write pickle.dumps"],
    "import pickle\ndef f(o, *, dumps=pickle.dumps):\n    def g():\n        return dumps(o)\n    return g": [
        "4 write pickle.dumps"
    ],
    "import pickle\nclass A:\n    p = pickle\n    def f(self):\n        return self.p.dumps(1)": ["5 write pickle.dumps"],
    "import pickle\nclass A:\n    def __init__(self):\n        self._p = pickle\n    def f(self):\n        self._p.dumps(1)": [
        "6 write pickle.dumps"
    ],
    "import pickle\nclass A:\n    p = pickle\nclass B(A):\n    def f(self):\n        self.p.dumps(1)": ["6 write pickle.dumps"],
    "import pickle\ndef get():\n    return pickle\nget().dumps(1)": ["4 write pickle.dumps"],
    "import pickle\nx = [pickle.dumps(i) for i in range(3)]": ["2 write pickle.dumps"],
    "import pickle\nassert pickle.loads(pickle.dumps(1)) == 1": ["2 read pickle.loads process", "2 write pickle.dumps"],
    "import pickle\nassert pickle.loads(pickle.dumps(1)).x == 1": ["2 read pickle.loads process", "2 write pickle.dumps"],
    "import pickle\nasync def f():\n    return await g(pickle.dumps(1))": ["3 write pickle.dumps"],
    "import pickle\nf = lambda x: pickle.loads(x)": ["2 read pickle.loads argument!"],
    # picklers
    "import pickle\npickle.Unpickler(open('x', 'rb')).load()": ["2 read pickle.Unpickler.load file"],
    "import pickle\nu = pickle.Unpickler(f)\nu.load()": ["3 read pickle.Unpickler.load unknown!"],
    "import pickle\ndef f(g):\n    return pickle.Unpickler(g)": ["3 read pickle.Unpickler"],
    "import pickle\nclass U(pickle.Unpickler):\n    def load(self):\n        return super().load()\nU(f).load()": [
        "2 read pickle.Unpickler", "4 read pickle.Unpickler.load unknown!", "5 read pickle.Unpickler",
    ],
    "import pickle\nclass U(pickle.Unpickler): pass\ndef f(g):\n    return U(g).load()": [
        "2 read pickle.Unpickler", "4 read pickle.Unpickler.load argument!",
    ],
    "import pickle\ndef f(u: pickle.Unpickler):\n    u.load()": ["3 read pickle.Unpickler.load unknown!"],
    # handed on and handed in
    "import pickle\nregister(encode=pickle.dumps)": ["2 write pickle.dumps"],
    "import pickle\nTABLE = {'p': (pickle.dumps, pickle.loads)}": ["2 write pickle.dumps", "2 read pickle.loads"],
    "import pickle\nclass A:\n    dumps = staticmethod(pickle.dumps)": ["3 write pickle.dumps"],
    "from multiprocessing import Pool\ndef f(x, loads):\n    return loads(x)": ["3 read loads"],
    # sources
    "import pickle\nwith open('x.pkl', 'rb') as f:\n    pickle.load(f)": ["3 read pickle.load file"],
    "import pickle\ndef g(p):\n    with open(p, 'rb') as f:\n        return pickle.load(f)": ["4 read pickle.load file!"],
    "import pickle\nfrom pathlib import Path\npickle.loads((Path(__file__).parent / 'x').read_bytes())": [
        "3 read pickle.loads file"
    ],
    "import pickle, io\nb = io.BytesIO()\npickle.dump(1, b)\npickle.load(b)": ["3 write pickle.dump", "4 read pickle.load process"],
    "import pickle\ndef f(sock):\n    return pickle.loads(sock.recv(9))": ["3 read pickle.loads network!"],
    "import pickle, requests\npickle.loads(requests.get(u).content)": ["2 read pickle.loads network!"],
    "import pickle, urllib.request as r\npickle.load(r.urlopen(u))": ["2 read pickle.load network!"],
    "import pickle, redis\nr = redis.Redis()\npickle.loads(r.get('k'))": ["3 read pickle.loads cache!"],
    "import pickle\nclass A:\n    def f(self, k):\n        return pickle.loads(self.cache.get(k))": ["4 read pickle.loads cache!"],
    "import pickle\nrow = cursor.fetchone()\npickle.loads(row[0])": ["3 read pickle.loads database!"],
    "import pickle\ndef f(data=None):\n    return pickle.loads(data)": ["3 read pickle.loads argument!"],
    "import pickle\npickle.loads(b''.join(parts))": ["2 read pickle.loads unknown!"],
    "import pickle\ndef f(parts):\n    return pickle.loads(b''.join(parts))": ["3 read pickle.loads argument!"],
    "import pickle\npickle.loads(fetch('key'))": ["2 read pickle.loads unknown!"],
    "import pickle\nbox = Fernet('key')\ndef f(token):\n    return pickle.loads(box.decrypt(token))": ["4 read pickle.loads argument!"],
    "import pickle, io\nb = io.BytesIO()\nbucket.download_fileobj('k', b)\npickle.load(b)": ["4 read pickle.load unknown!"],
    "import pickle, io\nb = io.BytesIO()\nb.write(sock.recv(9))\npickle.load(b)": ["4 read pickle.load unknown!"],
    "import pickle, io\npickle.load(io.BytesIO(pickle.dumps(1)))": ["2 read pickle.load process", "2 write pickle.dumps"],
    "import pickle, gzip\npickle.loads(gzip.decompress(open('x.gz', 'rb').read()))": ["2 read pickle.loads file"],
    "import pickle, base64\npickle.loads(base64.b64decode('gAR9lC4='))": ["2 read pickle.loads literal"],
    "import pickle, sys\npickle.load(sys.stdin.buffer)": ["2 read pickle.load unknown!"],
    "import pickle, sys\npickle.load(open(sys.argv[1], 'rb'))": ["2 read pickle.load file!"],
    "import pickle, zlib\ndef f(z):\n    raw = zlib.decompress(z)\n    return pickle.loads(raw)": [
        "4 read pickle.loads argument!"
    ],
    # libraries
    "import cloudpickle\ncloudpickle.dumps(1)": ["2 write cloudpickle.dumps"],
    "import dill\ndill.load_session('x')": ["2 read dill.load_session file"],
    "import joblib\njoblib.load(path)": ["2 read joblib.load file!"],
    "from joblib import Memory, Parallel\nMemory('x')\nParallel(n_jobs=2)(f)": ["2 both joblib.Memory", "3 both joblib.Parallel"],
    "import shelve\nwith shelve.open('db') as d:\n    d['x'] = 1": ["2 both shelve.open"],
    "import torch\ntorch.load(p)\ntorch.save(m, p)": ["2 read torch.load file!", "3 write torch.save"],
    "import torch\ntorch.load(p, weights_only=True)": ["2 read torch.load file"],
    "import torch\ntorch.load('https://x/y.pt', weights_only=False)": ["2 read torch.load network!"],
    "import pandas as pd\npd.read_pickle(p)\ndf.to_pickle(p)": ["2 read pandas.read_pickle file!", "3 write pandas.to_pickle"],
    "import numpy as np\nnp.load(p, allow_pickle=True)": ["2 read numpy.load file!"],
    "import numpy as np\nnp.load(p, None, flag)": ["2 read numpy.load file!"],
    "import numpy as np\nnp.save('x', np.array([1, 'a'], dtype=object))": ["2 write numpy.save"],
    "import numpy as np\nnp.save('x', a, allow_pickle=True)": ["2 write numpy.save"],
    "import multiprocessing as mp\nq = mp.get_context('spawn').Queue()": ["2 both multiprocessing.Queue"],
    "from multiprocessing import Pipe\na, b = Pipe()\na.send(1)\nb.recv()": [
        "2 both multiprocessing.Pipe",
        "3 write multiprocessing.connection.Connection.send", "4 read multiprocessing.connection.Connection.recv",
    ],
    "from multiprocessing import Process\ndef f(conn):\n    conn.recv()\n    conn.send(2)": [
        "3 read multiprocessing.connection.Connection.recv", "4 write multiprocessing.connection.Connection.send",
    ],
    "from multiprocessing.connection import Listener\nwith Listener(a) as l:\n    l.accept().recv()": [
        "2 both multiprocessing.connection.Listener", "3 read multiprocessing.connection.Connection.recv",
    ],
    "from concurrent.futures import ProcessPoolExecutor as E\nE(2)": ["2 both concurrent.futures.ProcessPoolExecutor"],
    "from kombu.serialization import pickle, loads\npickle.dumps(1)\nloads(b'', 'x', 'y')": [
        "2 write pickle.dumps", "3 read kombu.serialization.loads literal"
    ],
    "from celery import Celery\napp = Celery(task_serializer='pickle')": ["2 write task_serializer=pickle"],
    "app.conf.accept_content = ['json', 'pickle']\nimport kombu": ["1 read accept_content=pickle"],
    "CELERY_RESULT_SERIALIZER = 'pickle'": ["1 write result_serializer=pickle"],
    "app.conf.update(accept_content=['pickle'])": ["1 read accept_content=pickle"],
    "@app.task(serializer='pickle')\ndef f(): pass": ["1 both serializer=pickle"],
    "CACHES = {'default': {'BACKEND': 'django.core.cache.backends.redis.RedisCache'}}": [
        "1 both django.core.cache.backends.redis.RedisCache"
    ],
    "import sqlalchemy as sa\nc = sa.Column(sa.PickleType)\nd = sa.Column(sa.PickleType())": ["3 both sqlalchemy.PickleType"],
    "import copyreg\ncopyreg.pickle(A, f)": ["2 write copyreg.pickle"],
    "import marshal\nmarshal.loads(x)": ["2 read marshal.loads unknown"],
    "import jsonpickle\njsonpickle.decode(x)": ["2 read jsonpickle.decode unknown!"],
    "import pickleseal\npickleseal.load(p)": ["2 read pickleseal.load file"],
}  # fmt: skip

NOTHING = [
    "import json\njson.loads(x)\njson.dump(x, f)",
    "import yaml\nyaml.load(x)",
    "import tomllib\ntomllib.load(f)",
    "import pickle\nexcept_ = pickle.PickleError\npickle.HIGHEST_PROTOCOL",
    "import pickle\nisinstance(x, pickle.Pickler)",
    "import pickle\nclass A:\n    def __reduce__(self): return A, ()",
    "import pickle\ndef f(pickle):\n    return pickle.dumps(1)",
    "import pickle\ndef loads(x): return x\nloads(1)",
    "import pickle\nclass A:\n    def dumps(self, x): return x\n    def f(self): return self.dumps(1)",
    "'pickle.loads(x)'\n# pickle.loads(y)",
    "def f():\n    '''>>> pickle.loads(x)'''",
    "import numpy as np\nnp.load(p)\nnp.load(p, allow_pickle=False)\nnp.save(p, a)\nnp.save(p, o, allow_pickle=False)",
    "from joblib import Parallel\nParallel(prefer='threads')(f)\nParallel(require='sharedmem')(f)",
    "from queue import Queue\nfrom multiprocessing.pool import ThreadPool\nQueue()\nThreadPool(2)",
    "import socket\nimport multiprocessing\ns.recv(10)\ns.send(b'x')",
    "app.conf.task_serializer = 'json'\naccept_content = ['json']\nx.serializer == 'pickle'",
    "import psutil, multiprocessing\npsutil.Process().name()",
    "from redis import Redis\nRedis().get('pickle')",
    "import torch\ntorch.nn.Linear(1, 2).load_state_dict({})",
    "import pickle\nfrom typing import Callable\ndef f(x: 'pickle.Unpickler') -> None: pass",
    "import pickle\ntry:\n    f()\nexcept pickle.UnpicklingError:\n    pass",
    "from dataclasses import dataclass\nimport copy, pickletools\ncopy.deepcopy(x)\npickletools.dis(x)",
]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main(["map", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def shown(place: dict[str, Any]) -> str:
    source = f" {place['source']}" if place["source"] else ""
    return f"{place['line']} {place['direction']} {place['call']}{source}{'!' if place['untrusted'] else ''}"


@pytest.mark.parametrize("code", PLACES)
def test_places_are_found(code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "module.py").write_text(code, "utf-8")
    exit_code, said = run(capsys, str(tmp_path))
    assert sorted(map(shown, said["results"])) == sorted(PLACES[code])
    assert (exit_code, said["complete"]) == (0, True)


@pytest.mark.parametrize("code", NOTHING)
def test_other_code_is_not_a_place(code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "module.py").write_text(code, "utf-8")
    assert run(capsys, str(tmp_path))[1]["results"] == []


def project(folder: Path) -> Path:
    """A package whose modules import pickling functions from one another."""
    files = {
        "app/__init__.py": "",
        "app/codec.py": """
            import cloudpickle
            from functools import partial
            dumps = partial(cloudpickle.dumps, protocol=5)
            loads = cloudpickle.loads
            class Workers(__import__("joblib").Parallel): pass
            """,
        "app/again.py": "from .codec import *\nfrom .codec import loads as decode\n",
        "app/store.py": """
            import app.codec
            from . import codec
            from .again import decode

            class Store:
                def put(self, key, obj):
                    self.redis.set(key, codec.dumps(obj))

                def get(self, key):
                    return decode(self.redis.get(key))

            app.codec.Workers(4)
            """,
        "app/jobs.py": """
            import pickle

            def handle(request):
                return pickle.loads(request.body)

            def restore():
                # pickleseal: ok written by this very process
                return pickle.load(open(TEMPORARY, "rb"))

            def other(path):
                return pickle.load(open(path, "rb"))  # pickleseal: ok
            """,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text).lstrip(), "utf-8")
    return folder


def test_names_are_followed_from_module_to_module(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(capsys, str(project(tmp_path)))[1]["results"]
    places = [(place["module"], shown(place), place["where"]) for place in found if place["module"] == "app.store"]
    assert places == [
        ("app.store", "7 write cloudpickle.dumps", "Store.put"),
        ("app.store", "10 read cloudpickle.loads cache!", "Store.get"),
        ("app.store", "12 both joblib.Parallel", ""),
    ]


def test_calls_of_serializers_are_places_if_pickle_is_passed_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job.py").write_text("class Job:\n    def f(self):\n        return self.serializer.loads(self.data)\n")
    assert run(capsys, str(tmp_path))[1]["results"] == []
    (tmp_path / "default.py").write_text("import pickle\nclass Default:\n    loads = staticmethod(pickle.loads)\n")
    found = run(capsys, str(tmp_path))[1]["results"]
    assert [(place["kind"], shown(place)) for place in found] == [
        ("handed-on", "3 read pickle.loads"),
        ("handed-in", "3 read serializer.loads"),
    ]


def test_a_comment_with_a_reason_accepts_a_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["map", str(project(tmp_path)), "--json", "--fail-on", "untrusted-read"])
    out, err = capsys.readouterr()
    found = {place["line"]: place for place in json.loads(out)["results"] if place["module"] == "app.jobs"}
    assert (found[8]["accepted"], found[8]["untrusted"]) == ("written by this very process", False)
    assert (found[11]["accepted"], found[11]["untrusted"]) == (None, True)
    assert "jobs.py:11: `# pickleseal: ok` needs a reason" in err
    assert code == 1


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import pickle\ndef f(x):\n    return pickle.loads(x)", 1),
        ("import pickle\ndef f(x):\n    return pickle.loads(x)  # pickleseal: ok our own bytes", 0),
        ("import pickle\npickle.load(open('shipped.pkl', 'rb'))", 0),
        ("import pickleseal\ndef f(x):\n    return pickleseal.unpack(x)", 0),
        ("import pickle\npickle.dumps(1)", 0),
    ],
)
def test_fail_on_untrusted_read(code: str, expected: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "module.py").write_text(code, "utf-8")
    assert main(["map", str(tmp_path), "--fail-on", "untrusted-read"]) == expected
    assert main(["map", str(tmp_path)]) == 0
    capsys.readouterr()


def test_unreadable_files_are_listed_and_make_the_map_incomplete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.py").write_text("import pickle\npickle.dumps(1)\n")
    (tmp_path / "b.py").write_text("import pickle\ndef f(:\n")
    (tmp_path / "c.py").write_bytes(b"import pickle\n\x00")
    (tmp_path / "d.py").write_text("import pickle\n" + "-" * 100_000 + "1")
    (tmp_path / "e.ipynb").write_text("import pickle")
    code, said = run(capsys, str(tmp_path), str(tmp_path / "none.py"))
    assert (code, said["complete"]) == (3, False)
    refused = {Path(found["path"]).name for found in said["results"] if found.get("code") == "unreadable"}
    assert refused == {"b.py", "c.py", "d.py", "e.ipynb", "none.py"}
    assert [found["call"] for found in said["results"] if "call" in found] == ["pickle.dumps"]


def test_notebooks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["pickle.loads(x)"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "!ls\n", "import pickle"]},
        {"cell_type": "code", "source": ["%%bash\n", "pickle.loads(x)"]},
        {"cell_type": "code", "source": ["x = 1\n", "pickle.loads(data)"]},
    ]
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": cells}))
    (found,) = run(capsys, str(tmp_path))[1]["results"]
    assert (found["cell"], found["line"], found["call"]) == (3, 2, "pickle.loads")


def test_hidden_folders_and_caches_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (".venv", "__pycache__", "node_modules", "src"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.py").write_text("import pickle\npickle.dumps(1)\n")
    found = run(capsys, str(tmp_path))[1]["results"]
    assert [Path(place["path"]).parent.name for place in found] == ["src"]


def test_stdin_and_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"import pickle\npickle.dumps(1)")))
    assert [shown(place) for place in run(capsys, "-")[1]["results"]] == ["2 write pickle.dumps"]
    assert main(["map", str(tmp_path), "--markdown", "--json"]) == 2
    assert main(["map", "s3://bucket/code/"]) == 2
    capsys.readouterr()


def test_nothing_is_imported_or_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fired = tmp_path / "fired"
    (tmp_path / "evil_module_of_map.py").write_text(f"import pickle\nopen({str(fired)!r}, 'w')\npickle.dumps(1)\n")
    before = set(sys.modules)
    assert len(run(capsys, str(tmp_path))[1]["results"]) == 1
    assert not fired.exists()
    assert "evil_module_of_map" not in set(sys.modules) - before


def test_the_standard_library_is_mapped_without_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    home = Path(os.__file__).parent
    folders = [str(home / name) for name in ("multiprocessing", "concurrent", "logging", "shelve.py", "pickle.py")]
    code, said = run(capsys, *folders)
    assert (code, said["complete"]) == (0, True)
    calls = {(Path(place["path"]).name, place["call"]) for place in said["results"]}
    assert {("shelve.py", "pickle.Pickler.dump"), ("handlers.py", "pickle.dumps")} <= calls


def test_hostile_names_are_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a\x1b[31m|`.py").write_text("import pickle\nclass A｜:\n    x = pickle.dumps(1)\n", "utf-8")
    for form in ((), ("--markdown",), ("--json",), ("-q",)):
        main(["map", str(tmp_path), *form])
        assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("form", ["text-80", "text-200", "colour-80", "markdown"])
def test_golden(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project(tmp_path))
    monkeypatch.setenv("COLUMNS", "200" if form.endswith("200") else "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if form.startswith("colour"):
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
    else:
        monkeypatch.delenv("FORCE_COLOR", raising=False)
    main(["map", "app", *(["--markdown"] if form == "markdown" else [])])
    compare(f"map-{form}", capsys.readouterr().out)


def compare(name: str, said: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("PICKLESEAL_UPDATE_GOLDEN"):
        path.write_text(said, "utf-8")
    assert said == path.read_text("utf-8")


def test_a_deeply_nested_notebook_is_unreadable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").write_text("import pickle\npickle.load(f)\n")
    (tmp_path / "deep.ipynb").write_text('{"pickle": ' + "[" * 200_000)
    code, said = run(capsys, str(tmp_path))
    assert code == 3
    assert not said["complete"]
    assert said["summary"]["places"] == 1
    (refused,) = [one for one in said["results"] if not one.get("ok", True)]
    assert refused["path"].endswith("deep.ipynb")


def test_odd_modules_are_searched_in_linear_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If each of these words searched all of the rest, this would take hours."""
    for number, word in enumerate(("torch", "save(", "load(", "load(a,", "saved(dtyp")):
        (tmp_path / f"m{number}.py").write_text(f"x = '{word * 300_000}'\n")
    assert main(["map", str(tmp_path)]) == 0
