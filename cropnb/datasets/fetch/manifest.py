"""What `manifest.toml` says of each dataset: where its files are, and what they must be."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from cropnb.errors import CropnbError


@dataclass(frozen=True)
class Source:
    """One file that a dataset is made from.

    Attributes:
        file: its name on this disk.
        url: where a program may fetch it; empty where a person has to.
        by_hand: where and how a person gets it.
        size: in bytes, None where nobody has said.
        sha256: None where it can't be known yet; the first download records it.
        known_from: "copy", "reported" or "", as `manifest.toml` explains.
        address: "untried", or what somebody found who tried it.
        optional: whether the dataset can be used without it.
    """

    file: str
    by_hand: str
    url: str = ""
    size: int | None = None
    sha256: str | None = None
    known_from: str = ""
    address: str = "untried"
    optional: bool = False


@dataclass(frozen=True)
class Entry:
    """One dataset: `photos` counts those published in each split, `used_in` names the papers'
    tables; `photo_files` is False where annotations are all that is published.
    """

    name: str
    title: str
    citation: str
    page: str
    photos: Mapping[str, int]
    boxes: str
    annotated: str
    licence: str
    splits: str
    used_in: tuple[str, ...]
    defects: tuple[str, ...]
    sources: tuple[Source, ...]
    photo_files: bool = True

    @property
    def published(self) -> int:
        """Photos in all splits together."""
        return sum(self.photos.values())


@cache
def entries() -> Mapping[str, Entry]:
    """All datasets by name, in the manifest's order."""
    text = resources.files(__package__).joinpath("manifest.toml").read_text(encoding="utf-8")
    by_name = {}
    for name, content in tomllib.loads(text).items():
        sources = tuple(Source(**source) for source in content.pop("sources"))
        lists = {key: tuple(content.pop(key)) for key in ("used_in", "defects")}
        by_name[name] = Entry(name=name, sources=sources, **lists, **content)
    return by_name


def entry(name: str) -> Entry:
    """One dataset.

    Raises:
        CropnbError: a name that the manifest doesn't have.
    """
    if name not in entries():
        raise CropnbError(
            f"there is nothing to fetch for {name!r}; the datasets are {', '.join(entries())}"
        )
    return entries()[name]
