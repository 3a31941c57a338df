"""One Serializer in the places where hosts take something like pickle, called as these hosts call it."""

import asyncio
import dataclasses
import io
import pickle
import shelve
import sys
import types
from typing import Any

import pytest
from _helpers.support import need

from pickleseal import Key, KeyRing, PackOptions, Policy, Serializer, errors

SERIALIZER = Serializer()
RING = KeyRing([Key.generate("k2026")])
VALUE = {"id": 7, "tags": ["a", "b"], "raw": b"\x00\xff"}


@pytest.fixture
def dotted(monkeypatch: pytest.MonkeyPatch) -> str:
    """The dotted path of a class that is made from the serializer."""
    module: Any = types.ModuleType("myapp_serializer")
    module.Serializer = SERIALIZER.as_class()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return "myapp_serializer.Serializer"


def test_django_cache_and_sessions_take_a_dotted_class(dotted: str) -> None:
    import_string = need("django.utils.module_loading").import_string
    made = import_string(dotted)()
    assert made.loads(made.dumps(VALUE)) == VALUE
    client = need("django.core.cache.backends.redis").RedisCacheClient([], serializer=dotted)
    assert client._serializer.loads(client._serializer.dumps(VALUE)) == VALUE
    assert import_string(dotted)(options={"SERIALIZER": dotted}).loads(SERIALIZER.dumps(1)) == 1  # django-redis
    signer = need("django.core.signing").Signer(key="secret", fallback_keys=[])  # sessions in cookies
    text = signer.sign_object(VALUE, serializer=import_string(dotted))
    assert signer.unsign_object(text, serializer=import_string(dotted)) == VALUE


def test_rq_takes_the_class_and_the_object(dotted: str) -> None:
    resolve = need("rq.serializers").resolve_serializer
    for given in (dotted, SERIALIZER, SERIALIZER.as_class()):
        found = resolve(given)
        assert found.loads(found.dumps(VALUE)) == VALUE


def test_sqlalchemy_takes_it_as_pickler() -> None:
    sa = need("sqlalchemy")
    engine = sa.create_engine("sqlite://")
    table = sa.Table("t", sa.MetaData(), sa.Column("value", sa.PickleType(pickler=SERIALIZER)))
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(table.insert(), [{"value": VALUE}, {"value": None}])
        assert [row.value for row in connection.execute(table.select())] == [VALUE, None]


def test_aiocache_takes_it_as_serializer() -> None:
    cache = need("aiocache").SimpleMemoryCache(serializer=SERIALIZER)

    async def run() -> Any:
        await cache.set("key", VALUE)
        return await cache.get("key"), await cache.get("nothing")

    assert asyncio.run(run()) == (VALUE, None)


def test_cachelib_takes_it_as_serializer(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cachelib = need("cachelib")
    for cls, arguments in ((cachelib.SimpleCache, ()), (cachelib.FileSystemCache, (str(tmp_path),))):
        monkeypatch.setattr(cls, "serializer", Serializer(on_refuse="miss"))
        cache = cls(*arguments)
        assert cache.set("key", VALUE)
        assert cache.get("key") == VALUE


def test_kombu_takes_its_functions() -> None:
    serialization = need("kombu.serialization")
    registry = serialization.SerializerRegistry()
    registry.register("pickleseal", SERIALIZER.dumps, SERIALIZER.loads, "application/x-pickleseal", "binary")
    content_type, encoding, body = registry.dumps(VALUE, "pickleseal")
    assert registry.loads(body, content_type, encoding, accept={content_type}) == VALUE
    assert registry.loads(memoryview(body), content_type, encoding, accept={content_type}) == VALUE
    with pytest.raises(need("kombu.exceptions").DecodeError):
        registry.loads(b"\x80\x05N.", content_type, encoding, accept={content_type})


def test_shelve_takes_its_picklers(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelve, "Pickler", SERIALIZER.Pickler)
    monkeypatch.setattr(shelve, "Unpickler", SERIALIZER.Unpickler)
    with shelve.Shelf({}) as shelf:
        shelf["key"] = VALUE
        assert shelf["key"] == VALUE
        assert SERIALIZER.verify(shelf.dict[b"key"]).type == "builtins:dict"


def test_it_is_called_as_pickle_is() -> None:
    file = io.BytesIO()
    SERIALIZER.dump(VALUE, file, 4)
    file.seek(0)
    assert SERIALIZER.load(file) == VALUE
    data = SERIALIZER.dumps(VALUE, pickle.HIGHEST_PROTOCOL, fix_imports=False, buffer_callback=None)
    assert SERIALIZER.loads(data, fix_imports=False, encoding="bytes", errors="strict", buffers=None) == VALUE
    assert SERIALIZER.decode(SERIALIZER.encode(VALUE)) == VALUE
    assert SERIALIZER.deserialize(SERIALIZER.serialize(VALUE)) == VALUE
    assert SERIALIZER.PickleError is pickle.PickleError
    assert SERIALIZER.PicklingError is pickle.PicklingError
    assert SERIALIZER.UnpicklingError is pickle.UnpicklingError


@pytest.mark.parametrize(
    "call",
    [
        lambda: SERIALIZER.dumps(1, fix_import=True),  # type: ignore[call-arg]
        lambda: SERIALIZER.dumps(1, buffer_callback=[].append),  # type: ignore[arg-type]
        lambda: SERIALIZER.loads(b"", buffers=[]),  # type: ignore[arg-type]
        lambda: SERIALIZER.loads(b"", encodings="x"),  # type: ignore[call-arg]
        lambda: SERIALIZER.load("x", expects=int),  # type: ignore[call-arg]
        lambda: SERIALIZER.dump(1, "x", mata={}),  # type: ignore[call-arg]
        lambda: SERIALIZER.Pickler(io.BytesIO(), fix=1),  # type: ignore[call-arg]
        lambda: Serializer(Policy(), level="strict"),
        lambda: Serializer(Policy(keys=RING), keys=RING),
        lambda: Serializer(None, PackOptions(keys=RING), keys=RING),
        lambda: Serializer(polcy=Policy()),  # type: ignore[call-arg]
    ],
)
def test_misspelt_and_contradicting_arguments_are_type_errors(call: Any) -> None:
    with pytest.raises(TypeError):
        call()


def test_keys_sign_and_verify() -> None:
    signed = Serializer(keys=RING)
    assert signed.loads(signed.dumps(VALUE)) == VALUE
    assert signed.peek(signed.dumps(1)).type == "builtins:int"
    with pytest.raises(errors.ReadError, match=r"sign|seal"):
        signed.loads(SERIALIZER.dumps(VALUE))


def test_a_refusal_is_raised_or_a_miss_or_the_result_of_a_function(tmp_path: Any) -> None:
    with pytest.raises(errors.NotAnArtifactError):
        SERIALIZER.loads(b"junk")
    assert Serializer(on_refuse="miss").loads(b"junk") is None
    assert Serializer(on_refuse="miss", default=3).load(io.BytesIO(b"junk")) == 3
    told: list[Any] = []
    asked = Serializer(
        on_refuse=lambda data, error: (data, error.code), quarantine=tmp_path / "refused", on_event=told.append
    )
    assert asked.loads(b"junk") == (b"junk", "not-an-artifact")
    assert len(list((tmp_path / "refused").glob("*.json"))) == 1
    assert [event.outcome for event in told] == ["rejected"]
    assert asked.loads(SERIALIZER.dumps(1)) == 1
    with pytest.raises(ValueError, match="on_refuse"):
        Serializer(on_refuse="ignore")


def test_a_call_may_expect_its_own_type(tmp_path: Any) -> None:
    for serializer in (SERIALIZER, Serializer(on_event=lambda event: None)):
        data = serializer.dumps(VALUE, type="job", meta={"a": "b"})
        assert serializer.loads(data, expect="job") == VALUE
        serializer.dump(1, tmp_path / "x")
        assert serializer.load(tmp_path / "x", expect=int) == 1
        for call in (
            lambda serializer=serializer, data=data: serializer.loads(data, expect=int),
            lambda serializer=serializer: serializer.load(tmp_path / "x", expect=str),
        ):
            with pytest.raises(errors.TypeMismatchError):
                call()


@pytest.mark.parametrize("serializer", [SERIALIZER, Serializer(on_event=lambda event: None)])
@pytest.mark.parametrize("data", ["text", 7, ["a"]])
def test_what_is_no_bytes_is_a_type_error(serializer: Serializer, data: Any) -> None:
    with pytest.raises(TypeError):
        serializer.loads(data)
    if data == 7:
        with pytest.raises(TypeError):
            serializer.load(data)


def test_it_can_be_pickled_and_replaced() -> None:
    given = Serializer(
        Policy(build={}), PackOptions(build={"app": "billing"}), trust=["argparse:Namespace"], check_writes=True
    )
    for made in (pickle.loads(pickle.dumps(given)), dataclasses.replace(given, on_refuse="miss")):
        assert made.trust == ("argparse:Namespace",)
        assert made.check_writes
        assert made.options.build == {"app": "billing"}
        assert made.loads(made.dumps(VALUE)) == VALUE
    keyed = dataclasses.replace(Serializer(keys=RING, level="signed"), on_refuse="miss")
    assert keyed.loads(SERIALIZER.dumps(1)) is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        SERIALIZER.trust = ()  # type: ignore[misc]


def test_streams_and_files(tmp_path: Any) -> None:
    path = tmp_path / "x.pseal"
    SERIALIZER.append(path, 1)
    SERIALIZER.append(path, 2)
    assert list(SERIALIZER.iter_load(path)) == [1, 2]
    SERIALIZER.dump(VALUE, tmp_path / "y.pseal", meta={"a": "b"}, durable=False)
    assert SERIALIZER.load(tmp_path / "y.pseal") == VALUE
    assert dict(SERIALIZER.verify(tmp_path / "y.pseal").meta or {}) == {"a": "b"}
