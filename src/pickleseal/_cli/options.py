"""Options that several commands share: keys, policies, modules to import. What they ask for, or why that can't be."""

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence

from .._keys import Key, KeyRing
from .._policy import DEFAULT_POLICY, Policy
from ..errors import text_of
from .output import UsageError

__all__ = ["add_import_arguments", "add_key_arguments", "add_policy_arguments", "import_all", "policy_of", "ring_of"]


def add_key_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the options that name keys."""
    group = parser.add_argument_group("keys", what)
    group.add_argument("--key", action="append", default=[], metavar="FILE", help="a file of keys; may be repeated")
    group.add_argument("--key-env", metavar="NAME", help="an environment variable that holds keys")
    group.add_argument(
        "--purpose", default="", metavar="TEXT", help="what the signatures are for; it has to be the signer's"
    )


def add_policy_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is accepted."""
    add_key_arguments(parser, "one of them must have signed; without keys a seal is only checked to be well-formed")
    parser.add_argument("--signed-by", action="append", default=[], metavar="ID", help="this key must have signed")
    parser.add_argument("--policy", metavar="FILE.toml", help="what is accepted, as Policy.from_toml reads it")


def add_import_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option that imports an application's modules."""
    parser.add_argument(
        "--import",
        action="append",
        default=[],
        dest="imports",
        metavar="MODULE",
        help="import this module first, which registers its classes: it runs the module; may be repeated",
    )


def ring_of(options: argparse.Namespace) -> KeyRing | None:
    """Return the keys that are named, or None.

    Raises:
        UsageError: they can't be read, or do not go together.
    """
    keys: list[Key] = []
    try:
        for path in options.key:
            keys += KeyRing.from_file(path, options.purpose).keys
        if options.key_env is not None:
            keys += KeyRing.from_env(options.key_env, options.purpose).keys
        if keys:
            return KeyRing(keys, options.purpose)
    except (OSError, ValueError) as exc:
        raise UsageError(f"keys: {text_of(exc)}") from None
    if options.purpose:
        raise UsageError("--purpose: only with --key or --key-env")
    return None


def policy_of(options: argparse.Namespace) -> Policy:
    """Return what is accepted.

    Raises:
        UsageError: the policy can't be read, or the options do not go together.
    """
    try:
        policy = DEFAULT_POLICY if options.policy is None else Policy.from_toml(options.policy)
        ring, signed_by = ring_of(options), tuple(options.signed_by)
        if ring is not None and policy.keys is not None:
            raise UsageError("--key: the policy names keys already")
        if ring is None and not signed_by:
            return policy
        keys = policy.keys if ring is None else ring
        return dataclasses.replace(policy, keys=keys, signed_by=(*policy.signed_by, *signed_by))
    except (OSError, ValueError, TypeError) as exc:
        raise UsageError(text_of(exc)) from None


def import_all(modules: Sequence[str]) -> None:
    """Import an application's modules, from the current folder too, as `python -m` does.

    What they print goes to stderr.

    Raises:
        UsageError: one can't be imported.
    """
    import importlib
    from contextlib import redirect_stdout

    if modules and os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    for module in modules:
        try:
            with redirect_stdout(sys.stderr):
                importlib.import_module(module)
        except (Exception, SystemExit) as exc:  # whatever a module raises while it is run
            raise UsageError(f"--import {module}: {type(exc).__name__}: {text_of(exc)}") from None
