"""The networks that see the photo: MobileNetV2, VGG16 and ResNet50, cut where the papers cut them,
and what makes them fast on a CPU.
"""

from cropnb.backbones.folding import (
    fold_frozen_norms,
    freeze_norms,
    fuse_for_inference,
    to_channels_last,
    unfold_norms,
)
from cropnb.backbones.network import IMAGENET_DEVIATION, IMAGENET_MEAN, NAMES, Backbone
from cropnb.backbones.trunk import Trunk, by_size, has_fast_bfloat16, split, through
from cropnb.backbones.weights import build, load_imagenet, state_in

__all__ = [
    "IMAGENET_DEVIATION",
    "IMAGENET_MEAN",
    "NAMES",
    "Backbone",
    "Trunk",
    "build",
    "by_size",
    "fold_frozen_norms",
    "freeze_norms",
    "fuse_for_inference",
    "has_fast_bfloat16",
    "load_imagenet",
    "split",
    "state_in",
    "through",
    "to_channels_last",
    "unfold_norms",
]
