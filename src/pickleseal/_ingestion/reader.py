"""`Reader`, for the points where artifacts come in: it reads under one policy, keeps what it refuses, logs and reports.

`_reading` decides what is refused; this module says what happens then. It opens what the caller names.
"""

import os
import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, overload

from .._files import Input
from .._format.header import Header
from .._io.atomic import naming
from .._policy import Policy, Request, Trust, as_tuple, check_is_policy, request_of
from .._reading import Accepted, accept, dry_run, load_accepted
from .._schema.drift import Change
from .._typing import T
from .._version import __version__
from ..errors import ReadError, one_line, printable, shown
from .rereadable import RereadableSource

if TYPE_CHECKING:
    import logging

    from .._typing import A, B, C, D, E, TypeForm, Untyped

_DEBUG, _INFO, _WARNING, _ERROR = 10, 20, 30, 40  # as `logging` has them


if TYPE_CHECKING:

    class ReadResult(NamedTuple, Generic[T]):
        """What `Reader.read` returns: the header, and the object that it describes."""

        header: Header
        object: T

else:  # Python 3.10 has no generic NamedTuple

    class ReadResult(NamedTuple):
        """What `Reader.read` returns: the header, and the object that it describes."""

        header: Header
        object: Any


class Event(NamedTuple):
    """What a `Reader` did with one artifact: what `on_event` is called with.

    Attributes:
        outcome: `"accepted"` or `"rejected"`.
        code: why it was refused (spec section 15), or None.
        type, version: from the header, or None if the artifact is refused before its header is known (steps 1 to 13).
            Anybody can write an unsigned header: count by it only what is accepted.
        size: length of the frame in bytes, or None if that is damaged.
        seconds: how long it took, with the quarantine.
        quarantined: path of the kept bytes, or None.
        name: path or name of the file, or None.
        error: the refusal, with `is_retryable`, `step` and what disagrees, or None. It holds its traceback.
    """

    outcome: Literal["accepted", "rejected"]
    code: str | None
    type: str | None
    version: int | None
    size: int | None
    seconds: float
    quarantined: str | None
    name: str | None
    error: ReadError | None = None


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A folder where a `Reader` keeps the exact bytes of what it refuses, each with a reason in JSON beside it.

    An entry is `<UTC time>-<code>-<16 digits of the SHA-256>.pseal`, and the same with `.json`. If its `.json` is there
    the entry is complete, also after a crash. The same bytes, refused with the same code, are kept once. Only the owner
    can read the files. The folder is made if it is missing. Threads and processes may share it. When a bound is
    reached nothing more is kept, and an error is logged. Nothing is deleted to make room: remove entries yourself.
    Kept bytes are as dangerous as before: look at them with `peek` and `verify`.

    Args:
        folder: where.
        max_count: how many entries there may be.
        max_bytes: how many bytes the files may have. Of an input that can't seek, up to so many are held in memory.

    Raises:
        TypeError, ValueError: a bound is no integer, or negative; the folder is no path, or an empty one.

    Runs no code of an artifact. Spec section 15 lists the codes.
    """

    folder: str | os.PathLike[str]
    max_count: int = 1000
    max_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        folder = os.fsdecode(self.folder)
        if not folder:  # perhaps a missing setting; it would mean the current directory
            raise ValueError("folder: expected a path, found an empty one")
        object.__setattr__(self, "folder", os.path.abspath(folder))
        for name in ("max_count", "max_bytes"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name}: expected an int, found {value!r}")
            if value < 0:
                raise ValueError(f"{name}: expected no negative number, found {value}")


@dataclass(frozen=True, slots=True, eq=False)
class Reader(Generic[T]):
    """Read what comes in under one policy: refuse with a reason, keep what is refused, log and report.

    Immutable; threads may share one. It accepts what `unpack` with the same policy accepts. Each artifact makes one
    record of the logger `pickleseal.reader` (rejected: WARNING, accepted: DEBUG, with `code`, `step`, `type` and
    `path`) and one `Event`. An error that says nothing about the bytes makes neither: OSError, MissingExtraError,
    misuse. (A payload that fails because numpy is missing is `unpickle-failed`, as everywhere.)

    Args:
        policy: what is accepted; None: `Policy()`.
        expect, trust: as for `unpack`.
        quarantine: a `Quarantine`, or the path of its folder. None: refused bytes are not kept.
        on_event: called with an `Event` for each artifact. An exception that it raises is logged and changes nothing.

    Raises:
        TypeError, ValueError: the arguments are not what they should be.

    `read` and `accepts` say what can run. Spec section 11.

    >>> reader = Reader(Policy(types={"builtins:dict": "*"}))
    >>> reader.read(pack({"id": 7})).object
    {'id': 7}
    >>> reader.accepts(pack({"id": 7})).type
    'builtins:dict'
    """

    policy: Policy | None = None
    _: KW_ONLY
    expect: Any = None
    trust: Trust = ()
    quarantine: Quarantine | str | os.PathLike[str] | None = None
    on_event: Callable[[Event], None] | None = None
    _request: Request = field(init=False, repr=False)

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: "Reader[Any]",
            policy: Policy | None = None,
            *,
            expect: None = None,
            trust: Trust = (),
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Reader[A]",
            policy: Policy | None = None,
            *,
            expect: type[A],
            trust: Trust = (),
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Reader[A | B]",
            policy: Policy | None = None,
            *,
            expect: tuple[type[A], type[B]],
            trust: Trust = (),
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Reader[A | B | C]",
            policy: Policy | None = None,
            *,
            expect: tuple[type[A], type[B], type[C]],
            trust: Trust = (),
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Reader[A | B | C | D]",
            policy: Policy | None = None,
            *,
            expect: tuple[type[A], type[B], type[C], type[D]],
            trust: Trust = (),
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Reader[Any]",
            policy: Policy | None = None,
            *,
            expect: Untyped,
            trust: Trust = (),
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Reader[E]",
            policy: Policy | None = None,
            *,
            expect: TypeForm[E],
            trust: Trust = (),
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

        def __init__(
            self,
            policy: Policy | None = None,
            *,
            expect: Any = None,
            trust: Trust = (),
            quarantine: Quarantine | str | os.PathLike[str] | None = None,
            on_event: Callable[[Event], None] | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", check_is_policy(self.policy))
        object.__setattr__(self, "trust", as_tuple(self.trust))
        object.__setattr__(self, "_request", request_of(self.expect, self.trust, self.policy))
        if isinstance(self.quarantine, str | os.PathLike):
            object.__setattr__(self, "quarantine", Quarantine(self.quarantine))
        elif self.quarantine is not None and not isinstance(self.quarantine, Quarantine):
            raise TypeError(f"quarantine: expected a Quarantine or a folder, found {self.quarantine!r}")
        if self.on_event is not None and not callable(self.on_event):
            raise TypeError(f"on_event: expected a function of an Event, found {self.on_event!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        given: dict[str, Any] = {
            "expect": self.expect,
            "trust": self.trust,
            "quarantine": self.quarantine,
            "on_event": self.on_event,
        }
        return partial(Reader, self.policy, **given), ()  # names no function of this module, which may move

    def read(self, data: Input, *, context: str | None = None) -> ReadResult[T]:
        """Read one artifact: return the header and the object after all checks (steps 1 to 20).

        Runs the code of the classes that are trusted, as `unpack` does.

        Args:
            data: bytes, a path, a URL (whose credentials are in the environment), or a binary file, of which one frame
                is read.
            context: the context in which the artifact was signed, one for each call. The policy must have keys.

        Raises:
            ReadError: it is refused; `quarantined` is where its bytes were kept, if they were.
            OSError, TypeError, MissingExtraError, ValueError: as for `load` and `unpack`.
        """
        return self._take(data, load_accepted, context)

    def accepts(self, data: Input, *, context: str | None = None) -> Header:
        """Check all that can be checked without unpickling, and return the header.

        Spec section 11, steps 1 to 19, and of step 20 what the policy's level checks before a payload runs (a dry run
        on inert objects). Imports what is trusted, as step 15 does: at the levels `signed` and `unchecked` that is
        every module that the header names. Runs no other code of the artifact.

        Args, Raises: as for `read`.
        """
        return self._take(data, dry_run, context).header

    check = accepts  # its former name

    def _take(self, data: Input, finish: Callable[[Accepted], Any], context: str | None) -> ReadResult[T]:
        request = self._request
        if context is not None:
            request = request_of(self.expect, self.trust, self.policy, context=context)
        start, folder = time.perf_counter(), self.quarantine
        most = folder.max_bytes if isinstance(folder, Quarantine) else None
        with (
            naming(os.fsdecode(data) if isinstance(data, str | os.PathLike) else None),
            RereadableSource(data, most) as source,
        ):
            refusal: ReadError | None = None
            try:
                accepted = accept(source, request)
                obj = finish(accepted)
            except ReadError as exc:
                refusal = exc
            if refusal is not None:  # outside of `except`, so that a logged traceback shows nothing of the payload's
                try:
                    self._report_refusal(refusal, source, start, request.policy)
                    raise refusal
                finally:
                    del refusal  # its traceback refers to this frame
        header = accepted.header
        kind, size = header.type, header.frame_len
        if _logger().isEnabledFor(_DEBUG):
            extra = _extra(None, None, kind, source.name)
            _log(_DEBUG, "accepted: %s, %d bytes", extra["type"], size, extra=extra)
        if self.on_event is not None:
            seconds = time.perf_counter() - start
            self._report(Event("accepted", None, kind, header.version, size, seconds, None, source.name))
        return ReadResult(header, obj)

    def _report_refusal(self, exc: ReadError, source: RereadableSource, start: float, policy: Policy) -> None:
        """Keep the bytes, log and report, in this order. The caller raises the refusal, whatever happens here."""
        exc.path = source.name
        header = source.header(exc.step, policy)
        kind, version = (None, None) if header is None else (header.type, header.version)
        extra = _extra(exc.code, exc.step, kind, source.name)
        if isinstance(self.quarantine, Quarantine):
            self._keep(exc, source, self.quarantine, kind, version, extra)
        _log(_WARNING, "rejected: %s", one_line(exc), extra=extra)
        seconds, size = time.perf_counter() - start, source.frame_len()
        self._report(Event("rejected", exc.code, kind, version, size, seconds, exc.quarantined, source.name, exc))

    def _keep(
        self,
        exc: ReadError,
        source: RereadableSource,
        quarantine: Quarantine,
        kind: str | None,
        version: int | None,
        extra: dict[str, Any],
    ) -> None:
        from .quarantine import QuarantineFolder  # brings hashlib and json: only where something is kept

        folder = QuarantineFolder(os.fsdecode(quarantine.folder), quarantine.max_count, quarantine.max_bytes)
        reason = reason_of(exc, source.name, kind, version)
        try:
            kept = folder.keep(source, exc.code, reason)
        except Exception as failure:  # of any kind: the refusal is more important
            text = f"the quarantine did not keep it: {printable(str(failure))}"
            _log(_ERROR, "%s", text, extra=extra)
            add_note = getattr(exc, "add_note", None)  # Python 3.11
            if add_note is not None:
                add_note(text)
            return
        if kept is None:
            bounds = f"max_count={quarantine.max_count}, max_bytes={quarantine.max_bytes}"
            _log(_ERROR, "no room in the quarantine (%s): not kept", bounds, extra=extra)
            return
        exc.quarantined = kept.path
        if not kept.is_new:
            _log(_INFO, "the quarantine already has it: %s", printable(kept.path, 4096), extra=extra)

    def _report(self, event: Event) -> None:
        if self.on_event is not None:
            try:
                self.on_event(event)
            except Exception as failure:
                _log(_ERROR, "on_event raised", exc_info=failure)


def _logger() -> "logging.Logger":
    import logging  # not needed to import the library

    return logging.getLogger("pickleseal.reader")


def _log(level: int, message: str, *args: object, **details: Any) -> None:
    """Log. An exception of a filter or handler is printed to stderr, as `logging` itself does, and goes no further."""
    try:
        _logger().log(level, message, *args, **details)
    except Exception:
        import traceback

        traceback.print_exc()


def _extra(code: str | None, step: int | None, kind: str | None, name: str | None) -> dict[str, Any]:
    """Return the attributes of a log record, escaped, because some formatters print them unchanged."""
    return {
        "code": code,
        "step": step,
        "type": None if kind is None else printable(kind),
        "path": None if name is None else printable(name, 4096),
    }


def reason_of(exc: ReadError, source: str | None, kind: str | None, version: int | None) -> dict[str, Any]:
    """Return what a quarantine keeps about a refusal, as JSON values."""
    return {
        "code": exc.code,
        "expected": _plain(exc.expected),
        "found": _plain(exc.found),
        "hint": exc.hint,
        "packages": [package._asdict() for package in exc.packages],
        "pickleseal": __version__,
        "reason": exc.reason,
        "source": source,
        "step": exc.step,
        "type": kind,
        "version": version,
        "where": exc.where,
    }


def _plain(value: object) -> Any:
    """Return a value of an error as a JSON value: numbers and strings unchanged, sequences as lists, others as text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Change):
        return str(value)
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else shown(value, 1000)
