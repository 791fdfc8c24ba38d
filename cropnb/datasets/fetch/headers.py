"""What a server says in the headers of its answer, and why it gave none."""

import email.utils
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests


def cause(error: Exception) -> str:
    """The innermost reason of a chain of requests' and urllib3's errors."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    return f"{type(error).__name__}: {error}"


def number(text: str | None) -> int | None:
    """A whole number of a header; None for anything else."""
    return int(text) if text and text.isdecimal() else None


def content_range(response: "requests.Response") -> tuple[int, int | None]:
    """Where a part begins, and how many bytes the whole has; -1 where a server doesn't say."""
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    start, total = rest.partition("-")[0], rest.rpartition("/")[2]
    if unit != "bytes" or not start.isdecimal():
        return -1, None
    return int(start), number(total)


def retry_after(text: str | None) -> float | None:
    """Seconds that a Retry-After header asks for, in seconds or as a date; None without one."""
    if not text:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
