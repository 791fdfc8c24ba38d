"""The engine of every experiment: data parts, kept features, folders, resume, results, ledger rows.

A method's `recipe` gives it a `Method`; `program.main` makes that `python -m cropnb.NAME`.
"""

from cropnb.runs.experiment import Experiment
from cropnb.runs.features import FeatureCache
from cropnb.runs.identity import Run
from cropnb.runs.method import Column, Measurement, Method, Place, Profile, Stage, option
from cropnb.runs.results import Result

__all__ = [
    "Column",
    "Experiment",
    "FeatureCache",
    "Measurement",
    "Method",
    "Place",
    "Profile",
    "Result",
    "Run",
    "Stage",
    "option",
]
