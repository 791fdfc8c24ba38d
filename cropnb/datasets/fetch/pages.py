"""Web pages that come instead of a file: recognised, and answered where all they ask is «download
anyway».
"""

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

LONGEST = 1 << 20  # bytes of a page that are read


def is_page(content_type: str, start: bytes) -> bool:
    """Whether an answer is a web page, by its declared type or by how it begins."""
    begin = start[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return content_type.lower().startswith(("text/html", "application/xhtml")) or begin.startswith(
        (b"<!doctype html", b"<html", b"<head")
    )


def rest_of(first: bytes, pieces: Iterator[bytes]) -> str:
    """The text of a page whose first bytes were read already."""
    text = bytearray(first)
    for piece in pieces:
        text += piece
        if len(text) > LONGEST:
            break
    return text.decode("utf-8", errors="replace")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.title, self._in_title = "", False
        self.forms: list[dict] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "title":
            self._in_title = True
        elif tag == "form":
            self.forms.append({"action": "", "method": "get", **given, "fields": {}, "asks": False})
        elif tag in ("input", "select", "textarea") and self.forms:
            kind = given.get("type", "text").lower() if tag == "input" else tag
            if kind == "hidden":
                self.forms[-1]["fields"][given.get("name", "")] = given.get("value", "")
            elif kind not in ("submit", "button"):
                self.forms[-1]["asks"] = True

    def handle_endtag(self, tag: str) -> None:
        self._in_title = self._in_title and tag != "title"

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data


def _read(text: str) -> _Reader:
    reader = _Reader()
    reader.feed(text)
    return reader


def title(text: str) -> str:
    """The title of a page, shortened."""
    return " ".join(_read(text).title.split())[:80] or "without a title"


def confirmed(address: str, text: str) -> str | None:
    """The address that the page's button «download anyway» leads to; None where a person has to
    answer.

    That is a form which is sent with GET, within the same site, and holds nothing but hidden
    fields: large files on drives come behind one, because they can't be scanned for viruses. A form
        that asks for anything is left alone.
    """
    for form in _read(text).forms:
        onward = urljoin(address, form["action"])
        if (
            form["method"].lower() == "get"
            and form["fields"]
            and not form["asks"]
            and _same_site(address, onward)
        ):
            fields = urlencode(form["fields"])
            return f"{onward}{'&' if urlsplit(onward).query else '?'}{fields}"
    return None


def _same_site(one: str, other: str) -> bool:
    sites = [urlsplit(address).hostname or "" for address in (one, other)]
    return len({".".join(site.split(".")[-2:]) for site in sites}) == 1
