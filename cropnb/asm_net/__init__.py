"""ASM-Net: one map of aesthetic scores, read differently in each part of a crop (Tu et al., AAAI
2020).
"""

from cropnb.asm_net.cropper import AsmCropper, load_cropper, neighbourhood, search
from cropnb.asm_net.losses import asm_loss, ranking_loss, ranking_pairs, saliency_loss, theta
from cropnb.asm_net.model import AsmNet, ScoreHead
from cropnb.asm_net.patterns import PATTERNS, Pattern
from cropnb.asm_net.pooling import composition_pool, composition_pool_pixels, partition_scores
from cropnb.asm_net.pooling.circles import circle_pool, circle_scores

# what `cropnb methods` says
PURPOSE = "maps how good each place is for each role in a composition, and searches windows on it"

__all__ = [
    "PATTERNS",
    "AsmCropper",
    "AsmNet",
    "Pattern",
    "ScoreHead",
    "asm_loss",
    "circle_pool",
    "circle_scores",
    "composition_pool",
    "composition_pool_pixels",
    "load_cropper",
    "neighbourhood",
    "partition_scores",
    "ranking_loss",
    "ranking_pairs",
    "saliency_loss",
    "search",
    "theta",
]
