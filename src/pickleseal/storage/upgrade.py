"""`upgrade`: write an artifact anew, with today's classes."""

import io
import os
from typing import Any

from ..atomic import naming, replace_file
from ..errors import PolicyError, ReadError
from ..format.header import Header
from ..payload.trust import build_trust
from ..policy import Policy, check_is_policy
from ..reader import Judged, Trust, read_body, read_judged
from ..schema.names import global_name
from ..schema.record import record
from ..writer import Writer, encode_object
from .source import FileSource
from .url import refuse_url

__all__ = ["upgrade"]

_HISTORY = "pickleseal.history"  # spec 6.4


def upgrade(
    path: str | os.PathLike[str],
    *,
    trust: Trust = (),
    policy: Policy | None = None,
    writer: Writer | None = None,
    durable: bool = True,
) -> bool:
    """Write an artifact anew at the current schema versions, if it is not there already.

    The object is loaded as `load` does it, migrations and all, and written in the place of the old file, atomically.
    `created`, `meta` and `ext` are kept; `ext["pickleseal.history"]` says what it was before. Whoever replaces the file
    in the meantime loses: keep writers away while old artifacts are upgraded. A sealed artifact, whose signature has to
    verify, is signed anew by the writer; signatures of others are lost.

    Args:
        path: a file of exactly one artifact.
        trust, policy: as for `load`.
        writer: build labels, keys and compression; its registry is the policy's. None: today's, and compressed if the
            old artifact was.
        durable: whether the file is synced to the disk.

    Returns:
        Whether the file was written. An artifact whose recorded classes are as today is not loaded.

    Raises:
        ReadError: as for `load`; the file is left as it is.
        PolicyError: the artifact has a seal, and policy and writer do not both have keys.
        PackError, OSError: as for `dump`; the file is left as it is.
            A payload of bare `pickle.PickleBuffer`s can't be written anew.
        ValueError: writer and policy have different registries, or the policy ignores drift, or the path is a URL.

    Runs the code that `load` and `dump` run. Spec section 6.4.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "report.pseal")
    >>> dump({"rows": 3}, path)
    >>> upgrade(path)
    False
    """
    refuse_url(path, "upgrade")
    policy, is_default = check_is_policy(policy), writer is None
    writer = Writer(registry=policy.registry) if writer is None else writer
    if not isinstance(writer, Writer):
        raise TypeError(f"writer: expected a Writer, found {type(writer).__name__}")
    if policy.drift == "ignore":
        raise ValueError('upgrade: Policy(drift="ignore") would write old states as today\'s')
    if writer.registry is not policy.registry:
        raise ValueError("upgrade: expected one registry in policy and writer, else names and versions get lost")
    name, trusted = os.fsdecode(path), build_trust(trust)
    try:
        with naming(name), io.FileIO(name) as file:
            source = FileSource(file, whole=True)
            header, judged = read_judged(source, None, trusted, policy)
            if header.preamble.seal_len and not (header.verified and writer.keys is not None):
                hint = "give Policy(keys=...) that verify it, and Writer(keys=...) that sign it anew"
                raise PolicyError("the artifact has a seal, which an upgrade would lose", None, None, hint)
            if _is_current(header._fields, judged, policy):
                return False
            obj = read_body(source, header, judged, None, policy)
    except ReadError as exc:
        exc.path = name
        raise
    if is_default and any("codec" in entry for entry in header._fields["sections"]):
        writer = Writer(registry=policy.registry, compress="zstd")
    parts = encode_object(obj, policy._name_today(header.type), _kept(header), writer, header.created)
    replace_file(name, parts, durable)
    return True


def _is_current(fields: dict[str, Any], judged: Judged, policy: Policy) -> bool:
    """Tell whether an artifact would come out of the writer with the same names, schemas and versions."""
    if judged.plans and any(plan.was is not None for plan in judged.plans.values()):
        return False
    recorded = {}
    moved = policy._places(fields["globals"], fields.get("types", {}))
    for (module, qualname), value in judged.resolved.items():
        name = f"{module}:{qualname}"
        if isinstance(value, type):
            if name in moved and global_name(value) != name:
                return False
            now = record(value, policy.registry)
            if now.entry is not None:
                recorded[now.name] = now.entry
    return bool(recorded == fields.get("types", {}) and policy._name_today(fields["type"]) == fields["type"])


def _kept(header: Header) -> dict[str, Any]:
    """Return the members of the old header that the new one takes over."""
    before = {
        "build": dict(header.build),
        "type": header.type,
        "version": header.version,
        "xxh3": f"{header.preamble.header_xxh3:016x}",
    }
    ext = dict(header.ext)
    history = ext.get(_HISTORY)
    ext[_HISTORY] = [*history, before] if isinstance(history, list) else [before]
    kept: dict[str, Any] = {"ext": ext}
    if header.meta:
        kept["meta"] = dict(header.meta)
    if header.records is not None:
        kept["records"] = header.records
    return kept
