"""What `map` looks for: names of functions and classes that pickle, settings that switch pickling on, what to ask."""

import re
from functools import lru_cache
from typing import NamedTuple

__all__ = [
    "ALIASES",
    "BACKENDS",
    "METHODS",
    "MODULES",
    "OFFERS",
    "PICKLE_NAMES",
    "QUESTIONS",
    "RULES",
    "SETTINGS",
    "WORDS",
    "Rule",
    "canonical",
    "offer",
    "questions",
]


class Rule(NamedTuple):
    """One name, by what it does with pickles.

    `direction`: `read`, `write` or `both`. `kind`: `call` reads or writes one pickle; `implicit` does so on its way;
    `setting` says that others do; `hook` says how a class is pickled; `note` is not pickle, and as unsafe.
    `argument`: what the first argument of a read is: `bytes`, `file` (an open one), `path`, or nothing.
    """

    library: str
    direction: str
    kind: str
    argument: str


# module: names, direction, kind, argument. `Class().method` is a method of an instance.
_TABLE = (
    ("pickle", "loads", "read", "call", "bytes"),
    ("pickle", "load Unpickler().load", "read", "call", "file"),
    ("pickle", "dump dumps Pickler().dump", "write", "call", ""),
    ("pickle", "Unpickler", "read", "class", "file"),
    ("pickle", "Pickler", "write", "class", ""),
    ("cloudpickle", "loads", "read", "call", "bytes"),
    ("cloudpickle", "load", "read", "call", "file"),
    ("cloudpickle", "dump dumps CloudPickler().dump Pickler().dump", "write", "call", ""),
    ("cloudpickle", "CloudPickler Pickler", "write", "class", ""),
    ("dill", "loads", "read", "call", "bytes"),
    ("dill", "load Unpickler().load", "read", "call", "file"),
    ("dill", "load_session load_module load_module_asdict", "read", "call", "path"),
    ("dill", "dump dumps dump_session dump_module Pickler().dump", "write", "call", ""),
    ("dill", "Unpickler", "read", "class", "file"),
    ("dill", "Pickler", "write", "class", ""),
    ("joblib", "load", "read", "call", "path"),
    ("joblib", "dump", "write", "call", ""),
    ("joblib", "NumpyUnpickler().load", "read", "call", "file"),
    ("joblib", "NumpyPickler().dump", "write", "call", ""),
    ("joblib", "NumpyUnpickler", "read", "class", "file"),
    ("joblib", "NumpyPickler", "write", "class", ""),
    ("joblib", "hash hashing.hash", "write", "implicit", ""),
    ("joblib", "Memory Memory().cache Parallel", "both", "implicit", ""),
    ("shelve", "open DbfilenameShelf", "both", "call", "path"),
    ("shelve", "Shelf BsdDbShelf", "both", "call", ""),
    ("torch", "load", "read", "call", "path"),
    ("torch", "hub.load_state_dict_from_url utils.model_zoo.load_url", "read", "call", "url"),
    ("torch", "save", "write", "call", ""),
    ("torch.distributed", "all_gather_object gather_object", "both", "implicit", ""),
    ("torch.distributed", "scatter_object_list broadcast_object_list", "both", "implicit", ""),
    ("torch.distributed", "send_object_list", "write", "implicit", ""),
    ("torch.distributed", "recv_object_list", "read", "implicit", ""),
    ("pandas", "read_pickle", "read", "call", "path"),
    ("pandas", "to_pickle", "write", "call", ""),
    ("numpy", "load lib.format.read_array lib.npyio.NpzFile", "read", "call", "path"),
    ("numpy", "save savez savez_compressed lib.format.write_array", "write", "call", ""),
    ("multiprocessing", "Pool pool.Pool Queue SimpleQueue JoinableQueue Pipe Process", "both", "implicit", ""),
    ("multiprocessing", "queues.Queue queues.SimpleQueue queues.JoinableQueue", "both", "implicit", ""),
    ("multiprocessing", "queues._SimpleQueue connection.Pipe Manager", "both", "implicit", ""),
    ("multiprocessing", "managers.SyncManager managers.BaseManager", "both", "implicit", ""),
    ("multiprocessing", "connection.Client connection.Listener", "both", "implicit", ""),
    ("multiprocessing", "connection.Connection().send", "write", "implicit", ""),
    ("multiprocessing", "connection.Connection().recv", "read", "implicit", ""),
    ("concurrent.futures", "ProcessPoolExecutor process.ProcessPoolExecutor", "both", "implicit", ""),
    ("celery", "utils.serialization.pickle.loads", "read", "call", "bytes"),
    ("kombu.serialization", "loads registry.loads", "read", "setting", "bytes"),
    ("kombu.serialization", "dumps registry.dumps", "write", "setting", ""),
    ("kombu.serialization", "pickle_loads", "read", "call", "bytes"),
    ("kombu.serialization", "register_pickle enable_insecure_serializers", "both", "setting", ""),
    ("distributed.protocol", "loads deserialize", "read", "call", "bytes"),
    ("distributed.protocol", "dumps serialize", "write", "call", ""),
    ("distributed.protocol.pickle", "loads", "read", "call", "bytes"),
    ("distributed.protocol.pickle", "dumps", "write", "call", ""),
    ("ray.cloudpickle", "loads", "read", "call", "bytes"),
    ("ray.cloudpickle", "load", "read", "call", "file"),
    ("ray.cloudpickle", "dump dumps", "write", "call", ""),
    ("jsonpickle", "decode loads Unpickler().restore", "read", "call", "bytes"),
    ("jsonpickle", "encode dumps Pickler().flatten", "write", "call", ""),
    ("srsly", "pickle_loads", "read", "call", "bytes"),
    ("srsly", "pickle_dumps", "write", "call", ""),
    ("compress_pickle", "load", "read", "call", "path"),
    ("compress_pickle", "loads", "read", "call", "bytes"),
    ("compress_pickle", "dump dumps", "write", "call", ""),
    ("diskcache", "Cache FanoutCache Deque Index DjangoCache", "both", "implicit", ""),
    ("cachelib", "FileSystemCache RedisCache MemcachedCache SimpleCache UWSGICache", "both", "implicit", ""),
    ("aiocache.serializers", "PickleSerializer", "both", "implicit", ""),
    ("django.contrib.sessions.serializers", "PickleSerializer", "both", "implicit", ""),
    ("django_redis.serializers.pickle", "PickleSerializer", "both", "implicit", ""),
    ("sqlalchemy", "PickleType types.PickleType", "both", "implicit", ""),
    ("logging.handlers", "SocketHandler DatagramHandler", "write", "implicit", ""),
    ("copyreg", "pickle add_extension constructor", "write", "hook", ""),
    ("marshal", "loads", "read", "note", "bytes"),
    ("marshal", "load", "read", "note", "file"),
    ("marshal", "dump dumps", "write", "note", ""),
    ("pickleseal", "load peek verify iter_load Mapped StreamReader", "read", "sealed", "path"),
    ("pickleseal", "loads unpack", "read", "sealed", "bytes"),
    ("pickleseal", "Reader().load Reader().unpack Reader().loads", "read", "sealed", "bytes"),
    ("pickleseal", "dump dumps pack pack_parts append StreamWriter upgrade", "write", "sealed", ""),
)  # fmt: skip
RULES = {
    f"{module}.{name}": Rule(module.partition(".")[0] if module != "concurrent.futures" else module, *rest)
    for module, names, *rest in _TABLE
    for name in names.split()
}
# Methods of which the name alone says it, whatever they are called on.
METHODS = {
    "to_pickle": Rule("pandas", "write", "call", ""),
    "read_pickle": Rule("pandas", "read", "call", "path"),
    "saveAsPickleFile": Rule("pyspark", "write", "call", ""),
    "pickleFile": Rule("pyspark", "read", "call", "path"),
}
# Other names of a module or a class.
ALIASES = {
    "_pickle": "pickle",
    "cPickle": "pickle",
    "pickle5": "pickle",
    "six.moves.cPickle": "pickle",
    "kombu.serialization.pickle": "pickle",
    "kombu.utils.serialization.pickle": "pickle",
    "numpy.compat.pickle": "pickle",
    "pandas.compat.pickle_compat": "pickle",
    "distributed.protocol.pickle.pickle": "pickle",
    "cloudpickle.cloudpickle": "cloudpickle",
    "cloudpickle.cloudpickle_fast": "cloudpickle",
    "joblib.externals.cloudpickle": "cloudpickle",
    "pyspark.cloudpickle": "cloudpickle",
    "joblib.numpy_pickle": "joblib",
    "joblib.parallel": "joblib",
    "joblib.memory": "joblib",
    "sklearn.externals.joblib": "joblib",
    "dill._dill": "dill",
    "copy_reg": "copyreg",
    "pandas.io.pickle": "pandas",
    "pandas.io.api": "pandas",
    "numpy.lib.npyio": "numpy",
    "billiard": "multiprocessing",
    "multiprocess": "multiprocessing",
    "torch.multiprocessing": "multiprocessing",
    "multiprocessing.context": "multiprocessing",
    "torch.serialization": "torch",
    "kombu.utils.json": "json",
    "pickle._Unpickler": "pickle.Unpickler",
    "pickle._Pickler": "pickle.Pickler",
    "pickle._loads": "pickle.loads",
    "pickle._load": "pickle.load",
    "pickle._dumps": "pickle.dumps",
    "pickle._dump": "pickle.dump",
}
MODULES = frozenset(name.partition(".")[0] for name in (*RULES, *ALIASES))
# Settings by the name of a keyword, a key or a variable, without the prefix `CELERY_`, in lower case.
SETTINGS = {
    "accept_content": "read",
    "result_accept_content": "read",
    "accept": "read",
    "task_serializer": "write",
    "result_serializer": "write",
    "event_serializer": "write",
    "serializer": "both",
    "schedule_serializer": "both",
    "session_serializer": "both",
}
# What such a setting says where it means pickle.
PICKLE_NAMES = frozenset(
    (
        *("pickle", "cpickle", "dill", "cloudpickle", "application/x-python-serialize", "pickle.Pickle"),
        *("django.contrib.sessions.serializers.PickleSerializer", "django_redis.serializers.pickle.PickleSerializer"),
        *(
            "aiocache.serializers.PickleSerializer",
            "rq.serializers.DefaultSerializer",
            "rq.serializers.PickleSerializer",
        ),
    )
)
# Classes that are named in settings (`BACKEND`) and pickle what they keep unless they are told otherwise.
BACKENDS = {
    "django.core.cache.backends.db.DatabaseCache": "django",
    "django.core.cache.backends.filebased.FileBasedCache": "django",
    "django.core.cache.backends.locmem.LocMemCache": "django",
    "django.core.cache.backends.memcached.PyLibMCCache": "django",
    "django.core.cache.backends.memcached.PyMemcacheCache": "django",
    "django.core.cache.backends.redis.RedisCache": "django",
    "django_redis.cache.RedisCache": "redis",
    "diskcache.DjangoCache": "diskcache",
}
# A module without any of these words, as they stand, has no place.
WORDS = re.compile(
    rb"[pP]ickle|dill|joblib|shelve|marshal|copyreg|copy_reg|multiprocess|billiard|ProcessPoolExecutor|kombu"
    rb"|(?i:serializer|accept_content)|diskcache|cachelib|django\.core\.cache|django_redis|SocketHandler"
    rb"|DatagramHandler|srsly|torch[^\0]*?\b(?:load|save|load_url|\w+_object|\w+_object_list)\b|\bsavez?\w*\(.*dtype|\bload\([^)\n]*,[^)\n]*,"
)


@lru_cache(100_000)
def canonical(name: str) -> str:
    """Return the name by which the rules know a function, class or module."""
    if name.partition(".")[0] not in MODULES:
        return name
    for _ in range(4):  # an alias may lead to another
        parts = name.split(".")
        for count in range(len(parts), 0, -1):
            known = ALIASES.get(".".join(parts[:count]))
            if known is not None:
                name = ".".join((known, *parts[count:]))
                break
        else:
            break
    return name


# The checklist: key: what to ask.
QUESTIONS = {
    "trusted-source": "Who can write these bytes? A pickle runs what it says: whoever writes them runs code here.",
    "version": "Which version of the code wrote them, and does the reader know?",
    "class-change": "What happens when a class gains, loses or reorders a field between writing and reading?",
    "long-term": "How long do they live? What outlives a deploy needs a schema and a way to migrate.",
    "live-resources": "Can a lock, socket, file or connection be in the object?",
}
_ASKED = {
    "read": ("trusted-source", "version", "class-change"),
    "write": ("version", "class-change", "long-term", "live-resources"),
    "implicit": ("live-resources",),
    "hook": ("class-change", "long-term"),
    "note": ("trusted-source", "long-term"),
    "sealed": ("long-term",),
}
# What pickleseal has for such a place.
OFFERS = {
    "bytes": "pickleseal.unpack(data, trust=[...]): checksums, classes and imports are judged before anything runs",
    "file": "pickleseal.load(file, trust=[...]): the same for a path, a file or a URL; `convert` wraps the old files",
    "network": "Reader with Policy(keys=..., level='strict'), and a quarantine for what it refuses",
    "cache": "unpack, whose refusals are pickle.UnpicklingError: hosts that turn a bad pickle into a miss still do",
    "write": "pickleseal.dump(obj, path) or pack(obj): version, schema and checksums go with the object",
    "setting": "pickleseal.dumps and loads as the serializer: same names, same arguments",
    "implicit": "nothing: both ends are one program; keep locks, sockets and open files out of what is passed",
    "hook": "@artifact and @migration: names, versions and fields of a class in one place",
    "note": "pack(obj) for objects; marshal's format changes with every release of Python",
    "sealed": "in place",
}


def questions(rule: Rule) -> list[str]:
    """Return the keys of what to ask at a place."""
    if rule.kind in _ASKED:
        return list(_ASKED[rule.kind])
    both = ("read", "write") if rule.direction == "both" else (rule.direction,)
    return list(dict.fromkeys(key for direction in both for key in _ASKED[direction]))


def offer(rule: Rule, source: str | None) -> str:
    """Return what pickleseal has for a place."""
    if rule.kind in OFFERS:
        return OFFERS[rule.kind]
    if rule.direction == "write":
        return OFFERS["write"]
    if source in ("network", "cache", "database"):
        return OFFERS["network" if source == "network" else "cache"]
    return OFFERS["bytes" if rule.argument == "bytes" else "file"]
