"""Where people look and what stands out: a map of attention, read from MobileNetV2's features.

Not one of the five papers: the teacher of the taught photographs sees photos through it.
"""

from cropnb.attention.maps import center_prior, gaze_density, salient_mask
from cropnb.attention.metrics import auc_judd, divergence, nss
from cropnb.attention.model import AttentionReadout, attention_map

__all__ = [
    "AttentionReadout",
    "attention_map",
    "auc_judd",
    "center_prior",
    "divergence",
    "gaze_density",
    "nss",
    "salient_mask",
]
