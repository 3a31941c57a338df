"""What `inspect` prints of a header: what a person wants to know first, everything from the file escaped."""

from collections.abc import Iterable, Mapping

from ..._format.header import ClassSchema, Header
from ..._format.preamble import Preamble
from ...errors import printable
from ..output import Output, age_text, as_json, plural, row, signatures_text, size_text

__all__ = ["header_lines", "preamble_lines", "signed_text", "when"]

_MOST_NAMES = 40  # of globals, labels, packages, fields
_MOST_CLASSES = 20
_MOST_EXT = 400  # characters


def header_lines(path: str, header: Header, size: int | None, out: Output) -> list[str]:
    """Return a header as lines."""
    lines = [f"{out.style(printable(path, 4096), 'bold')}: artifact, {size_text(header.frame_len)}"]
    version = f", version {header.version}" if header.version else ""
    lines += row(out, "type", f"{printable(header.type)}{version}")
    lines += row(out, "created", when(header.created))
    lines += row(out, "build", _labels(header.build) or "(nothing)")
    if header.meta:
        lines += row(out, "meta", _labels(header.meta))
    lines += row(out, "payload", _payload(header))
    if header.records is not None:
        lines += row(out, "records", f"{header.records:,} in one batch")
    if header.preamble.stream_id:
        lines += row(out, "stream", f"{header.preamble.stream_id:016x}, frame {header.preamble.seq:,}")
    lines += row(out, "signed", signed_text(header))
    imports = f"{len(header.globals)}: {_some(map(printable, header.globals), len(header.globals))}"
    lines += row(out, "imports", imports if header.globals else "nothing")
    if header.packages:
        lines += row(out, "packages", _labels(header.packages, " "))
    lines += _class_lines(header.types, out)
    for name, value in header.ext.items():
        lines += row(out, "ext", f"{printable(name)} {printable(as_json(value), _MOST_EXT)}")
    lines += row(out, "checked", "the header alone; `pickleseal verify` checks the rest")
    return lines


def preamble_lines(preamble: Preamble, size: int | None, out: Output) -> list[str]:
    """Return what is known of an artifact whose header is refused."""
    lines = [out.style("  its first 64 bytes are whole, and say:", "dim")]
    lengths = f"{preamble.frame_len:,} bytes; header {preamble.header_len:,}, seal {preamble.seal_len:,}"
    lines += row(out, "frame", lengths)
    if size is not None:
        lines += row(out, "file", f"{size:,} bytes")
    place = f"{preamble.stream_id:016x}, frame {preamble.seq:,}" if preamble.stream_id else "none: it stands alone"
    lines += row(out, "stream", place)
    lines += row(out, "format", f"1.{preamble.version_minor}")
    return lines


def when(created: str) -> str:
    """Return a time stamp for people."""
    return f"{created[:10]} {created[11:19]} UTC, {age_text(created)}"


def signed_text(header: Header) -> str:
    """Say who signed, or claims to have."""
    if header.verified:
        others = [pair for pair in header.signatures if pair not in header.verified]
        more = f"; not verified: {signatures_text(others)}" if others else ""
        return f"verified: {signatures_text(header.verified)}{more}"
    if header.signatures:
        return f"not verified: {signatures_text(header.signatures)}; --key verifies"
    return "no"


def _payload(header: Header) -> str:
    pickled, *buffers = header.sections
    text = f"pickle of protocol {header.protocol}, {size_text(pickled.len)}"
    if pickled.raw_len is not None:
        text += f" ({pickled.codec}, {size_text(pickled.raw_len)} decoded)"
    if buffers:
        text += f"; {plural(len(buffers), 'buffer')}, {size_text(sum(one.len for one in buffers))}"
        raw = sum(one.raw_len for one in buffers if one.raw_len is not None)
        if raw:
            text += f" ({size_text(raw + sum(one.len for one in buffers if one.raw_len is None))} decoded)"
    return text


def _labels(labels: Mapping[str, str], sign: str = "=") -> str:
    return _some((f"{printable(key)}{sign}{printable(value)}" for key, value in labels.items()), len(labels))


def _some(texts: Iterable[str], count: int) -> str:
    shown = [text for text, _ in zip(texts, range(_MOST_NAMES), strict=False)]
    if count > len(shown):
        shown.append(f"... and {count - len(shown):,} more: --json has all")
    return ", ".join(shown)


def _class_lines(types: Mapping[str, ClassSchema], out: Output) -> list[str]:
    lines: list[str] = []
    for name, schema in list(types.items())[:_MOST_CLASSES]:
        notes = [schema.kind]
        if schema.version:
            notes.append(f"version {schema.version}")
        if schema.state == "custom":
            notes.append("own pickling methods")
        if schema.global_ != name:
            notes.append(f"was {printable(schema.global_)}")
        lines += row(out, "class", f"{printable(name)} ({', '.join(notes)})")
        defaults = dict(schema.defaults)
        sign = " = " if schema.kind == "enum" else ": "
        fields = (
            f"{printable(field)}{sign}{printable(text)}"
            + (f" = {printable(defaults[field])}" if field in defaults else "")
            for field, text in schema.fields
        )
        if schema.fields:
            lines += row(out, "", _some(fields, len(schema.fields)), 4)
    if len(types) > _MOST_CLASSES:
        lines += row(out, "", f"... and {len(types) - _MOST_CLASSES:,} more classes: --json has all")
    return lines
