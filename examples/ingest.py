"""Read a folder where other programs put artifacts: what a reader accepts, refuses, keeps and counts.

python examples/ingest.py
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pickleseal

POLICY = """\
max_age = "30d"
codecs = []

[limits]
max_frame = "1MB"

[types]
"shop.Order" = ">=2"

[meta]
tenant = "*"
"""


@pickleseal.artifact("shop.Order", version=2)
@dataclass(frozen=True)
class Order:
    number: int
    items: tuple[str, ...]


def drop(inbox: Path) -> None:
    """Write what such a folder may hold: good, old and damaged artifacts, and files that are something else."""
    order, tenant = Order(7, ("tea", "cup")), {"tenant": "a"}
    last_year = pickleseal.PackOptions(created=datetime.now(timezone.utc) - timedelta(days=365))
    pickleseal.dump(order, inbox / "good.pseal", meta=tenant)
    pickleseal.dump(order, inbox / "old.pseal", meta=tenant, options=last_year)
    pickleseal.dump(order, inbox / "nobodys.pseal")
    pickleseal.dump(["tea", "cup"], inbox / "list.pseal", meta=tenant)
    pickleseal.dump(Order(8, ("x" * 2_000_000,)), inbox / "large.pseal", meta=tenant)
    data = pickleseal.pack(order, meta=tenant)
    (inbox / "cut.pseal").write_bytes(data[:-64])
    (inbox / "flipped.pseal").write_bytes(data[:-70] + bytes([data[-70] ^ 1]) + data[-69:])
    (inbox / "page.pseal").write_bytes(b"<!doctype html><title>404</title>")


def main() -> None:
    logging.getLogger("pickleseal.reader").setLevel(logging.CRITICAL)  # the table below shows the same
    with tempfile.TemporaryDirectory() as name:
        inbox, kept = Path(name, "inbox"), Path(name, "quarantine")
        inbox.mkdir()
        drop(inbox)
        Path(name, "policy.toml").write_text(POLICY)

        counts: Counter[str] = Counter()
        reader = pickleseal.Reader(
            pickleseal.Policy.from_toml(Path(name, "policy.toml")),
            expect=Order,
            quarantine=kept,
            on_event=lambda event: counts.update([event.code or event.outcome]),
        )
        for path in sorted(inbox.iterdir()):
            try:
                header, order = reader.read(path)
            except pickleseal.errors.ReadError as error:
                print(f"{path.name:15} {error.code:17} step {error.step:2}  {error.reason}")
            else:
                print(f"{path.name:15} {'accepted':17} {header.meta['tenant']}: {order}")

        reasons = [json.loads(path.read_text()) for path in sorted(kept.glob("*.json"))]
        assert len(reasons) == 7
        assert sum(counts.values()) == 8
        print(
            f"\n{counts['accepted']} accepted, {len(reasons)} in quarantine, {sum(r['size'] for r in reasons):,} bytes"
        )


if __name__ == "__main__":
    main()
