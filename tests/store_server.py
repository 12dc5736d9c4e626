"""An S3-compatible server on this machine, whose refusals can be chosen."""

from __future__ import annotations

import io
import logging
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

boto3 = pytest.importorskip("boto3", reason="needs boto3, of the test extra")
pytest.importorskip("s3fs", reason="needs s3fs, of the s3 extra")
pytest.importorskip("moto", reason="needs moto, of the test extra")
pytest.importorskip("flask_cors", reason="needs flask-cors, of the test extra")

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
FULL = "507 Insufficient Storage", "XMinioStorageFull", "The store has no room left."
DENIED = "403 Forbidden", "AccessDenied", "Access Denied."


class StoreServer:
    """A server, with one bucket, `runs`, for each test."""

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        self._application: Any = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self.bucket = ""
        self.room: int | None = None
        """Bytes that the store still takes; None is without end."""
        self.forbidden = False
        """Whether nobody may do anything."""
        self.on_put: Callable[[str], bool] = lambda path: True
        """Called with half of each object's bytes received; False breaks the upload off."""
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _serve(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if self.forbidden:
            answer = _refuse(start, *DENIED)
            return answer if environ["REQUEST_METHOD"] != "HEAD" else []
        if environ["REQUEST_METHOD"] in ("PUT", "POST"):
            size = int(environ.get("CONTENT_LENGTH") or 0)
            content = environ["wsgi.input"].read(size // 2)
            if not self.on_put(environ["PATH_INFO"]):
                return _refuse(start, *DENIED)
            content += environ["wsgi.input"].read(size - size // 2)
            environ["wsgi.input"] = io.BytesIO(content)
            if self.room is not None and size > self.room:
                return _refuse(start, *FULL)
            self.room = None if self.room is None else self.room - size
        answered: Iterable[bytes] = self._application(environ, start)
        return answered

    @property
    def client(self) -> Any:
        """Another library's view of what is there."""
        return boto3.client(
            "s3", endpoint_url=self.address, region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test",
        )  # fmt: skip

    def objects(self, run: str) -> dict[str, bytes]:
        """What is below a run's address, by names relative to it."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{run}/"
        )
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return {key.removeprefix(f"{run}/"): self.read(key) for key in keys}

    def read(self, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _refuse(start: Callable[..., Any], status: str, code: str, message: str) -> list[bytes]:
    start(status, [("Content-Type", "application/xml")])
    return [f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()]


@contextmanager
def store_server() -> Iterator[StoreServer]:
    """A server for as long as the block runs."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = StoreServer()
    try:
        yield server
    finally:
        server.stop()


def new_bucket(server: StoreServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket, and its address; this process and those it starts find the server."""
    server.bucket, server.room, server.forbidden = f"runs-{uuid.uuid4().hex[:8]}", None, False
    server.on_put = lambda path: True
    server.client.create_bucket(Bucket=server.bucket)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return f"s3://{server.bucket}"
