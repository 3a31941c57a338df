"""Every error that pickleseal raises, in one tree. The lowest layer: it imports nothing of the library.

Reading raises subclasses of `ReadError`, which is also a `pickle.UnpicklingError`: a host that treats a bad pickle as a
cache miss treats ours in the same way. Packing raises subclasses of `PackError`, also a `pickle.PicklingError`.
Misuse of the API is a `TypeError` or `ValueError`; an `OSError` from files passes through.

Each class has a stable `code` (spec section 15) and, for reading, the `step` of the reader algorithm (spec section 11).
All errors survive `pickle.dumps` / `pickle.loads`: constructor arguments go to `Exception` positionally.
"""

import itertools
import sys
from collections.abc import Sequence
from pickle import PicklingError, UnpicklingError
from typing import Any, ClassVar, NamedTuple, TypeVar

__all__ = [
    "ClassMissingError",
    "CodecDataError",
    "CorruptError",
    "ForbiddenOperationError",
    "ForeignError",
    "HeaderChecksumError",
    "HeaderEncodingError",
    "HeaderSchemaError",
    "InvalidObjectError",
    "IsolationError",
    "LayoutError",
    "LimitExceededError",
    "MigrationError",
    "MissingExtraError",
    "NotAnArtifactError",
    "PackError",
    "PackWarning",
    "PackageDifference",
    "PackageVersionError",
    "PackageWarning",
    "PayloadError",
    "PickleEnvelopeError",
    "PicklesealError",
    "PolicyError",
    "PreambleChecksumError",
    "PreambleFieldError",
    "ReadError",
    "RefusedError",
    "RegistryError",
    "SchemaDriftError",
    "SchemaVersionError",
    "SchemaWarning",
    "SealError",
    "SectionChecksumError",
    "SectionPaddingError",
    "SignatureError",
    "StreamOrderError",
    "StreamWarning",
    "TornTailError",
    "TrailingBytesError",
    "TruncatedError",
    "TypeMismatchError",
    "UndeclaredGlobalError",
    "UnpickleError",
    "UnsupportedCodecError",
    "UnsupportedCriticalError",
    "UnsupportedError",
    "UnsupportedFlagsError",
    "UnsupportedVersionError",
    "UntrustedGlobalError",
]

_SHOWN = 300  # characters of a value
MOST_WARNINGS = 5  # of a kind, for one object
_MOST_NOTES = 5  # distributions that the text of an error names
_LONGEST_PATH = 4096
E = TypeVar("E", bound="ReadError")


def printable(value: object, limit: int = _SHOWN) -> str:
    """Render a value of unknown origin on one line: control, bidi and surrogate characters escaped, length bounded."""
    text = value if isinstance(value, str) else repr(value)
    cut = text[:limit]
    if not cut.isprintable():
        cut = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
    return cut if len(text) <= limit else f"{cut}... ({len(text)} characters)"


def shown(value: object, limit: int = 200) -> str:
    """Return the printable `repr` of a value, or its class if that fails. Errors hold texts: these can be pickled."""
    try:
        return printable(repr(value), limit)
    except Exception:
        return type(value).__name__


def text_of(exc: BaseException) -> str:
    """Return `str(exc)`, or its class if that fails: the `__str__` of an exception may raise."""
    try:
        return str(exc)
    except Exception:
        return f"<{type(exc).__name__} without a text>"


def frames_up() -> int:
    """Return the stacklevel of the first caller outside this library."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "pickleseal":
        level, frame = level + 1, frame.f_back
    return level


def warn_of(texts: Sequence[str], category: type[Warning], start: str = "") -> None:
    """Give one warning for all texts of a kind: the first ones, and how many there are more."""
    if not texts:
        return
    import warnings

    more = f"; and {len(texts) - MOST_WARNINGS:,} more" if len(texts) > MOST_WARNINGS else ""
    warnings.warn(f"{start}{'; also '.join(texts[:MOST_WARNINGS])}{more}", category, stacklevel=frames_up())


def warn_of_each(texts: Sequence[str], category: type[Warning], start: str = "") -> None:
    """Give a warning for each of the first texts of a kind, which can be filtered by itself, and one for the others."""
    for text in texts[:MOST_WARNINGS]:
        warn_of([text], category, start)
    if len(texts) > MOST_WARNINGS:
        warn_of([f"and {len(texts) - MOST_WARNINGS:,} more such warnings"], category, start)


class Hint(str):
    """Help that reads in another way on the command line: `Policy(max_age=...)` for callers, `max_age` in a file there.

    Attributes:
        commands: the same help in words of the command line, best first. A command shows the first one whose options it
            has. FILE stands for the file that was read.
    """

    commands: tuple[str, ...]

    def __new__(cls, text: str, *commands: str) -> "Hint":
        """Make a hint of the text for callers, and of those for the command line."""
        hint = super().__new__(cls, text)
        hint.commands = commands
        return hint

    def __reduce__(self) -> tuple[type["Hint"], tuple[str, ...]]:
        return Hint, (str(self), *self.commands)


def join_hints(separator: str, hints: Sequence[str]) -> str:
    """Return one hint for several, for callers and for the command line."""
    text = separator.join(hints)
    if not any(isinstance(hint, Hint) for hint in hints):
        return text
    ways = itertools.product(*(hint.commands if isinstance(hint, Hint) else (hint,) for hint in hints))
    return Hint(text, *map(separator.join, ways))


class PackWarning(UserWarning):
    """The object was packed, but something in it will not load everywhere, or below the level `signed`."""


class SchemaWarning(UserWarning):
    """A class changed since the artifact was written, in a way that is harmless by itself: the artifact was loaded.

    Attributes:
        change: what changed, a `Change`, or None.
    """

    change: Any = None


class StreamWarning(UserWarning):
    """A part of a stream was skipped, as `on_error` asks for. The text has the extent and the reason."""


class PackageWarning(UserWarning):
    """A distribution that the payload needs had another version when it was written, and the artifact was loaded.

    `Policy(packages=...)` also warns with it of a name that is nearly that of an installed distribution.
    """


class PackageDifference(NamedTuple):
    """A distribution that the header records, and that is installed in another version, or not at all.

    Attributes:
        name: the distribution, as the header has it.
        written: its version when the artifact was written.
        installed: the version that is installed, or None.
        instead: the installed distribution that has this version: another one if that brings the same module, else the
            same.
    """

    name: str
    written: str
    installed: str | None
    instead: str

    def __str__(self) -> str:
        """Return `written with polars 0.20.31; 2.1.0 is installed`."""
        then = f"written with {printable(self.name, 120)} {printable(self.written, 120)}"
        if self.installed is None:
            return f"{then}; it is not installed"
        now = self.installed if self.instead == self.name else f"{self.instead} {self.installed}"
        return f"{then}; {printable(now, 250)} is installed"


def package_notes(packages: Sequence[PackageDifference]) -> list[str]:
    """Return lines about distributions that are installed in another version. Of many, the first are named."""
    lines = [str(package) for package in packages[:_MOST_NOTES]]
    if len(packages) > _MOST_NOTES:
        lines.append(f"{len(packages) - _MOST_NOTES} more distributions have another version")
    return lines


class PicklesealError(Exception):
    """Base of all errors of this library.

    Attributes:
        code: stable name of the error class, the same in exceptions, logs, vectors and docs.
        reason: what is wrong, in one clause.
        expected, found: the two values that disagree, or None.
        hint: what to do about it, or None.
        where: location inside the header, the payload or the object (`sections[1].len`, `$.workers[3].conn`), or None.
        path: the file that was read, or None.
        offset, end, record: in a stream, the extent that was refused, in bytes from the stream's start, and the number
            of its first record; else None.
    """

    code: ClassVar[str] = "error"
    default_hint: ClassVar[str | None] = None
    _unit: ClassVar[str] = ""  # of `expected` and `found`
    offset: int | None = None
    end: int | None = None
    record: int | None = None

    def __init__(
        self,
        reason: str,
        expected: object = None,
        found: object = None,
        hint: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(reason, expected, found, hint, where)
        self.reason = reason
        self.expected = expected
        self.found = found
        self.hint: str | None = hint if hint is not None else self.default_hint
        self.where = where
        self.path: str | None = None

    def __str__(self) -> str:
        """Return `path: code: reason (where), expected ..., found ...`, foreign text escaped.

        Lines `note: ...` and a line `help: ...` may follow.
        """
        line = f"{self.code}: {printable(self.reason, 4 * _SHOWN)}"
        if self.path is not None:
            line = f"{printable(self.path, _LONGEST_PATH)}: {line}"
        places = [] if self.where is None else [printable(self.where)]
        if self.offset is not None:
            places.append(f"byte {self.offset}" if self.record is None else f"byte {self.offset}, record {self.record}")
        if places:
            line += f" ({', '.join(places)})"
        if self.expected is not None:
            line += f", expected {printable(self.expected)}{self._unit}"
        if self.found is not None and not isinstance(self.found, tuple):  # names and changes stand in reason or hint
            line += f", found {printable(self.found)}"
        for note in self._notes():
            line += f"\nnote: {note}"
        return line if self.hint is None else f"{line}\nhelp: {printable(self.hint, 8 * _SHOWN)}"

    def _notes(self) -> list[str]:
        """Return what the text of the error has between what is wrong and the help."""
        return []


def one_line(error: BaseException) -> str:
    """Return the text of an error on one line, for logs and tables."""
    return text_of(error).replace("\nnote: ", "; note: ").replace("\nhelp: ", "; help: ")


# --- writing ----------------------------------------------------------------------------------------------------------


class PackError(PicklesealError, PicklingError):
    """The object cannot be packed. `where` is the path inside the object, `hint` says what to store instead."""

    code = "pack-failed"


class RegistryError(PicklesealError, ValueError):
    """A registration contradicts itself or an earlier one. `where` is the name."""

    code = "registry"


class MissingExtraError(PicklesealError, ImportError):
    """An optional dependency is needed and not installed. `hint` names the extra."""

    code = "missing-extra"


# --- reading, in the order of the reader algorithm (spec section 11) --------------------------------------------------


class ReadError(PicklesealError, UnpicklingError):
    """Base of all refusals. Every error of reading belongs to one family, a subclass; the family follows the code.

    Attributes:
        is_retryable: whether newer code or a mended setting would accept the same bytes. A queue keeps such a message.
        step: the step of the reader algorithm that refused, 1 to 20.
        quarantined: the path where a `Reader` kept the refused bytes, or None.
        packages: the distributions that were recorded in another version than is installed, for refusals from step 15
            on. They are in the text of the error.
    """

    code = "read-error"
    is_retryable: ClassVar[bool] = False
    step: int = 0
    quarantined: str | None = None
    packages: tuple[PackageDifference, ...] = ()

    def at(self: E, step: int) -> E:
        """Set the step, for classes that belong to several."""
        self.step = step
        return self

    def _notes(self) -> list[str]:
        return package_notes(self.packages)


class CorruptError(ReadError):
    """The bytes break the format: they are damaged or cut off, or their writer has an error."""


class ForeignError(ReadError):
    """The input is something else than an artifact."""


class UnsupportedError(ReadError):
    """The artifact needs a version, a feature, an extension or a codec that this reader lacks."""

    is_retryable = True


class RefusedError(ReadError):
    """The artifact is whole, and a rule refuses it: policy, trust, keys, limits, changed classes, opcodes."""

    is_retryable = True


class PayloadError(ReadError):
    """The payload, or code that runs while it loads, did what it may not do, or failed."""


class NotAnArtifactError(ForeignError):
    """The input does not begin with the magic. `found` says what it looks like, if that is known."""

    code = "not-an-artifact"
    step = 1


class TruncatedError(CorruptError):
    """The input ends before the frame does. `expected` and `found` are bytes, counted from the frame's start."""

    code = "truncated"
    step = 7
    _unit = " bytes"
    default_hint: ClassVar[str | None] = "the write or the transfer did not finish; fetch it or write it again"

    @property
    def missing(self) -> int:
        """How many bytes more the next step needs at least."""
        if isinstance(self.expected, int) and isinstance(self.found, int):
            return self.expected - self.found
        return 1


class TornTailError(TruncatedError):
    """A stream ends within a frame, or in zero bytes: the last append did not finish (spec section 9.1).

    `good_end` is the offset where the last whole frame ends. Everything before it is whole.
    """

    code = "torn-tail"
    step = 7
    default_hint: ClassVar[str | None] = Hint(
        "the last append did not finish; pickleseal.maintenance.repair(path) cuts off what it left",
        "the last append did not finish; `pickleseal repair FILE` cuts off what it left",
    )
    good_end: int = 0


class PreambleChecksumError(CorruptError):
    """The 64 bytes of the preamble are damaged."""

    code = "preamble-checksum"
    step = 2
    default_hint: ClassVar[str | None] = "the bytes changed after they were written; restore them from another copy"


class UnsupportedVersionError(UnsupportedError):
    """A format version that this reader does not know."""

    code = "unsupported-version"
    step = 3
    default_hint: ClassVar[str | None] = "upgrade pickleseal"


class UnsupportedFlagsError(UnsupportedError):
    """An incompatible feature that this reader does not know."""

    code = "unsupported-flags"
    step = 4
    default_hint: ClassVar[str | None] = "upgrade pickleseal"


class PreambleFieldError(CorruptError):
    """A length or sequence number in the preamble breaks its rule, and the checksum is correct: the writer is wrong."""

    code = "preamble-field"
    step = 5


class StreamOrderError(CorruptError):
    """A frame of a stream is missing or in another place: its seq does not follow that of the frame before."""

    code = "stream-order"
    step = 5


class LimitExceededError(RefusedError):
    """Larger than the caller's limits allow."""

    code = "limit-exceeded"
    step = 6
    default_hint: ClassVar[str | None] = Hint(
        "raise the limit in Policy(limits=Limits(...)) if this size is expected",
        "raise the limit under [limits] in a --policy file if this size is expected",
    )


class HeaderChecksumError(CorruptError):
    """The header is damaged."""

    code = "header-checksum"
    step = 8
    default_hint: ClassVar[str | None] = "the bytes changed after they were written; restore them from another copy"


class SealError(CorruptError):
    """The seal is damaged or malformed."""

    code = "seal-invalid"
    step = 9


class SignatureError(RefusedError):
    """No signature verifies with the caller's keys, or one that the caller requires is missing. `hint` has the ids."""

    code = "signature-invalid"
    is_retryable = False
    step = 9


class HeaderEncodingError(CorruptError):
    """The header is not canonical JSON, and the checksum is correct: the writer is wrong."""

    code = "header-encoding"
    step = 10


class HeaderSchemaError(CorruptError):
    """A header member is missing, unknown, mistyped or out of range. `where` names it."""

    code = "header-schema"
    step = 11


class LayoutError(CorruptError):
    """The sections do not add up to the frame."""

    code = "layout"
    step = 12


class UnsupportedCriticalError(UnsupportedError):
    """`crit` names an extension that this reader does not understand."""

    code = "unsupported-critical"
    step = 13


class UnsupportedCodecError(UnsupportedError):
    """A section is compressed with a codec that this reader does not know, or that is not installed."""

    code = "unsupported-codec"
    step = 14


class PolicyError(RefusedError):
    """The caller's policy refuses the artifact."""

    code = "policy"
    step = 15


class TypeMismatchError(RefusedError):
    """Not the type that the caller expects."""

    code = "type-mismatch"
    is_retryable = False
    step = 15


class UntrustedGlobalError(RefusedError):
    """The payload imports names that the caller does not trust.

    At step 15 the header alone shows it, and nothing was imported or run. At step 20 a running payload has used a
    guarded function (`getattr`, `type`, ...) for more than is permitted.
    """

    code = "untrusted-global"
    step = 15

    @property
    def missing(self) -> tuple[str, ...]:
        """All names that are not trusted, as `module:qualname`, ready for `trust=[...]`."""
        return tuple(self.found) if isinstance(self.found, tuple) else ()


class PackageVersionError(RefusedError):
    """A distribution was recorded in a version that the policy refuses, or not at all where the policy asks for it."""

    code = "package-version"
    step = 15


class ClassMissingError(RefusedError):
    """A trusted class or function can't be imported: its module is missing, or no longer has it."""

    code = "class-missing"
    step = 15


class SchemaVersionError(RefusedError):
    """The recorded version of a class is newer than the class, or older and no chain of migrations leads to it."""

    code = "schema-version"
    step = 15


class SchemaDriftError(RefusedError):
    """Classes changed since the artifact was written, and the changes can't be resolved. Nothing was unpickled.

    Attributes:
        changes: every change of every class, as `Change` tuples, the refused ones first.
    """

    code = "schema-drift"
    step = 15

    @property
    def changes(self) -> tuple[Any, ...]:
        """All changes, also those that can be resolved."""
        return tuple(self.found) if isinstance(self.found, tuple) else ()


class SectionChecksumError(CorruptError):
    """A section is damaged. `where` names it."""

    code = "section-checksum"
    step = 16
    default_hint: ClassVar[str | None] = "the bytes changed after they were written; restore them from another copy"


class SectionPaddingError(CorruptError):
    """A padding byte after a section is not zero."""

    code = "section-padding"
    step = 16


class TrailingBytesError(CorruptError):
    """Bytes follow the frame where one artifact was expected."""

    code = "trailing-bytes"
    step = 17


class CodecDataError(CorruptError):
    """A compressed section does not decode to what the header says."""

    code = "codec-data"
    step = 18


class PickleEnvelopeError(RefusedError):
    """The pickle's opcodes break a rule of spec section 8. No opcode was run."""

    code = "pickle-envelope"
    is_retryable = False
    step = 19


class UndeclaredGlobalError(PayloadError):
    """The payload asks for a name that is not in the header's `globals`. It was not imported."""

    code = "undeclared-global"
    step = 20


class ForbiddenOperationError(PayloadError):
    """The payload does what its level refuses: for instance it changes a class, calls an object, or makes an object of
    a class in another way than usual.

    Only CPython's unpickler ran, on inert objects, or a function that the caller trusts.
    """

    code = "forbidden-operation"
    step = 20
    default_hint: ClassVar[str | None] = (
        "its class may have changed, or reduces its objects in a way that readers refuse; "
        'if you trust the writer, let the writer sign it, and read it at level "signed"'
    )


class IsolationError(PayloadError):
    """The dry run in a child process failed: it took too much time or memory, crashed, or could not start."""

    code = "isolation-failed"
    step = 20


class MigrationError(PayloadError):
    """A migration raised (see `__cause__`), or its result does not fit the class. `where` names the class."""

    code = "migration-failed"
    is_retryable = True
    step = 20


class InvalidObjectError(PayloadError):
    """A loaded object does not pass the `validate` of its class. If that raised, it is the `__cause__`.

    `found` is the object's `repr`, cut at 120 characters.
    """

    code = "invalid-object"
    step = 20


class UnpickleError(PayloadError):
    """The payload passed every check, ran, and raised. The original exception is the `__cause__`."""

    code = "unpickle-failed"
    step = 20
