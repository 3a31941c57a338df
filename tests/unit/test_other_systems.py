"""Values of another kind of system, or of one with other data: paths and time zones."""

import os
import pathlib
import pickle
import zoneinfo
from typing import Any

import pytest

import pickleseal
from pickleseal import PackOptions, Policy, errors

OTHER, OWN = ("PosixPath", "WindowsPath") if os.name == "nt" else ("WindowsPath", "PosixPath")


class Foreign:
    """Is pickled as a path that was packed on the other kind of system, by some release of Python."""

    def __init__(self, module: str = "pathlib") -> None:
        self.module = module

    def __reduce__(self) -> Any:
        return getattr(pathlib, OTHER), ("data", "a.csv")


def stored(module: str = "pathlib") -> bytes:
    with pytest.warns(errors.PackWarning, match="loads on this kind of platform only"):
        data = pickleseal.pack({"data": Foreign(), "again": [Foreign()]}, options=PackOptions(build={}))
    if module != "pathlib":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(getattr(pathlib, OTHER), "__module__", module)
            patch.setitem(__import__("sys").modules, module, pathlib)
            with pytest.warns(errors.PackWarning, match="loads on this kind of platform only"):
                data = pickleseal.pack({"data": Foreign(), "again": [Foreign()]}, options=PackOptions(build={}))
    return data


@pytest.mark.parametrize("module", ["pathlib", "pathlib._local"])
@pytest.mark.parametrize("level", ["guarded", "strict", "unchecked"])
def test_the_help_for_a_path_of_another_system_reads_it(module: str, level: Any) -> None:
    data = stored(module)
    with pytest.raises(errors.UnpickleError) as caught:
        pickleseal.unpack(data, level=level)
    hint = caught.value.hint
    assert isinstance(hint, errors.Hint)
    renames = {f"pathlib:{OTHER}": f"pathlib:Pure{OTHER}"}
    assert f"Policy(renames={renames})".replace("'", '"') in hint
    assert f'"pathlib:{OTHER}" = "pathlib:Pure{OTHER}" under [renames]' in hint.commands[0]
    path = getattr(pathlib, f"Pure{OTHER}")("data", "a.csv")
    again = pickleseal.unpack(data, policy=Policy(renames=renames, level=level))
    assert again == {"data": path, "again": [path]}


def test_packing_a_path_says_what_readers_elsewhere_need() -> None:
    rule = f'Policy(renames={{"pathlib:{OWN}": "pathlib:Pure{OWN}"}})'
    with pytest.warns(errors.PackWarning) as caught:
        pickleseal.pack(pathlib.Path("a"))
    assert rule in str(caught[0].message)


def test_other_errors_keep_their_own_help() -> None:
    data = pickleseal.pack(pickle.PickleError("a"))
    assert isinstance(pickleseal.unpack(data, trust=[pickle.PickleError]), pickle.PickleError)
    with pytest.raises(errors.UnpickleError) as caught:
        pickleseal.unpack(pickleseal.pack(Raises()), trust=[Raises])
    assert "renames" not in str(caught.value.hint)


class Raises:
    def __setstate__(self, state: Any) -> None:
        raise NotImplementedError("not on this system")

    def __init__(self) -> None:
        self.state = 1


class UnknownZone:
    """Is pickled as a time zone that only the writer's database has."""

    def __reduce__(self) -> Any:
        return zoneinfo.ZoneInfo._unpickle, ("Mars/Olympus_Mons", True)  # type: ignore[attr-defined]


def test_the_help_for_an_unknown_time_zone_names_the_database() -> None:
    with pytest.raises(errors.UnpickleError, match="ZoneInfoNotFoundError") as caught:
        pickleseal.unpack(pickleseal.pack({"zone": UnknownZone()}))
    assert "pip install --upgrade tzdata" in str(caught.value.hint)
