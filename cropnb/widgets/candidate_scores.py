"""CandidateScores: not drawn yet; the signature is final."""

from typing import Any


class CandidateScores:
    def __init__(self, photo: Any, boxes: Any, columns: dict[str, Any], *, n: int = 5, alt: str = "") -> None:
        raise NotImplementedError
