"""Limits of the format (spec section 14), and the value by which a caller tightens them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .units import bytes_of, seconds_of

ALIGNMENT = 64  # spec 4: NumPy's and Arrow's alignment, one cache line
MAX_INTEGER = 2**53 - 1  # spec 5: exact in every JSON library
MAX_FRAME = MAX_INTEGER // ALIGNMENT * ALIGNMENT  # spec 4.1
MAX_HEADER = 1_048_576  # spec 4.1: some 20,000 sections; safetensors takes 100 MB
MAX_SEAL = 65_536  # spec 4.1
MAX_SECTIONS = 65_535  # spec 6
MAX_DEPTH = 16  # spec 5: no field of ours needs more than 5, the rest is for `ext`
MAX_NAME = 1023  # spec 6, in bytes of UTF-8
MAX_RECORDS = 2**32 - 1  # spec 6
MAX_SIGNATURES = 64  # spec 10
MAX_ZSTD_WINDOW = 8_388_608  # spec 7.2: the bound that RFC 8878 recommends
DEFAULT_MAX_DECODED = 2**30  # spec 14: a reader allocates by it, so it is not the format's limit
DEFAULT_MAX_DEPTH = 2000  # spec 14: CPython's pickler gives up at some 1,000 levels unless it is told otherwise
DEFAULT_MAX_MEMORY = 2**30  # spec 14
DEFAULT_MAX_SECONDS = 10  # spec 14
_COUNTS = ("max_sections", "max_depth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large an artifact may be before it is refused with `LimitExceededError` (spec section 14).

    In bytes, save `max_sections`, `max_depth` and `max_seconds`. A size may be a text, `"10MB"` (of 1000) or `"64KiB"`
    (of 1024), and `max_seconds` too: `"15m"`. `max_decoded` is for all compressed sections together,
    once they are decoded; `max_section` for any single one, as it is stored and as it is decoded. These bound what is
    read. The last three bound a payload before it runs, as far as its trust level looks: `max_depth` how deep tuples in
    keys, and containers in C, may be nested; `max_memory` what empty sets may take, and with `isolated=True` what the
    dry run may take; `max_seconds` the processor time of that. Nothing bounds what the code of trusted classes does.

    >>> Limits(max_frame="10MB").max_frame
    10000000

    Raises:
        ValueError: a limit is negative or above what the format allows.
    """

    max_frame: int = MAX_FRAME
    max_header: int = MAX_HEADER
    max_sections: int = MAX_SECTIONS
    max_decoded: int = DEFAULT_MAX_DECODED
    max_section: int = MAX_INTEGER
    max_depth: int = DEFAULT_MAX_DEPTH
    max_memory: int = DEFAULT_MAX_MEMORY
    max_seconds: int = DEFAULT_MAX_SECONDS

    if TYPE_CHECKING:  # what is given may be a text, what is kept is a number

        def __init__(
            self,
            *,
            max_frame: int | str = ...,
            max_header: int | str = ...,
            max_sections: int = ...,
            max_decoded: int | str = ...,
            max_section: int | str = ...,
            max_depth: int = ...,
            max_memory: int | str = ...,
            max_seconds: int | str = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        for name, most in (
            ("max_frame", MAX_INTEGER),
            ("max_header", MAX_HEADER),
            ("max_sections", MAX_SECTIONS),
            ("max_decoded", MAX_INTEGER),
            ("max_section", MAX_INTEGER),
            ("max_depth", MAX_INTEGER),
            ("max_memory", MAX_INTEGER),
            ("max_seconds", MAX_INTEGER),
        ):
            value: object = getattr(self, name)
            if isinstance(value, str) and name not in _COUNTS:
                try:
                    value = seconds_of(value) if name == "max_seconds" else bytes_of(value)
                except ValueError as exc:
                    raise ValueError(f"{name}: {exc}") from None
                object.__setattr__(self, name, value)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name}: expected an int, found {type(value).__name__}")
            if not 0 <= value <= most:
                raise ValueError(f"{name}: expected 0 to {most}, found {value}")
