"""The book's interactive figures. They compute in the page, so they answer without a kernel and
without a network.
"""

from cropnb.widgets.candidate_scores import CandidateScores
from cropnb.widgets.composition_rules import CompositionRules
from cropnb.widgets.crop_explorer import CropExplorer
from cropnb.widgets.ledger_explorer import LedgerExplorer
from cropnb.widgets.match_player import MatchPlayer
from cropnb.widgets.method_crops import MethodCrops
from cropnb.widgets.pattern_explorer import PatternExplorer
from cropnb.widgets.ratio_slider import RatioSlider
from cropnb.widgets.sample_browser import SampleBrowser
from cropnb.widgets.score_terms import ScoreTerms
from cropnb.widgets.step_player import StepPlayer
from cropnb.widgets.tolerance_explorer import ToleranceExplorer

__all__ = [
    "CandidateScores",
    "CompositionRules",
    "CropExplorer",
    "LedgerExplorer",
    "MatchPlayer",
    "MethodCrops",
    "PatternExplorer",
    "RatioSlider",
    "SampleBrowser",
    "ScoreTerms",
    "StepPlayer",
    "ToleranceExplorer",
]
