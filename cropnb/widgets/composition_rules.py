"""CompositionRules: not drawn yet; the signature is final."""

from typing import Any


class CompositionRules:
    def __init__(self, photo: Any, box: Any, *, subject: Any = None, rule: str = "thirds", alt: str = "") -> None:
        raise NotImplementedError
