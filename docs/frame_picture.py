"""Draw `docs/frame.svg`: the regions of a frame, from the bytes of the vector `valid/array.pseal`."""

from __future__ import annotations

from html import escape
from pathlib import Path

import pickleseal

ROOT = Path(__file__).resolve().parent.parent
VECTOR = ROOT / "spec" / "vectors" / "valid" / "array.pseal"
LEFT, BAR, WIDTH, ROW, TOP = 150, 96, 860, 58, 64
FILLS = {
    "preamble": "#4c6ef5",
    "header": "#12b886",
    "section 0": "#f59f00",
    "section 1": "#e8590c",
    "padding": "#adb5bd",
}


def regions(data: bytes) -> list[tuple[str, int, int, str, str]]:
    """Return (name, start, end, content, protection) of each region, in order."""
    header = pickleseal.peek(data)
    head = header.preamble
    rows = [
        (
            "preamble",
            0,
            64,
            "magic, version, lengths: fixed offsets",
            f"checksum of its own, {data[56:64][::-1].hex()}",
        ),
        (
            "header",
            64,
            64 + head.header_len,
            "canonical JSON: " + data[64 : 64 + 56].decode() + " ...",
            f"checksum in the preamble, {head.header_xxh3:016x}",
        ),
    ]
    start = head.head_len
    holds = ["the pickle, protocol 5", "an array's bytes, 64-byte aligned"]
    for index, section in enumerate(header.sections):
        rows.append(
            (f"section {index}", start, start + section.len, holds[index], f"checksum in the header, {section.xxh3}")
        )
        padding = -section.len % 64
        if padding:
            end = start + section.len + padding
            rows.append(("padding", start + section.len, end, f"{padding} zero bytes", "compared"))
        start += section.len + -section.len % 64
    assert start == len(data)
    return rows


def draw(data: bytes) -> str:
    """Return the picture as SVG. Heights are to scale, above a minimum height."""
    rows = regions(data)
    height = TOP + sum(row_height(start, end) for _, start, end, _, _ in rows) + 54
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="ui-sans-serif, system-ui, sans-serif" role="img" aria-label="The regions of a pickleseal frame">',
        f'<rect width="{WIDTH}" height="{height}" rx="10" fill="#ffffff"/>',
        f'<text x="24" y="38" font-size="18" font-weight="600" fill="#212529">A frame of {len(data)} bytes: a numpy array of 2 x 3 float64</text>',
    ]
    y = TOP
    for name, start, end, holds, guard in rows:
        tall = row_height(start, end)
        middle = y + tall / 2
        out += [
            f'<rect x="{LEFT}" y="{y}" width="{BAR}" height="{tall - 4}" rx="4" fill="{FILLS[name]}"/>',
            text(LEFT + BAR / 2, middle + 3, name, 13, "#ffffff" if name != "padding" else "#212529", "middle"),
            text(LEFT - 12, y + 14, f"{start}", 12, "#495057", "end", mono=True),
            text(LEFT + BAR + 20, middle - (4 if tall > 40 else -4), holds, 13, "#212529", "start"),
        ]
        if tall > 40:
            out.append(text(LEFT + BAR + 20, middle + 15, guard, 12, "#868e96", "start", mono=True))
        y += tall
    out += [
        text(LEFT - 12, y + 12, f"{len(data)}", 12, "#495057", "end", mono=True),
        text(
            24,
            height - 18,
            "Read in this order; nothing is interpreted before its checksum was checked, and no opcode runs before all were.",
            13,
            "#495057",
            "start",
        ),
        "</svg>",
    ]
    return "\n".join(out) + "\n"


def row_height(start: int, end: int) -> int:
    return max(30 if end - start < 40 else ROW, (end - start) // 4)


def text(x: float, y: float, value: str, size: int, fill: str, anchor: str, mono: bool = False) -> str:
    family = ' font-family="ui-monospace, monospace"' if mono else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{fill}" text-anchor="{anchor}"{family}>{escape(value)}</text>'


if __name__ == "__main__":
    (ROOT / "docs" / "frame.svg").write_text(draw(VECTOR.read_bytes()), "utf-8")
