"""CropExplorer: not drawn yet; the signature is final."""

from typing import Any


class CropExplorer:
    def __init__(
        self, photo: Any, truths: Any, candidates: Any = None, scores: Any = None, *, box: Any = None, alt: str = ""
    ) -> None:
        raise NotImplementedError
