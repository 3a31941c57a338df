"""What a policy does about classes that changed (`Policy.drift`). It looks at the names of classes alone."""

from collections.abc import Mapping

from .distributions import distribution_called, distribution_of_module

MODES = ("resolve", "strict", "ignore")
NEWER = ("refuse", "drop", "keep")


class DriftRules:
    """What a policy does about classes that changed: one of `MODES` for each distribution, and one for all others.

    `newer` is what it does about fields that newer code added. `key` is a text that two rules have in common only if
    they say the same.
    """

    __slots__ = ("_by_distribution", "_other", "has_ignore", "has_strict", "ignores_all", "key", "newer")

    def __init__(self, drift: object, newer: object = "refuse") -> None:
        """Take one mode, or a mapping from distributions to modes, in which `*` is all others; and one of `NEWER`.

        Raises:
            TypeError, ValueError: it is neither.
        """
        given = {"*": drift} if isinstance(drift, str) else drift
        if not isinstance(given, Mapping):
            expected = f"one of {', '.join(MODES)}, or a mapping from distributions to these"
            raise TypeError(f"drift: expected {expected}, found {type(drift).__name__}")
        for name, mode in given.items():
            if not isinstance(name, str) or not isinstance(mode, str):
                raise TypeError(f"drift: expected strings, found {name!r}: {mode!r}")
            if mode not in MODES:
                raise ValueError(f"drift: expected one of {', '.join(MODES)}, found {mode!r}")
        if not isinstance(newer, str) or newer not in NEWER:
            raise ValueError(f"newer: expected one of {', '.join(NEWER)}, found {newer!r}")
        self.newer = newer
        self._by_distribution: dict[str, str] = {
            distribution_called(name): mode for name, mode in given.items() if name != "*"
        }
        self._other: str = given.get("*", "resolve")
        modes = {self._other, *self._by_distribution.values()}
        self.has_ignore, self.has_strict = "ignore" in modes, "strict" in modes
        self.ignores_all = modes == {"ignore"}
        named = [f"{name}={mode}" for name, mode in sorted(self._by_distribution.items())]
        self.key = " ".join([newer, self._other, *named])

    def of(self, cls: type) -> str:
        """Return the mode for a class."""
        if not self._by_distribution:
            return self._other
        return self._of_module(str(type.__getattribute__(cls, "__module__")))

    def of_name(self, name: str) -> str:
        """Return the mode for what was a class at `module:qualname`, and is none today."""
        return self._of_module(name.partition(":")[0])

    def _of_module(self, module: str) -> str:
        """Return the mode for a module: the one of its distribution, or else of its top-level module."""
        found = self._by_distribution.get(distribution_of_module(module))
        if found is None:
            found = self._by_distribution.get(distribution_called(module.partition(".")[0]), self._other)
        return found
