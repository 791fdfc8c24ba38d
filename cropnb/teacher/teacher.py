"""A teacher for photographs without labels, made of what is known of people: where they look, and
how they score crops of layouts.

    photo → attention (gaze and salient mask) → layout network → score of each crop
    scores of all windows → how likely someone draws each → boxes

Of a required ratio people's own boxes also say how large windows are, for GAICD's crops never reach
the border.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from cropnb import backbones, metrics
from cropnb import boxes as box_math
from cropnb.attention.model import (
    CUTS,
    MULTIPLE,
    SHORT_SIDE,
    AttentionReadout,
    attention_map,
    gaze_of,
    mask_of,
)
from cropnb.candidates import LEAST_AREA
from cropnb.checkpoints import load_into, load_weights
from cropnb.croppers.sizes import log_size_weights, relative_size
from cropnb.datasets.scenes.forms import windows_for
from cropnb.images import resize_short_side
from cropnb.layout import LayoutNetwork, load_layout_network, mean_scores
from cropnb.teacher.prior import default_shares

# What a point of MOS is worth when someone draws a box: the value at which the window of largest
# expected overlap overlaps most with people's best crop on held-out layouts, among 0.5, 1, 1.5, 2,
# 2.5, 3 and 4; the likelihood of that crop is also largest there (`python -m cropnb.teacher fit`).
SHARPNESS = 2.0
# The layout network explains a part of what people say of a photo's crops. Its scores are stretched
# so that they vary within a held-out photo as people's do: 0.70 over 0.43 points.
STRETCH = 1.64
MEAN_MOS, LOW_MOS, HIGH_MOS = 2.95, 1.0, 5.0  # of GAICD
# Of crops smaller than those that people scored (`LEAST_AREA`) the network knows nothing.
# Of a required ratio the sides are at least 60 % of the largest window's.
LEAST_SIDE = 0.595


@dataclass(frozen=True)
class Teacher:
    """The teacher; every part is frozen.

    Attributes:
        backbone, readout: photo → attention.
        layouts: layout networks whose scores are averaged.
        sizes: how often people draw boxes of each size, see `croppers.sizes`.
    """

    backbone: nn.Module
    readout: AttentionReadout
    layouts: Sequence[LayoutNetwork]
    sizes: tuple[float, ...]

    @torch.inference_mode()
    def attention(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """Where a photo draws the eye.

        Args:
            image: (3, H, W) in 0…1.
            mask: (h, w) in 0…1, its salient objects; the readout guesses them without.

        Returns:
            (32, 32), over the whole photo, the largest value is 1.
        """
        small = resize_short_side(image, SHORT_SIDE, MULTIPLE)
        logits = self.readout(self.backbone(small[None]))  # (1, 2, h, w)
        salient = mask_of(logits) if mask is None else mask[None]
        return attention_map(gaze_of(logits), salient)[0]

    @torch.inference_mode()
    def scores(self, attention: Tensor, size: tuple[int, int], crops: Tensor) -> Tensor:
        """Points of MOS by which each crop (N, 4), in pixels, is better than the average grid
        anchor, (N,).
        """
        crops_norm = box_math.normalize(crops, *size).clamp(0, 1)[None]  # (1, N, 4)
        sizes = torch.tensor([size], dtype=torch.float32)
        return mean_scores(self.layouts, attention[None], sizes, crops_norm)[0]

    def posterior(
        self, attention: Tensor, size: tuple[int, int], aspect: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The windows that someone might draw, and how likely each is.

        Args:
            aspect: the required ratio (width, height), or None where any may be drawn.

        Returns:
            Windows (N, 4) in pixels and probabilities (N,).
        """
        windows = windows_for(*size, aspect)
        windows = windows[large_enough(windows, size, aspect is not None)]
        return windows, self.probabilities(attention, size, windows, aspect is not None)

    def probabilities(
        self, attention: Tensor, size: tuple[int, int], windows: Tensor, one_ratio: bool
    ) -> Tensor:
        """How likely someone draws each of some windows (N, 4), (N,).

        Args:
            one_ratio: they are all that may be drawn of a required ratio.
        """
        weights = SHARPNESS * self.scores(attention, size, windows)  # (N,)
        if one_ratio:
            sides = relative_size(box_math.normalize(windows, *size).clamp(0, 1))
            weights = weights + log_size_weights(sides / sides.amax(), self.sizes)
        return weights.softmax(0)


def best(windows: Tensor, probabilities: Tensor) -> Tensor:
    """The window (4,) of (N, 4) that overlaps most, by expectation, with what someone draws."""
    return windows[metrics.expected_iou(windows, probabilities).argmax()]


def large_enough(windows: Tensor, size: tuple[int, int], one_ratio: bool) -> Tensor:
    """Which windows (N, 4) are as large as those that people scored, (N,)."""
    sides = windows[:, 2:] - windows[:, :2]  # (N, 2)
    if one_ratio:
        return (sides >= LEAST_SIDE * sides.amax(dim=0)).all(dim=1)
    return sides.prod(dim=1) >= LEAST_AREA * size[0] * size[1]


def mos(scores: Tensor) -> Tensor:
    """The teacher's scores (N,) as mean opinion scores of 1…5."""
    return (MEAN_MOS + STRETCH * scores).clamp(LOW_MOS, HIGH_MOS)


def load(readout: str | Path, layouts: Sequence[str | Path]) -> Teacher:
    """A teacher from the weights of runs.

    Args:
        readout: of `python -m cropnb.attention --dataset gaze`.
        layouts: of `python -m cropnb.layout --dataset gaicd_layouts --variants jittered`.

    Raises:
        CheckpointError: a file isn't there, is damaged or another method's.
        WeightsUnavailable: MobileNetV2's weights aren't there.
        DatasetMissing: FLMS's boxes aren't there.
    """
    network = AttentionReadout()
    load_into(network, load_weights(readout, "attention")[0], readout)
    return Teacher(
        backbones.build("mobilenet_v2", CUTS).eval(),
        network.eval(),
        [load_layout_network(path) for path in layouts],
        default_shares(),
    )
