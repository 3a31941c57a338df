"""Catalogs that are written anew each time: JSON lines, and Parquet. Each replaces the old one as a whole."""

import json
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from ..atomic import replace_with, write_all
from ..errors import MissingExtraError
from ..storage.headers import COLUMNS

__all__ = ["import_parquet", "write_jsonl", "write_parquet"]

_BATCH = 10_000  # rows in memory
_INTEGERS = frozenset({"offset", "record", "records", "version", "size", "protocol", "sections"})
_LISTS = frozenset({"globals", "signed"})
_OBJECTS = frozenset({"build", "meta", "packages", "types"})  # as JSON text: their keys differ from row to row


def write_jsonl(path: str, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as JSON, one a line, in ASCII.

    Raises:
        OSError: from the operating system; whatever `rows` raises. The old catalog is left as it was.
    """
    lines = (json.dumps(row).encode("ascii") + b"\n" for row in rows)

    def write(descriptor: int) -> None:
        for batch in _batches(lines):
            write_all(descriptor, [b"".join(batch)])

    replace_with(path, 0, write)


def write_parquet(path: str, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as Parquet: lists as lists, objects as JSON text.

    Raises:
        MissingExtraError: pyarrow is not installed.
        OSError: from the operating system; whatever `rows` raises. The old catalog is left as it was.
    """
    arrow, parquet = import_parquet()
    kinds = {name: arrow.int64() for name in _INTEGERS} | {name: arrow.list_(arrow.string()) for name in _LISTS}
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])

    def write(descriptor: int) -> None:
        with (
            os.fdopen(descriptor, "wb", closefd=False) as file,
            parquet.ParquetWriter(file, schema, compression="zstd") as writer,
        ):
            for batch in _batches(rows):
                writer.write_table(arrow.Table.from_pylist([_flat(row) for row in batch], schema=schema))

    replace_with(path, 0, write)


def import_parquet() -> tuple[Any, Any]:
    """Return pyarrow and its parquet module.

    Raises:
        MissingExtraError: they are not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("Parquet needs pyarrow", None, None, "pip install 'pickleseal[parquet]'") from None
    return pyarrow, pyarrow.parquet


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: json.dumps(v, ensure_ascii=False) if name in _OBJECTS and v is not None else v for name, v in row.items()
    }


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
