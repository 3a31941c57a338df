"""What the paths on a command line stand for: files, folders, globs, URLs, and `-` for standard input."""

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..storage.url import import_fsspec, is_url, masked, os_error

__all__ = ["STDIN", "Target", "expand"]

STDIN = "-"
_ENDINGS = (".pseal",)


class Target(NamedTuple):
    """One thing to look at; or, with an error, a folder or pattern of which nothing can be said."""

    path: str
    error: OSError | None = None
    info: Mapping[str, Any] | None = None  # what a store's listing told of it

    @property
    def is_url(self) -> bool:
        """Tell whether it is a URL."""
        return is_url(self.path)


def expand(
    paths: Sequence[str], options: dict[str, Any] | None = None, endings: Sequence[str] = _ENDINGS
) -> Iterator[Target]:
    """Go through what paths stand for, each once, in a fixed order.

    A folder (or a URL that ends with `/`) stands for all files below it with one of the endings; symbolic links to
    folders are not followed there. A file that is named is taken whatever its ending. A pattern (`*`, `?`, `[`) that is
    no name of a file stands for what it matches; `**` goes down, and follows no links either.

    Args:
        options: for the stores of URLs, as `storage_options`.
    """
    seen: set[str] = set()
    for path in paths:
        for target in _expand_url(path, options, endings) if is_url(path) else _expand_path(path, endings):
            if target.path not in seen:
                seen.add(target.path)
                yield target


def _expand_path(path: str, endings: Sequence[str]) -> Iterator[Target]:
    if path == STDIN:
        yield Target(path)
    elif os.path.isdir(path):
        yield from _walk(path, endings)
    elif not os.path.lexists(path) and glob.has_magic(path):
        errors: list[OSError] = []
        found = sorted(set(_matches(path, errors)))
        yield from (Target(error.filename or path, error) for error in errors)
        if not found and not errors:
            yield Target(path, FileNotFoundError(2, "nothing matches", path))
        for match in found:
            # a file that is called - is a file: only the command line means standard input by it
            yield from _expand_path(os.path.join(".", match) if match == STDIN else match, endings)
    else:
        yield Target(path)


def _matches(pattern: str, errors: list[OSError]) -> Iterator[str]:
    """Give what a pattern matches. `glob` would follow links below `**`: two that lead up, and it never ends."""
    parts = pattern.replace(os.altsep or os.sep, os.sep).split(os.sep)
    if "**" not in parts:
        yield from glob.glob(pattern)
        return
    place = parts.index("**")
    base, rest = os.path.join(os.sep.join(parts[:place]), ""), parts[place + 1 :]
    if place and parts[:place] == [""]:
        base = os.sep
    for top in glob.glob(base) if base else [""]:
        for here, folders, _ in os.walk(top or os.curdir, onerror=errors.append):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            below = here if top else os.path.relpath(here)
            start = "" if below == os.curdir else glob.escape(os.path.join(below, ""))
            yield from _matches(start + os.sep.join(rest or ["*"]), errors)


def _walk(folder: str, endings: Sequence[str]) -> Iterator[Target]:
    errors: list[OSError] = []
    for here, folders, files in os.walk(folder, onerror=errors.append):
        yield from (Target(error.filename or here, error) for error in errors)
        errors.clear()
        folders.sort()
        for name in sorted(files):
            if name.endswith(tuple(endings)):
                yield Target(os.path.join(here, name))
    yield from (Target(error.filename or folder, error) for error in errors)


def _expand_url(url: str, options: dict[str, Any] | None, endings: Sequence[str]) -> Iterator[Target]:
    is_folder, is_pattern = url.endswith("/"), glob.has_magic(url) and not url.startswith("http")
    if not is_folder and not is_pattern:
        yield Target(url)
        return
    fsspec = import_fsspec()
    try:
        system, path = fsspec.core.url_to_fs(url, **(options or {}))
        listed = system.find(path, detail=True) if is_folder else system.glob(path, detail=True)
        names = [name for name in sorted(listed) if not is_folder or name.endswith(tuple(endings))]
        targets = [Target(system.unstrip_protocol(name), None, listed[name]) for name in names]
    except Exception as exc:  # stores raise what their libraries raise
        yield Target(masked(url), os_error(exc, url))
        return
    if not listed:
        yield Target(masked(url), FileNotFoundError(2, "nothing there", masked(url)))
    yield from targets
