"""What the book says about VRN's speed."""

import torch

from cropnb import candidates, datasets
from cropnb.bench import Ratio, classification, ratios, training_speed
from cropnb.croppers import load
from cropnb.gaic.studies.bench import TOGETHER, TRAINING_PHOTOS, training_steps
from cropnb.gaic.views import prepare
from cropnb.vrn.model import Vrn
from cropnb.vrn.recipe import METHOD


def against_classification(rounds: int) -> list[float]:
    """VRN on a 256-pixel photo with all its candidates, over torchvision's MobileNetV2 classifying
    that photo.
    """
    image = datasets.load("scenes", "test", form="gaicd", size=1)[0].image()
    height, width = image.shape[-2:]
    views = candidates.grid_anchors(width, height)
    method = load("vrn").method
    # (1, 3, 256, W), the size that VRN's network sees
    photo: torch.Tensor = prepare(image, views)[0][None]
    return ratios(lambda: method.score_boxes(image, views), classification(photo), rounds)


MEASURED = {
    **training_speed(
        "VRN, training the network",
        lambda: training_steps(Vrn(weights=None), METHOD.loss(METHOD.main)),
        TRAINING_PHOTOS,
        1.5,
        TOGETHER,
    ),
    "VRN with all candidates": Ratio(
        against_classification, "times MobileNetV2 classification of the same photo", at_most=1.2
    ),
}
