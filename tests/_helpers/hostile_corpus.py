"""The hostile corpus: artifacts that try to get more out of a reader than objects, as data.

Each case says what is expected at level `guarded` and at `strict`: codes of refusals, or `loads` where loading does no
harm. No code at a level means that the level promises nothing about it (spec 8.2), so it is not tried there. What the
payloads would run, if anything ran, writes a file named `fired`; `hostile_child` notices, and much else.
"""

# ruff: noqa: E501, SIM905 - tables are read best as tables
from __future__ import annotations

import functools
import itertools
import pickle
import struct
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from frames import DROP, Frame, framed

F, L, U, N = "forbidden-operation", "limit-exceeded", "unpickle-failed", "untrusted-global"
D, E, P, C, OK = "undeclared-global", "pickle-envelope", "policy", "class-missing", "loads"
TRUST = "trust-refused"  # `trust=` raises ValueError


class Case(NamedTuple):
    """One artifact, made when it is needed, and what may come of it."""

    name: str
    make: Callable[[], bytes]
    guarded: frozenset[str]
    strict: frozenset[str]
    trust: tuple[str, ...]

    @property
    def group(self) -> str:
        return self.name.partition("/")[0]


CASES: dict[str, Case] = {}


def case(
    name: str,
    body: bytes | Callable[[], bytes],
    *names: str,
    guarded: str = "",
    strict: str = "",
    trust: tuple[str, ...] = (),
    protocol: int = 5,
    whole: bool = False,
    **fields: Any,
) -> None:
    """Add a case. `body` is what stands in the frame of a pickle, or with `whole` all of the pickle."""

    def make() -> bytes:
        raw = body if isinstance(body, bytes) else body()
        if not whole:
            raw = framed(raw, protocol) if protocol >= 4 else bytes((0x80, protocol)) + raw + b"."
        header = {"globals": sorted({*names}), "pickle": {"protocol": protocol}, "type": "builtins:object", **fields}
        return Frame(raw, **header).data

    add(name, make, guarded, strict, trust)


def add(name: str, make: Callable[[], bytes], guarded: str, strict: str = "", trust: tuple[str, ...] = ()) -> None:
    if name in CASES:
        raise ValueError(f"two cases are called {name}")
    CASES[name] = Case(name, make, frozenset(guarded.split()), frozenset((strict or guarded).split()), trust)


# The assembler. Nothing is memoized unless it says so.
NONE, MARK, EMPTY, LIST, DICT, SET = b"N", b"(", b")", b"]", b"}", b"\x8f"
REDUCE, BUILD, NEWOBJ, NEWOBJ_EX, POP, MEMO = b"R", b"b", b"\x81", b"\x92", b"0", b"\x94"
APPEND, SETITEM, ADDITEMS = b"a", b"s", b"\x90"


def S(text: str) -> bytes:  # noqa: N802
    """SHORT_BINUNICODE, or BINUNICODE where it is long."""
    raw = text.encode("utf-8", "surrogatepass")
    return b"\x8c" + bytes((len(raw),)) + raw if len(raw) < 256 else b"X" + struct.pack("<I", len(raw)) + raw


def B(raw: bytes) -> bytes:  # noqa: N802
    return b"C" + bytes((len(raw),)) + raw if len(raw) < 256 else b"B" + struct.pack("<I", len(raw)) + raw


def I(number: int) -> bytes:  # noqa: N802, E743
    if 0 <= number < 256:
        return b"K" + bytes((number,))
    raw = pickle.encode_long(number)
    return b"\x8a" + bytes((len(raw),)) + raw


def G(name: str) -> bytes:  # noqa: N802
    """STACK_GLOBAL."""
    module, _, qualname = name.partition(":")
    return S(module) + S(qualname) + b"\x93"


def T(*items: bytes) -> bytes:  # noqa: N802
    """A tuple."""
    return b"(" + b"".join(items) + b"t"


def call(name: str, *args: bytes) -> bytes:
    return G(name) + T(*args) + REDUCE


def new(name: str, *args: bytes) -> bytes:
    return G(name) + T(*args) + NEWOBJ


def get(index: int) -> bytes:
    return b"h" + bytes((index,)) if index < 256 else b"j" + struct.pack("<I", index)


def state(**items: bytes) -> bytes:
    """A dictionary."""
    return DICT + b"".join(S(key) + value + SETITEM for key, value in items.items())


def slots(**items: bytes) -> bytes:
    """A state of slots."""
    return NONE + state(**items) + b"\x86"


def tower(height: int, first: int = 0, join: bytes = b"\x86") -> bytes:
    """A tuple of the one below, twice, and so on: 2**height leaves in 4 bytes a storey. Memoized from `first` on."""
    return b"N\x85" + b"".join(MEMO + get(first + n) + join for n in range(height))


def list_tower(height: int, first: int = 0) -> bytes:
    """The same of lists, which nothing hashes."""
    return LIST + b"".join(MEMO + POP + LIST + MARK + get(first + n) * 2 + b"e" for n in range(height))


# -- gadgets: what runs its arguments, by all the names that are known for it -----------------------------------------

SHELL = S("echo fired > fired")
CODE = S("open('fired', 'w').close()")
ARGV = LIST + MARK + S("/bin/sh") + S("-c") + SHELL + b"e"
GADGETS: dict[str, tuple[bytes, ...]] = {
    **dict.fromkeys(("os:system", "posix:system", "nt:system", "os:popen"), (SHELL,)),
    **dict.fromkeys(("os:execv", "os:execve", "os:execvp", "posix:execv"), (S("/bin/sh"), ARGV)),
    **dict.fromkeys(("os:spawnv", "os:spawnvp", "os:spawnl"), (I(0), S("/bin/sh"), ARGV)),
    **dict.fromkeys(("os:posix_spawn", "os:posix_spawnp", "posix:posix_spawn"), (S("/bin/sh"), ARGV, DICT)),
    **dict.fromkeys(("os:remove", "os:unlink", "os:rmdir", "os:mkdir", "os:makedirs"), (S("fired"),)),
    **dict.fromkeys(("os:rename", "os:link", "os:symlink", "os:putenv", "os:setenv"), (S("a"), S("fired"))),
    **dict.fromkeys(("os:kill", "os:killpg"), (I(0), I(0))),
    **dict.fromkeys(("os:_exit", "sys:exit", "os:abort", "posix:_exit"), (I(3),)),
    **dict.fromkeys(("os:fork", "os:forkpty", "pty:fork"), ()),
    **dict.fromkeys(("subprocess:Popen", "subprocess:run", "subprocess:call", "subprocess:check_output"), (ARGV,)),
    **dict.fromkeys(("subprocess:check_call", "subprocess:getoutput", "subprocess:getstatusoutput"), (SHELL,)),
    **dict.fromkeys(("builtins:eval", "builtins:exec", "__builtin__:eval", "__builtin__:exec"), (CODE,)),
    **dict.fromkeys(("__builtin__:execfile", "__builtin__:apply", "__builtin__:file"), (CODE,)),
    "builtins:compile": (CODE, S("x"), S("exec")),
    "builtins:__import__": (S("antigravity"),),
    "builtins:open": (S("fired"), S("w")),
    "builtins:input": (),
    "builtins:breakpoint": (),
    "builtins:help": (),
    "builtins:exit": (),
    "builtins:quit": (),
    "builtins:globals": (),
    "builtins:locals": (),
    "builtins:vars": (),
    "builtins:dir": (),
    "builtins:hasattr": (LIST, S("append")),
    "builtins:setattr": (LIST, S("x"), NONE),
    "builtins:delattr": (LIST, S("x")),
    "builtins:super": (),
    "builtins:property": (NONE,),
    "builtins:classmethod": (NONE,),
    "builtins:staticmethod": (NONE,),
    "builtins:memoryview": (B(b"x"),),
    "builtins:__build_class__": (NONE, S("x")),
    **dict.fromkeys(("builtins:map", "builtins:filter"), (NONE, LIST)),
    **dict.fromkeys(("builtins:print", "builtins:repr", "builtins:ascii", "builtins:format", "builtins:id"), (S("x"),)),
    **dict.fromkeys(("builtins:iter", "builtins:next", "builtins:sum", "builtins:sorted", "builtins:max"), (LIST,)),
    **dict.fromkeys(("builtins:enumerate", "builtins:zip", "builtins:reversed", "builtins:all"), (LIST,)),
    "builtins:pow": (I(7), I(10**9)),
    "builtins:BaseException": (S("x"),),
    "builtins:SystemExit": (I(3),),
    "builtins:KeyboardInterrupt": (),
    **dict.fromkeys(("importlib:import_module", "importlib:__import__", "importlib:reload"), (S("antigravity"),)),
    "importlib._bootstrap:_gcd_import": (S("antigravity"),),
    "importlib._bootstrap_external:SourceFileLoader": (S("x"), S("x.py")),
    "importlib.machinery:SourceFileLoader": (S("x"), S("x.py")),
    "importlib.util:spec_from_file_location": (S("x"), S("x.py")),
    "imp:load_source": (S("x"), S("x.py")),
    "pkgutil:resolve_name": (S("os:system"),),
    "pydoc:locate": (S("os.system"),),
    "pydoc:pipepager": (S("x"), SHELL),
    "pydoc:tempfilepager": (S("x"), SHELL),
    "zipimport:zipimporter": (S("x.zip"),),
    "runpy:run_path": (S("x.py"),),
    "runpy:run_module": (S("antigravity"),),
    "runpy:_run_code": (CODE, DICT),
    **dict.fromkeys(("functools:partial", "_functools:partial", "functools:partialmethod"), (NONE,)),
    **dict.fromkeys(("functools:reduce", "functools:cmp_to_key", "functools:cached_property"), (NONE,)),
    **dict.fromkeys(("functools:wraps", "functools:lru_cache", "functools:singledispatch"), (NONE,)),
    **dict.fromkeys(("operator:attrgetter", "operator:methodcaller", "_operator:attrgetter"), (S("__class__"),)),
    **dict.fromkeys(("operator:itemgetter", "operator:call", "_operator:call", "operator:concat"), (S("x"),)),
    **dict.fromkeys(("operator:setitem", "operator:delitem", "operator:iadd", "_operator:mul"), (LIST, I(9))),
    **dict.fromkeys(("types:FunctionType", "types:LambdaType", "types:CodeType", "types:MethodType"), (NONE, DICT)),
    **dict.fromkeys(("types:new_class", "types:prepare_class", "types:coroutine", "types:ModuleType"), (S("x"),)),
    "types:DynamicClassAttribute": (NONE,),
    "types:MappingProxyType": (DICT,),
    "types:CellType": (NONE,),
    **dict.fromkeys(("pickle:loads", "_pickle:loads", "pickle:_loads", "cPickle:loads"), (B(b"\x80\x04N."),)),
    **dict.fromkeys(("pickle:load", "pickle:Unpickler", "pickle:_Unpickler", "_pickle:Unpickler"), (NONE,)),
    **dict.fromkeys(("marshal:loads", "dill:loads", "cloudpickle:loads", "joblib:load"), (B(b"N"),)),
    "cloudpickle.cloudpickle:_make_function": (NONE,),
    "pickleseal:unpack": (B(b"x"),),
    "pickleseal:load": (S("x"),),
    "pickleseal._payload.unpickler:load_object": (B(b"N."),),
    "pickletools:dis": (B(b"N."),),
    "shelve:open": (S("fired"),),
    "dbm.dumb:open": (S("fired"), S("c")),
    "sqlite3:connect": (S("fired"),),
    **dict.fromkeys(("codecs:decode", "_codecs:decode", "codecs:encode", "_codecs:encode"), (S("x"), S("rot13"))),
    "codecs:open": (S("fired"), S("w")),
    **dict.fromkeys(("io:open", "_io:open", "io:FileIO", "_io:FileIO", "_pyio:open", "io:open_code"), (S("fired"),)),
    **dict.fromkeys(("ctypes:CDLL", "ctypes:PyDLL", "_ctypes:dlopen"), (NONE,)),
    **dict.fromkeys(("ctypes:string_at", "ctypes:cast", "ctypes:memset"), (I(0), I(1))),
    **dict.fromkeys(("multiprocessing:Process", "multiprocessing.util:spawnv_passfds"), (S("/bin/sh"),)),
    "multiprocessing.connection:Client": (S("x"),),
    "multiprocessing.reduction:_rebuild_socket": (NONE,),
    "concurrent.futures:ProcessPoolExecutor": (),
    **dict.fromkeys(("pdb:run", "pdb:runeval", "pdb:Pdb", "bdb:Bdb", "bdb:Bdb.run"), (CODE,)),
    **dict.fromkeys(("timeit:timeit", "timeit:repeat", "timeit:main", "timeit:Timer"), (CODE,)),
    **dict.fromkeys(("cProfile:run", "cProfile:runctx", "profile:run", "profile:runctx", "trace:Trace"), (CODE,)),
    **dict.fromkeys(("code:interact", "code:InteractiveInterpreter", "codeop:compile_command"), (CODE,)),
    **dict.fromkeys(("doctest:debug_script", "doctest:testsource", "doctest:run_docstring_examples"), (CODE,)),
    **dict.fromkeys(("webbrowser:open", "webbrowser:get", "antigravity:geohash"), (S("about:blank"),)),
    **dict.fromkeys(("logging.config:dictConfig", "logging.config:fileConfig"), (DICT,)),
    "logging.config:listen": (),
    "logging:FileHandler": (S("fired"),),
    **dict.fromkeys(("numpy.testing._private.utils:runstring", "numpy.testing:runstring"), (CODE, DICT)),
    **dict.fromkeys(("numpy.f2py.crackfortran:param_eval", "numpy.f2py.crackfortran:myeval"), (CODE,)),
    "numpy.f2py.diagnose:run_command": (SHELL,),
    "numpy.distutils.exec_command:exec_command": (SHELL,),
    **dict.fromkeys(("numpy:load", "numpy:fromfile", "numpy:memmap", "numpy:save"), (S("fired"),)),
    **dict.fromkeys(("numpy.core.multiarray:_reconstruct", "numpy._core.multiarray:_reconstruct"), (NONE,)),
    **dict.fromkeys(("numpy:dtype", "numpy:ndarray", "numpy:frompyfunc", "numpy:vectorize"), (S("O"),)),
    **dict.fromkeys(("torch:load", "torch.hub:load", "torch._utils:_rebuild_tensor_v2"), (S("x"),)),
    **dict.fromkeys(("torch.serialization:load", "torch.jit:load", "torch._dynamo:x"), (S("x"),)),
    **dict.fromkeys(("tensorflow:load_library", "keras.models:load_model"), (S("x"),)),
    **dict.fromkeys(("pandas:read_pickle", "pandas.io.pickle:read_pickle", "pandas:eval"), (S("x"),)),
    **dict.fromkeys(("pandas.core.computation.eval:eval", "pandas:DataFrame"), (S("x"),)),
    **dict.fromkeys(("sklearn.utils:Bunch", "scipy:_lib"), (S("x"),)),
    **dict.fromkeys(("pip:main", "pip._internal:main", "pip._internal.cli.main:main"), (ARGV,)),
    **dict.fromkeys(("setuptools:setup", "distutils.spawn:spawn", "distutils.core:run_setup"), (ARGV,)),
    "distutils.file_util:write_file": (S("fired"), LIST),
    **dict.fromkeys(("asyncio:run", "asyncio:create_subprocess_shell", "asyncio.subprocess:Process"), (SHELL,)),
    "asyncio.unix_events:_UnixSubprocessTransport._start": (ARGV,),
    "idlelib.pyshell:ModifiedInterpreter.runcommand": (CODE,),
    "idlelib.autocomplete:AutoComplete.get_entity": (CODE,),
    "idlelib.calltip:get_entity": (CODE,),
    "idlelib.debugobj:ObjectTreeItem.SetText": (CODE,),
    "lib2to3.pgen2.grammar:Grammar.loads": (B(b"N."),),
    "lib2to3.pgen2.pgen:ParserGenerator": (S("x"),),
    **dict.fromkeys(("xmlrpc.client:ServerProxy", "xmlrpc.server:SimpleXMLRPCServer"), (S("http://x"),)),
    **dict.fromkeys(("socket:socket", "_socket:socket", "socket:create_connection", "_socket:getaddrinfo"), ()),
    **dict.fromkeys(("urllib.request:urlopen", "http.client:HTTPConnection", "ftplib:FTP"), (S("x"),)),
    **dict.fromkeys(("smtplib:SMTP", "telnetlib:Telnet", "socketserver:TCPServer"), (S("x"),)),
    **dict.fromkeys(("pty:spawn", "pty:openpty"), (ARGV,)),
    **dict.fromkeys(("shutil:rmtree", "shutil:move", "shutil:copyfile", "shutil:unpack_archive"), (S("fired"),)),
    **dict.fromkeys(("tempfile:mktemp", "tempfile:NamedTemporaryFile", "pathlib:Path"), ()),
    **dict.fromkeys(("ensurepip:bootstrap", "ensurepip:_run_pip", "venv:create", "venv:main"), (ARGV,)),
    **dict.fromkeys(("uuid:_get_command_stdout", "uuid:_popen", "uuid:getnode", "uuid:uuid1"), (S("sh"),)),
    **dict.fromkeys(("zoneinfo:reset_tzpath", "zoneinfo._common:load_data", "zoneinfo:available_timezones"), ()),
    **dict.fromkeys(("ast:literal_eval", "ast:parse", "symtable:symtable", "py_compile:compile"), (CODE,)),
    **dict.fromkeys(("compileall:compile_dir", "modulefinder:ModuleFinder", "zipapp:create_archive"), (S("x"),)),
    **dict.fromkeys(("platform:popen", "platform:_syscmd_file", "commands:getoutput"), (SHELL,)),
    **dict.fromkeys(("ctypes.util:find_library", "_osx_support:_read_output", "_aix_support:x"), (SHELL,)),
    **dict.fromkeys(("test.support.script_helper:assert_python_ok", "test.support:run_in_subinterp"), (CODE,)),
    **dict.fromkeys(("unittest:main", "unittest.mock:_importer", "unittest.mock:patch"), (S("os.system"),)),
    **dict.fromkeys(("atexit:register", "threading:Thread", "threading:Timer", "_thread:start_new_thread"), (NONE,)),
    **dict.fromkeys(("signal:signal", "signal:raise_signal", "faulthandler:_sigsegv", "gc:get_objects"), (I(0),)),
    **dict.fromkeys(("weakref:finalize", "contextlib:ExitStack", "sched:scheduler"), (NONE,)),
    **dict.fromkeys(("copyreg:_reconstructor", "copyreg:__newobj__", "copyreg:add_extension"), (NONE,)),
    **dict.fromkeys(("copyreg:pickle", "copyreg:__newobj_ex__", "copy:_reconstruct"), (NONE,)),
    **dict.fromkeys(("collections:namedtuple", "dataclasses:make_dataclass", "enum:EnumMeta"), (S("x"),)),
    **dict.fromkeys(("typing:get_type_hints", "typing:ForwardRef", "inspect:getattr_static"), (CODE,)),
    **dict.fromkeys(("itertools:starmap", "itertools:accumulate", "itertools:repeat"), (LIST,)),
    **dict.fromkeys(("sys:settrace", "sys:setrecursionlimit", "sys:modules", "sys:_getframe"), (I(10),)),
    **dict.fromkeys(("linecache:getlines", "fileinput:input", "tokenize:open", "mmap:mmap"), (S("fired"),)),
    **dict.fromkeys(("tkinter:Tcl", "turtle:Turtle", "readline:set_completer", "rlcompleter:Completer"), ()),
    **dict.fromkeys(("canary:trip", "canary:quiet", "targets:fire", "targets:Point"), ()),
    "__main__:__dict__": (),
    "nonexistent_module:thing": (),
    "": (),
}
GADGETS.pop("")

# What honest objects hold as values: it is handed out, and does nothing here.
VALUES_TO_CALL = {"functools:partial": F, "operator:attrgetter": F, "_operator:mul": F, "operator:itemgetter": OK}
for _name, _args in GADGETS.items():
    case(f"gadget/{_name}", call(_name, *_args), _name, guarded=VALUES_TO_CALL.get(_name, N))
for _name in itertools.islice(GADGETS, 0, None, 9):
    case(f"gadget-undeclared/{_name}", call(_name, *GADGETS[_name]), "builtins:list", guarded=D)
for _name in itertools.islice(GADGETS, 4, None, 9):
    _module, _, _qualname = _name.partition(":")
    _line = b"c" + _module.encode() + b"\n" + _qualname.encode() + b"\n" + T(*GADGETS[_name]) + b"R"
    # GLOBAL of protocol 2 and 3 renames modules of Python 2; `unpack` takes neither protocol by itself.
    case(f"gadget-global/{_name}", _line, _name, guarded=P, protocol=3)

# -- dotted names: the way from what is allowed to what is not --------------------------------------------------------

DOTTED = """
builtins:str.__class__ builtins:object.__subclasses__ builtins:object.__reduce_ex__ builtins:dict.__class__.__call__
builtins:list.__class__.mro builtins:int.from_bytes builtins:str.format builtins:bytes.fromhex builtins:dict.fromkeys
builtins:str.maketrans builtins:list.append builtins:Exception.with_traceback builtins:ValueError.__init__
uuid:UUID.__init__ uuid:UUID.__init__.__globals__ uuid:UUID.__init__.__code__ uuid:UUID.__init__.__builtins__
uuid:os.system uuid:sys.modules uuid:UUID.hex.fget.__globals__ uuid:UUID.__class__ uuid:UUID.__dict__
logging:os.system logging:sys.exit logging:shutil.rmtree json:codecs.open decimal:Decimal.__class__
collections:_sys.modules collections:abc.sys.exit collections:Counter.update collections:UserDict.__init__.__globals__
collections:namedtuple.__globals__ collections:ChainMap.__class__ datetime:sys.modules datetime:datetime.now
fractions:operator.attrgetter fractions:Fraction._from_coprime_ints fractions:Fraction.__new__.__globals__
ipaddress:functools.partial ipaddress:IPv4Address.__init__.__globals__ pathlib:os.system pathlib:PosixPath.unlink
pathlib:PosixPath.write_text pathlib:PosixPath.home pathlib:io.open zoneinfo:ZoneInfo._unpickle zoneinfo:_tzpath.os
zoneinfo:ZoneInfo.no_cache zoneinfo:ZoneInfo.from_file zoneinfo:ZoneInfo.clear_cache http:HTTPStatus.OK
http:HTTPStatus.__class__ http:HTTPStatus._member_map_ http:HTTPStatus.OK.phrase enum:sys.modules
types:SimpleNamespace.__class__ types:GenericAlias.__origin__ types:_GeneratorWrapper types:sys.modules
array:array.fromfile array:array.__class__ re:_compile.__globals__ re:enum.sys.modules re:functools.partial
pickleseal:rebuild_array.__globals__ pickleseal:rebuild_dtype.__code__ pickleseal:unpack.__globals__
pickleseal._trust.safe_functions:operator.attrgetter pickleseal._trust.safe_functions:SAFE_FUNCTIONS targets:Point.__init__
targets:Point.__init__.__globals__ targets:Point.__dict__ targets:Point.__class__ targets:Color.RED
targets:Color._value2member_map_ targets:harmless.__globals__ targets:harmless.__code__ targets:TABLE targets:ITEMS
targets:POINT targets:POINT.__class__ targets:enum.sys.modules targets:Reads.value targets:Reads.make
targets:WithMeta.limits targets:Meta
""".split()
_LISTED_BASES = ("targets:Point", "targets:harmless", "targets:Color", "targets:Reads", "targets:WithMeta")
for _name in DOTTED:
    case(f"dotted/{_name}", G(_name), _name, guarded=N, trust=_LISTED_BASES)
for _name in DOTTED[::6]:
    case(f"dotted-undeclared/{_name}", G(_name), "uuid:UUID", "targets:Point", guarded=D, trust=_LISTED_BASES)
# By way of what is found at run time, where STACK_GLOBAL's strings are not what the header has.
for _number, _names in enumerate([("os.path", "os.system"), ("uuid", "UUID.__init__"), ("uuid", ""), ("", "UUID")]):
    case(f"dotted/run-time-{_number}", S(_names[0]) + S(_names[1]) + b"\x93", "uuid:UUID", guarded=D)
for _number, _pair in enumerate(
    [(B(b"uuid"), S("UUID")), (S("uuid"), NONE), (I(1), I(2)), (LIST, LIST), (DICT, S("x"))]
):
    case(f"dotted/no-text-{_number}", _pair[0] + _pair[1] + b"\x93", "uuid:UUID", guarded=U, strict=U)
case(
    "dotted/text-of-its-own", call("targets:Text", S("os")) + S("system") + b"\x93", "targets:Text",
    guarded=f"{U} {D} {F}", trust=("targets:Text",),
)  # fmt: skip
for _name in ("targets:TABLE", "targets:ITEMS", "targets:POINT", "targets:Color.RED", "targets:WithMeta.limits"):
    case(f"dotted-trusted/{_name}", G(_name) + S("k") + NONE + SETITEM, _name, guarded=P, trust=(_name,))
for _name in ("targets:Meta", "targets:Point.__class__", "builtins:str.__class__", "uuid:UUID.__class__"):
    case(f"dotted-trusted/{_name}", call(_name, S("X"), EMPTY, DICT), _name, guarded=f"{P} {TRUST}", trust=(_name,))
for _name in ("targets:harmless.__globals__", "uuid:UUID.__init__.__globals__", "targets:Point.__dict__"):
    case(f"dotted-trusted/{_name}", G(_name), _name, guarded=P, trust=(_name,))
REFUSED = """os:system builtins:eval builtins:exec builtins:open functools:reduce
operator:iadd importlib:import_module types:FunctionType types:CodeType pickle:loads marshal:loads ctypes:CDLL
subprocess:Popen sys:exit shutil:rmtree socket:socket code:interact pty:spawn runpy:run_path timeit:timeit pdb:run
multiprocessing:Process logging:os.system collections:_sys.exit codecs:open io:open uuid:os.system
builtins:setattr builtins:__import__ builtins:compile _operator:methodcaller pkgutil:resolve_name""".split()
for _name in REFUSED:
    case(f"trusted-gadget/{_name}", call(_name, *GADGETS.get(_name, ())), _name, guarded=f"{TRUST} {P}", trust=(_name,))

# -- opcodes on what is allowed: every value class of the built-in list -----------------------------------------------

VALUES = """
array:array builtins:bool builtins:bytes builtins:complex builtins:dict builtins:float builtins:frozenset builtins:int
builtins:list builtins:object builtins:range builtins:set builtins:slice builtins:str builtins:tuple
builtins:Exception builtins:ValueError builtins:OSError builtins:UnicodeDecodeError builtins:StopIteration
collections:ChainMap collections:Counter collections:OrderedDict collections:UserDict collections:UserList
collections:UserString collections:defaultdict collections:deque datetime:date datetime:datetime datetime:time
datetime:timedelta datetime:timezone decimal:Decimal fractions:Fraction http:HTTPStatus ipaddress:IPv4Address
ipaddress:IPv4Interface ipaddress:IPv4Network ipaddress:IPv6Address ipaddress:IPv6Interface ipaddress:IPv6Network
pathlib:PosixPath pathlib:PurePosixPath pathlib:PureWindowsPath time:struct_time types:GenericAlias
types:SimpleNamespace uuid:SafeUUID uuid:UUID zoneinfo:ZoneInfo
""".split()
OWN = """Point Frozen Slotted Pair Color Number Right Bits Word Callable OwnState WithMeta Text Int Items Table Group Row
Own Box ErrorA Reads""".split()
ON_CLASSES = {
    "slots": slots(x=NONE) + BUILD,
    "slots-of-a-method": slots(__init__=G("builtins:list"), __eq__=NONE) + BUILD,
    "class": slots(__class__=G("builtins:list")) + BUILD,
    "bases": slots(__bases__=T(G("builtins:list"))) + BUILD,
    "name": slots(__name__=S("eval"), __qualname__=S("eval"), __module__=S("os")) + BUILD,
    "state": state(x=NONE) + BUILD,
    "append": NONE + APPEND,
    "appends": MARK + NONE + NONE + b"e",
    "setitem": NONE + NONE + SETITEM,
    "setitems": MARK + NONE * 4 + b"u",
    "additems": MARK + NONE + NONE + ADDITEMS,
}
for _name in [*VALUES, *(f"targets:{name}" for name in OWN)]:
    _trust = (_name,) if _name.startswith("targets:") else ()
    for _what, _operation in ON_CLASSES.items():
        if _name in VALUES[:20:3] or _name not in VALUES[:20] or _what in ("slots", "setitem"):
            # What the process refuses by itself needs no rule: the classes in C take no attributes.
            case(
                f"class-{_what}/{_name}", G(_name) + _operation, _name, "builtins:list",
                guarded=f"{F} {U}", strict=F, trust=_trust,
            )  # fmt: skip
ENUMS = {"http:HTTPStatus": I(200), "uuid:SafeUUID": I(0), "targets:Color": I(1), "targets:Number": I(1),
         "targets:Right": I(1), "targets:Bits": I(1), "targets:Word": S("yes")}  # fmt: skip
ON_MEMBERS = {
    "value": state(_value_=NONE) + BUILD,
    "name": slots(_name_=S("x")) + BUILD,
    "any": state(any=NONE) + BUILD,
    "class": slots(__class__=G("builtins:list")) + BUILD,
    "setstate": state(__setstate__=G("builtins:list")) + BUILD,
    "dict": slots(__dict__=DICT) + BUILD,
    "twice": state(a=NONE) + BUILD + state(b=NONE) + BUILD,
}
for _name, _value in ENUMS.items():
    for _what, _operation in ON_MEMBERS.items():
        _trust = (_name,) if _name.startswith("targets:") else ()
        _names = (_name, "builtins:list")
        case(f"member-{_what}/{_name}", call(_name, _value) + _operation, *_names, guarded=F, trust=_trust)
    _trust = (_name,) if _name.startswith("targets:") else ()
    case(f"member-new/{_name}", new(_name, _value) + state(_value_=I(7)) + BUILD, _name, guarded=F, trust=_trust)
    case(f"member-item/{_name}", call(_name, _value) + NONE + NONE + SETITEM, _name, guarded=f"{F} {U}", trust=_trust)
    case(f"member-called/{_name}", call(_name, _value) + EMPTY + REDUCE, _name,
         guarded=f"{F} {U}", strict=F, trust=_trust)  # fmt: skip
case("member-composed/targets:Right", call("targets:Right", I(3)) + state(_value_=I(1)) + BUILD, "targets:Right",
     guarded=F, trust=("targets:Right",))  # fmt: skip
case("member-many/targets:Bits", LIST + MARK + b"".join(call("targets:Bits", I(n)) for n in range(4)) + b"e",
     "targets:Bits", guarded=OK, trust=("targets:Bits",))  # fmt: skip

# What an object is made with, for those that no call without arguments makes.
ARGS = {
    "array:array": T(S("b")), "builtins:slice": T(I(1)), "builtins:range": T(I(1)), "fractions:Fraction": T(I(1)),
    "datetime:date": T(I(1), I(1), I(1)), "datetime:datetime": T(I(1), I(1), I(1)), "uuid:UUID": T(S("0" * 32)),
    "datetime:timezone": T(call("datetime:timedelta")), "types:GenericAlias": T(G("builtins:list"), EMPTY),
    "time:struct_time": T(T(*[I(1)] * 9)), "ipaddress:IPv4Address": T(I(1)), "ipaddress:IPv6Address": T(I(1)),
    "ipaddress:IPv4Network": T(I(1)), "ipaddress:IPv6Network": T(I(1)), "ipaddress:IPv4Interface": T(I(1)),
    "ipaddress:IPv6Interface": T(I(1)), "zoneinfo:ZoneInfo": T(S("UTC")), "collections:UserString": T(S("x")),
    "builtins:UnicodeDecodeError": T(S("ascii"), B(b"x"), I(0), I(1), S("x")),
    "targets:Slotted": T(I(1), I(2)), "targets:Pair": T(I(1), I(2)),
}  # fmt: skip
ON_OBJECTS = {
    "setstate": (state(__setstate__=G("builtins:list")) + BUILD, F, F),
    "setstate-then-used": (state(__setstate__=G("targets:harmless")) + BUILD + NONE + BUILD, F, F),
    "setstate-slots": (slots(__setstate__=G("builtins:list")) + BUILD, F, F),
    "class": (slots(__class__=G("collections:UserList")) + BUILD, F, F),
    "dict": (slots(__dict__=state(x=NONE)) + BUILD, F, F),
    "call": (EMPTY + REDUCE, f"{F} {U}", F),
    "twice": (state(x=NONE) + BUILD + state(y=NONE) + BUILD, f"{F} {U} {OK}", F),
    "new": (EMPTY + NEWOBJ, f"{F} {U}", f"{F} {U}"),
}
_NO_OBJECT = {
    "http:HTTPStatus",
    "uuid:SafeUUID",
    *(f"targets:{name}" for name in ("Color", "Number", "Right", "Bits", "Word")),
}
for _name in [*VALUES, *(f"targets:{name}" for name in OWN)]:
    if _name in _NO_OBJECT or _name == "targets:Reads":  # its own code answers for what it lacks
        continue
    _trust = ("targets:harmless", *((_name,) if _name.startswith("targets:") else ()))
    for _what, (_operation, _guarded, _strict) in ON_OBJECTS.items():
        _names = ["collections:UserList", "builtins:list", "targets:harmless"]
        _body = G(_name) + ARGS.get(_name, EMPTY) + REDUCE + _operation
        _names = [name for name in (*_names, "datetime:timedelta") if G(name) in _body]
        if _name == "builtins:bytes":  # a dry run makes the bytes themselves, which the process keeps from harm
            _guarded, _strict = f"{F} {U}", f"{F} {U}"
        case(f"object-{_what}/{_name}", _body, _name, *_names, guarded=_guarded, strict=_strict, trust=_trust)

# -- spellings of __setstate__ ----------------------------------------------------------------------------------------

_SPELLED = "__setstate__"
SPELLINGS: dict[str, tuple[bytes, tuple[str, ...], tuple[str, ...]]] = {
    "binunicode": (b"X" + struct.pack("<I", 12) + _SPELLED.encode(), (), ()),
    "binunicode8": (b"\x8d" + struct.pack("<Q", 12) + _SPELLED.encode(), (), ()),
    "str": (call("builtins:str", S(_SPELLED)), ("builtins:str",), ()),
    "str-new": (new("builtins:str", S(_SPELLED)), ("builtins:str",), ()),
    "str-of-bytes": (call("builtins:str", B(_SPELLED.encode()), S("ascii")), ("builtins:str",), ()),
    "str-of-escapes": (call("builtins:str", B(b"\\x5f_setstate__"), S("unicode_escape")), ("builtins:str",), ()),
    "str-of-utf-7": (call("builtins:str", B(b"+AF8-_setstate__"), S("utf-7")), ("builtins:str",), ()),
    "str-of-rot13": (call("builtins:str", B(b"__frgfgngr__"), S("rot13")), ("builtins:str",), ()),
    "str-of-bytearray": (
        call("builtins:str", b"\x96" + struct.pack("<Q", 12) + _SPELLED.encode(), S("ascii")), ("builtins:str",), ()),
    "str-of-user-string": (
        call("builtins:str", call("collections:UserString", S(_SPELLED))), ("builtins:str", "collections:UserString"), ()),
    "user-string": (call("collections:UserString", S(_SPELLED)), ("collections:UserString",), ()),
    "user-string-state": (
        new("collections:UserString") + state(data=S(_SPELLED)) + BUILD, ("collections:UserString",), ()),
    "user-string-of-bytes": (
        call("collections:UserString", B(_SPELLED.encode())), ("collections:UserString",), ()),
    "subclass": (call("targets:Text", S(_SPELLED)), ("targets:Text",), ("targets:Text",)),
    "subclass-of-bytes": (
        new("targets:Text", B(_SPELLED.encode()), S("ascii")), ("targets:Text",), ("targets:Text",)),
    "subclass-of-subclass": (
        call("targets:Text", call("targets:Text", S(_SPELLED))), ("targets:Text",), ("targets:Text",)),
    "numpy-scalar": (
        call("pickleseal:rebuild_scalar", S("<U12"), B(_SPELLED.encode("utf-32-le"))), ("pickleseal:rebuild_scalar",), ()),
    "numpy-scalar-by-str": (
        call("pickleseal:rebuild_scalar", call("builtins:str", S("<U12")), B(_SPELLED.encode("utf-32-le"))),
        ("builtins:str", "pickleseal:rebuild_scalar"), ()),
}  # fmt: skip
for _what, (_key, _names, _trust) in SPELLINGS.items():
    for _owner, _made in {
        "targets:Point": new("targets:Point"),
        "types:SimpleNamespace": call("types:SimpleNamespace"),
        "targets:ErrorA": call("targets:ErrorA"),
    }.items():
        _own = (_owner,) if _owner.startswith("targets:") else ()
        _state = DICT + _key + G("builtins:list") + SETITEM
        case(f"spelling-{_what}/{_owner}", _made + _state + BUILD, _owner, "builtins:list", *_names,
             guarded=f"{F} {U}" if "numpy" in _what or _owner == "targets:ErrorA" else F, trust=(*_trust, *_own))  # fmt: skip
    _state = DICT + _key + G("builtins:list") + SETITEM
    case(f"spelling-{_what}/then-used", new("targets:Point") + _state + BUILD + LIST + BUILD, "targets:Point",
         "builtins:list", *_names, guarded=f"{F} {U}" if "numpy" in _what else F,
         trust=(*_trust, "targets:Point"))  # fmt: skip
for _what, _key in {"class": "__class__", "dict": "__dict__"}.items():
    for _owner in ("targets:ErrorA", "targets:Point"):
        case(f"swap-{_what}/by-state-of/{_owner}",
             call(_owner) + state(**{_key: G("targets:ErrorB")}) + BUILD, _owner, "targets:ErrorB",
             guarded=f"{F} {U}" if _owner == "targets:ErrorA" else f"{F} {U} {OK}",
             trust=(_owner, "targets:ErrorB"))  # fmt: skip

# -- guarded substitutes, abused --------------------------------------------------------------------------------------

GETATTR = "builtins:getattr"
for _what in ("__class__", "__init__", "__dict__", "__globals__", "__subclasses__", "__reduce_ex__", "__getattribute__",
              "value", "missing", "_Reads__private", "__private", "shared", "method.__globals__", "",
              "__class_getitem__", "__new__", "mro", "__setattr__"):  # fmt: skip
    for _on, _owner in {"class": G("targets:Reads"), "object": new("targets:Reads")}.items():
        if _on == "object" and _what == "_Reads__private":
            continue  # a name with one underscore in front is a method as any other
        case(f"getattr-{_on}/{_what}", call(GETATTR, _owner, S(_what)), GETATTR, "targets:Reads",
             guarded=f"{N} {F}", trust=("targets:Reads",))  # fmt: skip
for _name in VALUES[10::5]:
    for _what in ("__init__", "__class__", "__subclasses__", "fromkeys"):
        case(f"getattr-value/{_name}.{_what}", call(GETATTR, G(_name), S(_what)), GETATTR, _name,
             guarded=f"{N} {F} {OK}" if _what == "fromkeys" else f"{N} {F}")  # fmt: skip
for _what, _value in {"none": NONE, "text": S("x"), "list": LIST, "bytes": B(b"x"), "int": I(1)}.items():
    case(f"getattr-of/{_what}", call(GETATTR, _value, S("__class__")), GETATTR, guarded=f"{N} {F}")
case("getattr-of/itself", call(GETATTR, G(GETATTR), S("__self__")), GETATTR, guarded=f"{N} {F}")
case("getattr-of/fixed", call(GETATTR, G("builtins:type"), S("__call__")), GETATTR, "builtins:type", guarded=f"{N} {F}")
case("getattr-of/default", call(GETATTR, LIST, S("nothing"), NONE), GETATTR, guarded=f"{N} {F} {U}")
case("getattr-of/text-of-its-own", call(GETATTR, G("targets:Reads"), call("targets:Text", S("__init__"))),
     GETATTR, "targets:Reads", "targets:Text", guarded=f"{N} {F}", trust=("targets:Reads", "targets:Text"))  # fmt: skip
case("getattr-of/many-arguments", call(GETATTR, *[NONE] * 9), GETATTR, guarded=f"{N} {F} {U}")
for _name in ("builtins:type", "builtins:bytearray", "re:_compile", "_functools:reduce", "_operator:or_",
              "_operator:getitem", GETATTR, "pickleseal:rebuild_array", "pickleseal:rebuild_scalar",
              "pickleseal:fill_object_array", "pickleseal:rebuild_dtype", "pickleseal:rebuild_object_array"):  # fmt: skip
    for _what, _operation in ON_CLASSES.items():
        case(f"guarded-{_what}/{_name}", G(_name) + _operation, _name, "builtins:list",
             guarded=f"{F} {U}", strict=F)  # fmt: skip
    case(f"guarded-new/{_name}", G(_name) + EMPTY + NEWOBJ, _name, guarded=f"{F} {U}")
    case(f"guarded-new-ex/{_name}", G(_name) + EMPTY + DICT + NEWOBJ_EX, _name, guarded=f"{F} {U}")
    for _what, _args in {"nothing": (), "list": (LIST,), "itself": (G(_name), G(_name)), "none": (NONE, NONE)}.items():
        if _what == "nothing" and _name == "builtins:bytearray":
            continue
        case(f"guarded-args-{_what}/{_name}", call(_name, *_args), _name, guarded=f"{N} {U} {F}")
MORE: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "type/value": (call("builtins:type", S("x")), ("builtins:type",)),
    "type/makes-a-class": (call("builtins:type", S("X"), EMPTY, DICT), ("builtins:type",)),
    "type/of-a-class": (call("builtins:type", G("uuid:UUID")), ("builtins:type", "uuid:UUID")),
    "bytearray/size": (call("builtins:bytearray", I(2**30)), ("builtins:bytearray",)),
    "bytearray/list": (call("builtins:bytearray", LIST), ("builtins:bytearray",)),
    "bytearray/text": (call("builtins:bytearray", S("x"), S("idna")), ("builtins:bytearray",)),
    "reduce/other-function": (call("_functools:reduce", G("builtins:list"), T(LIST, LIST)),
                              ("_functools:reduce", "builtins:list")),
    "reduce/text": (call("_functools:reduce", G("_operator:or_"), S("ab")), ("_functools:reduce", "_operator:or_")),
    "reduce/values": (call("_functools:reduce", G("_operator:or_"), T(I(1), I(2))),
                      ("_functools:reduce", "_operator:or_")),
    "reduce/initial": (call("_functools:reduce", G("_operator:or_"), T(I(1)), I(2)),
                       ("_functools:reduce", "_operator:or_")),
    "reduce/list": (call("_functools:reduce", G("_operator:or_"), LIST), ("_functools:reduce", "_operator:or_")),
    "or/dicts": (call("_operator:or_", DICT, DICT), ("_operator:or_",)),
    "or/sets": (call("_operator:or_", SET, SET), ("_operator:or_",)),
    "or/members": (call("_operator:or_", call("targets:Right", I(1)), call("targets:Right", I(2))),
                   ("_operator:or_", "targets:Right")),
    "getitem/dict": (call("_operator:getitem", DICT, I(1)), ("_operator:getitem",)),
    "getitem/list": (call("_operator:getitem", LIST, I(0)), ("_operator:getitem",)),
    "getitem/object": (call("_operator:getitem", new("targets:Point"), I(0)), ("_operator:getitem", "targets:Point")),
    "getitem/enum": (call("_operator:getitem", G("targets:Color"), S("RED")), ("_operator:getitem", "targets:Color")),
    "re/debug": (call("re:_compile", S("x"), I(128)), ("re:_compile",)),
    "re/text-flags": (call("re:_compile", S("x"), S("y")), ("re:_compile",)),
    "re/long": (call("re:_compile", S("a" * 1_000_001), I(0)), ("re:_compile",)),
    "re/text-of-its-own": (call("re:_compile", call("targets:Text", S("x")), I(0)), ("re:_compile", "targets:Text")),
    "re/bad": (call("re:_compile", S("("), I(0)), ("re:_compile",)),
    "re/deep": (call("re:_compile", S("(" * 30_000 + ")" * 30_000), I(0)), ("re:_compile",)),
    "re/huge-repeat": (call("re:_compile", S("a{99999999999999999999}"), I(0)), ("re:_compile",)),
    "re/look-behind": (call("re:_compile", S("(?<=a*)b"), I(0)), ("re:_compile",)),
    "alias/call-with-values": (call("types:GenericAlias", I(1), I(2)) + EMPTY + REDUCE, ("types:GenericAlias",)),
    "alias/call": (call("types:GenericAlias", G("builtins:list"), EMPTY) + EMPTY + REDUCE,
                   ("types:GenericAlias", "builtins:list")),
    "alias/call-of-a-function": (call("types:GenericAlias", G("targets:harmless"), EMPTY) + EMPTY + REDUCE,
                                 ("types:GenericAlias", "targets:harmless")),
    "alias/call-of-getattr": (
        call("types:GenericAlias", G(GETATTR), EMPTY) + T(G("targets:Reads"), S("__init__")) + REDUCE,
        ("types:GenericAlias", GETATTR, "targets:Reads")),
    "alias/new": (call("types:GenericAlias", G("builtins:list"), EMPTY) + EMPTY + NEWOBJ,
                  ("types:GenericAlias", "builtins:list")),
    "alias/items": (call("types:GenericAlias", G("builtins:list"), EMPTY) + NONE + NONE + SETITEM,
                    ("types:GenericAlias", "builtins:list")),
    "object/callable": (new("targets:Callable") + EMPTY + REDUCE, ("targets:Callable",)),
    "object/result-called": (call("targets:harmless") + EMPTY + REDUCE, ("targets:harmless",)),
    "object/result-built": (call("targets:harmless") + state(x=NONE) + BUILD + state(x=NONE) + BUILD,
                            ("targets:harmless",)),
    "dtype/state": (call("pickleseal:rebuild_dtype", S("|V8")) + T(I(3), S("|"), NONE, NONE, NONE, I(8), I(1), I(0)) + BUILD,
                    ("pickleseal:rebuild_dtype",)),
    "array/objects-as-numbers": (
        call("pickleseal:rebuild_array", S("<i8"), T(I(1)), S("C"),
             call("pickleseal:rebuild_object_array", T(I(1)), S("C"))),
        ("pickleseal:rebuild_array", "pickleseal:rebuild_object_array")),
    "array/numbers-as-objects": (call("pickleseal:rebuild_array", S("|O"), T(I(1)), S("C"), B(b"\x41" * 8)),
                                 ("pickleseal:rebuild_array",)),
    "array/objects-in-a-struct": (
        call("pickleseal:rebuild_array", T(S("struct"), I(8), b"\x89", T(T(S("a"), S("|O8"), I(0), NONE))), T(I(1)),
             S("C"), B(b"\x41" * 8)), ("pickleseal:rebuild_array",)),
    "array/short": (call("pickleseal:rebuild_array", S("<i8"), T(I(9)), S("C"), B(b"\0" * 8)), ("pickleseal:rebuild_array",)),
    "array/negative": (call("pickleseal:rebuild_array", S("<i8"), T(I(-1)), S("C"), B(b"")), ("pickleseal:rebuild_array",)),
    "array/overflow": (call("pickleseal:rebuild_array", S("<i8"), T(I(2**33), I(2**33)), S("C"), B(b"")),
                       ("pickleseal:rebuild_array",)),
    "array/outside": (
        call("pickleseal:rebuild_array", T(S("struct"), I(8), b"\x89", T(T(S("a"), S("<i8"), I(2**31 - 4), NONE))),
             T(I(1)), S("C"), B(b"\0" * 8)), ("pickleseal:rebuild_array",)),
    "array/state": (call("pickleseal:rebuild_array", S("<i8"), T(I(1)), S("C"), B(b"\0" * 8))
                    + T(I(1), T(I(9)), NONE, b"\x89", B(b"")) + BUILD, ("pickleseal:rebuild_array",)),
    "scalar/object": (call("pickleseal:rebuild_scalar", S("|O8"), B(b"\x41" * 8)), ("pickleseal:rebuild_scalar",)),
    "fill/list": (call("pickleseal:fill_object_array", LIST, LIST), ("pickleseal:fill_object_array",)),
    "fill/more": (call("pickleseal:fill_object_array", call("pickleseal:rebuild_object_array", T(I(1)), S("C")),
                       LIST + NONE + APPEND + NONE + APPEND),
                  ("pickleseal:fill_object_array", "pickleseal:rebuild_object_array")),
    "fill/numbers": (call("pickleseal:fill_object_array", call("pickleseal:rebuild_array", S("<i8"), T(I(1)), S("C"), B(b"\0" * 8)),
                          LIST + NONE + APPEND),
                     ("pickleseal:fill_object_array", "pickleseal:rebuild_array")),
}  # fmt: skip
for _what, (_body, _names) in MORE.items():
    _codes = f"{N} {F} {U} {L}"
    if _what in ("alias/call", "alias/new", "alias/items", "alias/call-of-a-function", "re/look-behind"):
        _codes = f"{N} {F} {U}"
    case(f"substitute/{_what}", _body, *_names, guarded=_codes,
         trust=tuple(name for name in _names if name.startswith("targets:")))  # fmt: skip
for _key in ("../../../../etc/passwd", "/etc/passwd", "..", ".", "", "UTC\0", "a/../../../etc/passwd", "\udc80", "x" * 300,
             "tzdata", "../../../proc/self/environ", "C:\\windows", "con", "UTC/../UTC", "~", "posix/../../x"):  # fmt: skip
    _text = S(_key)
    case(f"zone-unpickle/{_key[:40]!r}",
         call(GETATTR, G("zoneinfo:ZoneInfo"), S("_unpickle")) + T(_text, b"\x88") + REDUCE,
         GETATTR, "zoneinfo:ZoneInfo", guarded=f"{U} {F}")  # fmt: skip
    case(f"zone-call/{_key[:40]!r}", call("zoneinfo:ZoneInfo", _text), "zoneinfo:ZoneInfo", guarded=U, strict=F)

# -- opcodes: memo, marks, odd targets --------------------------------------------------------------------------------

STACK: dict[str, tuple[bytes, str]] = {
    "get-unknown": (get(7), U),
    "long-get-unknown": (b"j\xff\xff\xff\xff", U),
    "memoize-nothing": (MEMO, U),
    "memoize-mark": (MARK + MEMO + b"1N", U),
    "pop-nothing": (POP, U),
    "pop-mark-nothing": (b"1", U),
    "mark-left": (MARK + NONE, f"{U} {OK}"),
    "append-to-none": (NONE + NONE + APPEND, U),
    "append-to-nothing": (NONE + APPEND, U),
    "appends-without-mark": (LIST + NONE + b"e", U),
    "setitem-on-list": (LIST + I(0) + NONE + SETITEM, U),
    "setitem-on-tuple": (EMPTY + I(0) + NONE + SETITEM, U),
    "setitems-odd": (DICT + MARK + NONE + b"u", U),
    "dict-odd": (MARK + NONE + b"d", U),
    "additems-to-list": (LIST + MARK + NONE + ADDITEMS, U),
    "additems-to-none": (NONE + MARK + NONE + ADDITEMS, U),
    "unhashable-key": (DICT + LIST + NONE + SETITEM, U),
    "unhashable-member": (SET + MARK + LIST + ADDITEMS, U),
    "unhashable-frozen": (MARK + LIST + b"\x91", U),
    "build-none": (NONE + NONE + BUILD, OK),
    "build-list": (LIST + state(x=NONE) + BUILD, U),
    "build-text": (S("x") + slots(upper=NONE) + BUILD, U),
    "build-int": (I(1) + slots(real=NONE) + BUILD, U),
    "build-true": (b"\x88" + slots(x=NONE) + BUILD, U),
    "build-dict-setstate": (state(__setstate__=NONE) + NONE + BUILD, OK),
    "reduce-none": (NONE + EMPTY + REDUCE, U),
    "reduce-text": (S("os.system") + T(SHELL) + REDUCE, U),
    "reduce-tuple": (EMPTY + EMPTY + REDUCE, U),
    "new-none": (NONE + EMPTY + NEWOBJ, U),
    "new-text": (S("x") + EMPTY + NEWOBJ, U),
    "new-ex-none": (NONE + EMPTY + DICT + NEWOBJ_EX, U),
    "tuple-short": (NONE + b"\x87", U),
    "stack-empty-at-stop": (b"", U),
    "stack-global-nothing": (b"\x93", U),
    "self-list": (LIST + MEMO + get(0) + APPEND, OK),
    "self-dict": (DICT + MEMO + NONE + get(0) + SETITEM, OK),
    "self-key": (DICT + MEMO + get(0) + NONE + SETITEM, U),
    "memo-overwritten": (NONE + MEMO + LIST + MEMO + get(0) + get(1) + b"\x86", OK),
    "two-values": (NONE + NONE, OK),
    "mark-under-append": (LIST + MARK + APPEND, U),
    "pop-mark-of-mark": (NONE + MARK + MARK + b"1" + POP, OK),
    "get-below-mark": (LIST + MEMO + MARK + get(0) + b"1" + get(0) + b"\x86", OK),
    "surrogates": (b"\x8c\x03\xed\xb2\x80", f"{U} {OK}"),
    "bad-utf-8": (b"\x8c\x02\xff\xfe", U),
    "bad-utf-8-overlong": (b"\x8c\x02\xc0\xaf", U),
    "bad-utf-8-cut": (b"\x8c\x01\xe2", U),
    "long1-empty": (b"\x8a\x00", OK),
    "long4-empty": (b"\x8b\0\0\0\0", OK),
    "nan-keys": (DICT + MARK + (b"G\x7f\xf8" + bytes(6) + NONE) * 50 + b"u", OK),
    "frozenset-empty": (MARK + b"\x91", OK),
    "set-in-set": (SET + MARK + SET + ADDITEMS, U),
}
for _what, (_body, _codes) in STACK.items():
    case(f"stack/{_what}", _body, guarded=_codes)
for _name in ("builtins:int", "builtins:str", "builtins:tuple", "uuid:UUID", "datetime:date", "decimal:Decimal",
              "types:SimpleNamespace", "builtins:ValueError", "builtins:list", "builtins:range"):  # fmt: skip
    _allowed = f"{U} {OK} {F} {L}"
    case(f"odd-new-none/{_name}", G(_name) + NONE + NEWOBJ, _name, guarded=U)
    case(f"odd-new-list/{_name}", G(_name) + LIST + NEWOBJ, _name, guarded=U)
    case(f"odd-new-ex-none/{_name}", G(_name) + NONE + NONE + NEWOBJ_EX, _name, guarded=U)
    case(f"odd-reduce-none/{_name}", G(_name) + NONE + REDUCE, _name, guarded=U)
    case(f"odd-new-ex-names/{_name}", G(_name) + EMPTY + state(__class__=NONE, self=NONE) + NEWOBJ_EX, _name,
         guarded=_allowed)  # fmt: skip
    case(f"odd-new-other/{_name}", G(_name) + T(G(_name), G(_name)) + NEWOBJ, _name, guarded=_allowed)
for _what, _state in {"int": I(7), "text": S("x"), "tuple": T(NONE, NONE, NONE), "list": LIST, "set": SET,
                      "pair-of-texts": T(S("a"), S("b")), "int-keys": DICT + I(1) + NONE + SETITEM,
                      "slots-int-keys": T(NONE, DICT + I(1) + NONE + SETITEM), "slots-list": T(NONE, LIST),
                      "slots-as-object": T(NONE, new("targets:Table")),
                      "state-as-object": new("targets:Table") + S("x") + NONE + SETITEM}.items():  # fmt: skip
    for _name in ("targets:Point", "targets:Slotted", "targets:Frozen", "targets:OwnState"):
        case(f"odd-state-{_what}/{_name}", new(_name) + _state + BUILD, _name,
             *(["targets:Table"] if b"Table" in _state else []),
             guarded=f"{U} {OK} {F}", trust=(_name, "targets:Table"))  # fmt: skip

# -- bombs: time and memory -------------------------------------------------------------------------------------------

LISTED = "builtins:list"
HUGE = call("builtins:range", I(2**40))
for _name in ("builtins:list", "builtins:tuple", "builtins:set", "builtins:frozenset", "collections:deque",
              "collections:Counter", "collections:UserList", "builtins:bytes", "builtins:dict", "collections:OrderedDict",
              "time:struct_time", "collections:UserDict", "collections:defaultdict"):  # fmt: skip
    case(f"bomb-range/{_name}", call(_name, *([NONE] if "defaultdict" in _name else []), HUGE), _name, "builtins:range",
         guarded=f"{L} {F}" + (f" {U}" if _name in ("builtins:dict", "collections:UserDict", "collections:OrderedDict") else ""))  # fmt: skip
case("bomb-range/array", call("array:array", S("q"), HUGE), "array:array", "builtins:range", guarded=f"{L} {F}")
case("bomb-range/new", new("builtins:tuple", HUGE), "builtins:tuple", "builtins:range", guarded=L)
case("bomb-range/maxlen", call("collections:deque", HUGE, I(1)), "collections:deque", "builtins:range", guarded=L)
case("bomb-range/by-int", call(LISTED, call("builtins:range", call("builtins:int", I(2**40)))), LISTED, "builtins:range",
     "builtins:int", guarded=f"{L} {F}")  # fmt: skip
case("bomb-range/in-a-list", call(LISTED, LIST + HUGE + APPEND), LISTED, "builtins:range", guarded=OK)
case("bomb-bytes/size", call("builtins:bytes", I(2**33)), "builtins:bytes", guarded=L)
case("bomb-bytes/new", new("builtins:bytes", I(2**33)), "builtins:bytes", guarded=L)
case("bomb-bytes/by-int", call("builtins:bytes", call("builtins:int", I(2**33))), "builtins:bytes", "builtins:int",
     guarded=f"{L} {F}")  # fmt: skip
case("bomb-bytes/by-int-of-its-own", call("builtins:bytes", call("targets:Int", I(2**33))), "builtins:bytes",
     "targets:Int", guarded=f"{L} {F}", trust=("targets:Int",))  # fmt: skip
case("bomb-bytes/by-true", call("builtins:bytes", b"\x88"), "builtins:bytes", guarded=F)
case("bomb-bytes/punycode", lambda: call("builtins:bytes", S("".join(map(chr, range(256, 30_000)))), S("punycode")),
     "builtins:bytes", guarded=f"{L} {F}")  # fmt: skip
case("bomb-bytes/idna", lambda: call("builtins:bytes", S("ä" * 100_000), S("idna")), "builtins:bytes",
     guarded=f"{L} {F} {U}")  # fmt: skip
case("bomb-text/number", call("builtins:str", call("builtins:int", I(2**2000))), "builtins:str", "builtins:int",
     guarded=f"{L} {F}")  # fmt: skip
case("bomb-number/fraction", call("fractions:Fraction", S("1e999999999")), "fractions:Fraction", guarded=F)
case("bomb-number/fraction-capital", call("fractions:Fraction", S("1E999999999")), "fractions:Fraction", guarded=F)
case("bomb-number/fraction-new", new("fractions:Fraction", S("1e999999999")), "fractions:Fraction", guarded=F)
case("bomb-number/fraction-of-text", call("fractions:Fraction", call("targets:Text", S("1e999999999"))),
     "fractions:Fraction", "targets:Text", guarded=F, trust=("targets:Text",))  # fmt: skip
case("bomb-number/fraction-of-str", call("fractions:Fraction", call("builtins:str", S("1e999999999"))),
     "fractions:Fraction", "builtins:str", guarded=F)  # fmt: skip
case("bomb-number/fraction-of-decimal", call("fractions:Fraction", call("decimal:Decimal", S("1e999999999"))),
     "fractions:Fraction", "decimal:Decimal", guarded=F)  # fmt: skip
case("bomb-number/int-of-decimal", call("builtins:int", call("decimal:Decimal", S("1e999999999"))), "builtins:int",
     "decimal:Decimal", guarded=F)  # fmt: skip
case("bomb-number/int-of-text", lambda: call("builtins:int", S("f" * 5_000_000), I(16)), "builtins:int",
     guarded=f"{F} {OK}", strict=F)  # fmt: skip
case("bomb-number/range-of-decimal", call("builtins:range", call("decimal:Decimal", S("1e999999999"))), "builtins:range",
     "decimal:Decimal", guarded=f"{F} {U}")  # fmt: skip
case("bomb-number/long4-2^31", b"\x8b" + struct.pack("<i", 2**31 - 1), guarded=E)
case("bomb-number/long4-negative", b"\x8b" + struct.pack("<i", -1), guarded=E)
case("bomb-number/decimal-hash", DICT + call("decimal:Decimal", S("1e999999999")) + NONE + SETITEM, "decimal:Decimal",
     guarded=OK)  # fmt: skip
case("bomb-memo/long-put", b"r\xff\xff\xff\x7f", guarded=P, protocol=3)
case("bomb-memo/long-get", b"j\xff\xff\xff\x7f", guarded=U)
case("bomb-sets/many", lambda: LIST + MARK + SET * 5_000_000 + b"e", guarded=L)
case("bomb-sets/popped", lambda: (SET + POP) * 200_000 + NONE, guarded=OK)
for _what, _network in {"v4": "ipaddress:IPv4Network", "v6": "ipaddress:IPv6Network"}.items():
    for _name in (
        LISTED,
        "builtins:set",
        "builtins:tuple",
        "collections:deque",
        "collections:Counter",
        "time:struct_time",
    ):
        case(f"bomb-addresses-{_what}/{_name}", call(_name, call(_network, S("0.0.0.0/0" if _what == "v4" else "::/0"))),
             _name, _network, guarded=f"{F} {L}")  # fmt: skip
case("bomb-addresses-v4/namespace", call("types:SimpleNamespace", call("ipaddress:IPv4Network", S("0.0.0.0/0"))),
     "types:SimpleNamespace", "ipaddress:IPv4Network", guarded=f"{F} {L} {U}")  # fmt: skip
case("bomb-array/objects", call("pickleseal:rebuild_object_array", T(I(2**33)), S("C")),
     "pickleseal:rebuild_object_array", guarded=L)  # fmt: skip
case("bomb-array/many-axes", call("pickleseal:rebuild_object_array", T(*[I(2**20)] * 3), S("C")),
     "pickleseal:rebuild_object_array", guarded=f"{L} {U}")  # fmt: skip
case("bomb-array/strings", call("pickleseal:rebuild_array", S("<U2000000000"), T(I(0)), S("C"), B(b"")),
     "pickleseal:rebuild_array", guarded=f"{OK} {U} {L}")  # fmt: skip
case("bomb-array/zero-sized", call("pickleseal:rebuild_array", S("|V0"), T(I(2**40)), S("C"), B(b"")),
     "pickleseal:rebuild_array", guarded=f"{OK} {U} {L}")  # fmt: skip
case("bomb-dtype/tower", lambda: _dtype_tower(30), "pickleseal:rebuild_dtype", guarded=f"{U} {L}")


def _dtype_tower(height: int) -> bytes:
    body = S("<f8") + MEMO + POP
    for index in range(height):
        fields = [T(S(name), get(index), I(0), NONE) for name in "ab"]
        body += T(S("struct"), I(8), b"\x89", T(*fields)) + MEMO + POP
    return body + call("pickleseal:rebuild_dtype", get(height))


# Towers: each of these takes 2^60 steps of something, or 100^8, where a level promises to look.
STRICT = {"guarded": "", "strict": f"{L} {F}"}
case("bomb-tower/key", DICT + tower(60) + NONE + SETITEM, **STRICT)
case("bomb-tower/member", SET + MARK + tower(60) + ADDITEMS, **STRICT)
case("bomb-tower/frozen", MARK + tower(60) + b"\x91", **STRICT)
case("bomb-tower/dict", MARK + tower(60) + NONE + b"d", **STRICT)
case("bomb-tower/setitems", DICT + MARK + tower(60) + NONE + b"u", **STRICT)
case(
    "bomb-tower/three",
    DICT + b"N\x85" + b"".join(MEMO + get(n) * 2 + b"\x87" for n in range(40)) + NONE + SETITEM,
    **STRICT,
)
case(
    "bomb-tower/wide",
    DICT + b"N\x85" + b"".join(MEMO + POP + MARK + get(n) * 100 + b"t" for n in range(8)) + NONE + SETITEM,
    **STRICT,
)
case(
    "bomb-tower/wide-15",
    DICT + b"N\x85" + b"".join(MEMO + POP + MARK + get(n) * 40 + b"t" for n in range(15)) + NONE + SETITEM,
    **STRICT,
)
case("bomb-tower/popped-and-got", tower(60) + MEMO + POP + DICT + get(60) + NONE + SETITEM, **STRICT)
case("bomb-tower/in-the-memo", LIST + tower(60) + MEMO + APPEND + DICT + get(60) + NONE + SETITEM, **STRICT)


def _taken_tower(take: str, height: int = 60) -> bytes:
    """A tower of which each storey is memoized, then taken as the arguments of a call that succeeds."""
    body, below = G("builtins:ValueError") + MEMO + POP + EMPTY + MEMO, 1
    for index in range(height):
        pair = get(below) * 2 + b"\x86" + MEMO
        body += POP + (get(0) + pair + REDUCE if take == "reduce" else get(0) + pair + NEWOBJ)
        below = 2 + index
    return body + POP + DICT + get(below) + NONE + SETITEM


case("bomb-tower/of-arguments", _taken_tower("reduce"), "builtins:ValueError", **STRICT)
case("bomb-tower/of-arguments-new", _taken_tower("new"), "builtins:ValueError", **STRICT)
_WITH = {
    "set": call("builtins:set", LIST + tower(60) + APPEND),
    "frozenset": call("builtins:frozenset", LIST + tower(60) + APPEND),
    "set-of-tuple": call("builtins:set", tower(60) + b"\x85"),
    "dict": call("builtins:dict", LIST + tower(60) + NONE + b"\x86" + APPEND),
    "Counter": call("collections:Counter", LIST + tower(60) + APPEND),
    "OrderedDict": call("collections:OrderedDict", LIST + tower(60) + NONE + b"\x86" + APPEND),
    "defaultdict": call("collections:defaultdict", NONE, LIST + tower(60) + NONE + b"\x86" + APPEND),
    "UserDict": call("collections:UserDict", LIST + tower(60) + NONE + b"\x86" + APPEND),
    "HTTPStatus": call("http:HTTPStatus", tower(60)),
    "SafeUUID": call("uuid:SafeUUID", tower(60)),
    "ZoneInfo": call("zoneinfo:ZoneInfo", tower(60)),
    "deque": call("builtins:set", call("collections:deque", LIST + tower(60) + APPEND)),
    "UUID-key": DICT + new("uuid:UUID") + state(int=tower(60)) + BUILD + NONE + SETITEM,
    "Fraction-key": DICT
    + new("fractions:Fraction")
    + slots(_numerator=tower(60), _denominator=I(1))
    + BUILD
    + NONE
    + SETITEM,
    "slice-key": SET + MARK + call("builtins:slice", tower(60)) + ADDITEMS,
    "alias-key": DICT + call("types:GenericAlias", G("builtins:list"), tower(60)) + NONE + SETITEM,
    "object-list": call("builtins:frozenset", call("builtins:list", LIST + tower(60) + APPEND)),
}
for _what, _body in _WITH.items():
    _names = [name for name in (*VALUES, "builtins:ValueError") if G(name) in _body]
    case(f"bomb-tower-by/{_what}", _body, *_names, guarded="", strict=f"{L} {F} {U}")
case("bomb-tower-by/generic", call("_operator:getitem", G("targets:Box"), tower(60)), "_operator:getitem", "targets:Box",
     guarded="", strict=f"{L} {F} {U} {N}", trust=("targets:Box",))  # fmt: skip
case("bomb-tower-by/enum", call("targets:Color", tower(60)), "targets:Color", guarded="", strict=f"{L} {F} {U}",
     trust=("targets:Color",))  # fmt: skip
# Lists are not hashed, but shown: as text, or in the message of an error.
for _name in ("ipaddress:IPv4Address", "ipaddress:IPv6Address", "ipaddress:IPv4Network", "ipaddress:IPv6Interface",
              "http:HTTPStatus", "uuid:SafeUUID", "uuid:UUID", "builtins:str", "collections:UserString",
              "builtins:int", "builtins:float", "decimal:Decimal", "fractions:Fraction", "datetime:date", "builtins:range",
              "datetime:timezone", "pathlib:PosixPath", "pathlib:PurePosixPath", "zoneinfo:ZoneInfo", "array:array",
              "builtins:complex", "builtins:dict", "types:SimpleNamespace", "datetime:timedelta"):  # fmt: skip
    # What O7 says of text is not said to hold for classes that make text out of what they get, at `guarded`.
    _shows = _name.startswith(("ipaddress:", "http:", "uuid:SafeUUID"))
    case(f"bomb-text-of/{_name}", call(_name, list_tower(60)), _name, guarded="" if _shows else f"{F} {L} {U}",
         strict=f"{F} {L} {U}")  # fmt: skip
case("bomb-text-of/targets:Color", call("targets:Color", list_tower(60)), "targets:Color", guarded="",
     strict=f"{F} {L} {U}", trust=("targets:Color",))  # fmt: skip
case("bomb-text-of/raised", call("builtins:ValueError", list_tower(60)) + EMPTY + REDUCE, "builtins:ValueError",
     guarded=f"{F} {L} {U}")  # fmt: skip
_BIG = LIST + MARK + NONE * 100_000 + b"e"
_MADE = {"literal": _BIG, "by-list": call(LISTED, _BIG), "by-deque": call("collections:deque", _BIG),
         "by-user-list": call("collections:UserList", _BIG), "by-tuple": call("builtins:tuple", _BIG)}  # fmt: skip
for _what, _made in _MADE.items():
    _body = _made + MEMO + POP + LIST + MARK + (G(LISTED) + get(0) + b"\x85R") * 3000 + b"e"
    _names = [LISTED, *(name for name in VALUES if G(name) in _made)]
    case(f"bomb-copies/{_what}", _body, *_names, guarded="", strict=f"{L} {F}")
_INTS = b"".join(b"\x8a\x0a" + (7 + k * (2**61 - 1)).to_bytes(10, "little") for k in range(8, 2010))
case("bomb-collide/ints", SET + MARK + _INTS + ADDITEMS, guarded="", strict=L)
case("bomb-collide/by-list", call("builtins:set", LIST + MARK + _INTS + b"e"), "builtins:set", guarded="", strict=L)
case("bomb-re/flags", lambda: LIST + S("|".join(f"(?:{n}[a-z]*)" for n in range(5000))[:65_000].rpartition("|")[0]) + MEMO + POP
     + MARK + b"".join(call("re:_compile", get(0), I(n)) for n in (0, 2, 8, 16, 64, 10, 18, 24, 26, 66, 72, 74, 80, 82))
     + b"e", "re:_compile", guarded=f"{L} {N} {F}")  # fmt: skip

# -- crashes: deep nesting of every kind ------------------------------------------------------------------------------

DEEP, LONG = 100_000, 60_000


def deep_key(opener: bytes, closer: bytes) -> Callable[[], bytes]:
    return lambda: DICT + opener * DEEP + NONE + closer * DEEP + NONE + SETITEM


case("crash-key/tuples", deep_key(b"", b"\x85"), guarded="", strict=L)
case("crash-key/frozensets", deep_key(b"(", b"\x91"), guarded="", strict=f"{L} {OK}")
for _what, _body in {
    "lists": lambda: LIST * DEEP + APPEND * (DEEP - 1),
    "dicts": lambda: (DICT + NONE) * DEEP + NONE + SETITEM * DEEP,
    "tuples": lambda: NONE + b"\x85" * DEEP,
    "frozensets": lambda: MARK * DEEP + NONE + b"\x91" * DEEP,
}.items():
    case(f"crash-deep/{_what}", _body, guarded=OK, strict=f"{OK} {L}" if _what == "frozensets" else OK)


def chain(name: str, one: Callable[[int], bytes], count: int = LONG) -> Callable[[], bytes]:
    """Objects, each in the next: G at 0, then memoized one after the other. `one` takes the index of the one below."""

    def make() -> bytes:
        body = [G(name) + MEMO + POP + EMPTY + MEMO]
        body += [POP + one(index) + MEMO for index in range(1, count)]
        return b"".join(body)

    return make


def _by_call(build: Callable[[bytes], bytes]) -> Callable[[int], bytes]:
    return lambda index: get(0) + build(get(index)) + REDUCE


def _by_state(member: str) -> Callable[[int], bytes]:
    return lambda index: get(0) + EMPTY + REDUCE + DICT + S(member) + get(index) + SETITEM + BUILD


def _by_slots(member: str) -> Callable[[int], bytes]:
    return lambda index: get(0) + EMPTY + NEWOBJ + NONE + DICT + S(member) + get(index) + SETITEM + b"\x86" + BUILD


_in_tuple: Callable[[bytes], bytes] = lambda below: below + b"\x85\x85"  # noqa: E731
_alone: Callable[[bytes], bytes] = lambda below: below + b"\x85"  # noqa: E731
DEALLOC: dict[str, tuple[str, Callable[[int], bytes], str]] = {
    "deque": ("collections:deque", _by_call(_in_tuple), f"{L} {OK}"),
    "deque-appended": ("collections:deque", lambda n: get(0) + EMPTY + REDUCE + get(n) + APPEND, f"{L} {OK}"),
    "UserList": ("collections:UserList", _by_call(_in_tuple), f"{L} {OK}"),
    "slice": ("builtins:slice", _by_call(_alone), L),
    "slice-step": ("builtins:slice", lambda n: get(0) + NONE + NONE + get(n) + b"\x87R", L),
    "defaultdict": ("collections:defaultdict", lambda n: get(0) + EMPTY + REDUCE + NONE + get(n) + SETITEM, f"{L} {OK}"),
    "OrderedDict": ("collections:OrderedDict", lambda n: get(0) + EMPTY + REDUCE + NONE + get(n) + SETITEM, f"{L} {OK}"),
    "Counter": ("collections:Counter", lambda n: get(0) + EMPTY + REDUCE + NONE + get(n) + SETITEM, f"{L} {OK}"),
    "UserDict": ("collections:UserDict", _by_state("data"), f"{L} {OK}"),
    "SimpleNamespace": ("types:SimpleNamespace", _by_state("x"), f"{L} {OK}"),
    "GenericAlias-origin": ("types:GenericAlias", lambda n: get(0) + get(n) + EMPTY + b"\x86R", f"{L} {OK} {U}"),
    "GenericAlias-args": ("types:GenericAlias", lambda n: get(0) + NONE + get(n) + b"\x86R", f"{L} {OK} {U}"),
    "ValueError-args": ("builtins:ValueError", _by_call(_alone), f"{L} {OK}"),
    "ValueError-state": ("builtins:ValueError", _by_state("x"), f"{L} {OK}"),
    "StopIteration-value": ("builtins:StopIteration", _by_state("value"), f"{L} {OK}"),
    "AttributeError-obj": ("builtins:AttributeError", _by_state("obj"), f"{L} {OK}"),
    "NameError-name": ("builtins:NameError", _by_state("name"), f"{L} {OK} {U}"),
    "ImportError-path": ("builtins:ImportError", _by_state("path"), f"{L} {OK}"),
    "OSError-filename": ("builtins:OSError", _by_state("filename"), f"{L} {OK}"),
    "OSError-args": ("builtins:OSError", lambda n: get(0) + I(1) + get(n) + b"\x86R", f"{L} {OK}"),
    "SyntaxError-text": ("builtins:SyntaxError", _by_state("text"), f"{L} {OK}"),
    "UnicodeDecodeError-reason": ("builtins:UnicodeDecodeError", _by_slots("reason"), f"{L} {OK} {U}"),
    "struct_time": ("time:struct_time", lambda n: get(0) + MARK + NONE * 8 + get(n) + b"t\x85R", f"{L} {OK}"),
    "object": ("builtins:list", _by_call(_in_tuple), f"{L} {OK}"),
    "tuple": ("builtins:tuple", _by_call(_in_tuple), f"{L} {OK}"),
    "frozenset": ("builtins:frozenset", _by_call(_in_tuple), f"{L} {OK}"),
    "Point": ("targets:Point", _by_slots("x"), f"{L} {OK}"),
    "Slotted": ("targets:Slotted", _by_slots("x"), f"{L} {OK}"),
    "Row": ("targets:Row", _by_call(_in_tuple), f"{L} {OK}"),
    "Items": ("targets:Items", lambda n: get(0) + EMPTY + REDUCE + get(n) + APPEND, f"{L} {OK}"),
    "Table": ("targets:Table", lambda n: get(0) + EMPTY + REDUCE + NONE + get(n) + SETITEM, f"{L} {OK}"),
}  # fmt: skip
# Those in C that CPython deallocates without a bound, on this version: so many of them end the stack.
ENDLESS = {"struct_time", *(("deque", "deque-appended", "defaultdict") if sys.version_info >= (3, 12) else ())}
for _what, (_name, _one, _codes) in DEALLOC.items():
    _count, _group = (60_000, "crash-long") if _what in ENDLESS else (LONG, "crash-chain")
    case(
        f"{_group}/{_what}",
        chain(_name, _one, _count),
        _name,
        guarded="",
        strict=f"{L} {F}" if _what in ENDLESS else f"{_codes} {F}",
        trust=(_name,) if _name.startswith("targets:") else (),
    )
for _what, _name in {"deep-enum": "http:HTTPStatus", "deep-set": "builtins:set", "deep-dict": "builtins:dict",
                     "deep-own-enum": "targets:Color"}.items():  # fmt: skip
    _wrap = {"builtins:set": b"\x85\x85R", "builtins:dict": NONE + b"\x86\x85\x85R"}.get(_name, b"\x85R")
    case(f"crash-call/{_what}", functools.partial(lambda name, wrap: G(name) + NONE + b"\x85" * 4 * DEEP + wrap, _name, _wrap),
         _name, guarded="", strict=f"{L} {F} {U}", trust=(_name,) if "targets" in _name else ())  # fmt: skip
case("crash-equal/towers", DICT + MARK + tower(24) + NONE + tower(24, 24) + NONE + b"u", guarded="", strict=L)
case("crash-dtype/deep", lambda: G("pickleseal:rebuild_dtype") + (MARK + S("subarray")) * 20_000 + S("<f8") +
     (I(1) + b"\x85t") * 20_000 + b"\x85R", "pickleseal:rebuild_dtype", guarded=f"{U} {L}")  # fmt: skip

# -- malformed --------------------------------------------------------------------------------------------------------

HONEST = pickle.dumps({"a": [1, 2.5, None, True, b"bytes"], "b": (1, 2, 3), "c": {7, 8}, "d": frozenset((1,)),
                       "long": "x" * 300, "n": 2**70}, 4)  # fmt: skip


def _ends() -> list[int]:
    import pickletools

    return [position for _, _, position in pickletools.genops(HONEST) if position]


for _end in _ends():
    case(f"malformed-cut/{_end}", HONEST[: _end or 0], whole=True, guarded=E, protocol=4)
    _unframed = HONEST[:2] + HONEST[11:_end] + b"." if _end > 11 else b"\x80\x04"
    case(f"malformed-stopped/{_end}", _unframed, whole=True, guarded=f"{E} {U} {OK}", protocol=4)
_RAW: dict[str, tuple[bytes, str]] = {
    "empty": (b"", f"{E} preamble-field header-schema"),
    "stop-only": (b".", E),
    "no-proto": (b"N.", E),
    "proto-twice": (b"\x80\x05\x80\x05N.", E),
    "proto-other": (b"\x80\x04N.", E),
    "proto-0": (b"\x80\x00N.", E),
    "proto-255": (b"\x80\xffN.", E),
    "no-stop": (b"\x80\x05N", E),
    "after-stop": (b"\x80\x05N.N", E),
    "two-pickles": (b"\x80\x05N." * 2, E),
    "stop-in-the-middle": (framed(b"N.N"), E),
    "frame-too-long": (b"\x80\x05\x95" + struct.pack("<Q", 100) + b"N.", E),
    "frame-too-short": (b"\x80\x05\x95" + struct.pack("<Q", 1) + b"\x8c\x01xN.", E),
    "frame-2^63": (b"\x80\x05\x95" + struct.pack("<Q", 2**63) + b"N.", E),
    "frame-2^64-1": (b"\x80\x05\x95" + b"\xff" * 8 + b"N.", E),
    "frame-in-frame": (framed(b"\x95" + struct.pack("<Q", 2) + b"N."), E),
    "frame-empty": (b"\x80\x05\x95" + bytes(8) + b"N.", OK),
    "frame-late": (b"\x80\x05N0\x95" + struct.pack("<Q", 2) + b"N.", OK),
    "frame-straddled": (b"\x80\x05\x95" + struct.pack("<Q", 3) + b"N\x8c\x05hello0N.", E),
    "length-2^64-1": (b"\x80\x05\x8e" + b"\xff" * 8 + b"x.", E),
    "length-2^63": (b"\x80\x05\x8d" + struct.pack("<Q", 2**63) + b"x.", E),
    "length-2^32-1": (b"\x80\x05X\xff\xff\xff\xffx.", E),
    "bytearray-2^60": (b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b"x.", E),
    "text-int": (b"\x80\x05I1\n.", E),
    "text-string": (b"\x80\x05S'x'\n.", E),
    "text-unicode": (b"\x80\x05Vx\n.", E),
    "text-put-get": (b"\x80\x05Np0\ng0\n.", E),
    "text-global": (b"\x80\x05cos\nsystem\n.", E),
    "inst": (b"\x80\x05(ios\nsystem\n.", E),
    "obj": (b"\x80\x05(" + G("os:system") + b"o.", E),
    "dup": (b"\x80\x05N2\x86.", E),
    "persid": (b"\x80\x05Px\n.", E),
    "binpersid": (b"\x80\x05NQ.", E),
    "ext1": (b"\x80\x05\x82\x01.", E),
    "ext2": (b"\x80\x05\x83\x01\x00.", E),
    "ext4": (b"\x80\x05\x84\x01\x00\x00\x00.", E),
    "binput": (b"\x80\x05Nq\x00.", E),
    "binstring": (b"\x80\x05T\x01\x00\x00\x00x.", E),
    "short-binstring": (b"\x80\x05U\x01x.", E),
    "next-buffer": (b"\x80\x05\x97.", E),
    "readonly-buffer": (b"\x80\x05N\x98.", E),
    "unknown-opcode": (b"\x80\x05\xff.", E),
    "zero": (bytes(64), E),
    "text": (b"hello, world", E),
    "json": (b'{"a": 1}', E),
    "zip": (b"PK\x03\x04" + bytes(60), E),
    "gzip": (b"\x1f\x8b\x08" + bytes(20), E),
    "elf": (b"\x7fELF" + bytes(60), E),
    "html": (b"<html><script>x</script></html>", E),
    "shebang": (b"#!/bin/sh\necho fired > fired\n", E),
    "numpy": (b"\x93NUMPY\x01\x00" + bytes(60), E),
    "marshal": (b"\xe3" + bytes(40), E),
}
for _what, (_raw, _codes) in _RAW.items():
    case(f"malformed/{_what}", _raw, whole=True, guarded=_codes)
for _opcode in range(256):
    if bytes((_opcode,)) in b"IFSVLgpP2io\x82\x83\x84QTUqrc\x97\x98" + bytes(range(0x99, 256)) + bytes(range(1, 40)):
        case(
            f"malformed-opcode/{_opcode:02x}", b"\x80\x05N" + bytes((_opcode,)) + bytes(9) + b".", whole=True, guarded=E
        )

# -- polyglots and artifacts in artifacts -----------------------------------------------------------------------------

_SOUND = Frame().data
_BAD_PICKLE = b"\x80\x04" + call("os:system", SHELL) + b"."
AROUND: dict[str, tuple[Callable[[], bytes], str]] = {
    "pickle-in-front": (lambda: _BAD_PICKLE + _SOUND, "not-an-artifact"),
    "pickle-behind": (lambda: _SOUND + _BAD_PICKLE, "trailing-bytes"),
    "zip-in-front": (lambda: b"PK\x03\x04" + bytes(60) + _SOUND, "not-an-artifact"),
    "zip-behind": (lambda: _SOUND + b"PK\x05\x06" + bytes(18), "trailing-bytes"),
    "elf-in-front": (lambda: b"\x7fELF" + bytes(60) + _SOUND, "not-an-artifact"),
    "html-in-front": (lambda: b"<!--" + _SOUND + b"-->", "not-an-artifact"),
    "html-behind": (lambda: _SOUND + b"<script>fired</script>", "trailing-bytes"),
    "bom-in-front": (lambda: b"\xef\xbb\xbf" + _SOUND, "not-an-artifact"),
    "two-artifacts": (lambda: _SOUND * 2, "trailing-bytes"),
    "artifact-as-payload": (lambda: Frame(_SOUND).data, E),
    "artifact-as-bytes": (lambda: Frame(framed(B(_SOUND))).data, OK),
    "bare-pickle": (lambda: _BAD_PICKLE, "not-an-artifact"),
    "bare-zip": (lambda: b"PK\x03\x04" + bytes(100), "not-an-artifact"),
    "nothing": (lambda: b"", "truncated not-an-artifact"),
    "magic-only": (lambda: _SOUND[:8], "truncated"),
    "text-mode-magic": (lambda: _SOUND.replace(b"\r\n", b"\n"), "not-an-artifact"),
    "padding": (lambda: _padding(), "section-padding"),
    "pickle-in-padding": (lambda: _SOUND[:-40] + _BAD_PICKLE[:40].ljust(40, b"\0"), "section-padding section-checksum"),
    "cut": (lambda: _SOUND[:-1], "truncated"),
    "hard-cut": (lambda: _SOUND[:100], "truncated"),
}


def _padding() -> bytes:
    frame = Frame()
    frame.padding = b"."
    return frame.data


for _what, (_make, _codes) in AROUND.items():
    add(f"polyglot/{_what}", _make, _codes)

# -- headers that lie -------------------------------------------------------------------------------------------------

_UUID = new("uuid:UUID") + state(int=I(7)) + BUILD
HEADERS: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "globals-missing": (_UUID, {"globals": []}, D),
    "globals-other": (_UUID, {"globals": ["uuid:SafeUUID"]}, D),
    "globals-extra-bad": (NONE, {"globals": ["os:system"]}, N),
    "globals-extra": (NONE, {"globals": ["uuid:UUID"]}, OK),
    "globals-many": (NONE, {"globals": sorted(VALUES)}, OK),
    "globals-parent": (G("uuid:UUID.__init__"), {"globals": ["uuid:UUID"]}, D),
    "globals-case": (_UUID, {"globals": ["uuid:uuid"]}, N),
    "globals-spaces": (_UUID, {"globals": ["uuid: UUID"]}, f"header-schema {N}"),
    "globals-unicode": (G("ｏｓ:system"), {"globals": ["ｏｓ:system"]}, f"header-schema {N}"),
    "globals-no-colon": (_UUID, {"globals": ["uuid.UUID"]}, "header-schema"),
    "globals-two-colons": (_UUID, {"globals": ["uuid:UUID:x"]}, f"header-schema {N}"),
    "globals-empty-parts": (_UUID, {"globals": [":"]}, "header-schema"),
    "globals-unsorted": (NONE, {"globals": ["uuid:UUID", "uuid:SafeUUID"]}, "header-schema"),
    "globals-twice": (NONE, {"globals": ["uuid:UUID", "uuid:UUID"]}, "header-schema"),
    "globals-no-list": (NONE, {"globals": "uuid:UUID"}, "header-schema"),
    "globals-absent": (NONE, {"globals": DROP}, "header-schema"),
    "protocol-1": (NONE, {"pickle": {"protocol": 1}}, "header-schema"),
    "protocol-6": (NONE, {"pickle": {"protocol": 6}}, "header-schema"),
    "protocol-true": (NONE, {"pickle": {"protocol": True}}, "header-schema"),
    "protocol-4-for-5": (NONE, {"pickle": {"protocol": 4}}, E),
    "protocol-2": (NONE, {"pickle": {"protocol": 2}}, P),
    "type-other": (NONE, {"type": "os:system"}, f"{OK} {N}"),
    "type-empty": (NONE, {"type": ""}, "header-schema"),
    "types-of-a-value": (_UUID, {"types": {"uuid:UUID": 7}, "globals": ["uuid:UUID"]}, "header-schema"),
    "crit-unknown": (NONE, {"crit": ["x.y"]}, "unsupported-critical header-schema"),
    "format-other": (NONE, {"format": "pickleseal/9.0"}, "header-schema"),
    "unknown-member": (NONE, {"run": "os.system"}, "header-schema"),
    "created-nonsense": (NONE, {"created": "now"}, "header-schema"),
}
for _what, (_body, _fields, _codes) in HEADERS.items():
    case(f"header/{_what}", _body, guarded=_codes, **_fields)
for _what, _entry in {
    "enum": {"kind": "enum", "fields": [["RED", "1"]], "state": "default", "version": 0, "global": "targets:Point"},
    "slots": {"kind": "slots", "fields": [["x", ""]], "state": "default", "version": 0, "global": "targets:Point"},
    "class": {"kind": "plain", "fields": [["__class__", ""]], "state": "default", "version": 0, "global": "targets:Point"},
    "setstate": {"kind": "dataclass", "fields": [["__setstate__", ""]], "state": "custom", "version": 0,
                 "global": "targets:Point"},
    "other": {"kind": "dataclass", "fields": [["x", "int"]], "state": "default", "version": 0, "global": "builtins:dict"},
}.items():  # fmt: skip
    case(f"header-types/{_what}", new("targets:Point") + state(x=I(1)) + BUILD, "targets:Point", "builtins:dict",
         guarded=f"header-schema schema-drift {F} {U} {OK} migration-failed schema-version {D}",
         trust=("targets:Point",), types={"targets:Point": _entry})  # fmt: skip
