"""Draw the figures of `storage.py` as an SVG of bars, with one panel for each question. It needs no library."""

from __future__ import annotations

from html import escape
from typing import Any, NamedTuple

WIDTH, PANEL, BAR, LABEL = 920, 448, 24, 192
OURS, THEIRS, BLIND, INK, FAINT = "#1971c2", "#adb5bd", "#e8590c", "#212529", "#868e96"
WAYS = (("load", "loaded"), ("map_verified", "mapped, verified"), ("map", "mapped"))
LEGEND = ((OURS, "pickleseal"), (THEIRS, "others"), (BLIND, "takes a flipped bit for data"))


class Bar(NamedTuple):
    """One bar: its name, its length, the text at its end, and its colour."""

    name: str
    value: float
    shown: str
    fill: str


def draw(figures: dict[str, Any]) -> str:
    """Return the plot. Its background is white, so that it is legible on dark pages too."""
    rows = figures["rows"]
    base = rows["pickle"]
    panels = [
        ("dump, beside pickle", [ratio(name, row["dump"] / base["dump"], False) for name, row in rows.items()]),
        (
            "load, beside pickle",
            [ratio(name, row["load"] / base["load"], not row["notices"]) for name, row in rows.items()],
        ),
        ("until the array is at hand", waits(rows)),
        (
            "load, peak memory in sizes of the array",
            [ratio(name, row["memory"][1], False) for name, row in rows.items()],
        ),
    ]
    halves = [46 + BAR * max(len(bars) for _, bars in panels[row : row + 2]) for row in (0, 2)]
    height = 74 + sum(halves) + 34
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="ui-sans-serif, system-ui, sans-serif" role="img" '
        'aria-label="pickleseal beside other ways to keep an array in a file: time and memory">',
        f'<rect width="{WIDTH}" height="{height}" rx="10" fill="#ffffff"/>',
        text(24, 38, f"An array of {figures['megabytes']} MB in a file: less is better", 18, INK, weight=600),
    ]
    for number, (title, bars) in enumerate(panels):
        out += panel(title, bars, number % 2 * PANEL, 74 + number // 2 * halves[0], title != panels[2][0])
    x = 24
    for fill, what in LEGEND:
        out += [f'<rect x="{x}" y="{height - 28}" width="12" height="12" rx="2" fill="{fill}"/>']
        out += [text(x + 18, height - 18, what, 12, INK)]
        x += 40 + 7 * len(what)
    return "\n".join([*out, "</svg>"]) + "\n"


def ratio(name: str, value: float, is_blind: bool) -> Bar:
    """Return the bar for a ratio to pickle."""
    return Bar(name, value, f"{value:.2f}", OURS if name == "pickleseal" else BLIND if is_blind else THEIRS)


def waits(rows: dict[str, Any]) -> list[Bar]:
    """Return bars of milliseconds, the longest first, for pickle and for the ways that have a memory map."""
    bars = []
    for name, row in rows.items():
        for what, how in WAYS if "map" in row else WAYS[: name == "pickle"]:
            if what in row:
                checks = row["notices"] and what != "map"
                fill = BLIND if not checks else OURS if name == "pickleseal" else THEIRS
                shown = f"{row[what] * 1e3:.{0 if row[what] > 0.01 else 2}f} ms"
                bars.append(Bar(f"{name}, {how}", row[what], shown, fill))
    return sorted(bars, key=lambda bar: -bar.value)


def panel(title: str, bars: list[Bar], left: float, top: float, has_base: bool) -> list[str]:
    """Return one panel: its bars, and a dashed line at 1 if the bars are ratios."""
    zero, room = left + 24 + LABEL, PANEL - LABEL - 24 - 72
    most = max(bar.value for bar in bars)
    out = [text(left + 24, top + 14, title, 14, INK, weight=600)]
    if has_base and most >= 1:
        x = f"{zero + room / most:.1f}"
        span = f'y1="{top + 24:g}" y2="{top + 26 + BAR * len(bars):g}"'
        out.append(f'<line x1="{x}" x2="{x}" {span} stroke="{FAINT}" stroke-dasharray="3 3"/>')
    for number, bar in enumerate(bars):
        y, long = top + 26 + number * BAR, max(1.5, bar.value / most * room)
        bold = 600 if bar.name.startswith("pickleseal") else 400
        out += [
            text(zero - 8, y + 15, bar.name, 12, INK, "end", bold),
            f'<rect x="{zero:g}" y="{y + 3:g}" width="{long:.1f}" height="{BAR - 7}" rx="2" fill="{bar.fill}"/>',
            text(zero + long + 7, y + 15, bar.shown, 12, INK),
        ]
    return out


def text(x: float, y: float, value: str, size: int, fill: str, anchor: str = "start", weight: int = 400) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{fill}" '
        f'text-anchor="{anchor}">{escape(value)}</text>'
    )
