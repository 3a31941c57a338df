"""A real S3 server (moto's, on loopback) by s3fs and by obstore, and a plain HTTP server: the same either way."""

import errno
import functools
import http.server
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from _helpers.object_store import BUCKET, KEYS, Request, Server, serve
from _helpers.support import ROOT, need

import pickleseal
from pickleseal import errors
from pickleseal._io import remote, stores
from pickleseal.maintenance import clean

WITH_OBSTORE = sys.version_info >= (3, 11)  # as it has been since the version that gives up failed uploads
for name in ("aiohttp", "fsspec", "moto.server", "s3fs", "werkzeug", *["obstore"] * WITH_OBSTORE):
    need(name)

URL = f"s3://{BUCKET}/reports/a b+ü.pseal"
MIB = 1 << 20
SECRET = KEYS["secret"]


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serve() as server:
        yield server


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    for variable in [variable for variable in os.environ if variable.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setattr(remote, "_CHUNK", 256 << 10)
    monkeypatch.setattr(stores, "_PART", 5 * MIB)
    running.step_in = lambda request: None
    running.asked.clear()
    return running


@pytest.fixture(params=[*["obstore"] * WITH_OBSTORE, "s3fs"])
def options(request: pytest.FixtureRequest, server: Server) -> dict[str, Any]:
    """Options that lead to one of the two."""
    told = {**KEYS, "endpoint_url": server.url}
    found = told if request.param == "obstore" else {**told, "use_ssl": False}
    assert isinstance(stores.open_store(URL, found), stores._ObstoreStore) == (request.param == "obstore")
    return found


def large(number: int, size: int = 2 * MIB) -> bytes:
    return pickleseal.pack(buffers(number, size))


def buffers(number: int, size: int) -> list[Any]:
    return [number, "x" * 5000, pickle.PickleBuffer(bytes([number]) * size)]


def content(obj: Any) -> list[Any]:
    return [bytes(item) if isinstance(item, memoryview) else item for item in obj]


class TestS3:
    @pytest.mark.parametrize("size", [0, 100, MIB, 11 * MIB])
    def test_what_was_dumped(self, server: Server, options: dict[str, Any], size: int) -> None:
        pickleseal.dump(buffers(3, size), URL, storage_options=options)
        found = pickleseal.load(URL, storage_options=options)
        assert content(found) == [3, "x" * 5000, bytes([3]) * size]
        header = pickleseal.verify(URL, storage_options=options)
        assert header == pickleseal.peek(URL, storage_options=options)
        puts = [asked for asked in server.asked if asked.method == "PUT"]
        assert len(puts) == (1 if size < 5 * MIB else 3)
        assert server.uploads() == 0

    def test_one_request_for_the_header(self, server: Server, options: dict[str, Any]) -> None:
        server.put("a", large(3))
        server.asked.clear()
        pickleseal.peek(f"s3://{BUCKET}/a", storage_options=options)
        assert [(asked.method, asked.range) for asked in server.asked] == [("GET", "bytes=0-8191")]

    def test_the_body_once(self, server: Server, options: dict[str, Any]) -> None:
        data = large(3)
        server.put("a", data)
        server.asked.clear()
        pickleseal.load(f"s3://{BUCKET}/a", storage_options=options)
        assert [asked for asked in server.asked if asked.method not in ("GET", "HEAD")] == []
        ends = [asked.range.removeprefix("bytes=").split("-") for asked in server.asked if asked.range is not None]
        ranges = sorted((int(start), int(end) + 1) for start, end in ends)
        assert [start for start, _ in ranges] == [0, *(end for _, end in ranges[:-1])]
        assert ranges[-1][1] == len(data)
        assert len(server.asked) <= len(ranges) + 1

    def test_an_empty_object_and_a_cut_one(self, server: Server, options: dict[str, Any]) -> None:
        for data in (b"", large(3)[:100], large(3)[:8192], large(3)[:100_000]):
            server.put("a", data)
            with pytest.raises(errors.TruncatedError) as caught:
                pickleseal.load(f"s3://{BUCKET}/a", storage_options=options)
            assert caught.value.found == len(data)
            assert caught.value.path == f"s3://{BUCKET}/a"

    def test_a_damaged_one_is_refused_and_kept(
        self, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        environment(monkeypatch, server)
        data = bytearray(large(3))
        data[-70_000] ^= 1
        server.put("a", bytes(data))
        with pytest.raises(errors.SectionChecksumError) as caught:
            pickleseal.Reader(quarantine=tmp_path).read(f"s3://{BUCKET}/a")
        with open(str(caught.value.quarantined), "rb") as file:
            assert file.read() == data

    def test_no_object_no_bucket_no_permission(self, server: Server, options: dict[str, Any]) -> None:
        for url in (f"s3://{BUCKET}/none", "s3://nosuchbucket/none"):
            with pytest.raises(FileNotFoundError) as caught:
                pickleseal.load(url, storage_options=options)
            assert caught.value.filename == url
        server.step_in = lambda request: ("403 Forbidden", "AccessDenied")
        for act in (pickleseal.load, pickleseal.peek, functools.partial(pickleseal.dump, 1)):
            with pytest.raises(PermissionError) as denied:
                act(URL, storage_options=options)
            assert denied.value.filename == URL
            assert SECRET not in str(denied.value)

    def test_credentials_from_the_environment(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        environment(monkeypatch, server)
        pickleseal.dump(1, URL)
        assert pickleseal.load(URL) == 1
        assert pickleseal.Reader().read(URL).object == 1


def environment(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS["secret"])


class TestAWriteThatFails:
    """The old object is there, whole, and no upload is left behind."""

    @pytest.mark.parametrize(
        ("method", "query", "size"),
        [
            ("PUT", "", 1),
            ("POST", "uploads", 6 * MIB),
            ("PUT", "partNumber=1", 6 * MIB),
            ("PUT", "partNumber=2", 6 * MIB),
            ("POST", "uploadId", 6 * MIB),
        ],
    )
    def test_the_store_refuses(
        self, server: Server, options: dict[str, Any], method: str, query: str, size: int
    ) -> None:
        pickleseal.dump("old", URL, storage_options=options)

        def refuse(request: Request) -> tuple[str, str] | None:
            hit = request.method == method and request.query.startswith(query)
            return ("403 Forbidden", "AccessDenied") if hit else None

        server.step_in = refuse
        with pytest.raises(PermissionError):
            pickleseal.dump(buffers(1, size), URL, storage_options=options)
        server.step_in = lambda request: None
        assert pickleseal.load(URL, storage_options=options) == "old"
        assert server.uploads() == 0

    @pytest.mark.parametrize(("raised", "when"), [(KeyboardInterrupt, 0), (KeyboardInterrupt, 4), (MemoryError, 4)])
    def test_the_program_is_stopped(
        self,
        server: Server,
        options: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
        raised: type[BaseException],
        when: int,
    ) -> None:
        pickleseal.dump("old", URL, storage_options=options)
        real = stores._chunks

        def stopped(parts: Any, size: int) -> Iterator[memoryview]:
            for number, chunk in enumerate(real(parts, size)):
                if number == when:
                    raise raised
                yield chunk

        monkeypatch.setattr(stores, "_chunks", stopped)
        with pytest.raises((raised, OSError)):
            pickleseal.dump(buffers(1, 12 * MIB), URL, storage_options=options)
        assert pickleseal.load(URL, storage_options=options) == "old"
        assert server.uploads() == 0


def test_unfinished_uploads_are_given_up(server: Server) -> None:
    from fsspec import filesystem

    options = {**KEYS, "endpoint_url": server.url}
    system = filesystem("s3", **options)
    for key in ("models/a.pseal", "models/b.pseal", "other/c.pseal"):
        system.call_s3("create_multipart_upload", Bucket=BUCKET, Key=key)
    url = f"s3://{BUCKET}/models/"
    assert clean(url, older_than=1e12, storage_options=options) == []  # the server says that they began in 2010
    found = clean(url, dry_run=True, storage_options=options)
    assert [one.path for one in found] == [f"{url}a.pseal", f"{url}b.pseal"]
    assert server.uploads() == 3
    assert len(clean(url, storage_options=options)) == 2
    assert server.uploads() == 1
    assert len(clean(f"s3://{BUCKET}", storage_options=options)) == 1
    with pytest.raises(OSError, match="nosuchbucket"):
        clean("s3://nosuchbucket/", storage_options=options)


LAST = {1000: "", 6 * MIB: "uploadId"}  # the query of the request that completes an object of such a size


@pytest.mark.parametrize("size", LAST)
class TestAnAnswerThatIsLost:
    def fail(self, server: Server, size: int, answer: tuple[str, str]) -> None:
        def step_in(request: Request) -> tuple[str, str] | None:
            is_last = request.method == ("POST" if LAST[size] else "PUT") and request.query.startswith(LAST[size])
            return answer if is_last else None

        server.step_in = step_in

    def test_of_a_write_that_was_carried_out(self, server: Server, options: dict[str, Any], size: int) -> None:
        pickleseal.dump("old", URL, storage_options=options)
        self.fail(server, size, ("404 Not Found", "lost, and the upload is not known any more"))
        pickleseal.dump(buffers(1, size), URL, storage_options=options)
        assert content(pickleseal.load(URL, storage_options=options))[0] == 1

    @pytest.mark.parametrize(
        ("old", "there"), [("old", "the object that is there is not the new one"), (None, "no object is there")]
    )
    def test_of_a_write_that_was_not(
        self, server: Server, options: dict[str, Any], size: int, old: str | None, there: str
    ) -> None:
        url = URL if old else f"s3://{BUCKET}/nothing {size}.pseal"
        if old:
            pickleseal.dump(old, url, storage_options=options)
        self.fail(server, size, ("400 Bad Request", "InvalidRequest"))
        with pytest.raises(OSError, match=there):
            pickleseal.dump(buffers(1, size), url, storage_options=options)

    def test_where_nobody_can_look(self, server: Server, options: dict[str, Any], size: int) -> None:
        def step_in(request: Request) -> tuple[str, str] | None:
            if request.method in ("GET", "HEAD"):
                return "403 Forbidden", "AccessDenied"
            return ("400 Bad Request", "InvalidRequest") if request.query.startswith(LAST[size]) else None

        server.step_in = step_in
        with pytest.raises(OSError, match="it can't be read which object is there"):
            pickleseal.dump(buffers(1, size), URL, storage_options=options)


class TestAnObjectThatChanges:
    @pytest.mark.parametrize(("when", "size"), [(0, MIB), (1, MIB), (1, 2 * MIB), (2, 2 * MIB), (3, MIB), (4, 3 * MIB)])
    def test_between_two_ranges(self, server: Server, options: dict[str, Any], when: int, size: int) -> None:
        old, new = large(1), large(2, size)
        server.put("a", old)
        server.asked.clear()

        def replace(request: Request) -> None:
            if len([asked for asked in server.asked if asked.method != "PUT"]) == when and request.method != "PUT":
                server.put("a", new)

        server.step_in = replace
        try:
            found = content(pickleseal.load(f"s3://{BUCKET}/a", storage_options=options))
        except OSError as exc:
            assert exc.errno == errno.ESTALE
            assert when
        else:
            assert found in (content(pickleseal.unpack(old)), content(pickleseal.unpack(new)))


@pytest.mark.skipif(not WITH_OBSTORE, reason="obstore needs Python 3.11")
class TestTheChoice:
    """Which of the two: obstore where it has all it needs, s3fs for the rest."""

    @pytest.mark.parametrize(
        ("url", "options", "env", "is_obstore"),
        [
            ("s3://b/k", {**KEYS, "endpoint_url": "http://h"}, {}, True),
            ("s3://b/k", {**KEYS, "client_kwargs": {"endpoint_url": "http://h"}}, {}, True),
            ("s3://b/k", {**KEYS, "client_kwargs": {"region_name": "eu-west-1"}}, {}, True),
            ("s3://b/k", KEYS, {"AWS_REGION": "eu-west-1"}, True),
            ("s3://b/k", KEYS, {"AWS_DEFAULT_REGION": "eu-west-1"}, True),
            ("s3://b/k", {"anon": True}, {"AWS_REGION": "eu-west-1"}, True),
            ("s3://b/k", None, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "x"}, True),
            ("s3://b/k", KEYS, {}, False),
            ("s3://b/k", None, {"AWS_REGION": "x"}, False),
            ("s3://b/k", None, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, False),
            ("s3://b/k", {**KEYS, "endpoint_url": "http://h", "version_aware": True}, {}, False),
            ("s3://b/k", {**KEYS, "client_kwargs": {"endpoint_url": "http://h", "verify": False}}, {}, False),
            ("s3://b/k?versionId=1", {**KEYS, "endpoint_url": "http://h"}, {}, False),
            ("s3://b/k//l", {**KEYS, "endpoint_url": "http://h"}, {}, False),
            ("simplecache::s3://b/k", {"s3": {**KEYS, "endpoint_url": "http://h"}}, {}, False),
            ("memory://b/k", None, {"AWS_REGION": "x"}, False),
        ],
    )
    def test_by_url_options_and_environment(
        self,
        server: Server,
        monkeypatch: pytest.MonkeyPatch,
        url: str,
        options: dict[str, Any] | None,
        env: dict[str, str],
        is_obstore: bool,
    ) -> None:
        for variable, value in env.items():
            monkeypatch.setenv(variable, value)
        assert isinstance(stores.open_store(url, options), stores._ObstoreStore) == is_obstore

    def test_where_one_is_not_installed(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        told = {**KEYS, "endpoint_url": server.url}
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "obstore", None)
            pickleseal.dump(1, URL, storage_options=told)
            assert isinstance(stores.open_store(URL, told), stores._FsspecStore)
        with monkeypatch.context() as patch:
            patch.setattr("obstore.__version__", "0.11.4")  # it leaves failed uploads behind
            assert isinstance(stores.open_store(URL, told), stores._FsspecStore)
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "fsspec", None)
            assert pickleseal.load(URL, storage_options=told) == 1
            assert isinstance(stores.open_store(URL, KEYS), stores._ObstoreStore)
            with pytest.raises(errors.MissingExtraError):
                stores.open_store(URL, {**told, "version_aware": True})

    def test_connections_are_kept(self, server: Server) -> None:
        told = {**KEYS, "endpoint_url": server.url}
        one, two = (stores.open_store(f"s3://{BUCKET}/{key}", told) for key in "ab")
        assert isinstance(one, stores._ObstoreStore)
        assert isinstance(two, stores._ObstoreStore)
        assert one._store is two._store

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no os.fork here")
    def test_a_fork_after_obstore_was_used_does_not_hang(self, server: Server) -> None:
        code = f"""if True:
            import os, warnings
            import pickleseal
            from pickleseal._io import stores
            warnings.simplefilter("ignore")
            url, told = {URL!r}, { ({**KEYS, "endpoint_url": server.url})!r}
            pickleseal.dump({{"rows": 3}}, url, storage_options=told)
            assert isinstance(stores.open_store(url, told), stores._ObstoreStore)
            pid = os.fork()
            if not pid:
                same = pickleseal.load(url, storage_options=told) == {{"rows": 3}}
                os._exit(0 if same and isinstance(stores.open_store(url, told), stores._FsspecStore) else 1)
            assert os.waitpid(pid, 0)[1] == 0
            assert pickleseal.load(url, storage_options=told) == {{"rows": 3}}
        """
        env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=env)
        assert done.returncode == 0, done.stderr


class Handler(http.server.BaseHTTPRequestHandler):
    """One object, at any path but /none. At /plain ranges are not known, at /head HEAD is not."""

    protocol_version = "HTTP/1.1"
    data = large(3)
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append((self.command, wanted))
        if "none" in self.path or (self.command == "HEAD" and "head" in self.path):
            self.send_error(404)
            return
        if "denied" in self.path:
            self.send_error(403)
            return
        body, total = self.data, len(self.data)
        if wanted is None or "plain" in self.path:
            self.send_response(200)
        else:
            start, end = (int(text) for text in wanted.removeprefix("bytes=").split("-"))
            if start >= total:
                self.send_error(416)
                return
            body = body[start : end + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{total}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    class Own(Handler):
        asked: list[tuple[str, str | None]] = []  # noqa: RUF012

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield f"127.0.0.1:{found.server_port}", Own.asked
        found.shutdown()
        thread.join()


class TestHTTP:
    @pytest.mark.parametrize("path", ["a.pseal", "plain", "head"])
    def test_it_is_read(self, site: Any, path: str) -> None:
        url = f"http://{site[0]}/{path}"
        wanted = content(pickleseal.unpack(Handler.data))
        assert content(pickleseal.load(url)) == wanted
        assert content(pickleseal.Reader().read(url).object) == wanted
        assert pickleseal.verify(url) == pickleseal.peek(url) == pickleseal.peek(Handler.data)

    @pytest.mark.parametrize("cache", ["simplecache", "filecache"])
    def test_it_is_read_through_a_cache(
        self, site: Any, cache: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(remote, "_CHUNK", 256 << 10)
        url = f"{cache}::http://{site[0]}/a.pseal"
        options = {cache: {"cache_storage": str(tmp_path)}}
        found = pickleseal.load(url, storage_options=options)
        assert content(found) == content(pickleseal.unpack(Handler.data))
        assert pickleseal.peek(url, storage_options=options) == pickleseal.peek(Handler.data)

    def test_one_request_for_the_header(self, site: Any) -> None:
        pickleseal.peek(f"http://{site[0]}/a")
        assert site[1] == [("GET", "bytes=0-8191")]

    def test_what_is_not_there(self, site: Any) -> None:
        with pytest.raises(FileNotFoundError):
            pickleseal.load(f"http://{site[0]}/none")
        with pytest.raises(OSError, match="403"):
            pickleseal.load(f"http://{site[0]}/denied")

    @pytest.mark.parametrize("path", ["none", "denied"])
    def test_secrets_are_not_shown(self, site: Any, path: str) -> None:
        with pytest.raises(OSError, match=r"http://\*\*\*@.*\?\*\*\*") as caught:
            pickleseal.load(f"http://me:{SECRET}@{site[0]}/{path}?signature={SECRET}")
        assert SECRET not in f"{caught.value!s} {caught.value!r} {caught.value.filename}"
        assert caught.value.__cause__ is None

    def test_it_is_not_written(self, site: Any) -> None:
        with pytest.raises(OSError, match=r"cannot be written|405|501") as caught:
            pickleseal.dump(1, f"http://{site[0]}/new")
        assert caught.value.filename == f"http://{site[0]}/new"
