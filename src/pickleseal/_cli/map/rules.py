"""The tables of `map`: functions and classes that pickle, settings that switch pickling on, questions, and offers."""

import re
from functools import lru_cache
from typing import NamedTuple


class Rule(NamedTuple):
    """What a function, class or setting does with pickles.

    `direction` is `read`, `write` or `both`. `kind` is `call` (reads or writes one pickle), `implicit` (pickles as a
    side effect), `class` (a pickler or unpickler), `setting` (makes other code pickle), `hook` (says how a class is
    pickled), `note` (not pickle, but as unsafe) or `sealed` (pickleseal). `argument` is what the first argument of a
    read is: `bytes`, `file` (an open file), `path`, `url`, or empty.
    """

    library: str
    direction: str
    kind: str
    argument: str


# module, names, direction, kind, argument. `Class().method` is a method of an instance.
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
# Methods that are known by their name, on any object.
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
# Settings: the name of a keyword, key or variable, in lower case and without the prefix `CELERY_`.
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
# Values of such a setting that mean pickle.
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
# Classes that settings name (`BACKEND`). They pickle what they keep, unless they are configured otherwise.
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
_WORDS = re.compile(
    rb"[pP]ickle|dill|joblib|shelve|marshal|copyreg|copy_reg|multiprocess|billiard|ProcessPoolExecutor|kombu"
    rb"|(?i:serializer|accept_content)|diskcache|cachelib|django\.core\.cache|django_redis|SocketHandler"
    rb"|DatagramHandler|srsly"
)
_OF_TORCH = re.compile(rb"\b(?:load|save|load_url|\w+_object|\w+_object_list)\b")
_SAVE = re.compile(rb"\bsavez?\w*\(")
_LOAD = re.compile(rb"\bload\([^)\n]*")


def may_have_places(text: bytes) -> bool:
    """Return whether the text of a module has words that places have. Linear in its length, whatever it is."""
    if _WORDS.search(text) is not None:
        return True
    torch = text.find(b"torch")
    if torch >= 0 and _OF_TORCH.search(text, torch + 5) is not None:
        return True
    if b"dtype" in text and any(_SAVE.search(line.rpartition(b"dtype")[0]) for line in text.split(b"\n")):
        return True
    return any(call[0].count(b",") > 1 for call in _LOAD.finditer(text))


@lru_cache(100_000)  # depends only on the tables above
def canonical(name: str) -> str:
    """Return the name of a function, class or module in the rules."""
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


# The questions by key.
QUESTIONS = {
    "trusted-source": "Who can write these bytes? A pickle can run any code, so whoever writes it can run code here.",
    "version": "Which version of the code wrote them, and does the reader know?",
    "class-change": "What happens when a class gains, loses or reorders a field between writing and reading?",
    "long-term": "How long are they kept? What is read after a deploy needs a schema and a way to migrate.",
    "live-resources": "Can the object hold a lock, socket, file or connection?",
}
_ASKED = {
    "read": ("trusted-source", "version", "class-change"),
    "write": ("version", "class-change", "long-term", "live-resources"),
    "implicit": ("live-resources",),
    "hook": ("class-change", "long-term"),
    "note": ("trusted-source", "long-term"),
    "sealed": ("long-term",),
}
# What pickleseal offers for a place.
OFFERS = {
    "bytes": "pickleseal.unpack(data, trust=[...]) checks checksums, classes and imports before anything runs",
    "file": "pickleseal.load(file, trust=[...]) checks files, paths and URLs in this way; `convert` wraps old files",
    "network": "Reader with Policy(keys=..., level='strict'), and a quarantine for what it refuses",
    "cache": "pickleseal.unpack raises pickle.UnpicklingError, so a cache still turns a bad pickle into a miss",
    "write": "pickleseal.dump(obj, path) or pack(obj) stores the version, schema and checksums with the object",
    "setting": "pickleseal.dumps and loads can be the serializer: they have the same names and arguments",
    "implicit": "nothing, as both ends are the same program; pass no locks, sockets or open files",
    "hook": "@artifact and @migration keep the names, versions and fields of a class in one place",
    "note": "pack(obj) for objects; the format of marshal changes with each release of Python",
    "sealed": "it is in use already",
}


def questions(rule: Rule) -> list[str]:
    """Return the keys of the questions for a place."""
    if rule.kind in _ASKED:
        return list(_ASKED[rule.kind])
    both = ("read", "write") if rule.direction == "both" else (rule.direction,)
    return list(dict.fromkeys(key for direction in both for key in _ASKED[direction]))


def offer(rule: Rule, source: str | None) -> str:
    """Return what pickleseal offers for a place."""
    if rule.kind in OFFERS:
        return OFFERS[rule.kind]
    if rule.direction == "write":
        return OFFERS["write"]
    if source in ("network", "cache", "database"):
        return OFFERS["network" if source == "network" else "cache"]
    return OFFERS["bytes" if rule.argument == "bytes" else "file"]
