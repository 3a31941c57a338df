"""One difference between a class as it was recorded and as it is (spec 6.3)."""

from typing import NamedTuple

from ..errors import printable

__all__ = ["REFUSED", "RESOLVED", "WARNED", "Change"]

RESOLVED, WARNED, REFUSED = "resolved", "warned", "refused"
_SHOWN = 120  # characters of a name or text out of a header


class Change(NamedTuple):
    """One difference between a class as it was recorded and as it is.

    `what` is one of `added`, `annotation`, `default`, `kind`, `merged`, `removed`, `renamed`, `reordered`, `shape`,
    `state`, `uncompared`, `unrecorded`, `value` and `version`. `was` and `now` are the two sides as texts; for
    `removed`, `now` is the name that the field may have today. `level` says what `drift="resolve"` does: `resolved`,
    `warned`, `refused`.
    """

    type: str
    what: str
    field: str | None
    was: str | None
    now: str | None
    level: str
    fix: str | None
    kind: str = ""  # of the class as it is

    def __str__(self) -> str:
        return f"{printable(self.type, _SHOWN)}: {self.text}"

    @property
    def text(self) -> str:
        """What changed, in one clause, without the class."""
        was, now = (side if side is None else printable(side, _SHOWN) for side in (self.was, self.now))
        field = None if self.field is None else printable(self.field, _SHOWN)
        return _TEXTS[self.what].format(field=field, was=was, now=now)


_TEXTS = {
    "added": "{field!r} was added",
    "annotation": "{field!r} was annotated {was} and is {now}",
    "default": "the default of {field!r}, which lives on the class, was {was} and is {now}",
    "merged": "it is one class with {was} today, and the artifact has both, in different shapes",
    "kind": "it was of kind {was} and is of kind {now}",
    "removed": "{field!r} was removed or renamed",
    "renamed": "{field!r} is {now!r} today",
    "reordered": "the order was {was} and is {now}",
    "shape": "its state was pickled as {was} and is as {now}",
    "state": "its state was {was} and is {now}",
    "uncompared": "the values of {field} have no text, so nothing tells whether they changed",
    "unrecorded": "the artifact does not say what it looked like",
    "value": "the value of {field!r} was {was} and is {now}",
    "version": "it was at version {was} and is at version {now}",
}
