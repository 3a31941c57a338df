"""`iter_load`: the records of a stream, from a path or as they come out of a pipe or a socket (spec section 9)."""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from ..errors import NotAnArtifactError, ReadError, TornTailError, TruncatedError
from ..format.preamble import decode_preamble
from ..payload.trust import Trusted, build_trust
from ..policy import Policy, check_is_policy
from ..reader import Trust, read_body, read_judged
from .remote import RangeFile
from .source import FileSource
from .stream_reader import StreamReader
from .url import check_options, is_url, local_path
from .walk import Lost, check_order

__all__ = ["iter_load"]

_CHUNK = 1 << 16


def iter_load(
    file: str | os.PathLike[str] | BinaryIO,
    *,
    expect: type[Any] | str | None = None,
    trust: Trust = (),
    policy: Policy | None = None,
    on_error: str | Callable[[Lost], object] = "raise",
    storage_options: Mapping[str, Any] | None = None,
) -> Iterator[Any]:
    """Iterate over the records of a stream: those of a file, or frames end to end from a URL, a pipe or a socket.

    Arguments and guarantees as for `StreamReader`, which has more: headers, seeking, following. Where a record is
    refused the iteration is over, save for what `on_error` has skipped, which takes a path.

    Args:
        file: a path, a URL, or a binary file object, which is read to its end.
        storage_options: as for `load`.

    Raises:
        ReadError: a record is refused, as by `load`; `offset` and `record` say where. `TornTailError` at the end, after
            all records before it, where the stream ends within a frame.
        OSError, MissingExtraError: as for `load`.

    >>> import io
    >>> list(iter_load(io.BytesIO(pack("first") + pack("second"))))
    ['first', 'second']
    """
    check_options(file, storage_options)
    if is_url(file):
        file = local_path(str(file)) or RangeFile(str(file), storage_options)  # type: ignore[assignment]
    if isinstance(file, str | os.PathLike):
        return StreamReader(file, expect=expect, trust=trust, policy=policy, on_error=on_error).all_records()
    if on_error != "raise":
        raise ValueError("on_error: what is damaged can be skipped in a local file with a path alone")
    records = _from_file(file, expect, build_trust(trust, expect), check_is_policy(policy))
    return _closing(file, records) if isinstance(file, RangeFile) else records


def _closing(file: RangeFile, records: Iterator[Any]) -> Iterator[Any]:
    with file:
        file.left()  # from here on it is read ahead
        yield from records


class _FrameSource(FileSource):
    """The next frame of a file object, and what it begins with."""

    start: bytes | None = None

    def take(self, count: int) -> bytes:
        data = super().take(count)
        if self.start is None:
            self.start = data
        return data


def _from_file(file: BinaryIO, expect: type[Any] | str | None, trusted: Trusted, policy: Policy) -> Iterator[Any]:
    offset = record = 0
    seqs: dict[int, int] = {}
    while True:
        source = _FrameSource(file, whole=False)
        try:
            try:
                header, judged = read_judged(source, expect, trusted, policy)
            except ReadError as exc:
                if source.start == b"":
                    return
                if exc.step > 5:  # it is in the preamble, so it comes first
                    check_order(seqs, decode_preamble(source.start or b"", policy.limits))
                raise
            check_order(seqs, header.preamble)
            obj = read_body(source, header, judged, expect, policy)
        except ReadError as exc:
            refusal: ReadError = exc
            if isinstance(exc, TruncatedError):
                refusal = _torn("the stream ends within a frame", offset, exc)
            elif isinstance(exc, NotAnArtifactError) and _is_zero(source.start or b"", file):
                refusal = _torn("the stream ends in zero bytes", offset, exc)
            name = getattr(file, "name", None)
            refusal.path = name if isinstance(name, str) else None
            refusal.offset, refusal.record = offset, record
            raise refusal from exc.__cause__
        yield from obj if header.records is not None else (obj,)
        if header.preamble.stream_id:
            seqs[header.preamble.stream_id] = header.preamble.seq
        offset += header.frame_len
        record += header.records or 1


def _torn(reason: str, offset: int, error: ReadError) -> TornTailError:
    torn = TornTailError(reason, error.expected, error.found, "what was sent last did not arrive as a whole")
    torn.good_end = offset
    return torn.at(error.step)


def _is_zero(start: bytes, file: BinaryIO) -> bool:
    """Tell whether nothing but zero bytes comes up to the end."""
    while start:
        if start.count(0) != len(start):
            return False
        start = file.read(_CHUNK)
    return True
