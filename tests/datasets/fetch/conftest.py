"""A site on the loopback interface that misbehaves as it is told to, and datasets small enough to
be served by it.
"""

import hashlib
import io
import json
import re
import subprocess
import sys
import threading
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pooch", reason="fetching needs the package's extra `book`")

from cropnb.datasets.fetch import manifest
from cropnb.datasets.fetch.install import Job
from cropnb.datasets.fetch.manifest import Entry, Source

RUNNER = Path(__file__).parent / "run_job.py"


class Site:
    """Files by path, and for each path the faults that its next requests meet, one each."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Callable[[BaseHTTPRequestHandler, bytes], None]]] = defaultdict(
            list
        )
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.sent = 0  # bytes of bodies
        self.ranges = self.marks = True
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                site.requests.append((self.path, dict(self.headers)))
                body = site.files.get(path)
                faults = site.faults[path]
                if faults:
                    faults.pop(0)(self, body)
                elif body is None:
                    answer(404)(self, b"")
                else:
                    self.serve(body)

            def serve(self, body: bytes, limit: int | None = None, pause: float = 0.0) -> None:
                etag, start = f'"{hashlib.md5(body).hexdigest()}"', 0
                asked = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
                if asked and site.ranges and self.headers.get("If-Range", etag) == etag:
                    start = int(asked[1])
                if start >= len(body) > 0:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(body)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Type", "application/octet-stream")
                self.send_header("Content-Length", str(len(body) - start))
                if site.marks:
                    self.send_header("ETag", etag)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
                self.end_headers()
                self.write(body[start : None if limit is None else start + limit], pause)
                if limit is not None:
                    self.hang_up()

            def write(self, body: bytes, pause: float = 0.0) -> None:
                for begin in range(0, len(body), 1 << 14):
                    piece = body[begin : begin + (1 << 14)]
                    self.wfile.write(piece)
                    site.sent += len(piece)
                    time.sleep(pause)

            def hang_up(self) -> None:
                self.wfile.flush()
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:  # a client that was killed
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def asked(self, path: str) -> list[dict[str, str]]:
        """The headers of each request for a path."""
        return [headers for asked, headers in self.requests if asked.partition("?")[0] == path]


def answer(
    status: int, body: bytes = b"", **headers: str
) -> Callable[[BaseHTTPRequestHandler, bytes], None]:
    """A fault: answer with this status, body and headers (`Retry_After="1"`)."""

    def fault(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return fault


def drop(after: int) -> Callable[[BaseHTTPRequestHandler, bytes], None]:
    """A fault: break the connection after so many bytes."""
    return lambda handler, body: handler.serve(body, limit=after)


def slow(pause: float) -> Callable[[BaseHTTPRequestHandler, bytes], None]:
    """A fault: pause after every 16 KiB."""
    return lambda handler, body: handler.serve(body, pause=pause)


def unmeasured(body: bytes) -> Callable[[BaseHTTPRequestHandler, bytes], None]:
    """A fault: send this without saying how long it is."""

    def fault(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.write(body)
        handler.hang_up()

    return fault


PAGE = (
    b"<!DOCTYPE html><html><head><title>Quota exceeded</title></head>"
    b"<body>Too many users today.</body></html>"
)


def confirmation(target: str, question: str = "") -> bytes:
    """A page with the form that drives put before large files."""
    return f"""<!DOCTYPE html><html><head><title>Can't scan for viruses</title></head><body>
<form id="download-form" action="{target}" method="get">
<input type="submit" value="Download anyway">
<input type="hidden" name="id" value="7"><input type="hidden" name="confirm" value="t">
{question}</form></body></html>
""".encode()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.delenv("CROPNB_OFFLINE", raising=False)
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def jpeg(width: int, height: int, seed: int = 0) -> bytes:
    """A drawn photo: a gradient with much noise, so that its file is large."""
    x = np.linspace(0, 180, width)[None, :, None] + np.linspace(0, 60, height)[:, None, None]
    noise = np.random.default_rng(seed).integers(-90, 90, (height, width, 3))
    buffer = io.BytesIO()
    Image.fromarray((x + noise).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def zipped(files: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


# For 240 × 120 pixels the outermost anchors lie at 10 and 230, and at 5 and 115.
ANNOTATION = b"5 10 115 230 3.14\n15 30 105 190 -2\n5 50 95 210 2.5\n"


def small_gaicd(photos: int = 6) -> dict[str, bytes]:
    """GAICD version 1 as its archive has it: photos by split, all annotations in one folder."""
    files = {}
    for number in range(photos):
        split = "test" if number % 3 == 0 else "train"
        files[f"GAIC/images/{split}/{number}.jpg"] = jpeg(240, 120, number)
        files[f"GAIC/annotations/{number}.txt"] = ANNOTATION
    return files


class Catalogue:
    """A manifest whose addresses lead to the site."""

    def __init__(self, site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.site, self.folder, self.entry = site, folder, manifest.entry("gaicd")
        monkeypatch.setattr(manifest, "entry", lambda name: self.entry)

    def serve(
        self, name: str, files: dict[str, bytes], known: bool = True, published: int | None = None
    ) -> Entry:
        """Serve archives and make them the sources of a dataset."""
        sources = []
        for file, content in files.items():
            self.site.files[f"/{file}"] = content
            facts = (
                {"size": len(content), "sha256": sha256(content), "known_from": "reported"}
                if known
                else {}
            )
            sources.append(
                Source(
                    file,
                    by_hand=f"get {file} on the page",
                    url=f"{self.site.address}/{file}",
                    **facts,
                )
            )
        real = {**vars(manifest.entries()[name]), "sources": tuple(sources)}
        if published is not None:
            real["photos"] = {"all": published}
        self.entry = Entry(**real)
        return self.entry

    def job(self, **options: object) -> Job:
        messages: list[str] = []
        job = Job(
            self.entry.name, self.folder / self.entry.name, messages.append, False, 0.01, **options
        )
        job.messages = messages
        return job

    def start(self, **options: object) -> subprocess.Popen:
        """The same in a process of its own, which may be killed or kept from writing."""
        description = {
            **vars(self.entry),
            "sources": [vars(source) for source in self.entry.sources],
        }
        job = {"entry": description, "folder": str(self.folder / self.entry.name), **options}
        command = [sys.executable, str(RUNNER), json.dumps(job)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, **options: object) -> tuple[int, str]:
        process = self.start(**options)
        out, error = process.communicate(timeout=60)
        return process.returncode, out + error


@pytest.fixture
def catalogue(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    return Catalogue(site, tmp_path / "data", monkeypatch)


def visible(folder: Path) -> list[str]:
    """Everything a reader could find below a folder: all but `.fetch`."""
    paths = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return [path for path in paths if not path.startswith(".fetch")]
