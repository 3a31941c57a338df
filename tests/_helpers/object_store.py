"""A real S3 server on loopback: moto's, in a thread, behind a few lines that record requests and can step in."""

import http.client
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

BUCKET = "artifacts"
KEYS = {"key": "access", "secret": "hunter2"}

_SIGNED = (
    f"AWS4-HMAC-SHA256 Credential={KEYS['key']}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)


class Request(NamedTuple):
    """One request that reached the server."""

    method: str
    path: str
    query: str
    range: str | None


class Server:
    """What the server was asked. `step_in` may answer a request itself, with a status and an S3 error code.

    A code that begins with `lost` gives its answer once the request was carried out.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self.url = ""
        self.asked: list[Request] = []
        self.step_in: Callable[[Request], tuple[str, str] | None] = lambda request: None

    def __call__(self, env: dict[str, Any], start: Any) -> Iterable[bytes]:
        request = Request(env["REQUEST_METHOD"], env["PATH_INFO"], env["QUERY_STRING"], env.get("HTTP_RANGE"))
        answer = self.step_in(request)
        self.asked.append(request)
        if answer is None:
            return self._app(env, start)  # type: ignore[no-any-return]
        if answer[1].startswith("lost"):
            list(self._app(env, lambda *arguments: None))
        else:
            env["wsgi.input"].read(int(env.get("CONTENT_LENGTH") or 0))
        start(answer[0], [("Content-Type", "application/xml")])
        return [f"<Error><Code>{answer[1]}</Code><Message>no</Message></Error>".encode()]

    def put(self, key: str, data: bytes) -> None:
        """Store an object past everything that is tested."""
        send(f"{self.url}/{BUCKET}/{key}", "PUT", data)

    def uploads(self) -> int:
        """Return how many uploads in parts are neither complete nor given up."""
        return send(f"{self.url}/{BUCKET}?uploads", "GET").count(b"<UploadId>")


def send(url: str, method: str, data: bytes | None = None) -> bytes:
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=20)
    try:
        connection.request(method, "/" + url.split("/", 3)[3], data, {"Authorization": _SIGNED})
        answer = connection.getresponse()
        found = answer.read()
        if answer.status != 200:
            raise OSError(f"{method} {url}: {answer.status} {found!r}")
        return found
    finally:
        connection.close()


@contextmanager
def serve() -> Iterator[Server]:
    import logging

    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = Server(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        app.url = f"http://127.0.0.1:{server.server_port}"
        send(f"{app.url}/{BUCKET}", "PUT")
        yield app
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
