"""Composed Scenes: photographs drawn by a seeded program, with an aesthetic score that is known.

They answer in the form of every real dataset. Taught in `book/foundations/data.ipynb`.
"""

from cropnb.datasets.scenes.describe import Scene, Thing, describe
from cropnb.datasets.scenes.drawing import draw
from cropnb.datasets.scenes.forms import SIZES, load
from cropnb.datasets.scenes.panel import PANEL, PHOTOGRAPHERS, Annotator
from cropnb.datasets.scenes.score import TERMS, WEIGHTS, aesthetic_score, score_terms

__all__ = [
    "PANEL",
    "PHOTOGRAPHERS",
    "SIZES",
    "TERMS",
    "WEIGHTS",
    "Annotator",
    "Scene",
    "Thing",
    "aesthetic_score",
    "describe",
    "draw",
    "load",
    "score_terms",
]
