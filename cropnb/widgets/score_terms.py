"""ScoreTerms: not drawn yet; the signature is final."""

from typing import Any


class ScoreTerms:
    def __init__(
        self, photo: Any, boxes: Any, terms: dict[str, Any], weights: dict[str, float], *, alt: str = ""
    ) -> None:
        raise NotImplementedError
