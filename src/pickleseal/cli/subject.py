"""What one argument of a command line stands for, opened: a file, a URL, or standard input. And whether it is one
artifact or a stream, judged by what is there and not by its name.
"""

import io
import os
import stat
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO

from ..errors import NotAnArtifactError, ReadError, StreamWarning, TornTailError, TruncatedError, printable
from ..format.limits import Limits
from ..format.preamble import MAGIC, PREAMBLE_SIZE, Preamble, decode_preamble
from ..policy import Policy
from ..reader import check_body, check_codecs, read_header
from ..storage.source import FileSource
from ..storage.stream_reader import Frame, StreamReader
from ..storage.url import is_url, local_path, masked
from ..storage.walk import Lost, check_order
from .output import Output, exit_code_of
from .targets import STDIN, Target

__all__ = ["FORMS", "Subject", "opened", "quietly", "refuse_more", "with_way_out"]

FORMS = ("auto", "artifact", "stream")
_UNLIMITED = Limits()
_CHUNK = 1 << 20


class Subject:
    """Something to look at. `path` is how it is called, `local` where it is as a file, or None for a URL."""

    def __init__(self, path: str, local: str | None, url: str | None = None) -> None:
        self.path = path
        self.local = local
        self.url = url

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open it as a binary file that can seek.

        Raises:
            OSError, MissingExtraError, ValueError: it can't be opened.
        """
        if self.local is not None:
            with io.FileIO(self.local) as file:
                yield file
        else:
            from ..storage.remote import RangeFile

            with RangeFile(str(self.url), None) as far:
                yield far  # type: ignore[misc]

    def size(self) -> int | None:
        """Return its length in bytes, or None where a store does not tell."""
        if self.local is not None:
            return os.stat(self.local).st_size
        from ..storage.remote import RangeFile

        with RangeFile(str(self.url), None) as far:
            return far.left()

    def preamble(self) -> Preamble | None:
        """Return the first frame's preamble, or None where it is refused."""
        with self.open() as file:
            try:
                return decode_preamble(FileSource(file, whole=False).take(PREAMBLE_SIZE), _UNLIMITED)
            except ReadError:
                return None

    def is_stream(self) -> bool:
        """Tell whether it is a stream of several frames, or of one that is not whole (spec section 9)."""
        preamble, size = self.preamble(), self.size()
        if preamble is None or size is None or preamble.frame_len == size:
            return False
        if preamble.stream_id or preamble.frame_len > size:
            return bool(preamble.stream_id)
        with self.open() as file:
            file.seek(preamble.frame_len)
            return file.read(len(MAGIC)) == MAGIC

    def frames(self, policy: Policy, verify: bool, lost: list[Lost], start: int = 0) -> Iterator[Frame]:
        """Go through the frames of a stream from a record on; what is damaged in a file is added to `lost`.

        At a URL the first damage ends it. Warns of damage, unless within `quietly`.

        Raises:
            ReadError: what is no damage; at a URL, damage too.
        """
        if self.local is None:
            yield from self._far_frames(policy, verify, start)
            return
        with StreamReader(self.local, policy=policy, on_error="skip") as stream:
            if start:
                stream.seek(start)
            frames = stream.frames(verify)
            while True:
                frame = next(frames, None)
                lost += stream.lost[len(lost) :]
                if frame is None:
                    return
                yield frame

    def _far_frames(self, policy: Policy, verify: bool, start: int) -> Iterator[Frame]:
        offset = record = 0
        seqs: dict[int, int] = {}
        with self.open() as file:
            size = self.size()
            while size is None or offset < size:
                file.seek(offset)
                source = FileSource(file, whole=False)
                try:
                    header = read_header(source, policy)
                    check_order(seqs, header.preamble)
                    if verify:
                        check_codecs(header)
                        check_body(source, header)
                except ReadError as exc:
                    exc.offset, exc.record = offset, record
                    raise
                preamble, records = header.preamble, header.records or 1
                if record + records > start:
                    yield Frame(offset, header.frame_len, preamble.stream_id, preamble.seq, record, records, header)
                if preamble.stream_id:
                    seqs[preamble.stream_id] = preamble.seq
                offset, record = offset + header.frame_len, record + records


@contextmanager
def quietly() -> Iterator[None]:
    """Keep streams from warning of what is reported anyway. For a whole command: filters are not for one thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StreamWarning)
        yield


@contextmanager
def opened(target: Target) -> Iterator[Subject]:
    """Give what a target stands for. What comes through a pipe is copied to a temporary file, which is gone in the end.

    Raises:
        OSError: there is nothing, or it can't be read.
    """
    if target.error is not None:
        raise target.error
    if target.path == STDIN:
        with _copied(sys.stdin.buffer) as copy:
            yield Subject(STDIN, copy)
    elif is_url(target.path):
        local = local_path(target.path)
        yield Subject(masked(target.path) if local is None else local, local, target.path)
    elif stat.S_ISFIFO(os.stat(target.path).st_mode):  # `<(zcat old.gz)` of a shell
        with open(target.path, "rb") as pipe, _copied(pipe) as copy:
            yield Subject(target.path, copy)
    else:
        yield Subject(target.path, target.path)


@contextmanager
def _copied(pipe: IO[bytes]) -> Iterator[str]:
    """Copy all that comes to a temporary file, and give its path."""
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory(prefix="pickleseal-") as folder:
        copy = os.path.join(folder, "copy")
        with open(copy, "wb") as file:
            shutil.copyfileobj(pipe, file, _CHUNK)
        yield copy


def with_way_out(error: Exception, path: str) -> Exception:
    """Return a refusal with what to do about it on the command line, where that is known."""
    if isinstance(error, NotAnArtifactError) and error.hint is None and "pickle" in str(error.found):
        import shlex

        name = "OLD.pkl" if path == STDIN else shlex.quote(path)
        error.hint = f"pickleseal convert {name} NEW.pseal wraps it without running it"
    elif isinstance(error, TruncatedError) and error.found == 0:
        error.hint = "the file is empty: fetch or write it again"
    elif isinstance(error, TornTailError) and path != STDIN and not is_url(path):
        import shlex

        error.hint = f"what was appended last was never acknowledged: pickleseal repair {shlex.quote(path)} cuts it off"
    return error


def refuse_more(out: Output, path: str, errors: Iterable[Exception]) -> None:
    """Say what else is wrong with something that was refused already, a line each."""
    for error in errors:
        out.worsen(exit_code_of(error))
        if isinstance(error, ReadError):
            error.path = path
        else:
            out.is_complete = False
        said = str(with_way_out(error, path)) if isinstance(error, ReadError) else f"{path}: unreadable: {error}"
        out.text(out.style(printable(said, 1 << 16), "red"))
