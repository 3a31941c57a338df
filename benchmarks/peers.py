"""The ways to keep an array in a file that `storage.py` compares, each as functions of a path."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pickleseal

Read = Callable[[Path], Any]


@dataclass
class Peer:
    """One way: how it writes and reads, with and without a memory map. None: it has no such function."""

    name: str
    dump: Callable[[Any, Path], Any]
    load: Read  # with all checks that this way has
    map: Read | None = None
    map_verified: Read | None = None
    header: Read | None = None


def peers() -> tuple[list[Peer], list[str]]:
    """Return the ways that are installed, bare pickle first, and the names of those that are not."""
    found = [_pickle(), _out_of_band(), _pickleseal(), _numpy()]
    missing = []
    for name, make in (
        ("joblib", _joblib),
        ("binpickle", _binpickle),
        ("safetensors", _safetensors),
        ("torch", _torch),
    ):
        try:
            found.append(make())
        except ImportError:
            missing.append(name)
    return found, missing


def _pickle() -> Peer:
    def dump(array: Any, path: Path) -> None:
        with open(path, "wb") as file:
            pickle.dump(array, file, 5)

    def load(path: Path) -> Any:
        with open(path, "rb") as file:
            return pickle.load(file)

    return Peer("pickle", dump, load)


def _out_of_band() -> Peer:
    """Pickle with protocol 5 and out-of-band buffers: the buffer is copied neither into the pickle nor out of it."""

    def dump(array: Any, path: Path) -> None:
        buffers: list[pickle.PickleBuffer] = []
        head = pickle.dumps(array, 5, buffer_callback=buffers.append)
        with open(path, "wb") as file:
            file.write(len(head).to_bytes(8, "little") + head)
            for buffer in buffers:
                raw = buffer.raw()
                file.write(len(raw).to_bytes(8, "little"))
                file.write(raw)

    def load(path: Path) -> Any:
        with open(path, "rb") as file:
            head = file.read(int.from_bytes(file.read(8), "little"))
            buffers = []
            while length := file.read(8):
                buffers.append(bytearray(int.from_bytes(length, "little")))
                file.readinto(buffers[-1])
        return pickle.loads(head, buffers=buffers)

    return Peer("pickle, out of band", dump, load)


def _pickleseal() -> Peer:
    return Peer(
        "pickleseal",
        lambda array, path: pickleseal.dump(array, path, durable=False),
        pickleseal.load,
        lambda path: pickleseal.Mapped(path, verify="header").object,
        lambda path: pickleseal.load(path, mmap="r"),
        pickleseal.peek,
    )


def _numpy() -> Peer:
    import numpy as np

    def dump(array: Any, path: Path) -> None:
        with open(path, "wb") as file:
            np.save(file, array)

    return Peer("numpy.save", dump, np.load, lambda path: np.load(path, mmap_mode="r"))


def _joblib() -> Peer:
    joblib = importlib.import_module("joblib")
    return Peer("joblib", joblib.dump, joblib.load, lambda path: joblib.load(path, mmap_mode="r"))


def _binpickle() -> Peer:
    binpickle = importlib.import_module("binpickle")

    def dump(array: Any, path: Path) -> None:
        with binpickle.BinPickler.mappable(path) as file:
            file.dump(array)

    def opened(path: Path, verify: bool, direct: bool) -> Any:
        file = binpickle.BinPickleFile(path, direct=direct)
        if verify and file.find_errors():
            raise ValueError("binpickle found errors")
        return file, file.load()

    def load(path: Path) -> Any:
        file, array = opened(path, verify=True, direct=False)
        file.close()
        return array

    def header(path: Path) -> Any:
        with closing(binpickle.BinPickleFile(path)) as file:
            return len(file.entries)

    return Peer(
        "binpickle",
        dump,
        load,
        lambda path: opened(path, verify=False, direct=True),
        lambda path: opened(path, verify=True, direct=True),
        header,
    )


def _safetensors() -> Peer:
    safetensors = importlib.import_module("safetensors")
    arrays = importlib.import_module("safetensors.numpy")

    def header(path: Path) -> Any:
        with safetensors.safe_open(path, framework="np") as file:
            return list(file.keys())

    return Peer(
        "safetensors",
        lambda array, path: arrays.save_file({"array": array}, path),
        lambda path: arrays.load_file(path)["array"],
        header=header,
    )


def _torch() -> Peer:
    torch = importlib.import_module("torch")
    return Peer(
        "torch.save",
        lambda array, path: torch.save(torch.from_numpy(array), path),
        lambda path: torch.load(path, weights_only=True),
        lambda path: torch.load(path, weights_only=True, mmap=True),
    )
