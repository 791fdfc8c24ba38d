"""Fetch one file over HTTP: resumed by range requests after a break, checked for what servers send
instead of it.

pooch does the caching, the hash and the final rename. Its own HTTP downloader writes into a
temporary file that is gone after a failure, so it can't resume; `Resuming` takes its place and
keeps what arrived in `NAME.part`.
"""

import itertools
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cropnb.datasets.fetch import headers, pages, storage
from cropnb.datasets.fetch.manifest import Source
from cropnb.errors import DownloadError, StorageError

if TYPE_CHECKING:
    import requests

AGENT = "cropnb-dataset-scripts/0.1"
PIECE = 1 << 16  # bytes: what is lost when a connection breaks
LONGEST_WAIT = 120  # seconds that a server may ask for; more than that is for another day
TIMEOUT = (15, 60)  # seconds to connect, and between two pieces


class TryAgain(Exception):
    """A failure that may pass: a broken connection, a busy server. `wait` in seconds, where the
    server asked for it.
    """

    def __init__(self, message: str, wait: float | None = None):
        super().__init__(message)
        self.wait = wait


class Gone(DownloadError):
    """The server says that there is no such file, or no longer."""


def offline() -> bool:
    """Whether `CROPNB_OFFLINE=1` forbids every request."""
    return os.environ.get("CROPNB_OFFLINE", "") not in ("", "0")


def fetch(
    source: Source,
    folder: Path,
    known: str | None = None,
    *,
    progress: bool = True,
    patience: float = 1.0,
    session: "requests.Session | None" = None,
) -> Path:
    """Fetch a source into a folder and verify it; a file that is there and has the right hash is
    not fetched again.

    Args:
        known: the SHA-256 that the file must have; None where nobody knows it yet.
        patience: seconds before the first repetition; doubled each time that nothing arrived.

    Raises:
        DownloadError: when it can't be had: offline, refused, another file, a page that a person
            has to click.
        StorageError: when it can't be written. What has arrived stays, and the next run goes on
            from there.
    """
    if not source.url:
        raise DownloadError(f"no program can fetch {source.file}. {by_hand(source)}")
    if offline():
        raise DownloadError(
            f"CROPNB_OFFLINE=1 forbids fetching {source.url}; unset it. {by_hand(source)}"
        )
    try:
        import pooch
    except ImportError as error:
        raise DownloadError("fetching datasets needs pooch: pip install pooch") from error
    pooch.get_logger().setLevel("ERROR")
    part = folder / f"{source.file}.part"
    resuming = Resuming(source, part, progress, patience, session, verified=known is not None)
    with storage.disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # pooch's temporary file, of a run that was killed while it was renamed
        for left_over in folder.glob("tmp*"):
            left_over.unlink()
        try:
            path_text = pooch.retrieve(
                source.url,
                f"sha256:{known}" if known else None,
                source.file,
                folder,
                downloader=resuming,
            )
        except ValueError as error:  # pooch compared the hash
            raise DownloadError(
                f"{source.url} gave a file with another SHA-256 than the {known} that is expected "
                f"({describe(source)}); it was thrown away. {by_hand(source)}"
            ) from error
    return Path(path_text)


def describe(source: Source) -> str:
    """How the manifest knows a source's hash."""
    ways = {
        "copy": "computed from a copy of the authors' file",
        "reported": "as others have printed it",
    }
    return ways.get(source.known_from, "recorded by the first download")


def by_hand(source: Source) -> str:
    """The sentence that says how a person gets a file and hands it over."""
    return f"By hand: {source.by_hand}; then run the script again with `--from FILE`"


@dataclass
class Resuming:
    """A downloader for pooch that keeps what arrived and asks for the rest.

    The rest is asked for with `If-Range`, so that a file which has changed meanwhile is fetched
    anew. Where the server marks no versions, it is asked for only if a hash will tell afterwards
    whether both parts belong together.
    """

    source: Source
    part: Path
    progress: bool = True
    patience: float = 1.0
    session: "requests.Session | None" = None
    verified: bool = False  # whether the whole will be held against a hash
    attempts: int = 5  # in a row in which nothing arrived
    sleep: Callable[[float], None] = time.sleep

    def __call__(
        self, url: str, output_file: str, pooch: Any = None, check_only: bool = False
    ) -> None:
        """Fetch `url` into `output_file`, as pooch calls it; `pooch` and `check_only` are not used.

        Raises:
            DownloadError: the server refuses, gives another number of bytes than the manifest
                says, or fails too many times in a row; the message says what to do by hand.
        """
        import requests

        session = self.session or requests.Session()
        failures, clicked = 0, False
        while True:
            before = self._arrived
            try:
                confirmed = self._attempt(session, url)
                if confirmed is None:
                    break
                if clicked:
                    raise DownloadError(
                        f"{url} asks for a confirmation again and again. {by_hand(self.source)}"
                    )
                url, clicked = confirmed, True
            except TryAgain as problem:
                failures = 1 if self._arrived > before else failures + 1
                if failures >= self.attempts:
                    raise DownloadError(
                        f"{url}: {problem}; given up after {failures} attempts, with "
                        f"{storage.megabytes(self._arrived)} kept. Run the command again to go on. "
                        f"{by_hand(self.source)}"
                    ) from problem
                self.sleep(
                    problem.wait
                    if problem.wait is not None
                    else self.patience * 2 ** (failures - 1)
                )
        if self.source.size not in (None, self._arrived):
            arrived = self._arrived
            self._forget()
            raise DownloadError(
                f"{url} gave {arrived:,} bytes instead of {self.source.size:,}; they were thrown "
                "away. "
                f"{by_hand(self.source)}"
            )
        self._notes.unlink(missing_ok=True)
        os.replace(self.part, output_file)

    @property
    def _arrived(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    @property
    def _notes(self) -> Path:
        return self.part.with_name(self.part.name + ".json")

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def _attempt(self, session: "requests.Session", url: str) -> str | None:
        """One request: None for a complete file, else the address behind a confirmation."""
        import requests

        asked = {"User-Agent": AGENT, "Accept-Encoding": "identity", **self._range()}
        try:
            with session.get(url, stream=True, timeout=TIMEOUT, headers=asked) as response:
                return self._receive(response)
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            raise DownloadError(f"{url} is no address of a file: {error}") from error
        except requests.exceptions.RequestException as error:
            raise TryAgain(f"the connection broke ({headers.cause(error)})") from error

    def _range(self) -> dict[str, str]:
        """The headers that ask for the rest; none where what arrived is nothing, or unknown."""
        if not self._arrived:
            return {}
        try:
            tag = json.loads(self._notes.read_text(encoding="utf-8"))["mark"]
        except (OSError, ValueError, KeyError, TypeError):
            tag = ""
        if not tag and not self.verified:
            self._forget()
            return {}
        return {"Range": f"bytes={self._arrived}-"} | ({"If-Range": tag} if tag else {})

    def _receive(self, response: "requests.Response") -> str | None:
        status, start = response.status_code, 0
        if status == 416:  # the part is complete already, or belongs to another version
            total = headers.number(response.headers.get("Content-Range", "").rpartition("/")[2])
            if total == self._arrived:
                return None
            self._forget()
            raise TryAgain("what had arrived belongs to another version of the file", wait=0)
        self._check_status(response)
        if status == 206:
            start, total = headers.content_range(response)
            if start != self._arrived:
                self._forget()
                raise TryAgain("the server sent another range than was asked for", wait=0)
        else:
            total = headers.number(response.headers.get("Content-Length"))
        pieces = response.iter_content(PIECE)
        first = next(pieces, b"")
        if start == 0 and pages.is_page(response.headers.get("Content-Type", ""), first):
            return self._answer(response, pages.rest_of(first, pieces))
        if None not in (self.source.size, total) and total != self.source.size:
            self._forget()
            raise DownloadError(
                f"{response.url} has {total:,} bytes, not {self.source.size:,}: it is another "
                "file. "
                f"{by_hand(self.source)}"
            )
        storage.need_room(self.part.parent, (total or 0) - start, f"the rest of {self.source.file}")
        tag = response.headers.get("ETag", "")
        tag = response.headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag
        with (
            self.part.open("ab" if start else "wb") as stream,
            storage.bytes_bar(total, self.source.file, self.progress, start) as bar,
        ):
            self._notes.write_text(
                json.dumps({"url": self.source.url, "mark": tag}), encoding="utf-8"
            )
            for piece in itertools.chain((first,), pieces):
                stream.write(piece)
                bar.update(len(piece))
        if total is not None and self._arrived != total:
            raise TryAgain(f"{self._arrived:,} of {total:,} bytes arrived")
        return None

    def _check_status(self, response: "requests.Response") -> None:
        status, url = response.status_code, response.url
        if status in (200, 206):
            return
        if status in (404, 410):
            raise Gone(f"{url}: the server has no such file ({status}). {by_hand(self.source)}")
        if status in (408, 429) or status >= 500:
            wait = headers.retry_after(response.headers.get("Retry-After"))
            if wait is not None and wait > LONGEST_WAIT:
                raise DownloadError(
                    f"{url}: the server asks to wait for {wait:.0f} s ({status}); run it again "
                    "later"
                )
            raise TryAgain(f"the server is busy ({status})", wait)
        raise DownloadError(
            f"{url}: the server refuses ({status} {response.reason}). {by_hand(self.source)}"
        )

    def _answer(self, response: "requests.Response", text: str) -> str:
        """The address behind a page of confirmation; DownloadError for any other page."""
        onward = pages.confirmed(response.url, text)
        if onward is None:
            raise DownloadError(
                f"{response.url} sent a web page («{pages.title(text)}») instead of "
                f"{self.source.file}. "
                f"{by_hand(self.source)}"
            )
        return onward


__all__ = [
    "DownloadError",
    "Gone",
    "Resuming",
    "StorageError",
    "by_hand",
    "describe",
    "fetch",
    "offline",
]
