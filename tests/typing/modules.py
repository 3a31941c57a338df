"""A user's program: the modules for work on files that are there already, for every checker."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from typing_extensions import assert_type

import pickleseal
from pickleseal import Header, Key, KeyRing, Policy
from pickleseal.catalog import HeaderEntry

path = Path("report.pseal")
data, compression = pickleseal.convert.decompress(path.read_bytes(), max_size="4GiB")
assert_type(data, bytes)
assert_type(compression, str | None)
found = pickleseal.convert.adopt(data, meta={"team": "risk"})
assert_type(found.data, bytes)
assert_type(found.trust, tuple[str, ...])
assert_type(found.renamed, Mapping[str, str])
found = pickleseal.convert.repickle(data, trust=[Path, "shop:Order"])
pickleseal.load(path, trust=found.trust, policy=Policy(renames=found.renamed))
assert_type(pickleseal.convert.extract(path), bytes)
with path.open("wb") as file:
    file.writelines(pickleseal.convert.extract_parts(data, policy=Policy()))
    file.writelines(found.parts)

assert_type(pickleseal.maintenance.seal(path, Key.generate("k")), Header)
assert_type(pickleseal.maintenance.seal(path, KeyRing([Key.generate("k")])), Header)
assert_type(pickleseal.maintenance.remove_signatures(path, {"k"}), int)
assert_type(pickleseal.maintenance.repair(path, dry_run=True), int)
assert_type(pickleseal.maintenance.upgrade(path), bool)
assert_type(pickleseal.catalog.read_headers(data), Iterator[HeaderEntry])
assert_type(next(pickleseal.catalog.iter_headers([path, "s3://bucket/key"])).header, Header | None)

# Mistakes.
pickleseal.maintenance.remove_signatures(path, [Key.generate("k")])  # type: ignore[list-item]
pickleseal.convert.adopt("old.pkl")  # type: ignore[arg-type]
