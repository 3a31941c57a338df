"""One Serializer in the places where hosts take something like pickle, called as these hosts call it."""

import asyncio
import shelve
import sys
import types
from typing import Any

import pytest
from _helpers.support import need

from pickleseal import Serializer

SERIALIZER = Serializer()
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
