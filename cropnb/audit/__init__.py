"""The audit: what the numbers of set prediction's tables, and of the tables that it stands in, can
and can't mean.

`python -m cropnb.audit --record` measures everything that needs no photo on GAICD's annotations,
and the methods that we trained on scenes. Published rows are never scored again: nobody but their
authors has what they predicted. Taught in `book/compare/audit.ipynb`.
"""

from cropnb.audit.blind import TieBracket, hits, random_anchor_hits, random_box_hits
from cropnb.audit.epochs import Selection, selection
from cropnb.audit.shares import impossible_shares, is_share

__all__ = [
    "Selection",
    "TieBracket",
    "hits",
    "impossible_shares",
    "is_share",
    "random_anchor_hits",
    "random_box_hits",
    "selection",
]
