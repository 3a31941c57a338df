"""Everything that lives as long as the process, in one table: caches, idle objects, a helper process, registrations.

Each row says how its entries stay right. `clear` empties all of it, which tests need and programs do not. Nothing else
in the package keeps state between two calls. This module imports nothing of what it lists: a module that was never
imported has no state.

All threads share this state, with few locks. What holds instead: each access is one operation of a built-in container,
which is atomic with and without the GIL; nothing iterates over a container that another thread may change; what two
threads compute at the same time is equal, so either of the two may stay; an object that only one thread can use is
taken out of its list meanwhile. A bound may be exceeded by one entry for each thread.
"""

import sys
from typing import NamedTuple


class State(NamedTuple):
    """One thing that lives as long as the process."""

    module: str
    name: str
    clear: str
    """The name of the method that empties it, or "" if there is nothing to empty."""
    rule: str
    """How its entries stay right, and what bounds it."""


STATE = (
    State("_format.header", "matches_key", "cache_clear", "a function of the text alone; bounded"),
    State("_format.header", "matches_name", "cache_clear", "a function of the text alone; bounded"),
    State("_format.header_cache", "header_cache", "clear", "keyed by the bytes of the header; emptied when it is full"),
    State("_format.timestamps", "instant_exists", "cache_clear", "a function of the text alone; bounded"),
    State("_format.timestamps", "text_of_second", "cache_clear", "a function of the number alone; bounded"),
    State("_io.processes", "fork_aware", "", "weak: an entry goes with its object"),
    State("_io.processes", "fork_count", "", "a number that only grows"),
    State("_io.processes", "started_forks", "", "a number that only grows"),
    State("_io.stores", "obstore_fork_count", "", "a number that is set once"),
    State("_io.stores", "s3_store", "cache_clear", "keyed by bucket, options and environment; the 16 newest"),
    State("_schema.assigned", "names_in_code", "clear", "weak: an entry goes with its class"),
    State("_schema.describe", "descriptions", "clear", "weak: an entry goes with its class"),
    State(
        "_schema.distributions", "installed_version", "cache_clear", "what is installed when first asked for; bounded"
    ),
    State("_schema.distributions", "installed_names", "cache_clear", "what is installed when first asked for"),
    State("_schema.distributions", "package_of", "cache_clear", "what is installed when first asked for; bounded"),
    State("_schema.registry", "default_registry", "clear", "registering replaces its index, and the caches in it"),
    State("_schema.registry", "registries", "", "weak: an entry goes with its registry"),
    State("_payload.pickler", "idle_picklers", "clear", "emptied of objects before they wait; the eight newest"),
    State("_payload.pickler", "known_classes", "clear", "weak: an entry goes with its class"),
    State("_payload.structure", "plain_run", "cache_clear", "a function of its arguments alone, which are few"),
    State(
        "_expect",
        "compiled_aliases",
        "clear",
        "an entry keeps the classes alive whose ids are in its key; emptied when full",
    ),
    State("_packing", "default_options", "cache_clear", "the environment as it is when first asked for"),
    State("_packing", "warning_about", "cache_clear", "a function of the name alone; bounded"),
    State("_policy", "version_clauses", "cache_clear", "a function of the text alone; bounded"),
    State("_trust.allow_list", "is_dangerous", "cache_clear", "a function of the name alone; bounded"),
    State("_trust.annotated", "annotated", "clear", "weak: an entry goes with its class"),
    State("_trust.dryrun", "in_this_thread", "", "holds something during a dry run only"),
    State(
        "_trust.sandbox", "helper", "stop", "a process that ends when its input does; a fork leaves it to the parent"
    ),
    State("_trust.traits", "kinds", "clear", "weak: an entry goes with its class, and is made anew when that changes"),
    State("_streams.writer", "open_writers", "", "weak: an entry goes with its writer"),
    State("_cli.map.rules", "canonical", "cache_clear", "a function of the text alone; bounded"),
)


def clear() -> None:
    """Empty the caches, end the helper process, and forget what the default registry knows."""
    for state in STATE:
        module = sys.modules.get(f"pickleseal.{state.module}")
        if module is not None and state.clear:
            getattr(getattr(module, state.name), state.clear)()
