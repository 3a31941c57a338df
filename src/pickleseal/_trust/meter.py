"""The meter of a dry run: what a small payload can ask for to become large, deep or slow.

Shapes say what a payload may do. They do not say how often. So each call spends the length of what it is given, as
often as it is given; what is hashed, compared or printed spends its leaves, as often as they are met; and keys whose
hashes are equal are counted by their content. This module runs no code of a payload's classes.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..errors import Hint, LimitExceededError

MOST_COLLISIONS = 1000  # different keys with the same hash: honest payloads have none
# Steps that copies and hashes may take: so many, and so many for each byte. Honest payloads stay far below.
BUDGET, BUDGET_PER_BYTE = 1_000_000, 10
NESTED = (tuple, list, dict, set, frozenset)


class Collisions:
    """Keys that were hashed, by their hashes. The first of each hash is kept as it is, several in a set."""

    __slots__ = ("_first", "_several")

    def __init__(self) -> None:
        self._first: dict[int, Any] = {}
        self._several: dict[int, set[Any]] = {}

    def note(self, hashed: int, content: Any, where: str = "payload") -> None:
        """Note the content of a key, whose hash is `hashed`.

        Raises:
            LimitExceededError: more than 1,000 different keys have this hash.
        """
        first = self._first.setdefault(hashed, content)
        if first is content or first == content:
            return
        several = self._several.setdefault(hashed, {first})
        several.add(content)
        if len(several) > MOST_COLLISIONS:
            raise LimitExceededError("keys with the same hash", f"at most {MOST_COLLISIONS}", where=where).at(20)


_SHALLOW = 8  # levels that are gone through as they are met; what nests deeper is measured
_MOST_STEPS = 1 << 62


class Meter:
    """The budget of one dry run, and the objects that it made and has to look at again at its end."""

    __slots__ = ("_collisions", "built", "deep", "kept", "left", "max_depth", "most", "objects")

    def __init__(self, length: int, max_depth: int) -> None:
        self.left = BUDGET + BUDGET_PER_BYTE * length
        self.most = max(BUDGET, length)  # items of one range that is given to a call
        self.max_depth = max_depth
        self._collisions = Collisions()
        self.deep: list[Any] = []  # objects whose deallocation recurses in C
        self.kept: list[Any] = []  # (object that keeps a list of its state, its attributes)
        self.objects = 0  # that were hashed, and whose hash an attacker can choose
        self.built: set[str] = set()  # functions whose results got a state or items

    def spend(self, amount: int) -> None:
        """Spend steps, before the work that they pay for."""
        self.left -= amount
        if self.left < 0:
            raise out_of_proportion("copies or hashes")

    def note(self, hashed: int, content: Any) -> None:
        """Note the content of a key that is hashed."""
        self._collisions.note(hashed, content)

    def note_key(self, found: tuple[int, Any] | None) -> None:
        """Note a key of which the hash and the content are known, or nothing is."""
        if found is not None:
            self._collisions.note(*found)

    def walk(self, args: Iterable[Any], leaves: bool) -> None:
        """Spend what going through nested arguments takes: 60 nested pairs of one object are 2^60 objects.

        Args:
            leaves: they are hashed, compared or printed, so that each item counts. Else only containers do.
        """
        level, depth = [arg for arg in args if type(arg) in NESTED], 0
        while level:
            depth += 1
            if depth > _SHALLOW:
                self._walk_deep(level, depth, leaves)
                return
            below: list[Any] = []
            for part in level:
                self.spend(_steps(part, leaves))
                below += _nested(part)
            level = below

    def _walk_deep(self, parts: Sequence[Any], depth: int, leaves: bool) -> None:
        """Do the same, and look at each part once, so that neither depth nor a cycle makes it long.

        A part within itself counts once: who went through it again and again would never end.
        """
        found: dict[int, tuple[int, int]] = {}  # steps and levels of a part, by its id
        total = 0
        for part in parts:
            if id(part) not in found:
                self._measure(part, found, leaves)
            steps, levels = found[id(part)]
            total += steps
            if depth + levels - 1 > self.max_depth:
                raise too_deep(self.max_depth)
        self.spend(total)

    def _measure(self, root: Any, found: dict[int, tuple[int, int]], leaves: bool) -> None:
        above = {id(root)}
        stack = [(root, iter(_nested(root)), [_steps(root, leaves), 0])]
        while stack:
            part, below, measured = stack[-1]
            inner = next(below, None)
            if inner is None:
                stack.pop()
                above.discard(id(part))
                steps, levels = found[id(part)] = min(measured[0], _MOST_STEPS), measured[1] + 1
                if stack:
                    upper = stack[-1][2]
                    upper[0] += steps
                    upper[1] = max(upper[1], levels)
            elif id(inner) in found:
                measured[0] += found[id(inner)][0]
                measured[1] = max(measured[1], found[id(inner)][1])
            elif id(inner) not in above:
                if len(stack) >= self.max_depth:
                    raise too_deep(self.max_depth)
                above.add(id(inner))
                stack.append((inner, iter(_nested(inner)), [_steps(inner, leaves), 0]))


def _nested(part: Any) -> list[Any]:
    """Return the containers directly in a container."""
    below = [item for item in part if type(item) in NESTED]
    if type(part) is dict:
        below += [item for item in part.values() if type(item) in NESTED]
    return below


def _steps(part: Any, leaves: bool) -> int:
    # Also where only containers count, each item is looked at: a step is about a microsecond.
    return 1 + (len(part) if leaves else len(part) >> (1 if type(part) is tuple else 3))


def out_of_proportion(what: str) -> LimitExceededError:
    """Return the error for a payload that does something for too long."""
    hint = 'if you trust the writer, let the writer sign it, and read it at level "signed"'
    return LimitExceededError(f"the payload {what} out of proportion to its length", hint=hint, where="payload").at(20)


def too_deep(max_depth: int) -> LimitExceededError:
    """Return the error for a payload that nests too deep."""
    hint = Hint(
        "Policy(limits=Limits(max_depth=...)) allows more, if the C stack has room for it",
        "max_depth under [limits] in a --policy file allows more, if the C stack has room for it",
    )
    return LimitExceededError("the payload nests too deep", f"at most {max_depth}", None, hint, "payload").at(20)


# CPython deallocates most containers without recursion, and some (`deque`, `defaultdict`, exceptions with attributes in
# C) with it: a chain of a few ten thousand, each directly in the next, overflows the C stack. So the longest path
# through such objects is searched, depth-first and without recursion. Objects in a cycle count as a chain of all of
# them (Tarjan's strongly connected components).


def check_depth(nodes: Sequence[Any], max_depth: int) -> None:
    """Refuse objects of which more than `max_depth` are in a chain. Each has a method `directly_below`.

    Raises:
        LimitExceededError: there is such a chain.
    """
    search = _Search({id(node) for node in nodes}, max_depth)
    for node in nodes:
        search.visit(node)


class _Search:
    """One depth-first search. Nodes are known by their `id`: the meter keeps them alive."""

    def __init__(self, nodes: set[int], max_depth: int) -> None:
        self._nodes = nodes
        self._most = max_depth
        self._index: dict[int, int] = {}
        self._low: dict[int, int] = {}
        self._height: dict[int, int] = {}  # of nodes whose component is finished
        self._open: list[Any] = []
        self._path: list[tuple[Any, Iterator[Any]]] = []

    def _below(self, node: Any) -> list[Any]:
        return [child for child in node.directly_below() if id(child) in self._nodes]

    def visit(self, root: Any) -> None:
        if id(root) not in self._index:
            self._enter(root)
        while self._path:
            node, children = self._path[-1]
            child = next(children, None)
            if child is None:
                self._leave(node)
            elif id(child) not in self._index:
                self._enter(child)
            elif id(child) not in self._height:  # it is above, or in a component with what is above
                self._low[id(node)] = min(self._low[id(node)], self._index[id(child)])

    def _enter(self, node: Any) -> None:
        self._index[id(node)] = self._low[id(node)] = len(self._index)
        self._open.append(node)
        self._path.append((node, iter(self._below(node))))
        if len(self._path) > self._most:
            raise too_deep(self._most)

    def _leave(self, node: Any) -> None:
        self._path.pop()
        low = self._low[id(node)]
        if self._path:
            above = id(self._path[-1][0])
            self._low[above] = min(self._low[above], low)
        if low == self._index[id(node)]:
            self._finish(node)

    def _finish(self, first: Any) -> None:
        """Close the component that was entered by `first`: its height is its size, and what is below it."""
        members: list[Any] = []
        while not members or members[-1] is not first:
            members.append(self._open.pop())
        own = {id(member) for member in members}
        below = [self._height[id(child)] for node in members for child in self._below(node) if id(child) not in own]
        height = len(members) + max(below, default=0)
        if height > self._most:
            raise too_deep(self._most)
        self._height.update(dict.fromkeys(own, height))
