"""Options that several commands share (keys, policies, trust, modules to import), and what their values mean."""

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence

from .._keys import Key, KeyRing
from .._policy import DEFAULT_POLICY, Policy
from ..errors import text_of
from .output import UsageError

PATHS = "a file, folder, pattern, URL, or - for standard input"  # the help of an argument
FORMS = ("auto", "artifact", "stream")


def add_path_arguments(parser: argparse.ArgumentParser, what: str = PATHS, name: str = "paths") -> None:
    """Add the paths that a command looks at."""
    parser.add_argument(name, nargs="+", metavar="SRC" if name == "sources" else "PATH", help=what)
    parser.add_argument(
        "--allow-empty", action="store_true", help="accept a folder or pattern in which there is nothing to look at"
    )


def add_key_arguments(parser: argparse.ArgumentParser, what: str) -> argparse._ArgumentGroup:
    """Add the options that name keys, and return their group. `what` is a sentence about their use."""
    group = parser.add_argument_group("keys", what)
    group.add_argument("--key", action="append", default=[], metavar="FILE", help="a key file; may be repeated")
    group.add_argument("--key-env", metavar="NAME", help="an environment variable that holds keys")
    group.add_argument(
        "--purpose", default="", metavar="TEXT", help="the purpose of the signatures; verifying needs that of signing"
    )
    group.add_argument(
        "--context",
        metavar="TEXT",
        help="where the artifact belongs, such as the key of a cache; verifying needs that of signing",
    )
    return group


def add_policy_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is accepted."""
    what = "A signature of one of these keys must verify. Without keys, signatures are not verified."
    keys = add_key_arguments(parser, what)
    keys.add_argument("--signed-by", action="append", default=[], metavar="ID", help="this key must have signed")
    parser.add_argument("--policy", metavar="FILE.toml", help="what is accepted, as Policy.from_toml reads it")


def add_import_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option that imports modules of an application."""
    parser.add_argument(
        "--import",
        action="append",
        default=[],
        dest="imports",
        metavar="MODULE",
        help=f"{what}; importing it runs its code; may be repeated",
    )


def add_trust_arguments(parser: argparse._ActionsContainer, what: str) -> None:
    """Add the option that names what payloads may import."""
    parser.add_argument("--trust", action="append", default=[], metavar="MODULE:NAME", help=f"{what}; may be repeated")


def ring_of(options: argparse.Namespace) -> KeyRing | None:
    """Return the keys that the options name, or None.

    Raises:
        UsageError: they can't be read, or can't be used together.
    """
    keys: list[Key] = []
    try:
        for path in options.key:
            keys += KeyRing.from_file(path, options.purpose).keys
        if options.key_env is not None:
            keys += KeyRing.from_env(options.key_env, options.purpose).keys
        if keys:
            return _in_context(KeyRing(keys, options.purpose), options.context)
    except (OSError, ValueError) as exc:
        raise UsageError(_text(exc)) from None
    if options.purpose:
        raise UsageError("--purpose needs --key or --key-env")
    if options.context is not None and getattr(options, "policy", None) is None:
        raise UsageError("--context needs --key, --key-env or a policy that names keys")
    return None


def is_bound(policy: Policy) -> bool:
    """Return whether what verifies with a policy is bound to a context, as its keys are."""
    return policy.keys is not None and policy.keys.has_context


def _in_context(ring: KeyRing, context: str | None) -> KeyRing:
    return ring if context is None else ring.in_context(context)


def policy_of(options: argparse.Namespace) -> Policy:
    """Return the policy that the options describe.

    Raises:
        UsageError: the policy can't be read, or the options contradict each other.
    """
    try:
        policy = DEFAULT_POLICY if options.policy is None else Policy.from_toml(options.policy)
        ring, signed_by = ring_of(options), tuple(options.signed_by)
        if ring is not None and policy.keys is not None:
            raise UsageError("--key can't be used with a policy that names keys")
        keys = policy.keys if ring is None else ring
        if ring is None and options.context is not None:
            if keys is None:
                raise UsageError("--context needs --key, --key-env or a policy that names keys")
            keys = _in_context(keys, options.context)
        if keys is policy.keys and not signed_by:
            return policy
        unknown = set(signed_by) - {key.id for key in keys.keys} if keys is not None else set(signed_by)
        if unknown:
            raise UsageError(f"--signed-by {min(unknown)}: none of the keys has this id")
        return dataclasses.replace(policy, keys=keys, signed_by=(*policy.signed_by, *signed_by))
    except (OSError, ValueError, TypeError) as exc:
        raise UsageError(_text(exc)) from None


def _text(exc: Exception) -> str:
    return f"{exc.filename}: {exc.strerror}" if isinstance(exc, OSError) and exc.filename else text_of(exc)


def import_problem(module: str) -> str | None:
    """Import a module, and return why that failed, or None. What the module prints goes to standard error."""
    from contextlib import redirect_stdout
    from importlib import import_module

    try:
        with redirect_stdout(sys.stderr):
            import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name is not None and (module == exc.name or module.startswith(f"{exc.name}.")):
            return f"there is no module {module}"
        return f"{module} can't be imported ({text_of(exc)})"
    except (Exception, SystemExit) as exc:  # a module may do anything while it is imported
        return f"{module} can't be imported ({type(exc).__name__}: {text_of(exc)})"
    return None


def import_all(modules: Sequence[str]) -> None:
    """Import modules of an application, with the current folder first in `sys.path`, as for `python -m`.

    Raises:
        UsageError: a module can't be imported.
    """
    here = os.getcwd()
    if modules and sys.path[:1] != [here]:
        sys.path.insert(0, here)
    for module in modules:
        problem = import_problem(module)
        if problem is not None:
            raise UsageError(f"--import: {problem}")
