"""What the book says about ASM-Net's speed."""

import torch
from torch import Tensor
from torch.nn import functional

from cropnb import candidates, datasets
from cropnb.asm_net.cropper import AsmCropper
from cropnb.asm_net.model import AsmNet
from cropnb.asm_net.patterns import PATTERNS, Pattern
from cropnb.asm_net.photos import prepare
from cropnb.asm_net.pooling import composition_pool, composition_pool_pixels
from cropnb.bench import Ratio, classification, ratios

CROPS = 2000
WIDTH, HEIGHT = 384, 256


def crop_by_crop(score_map: Tensor, boxes: Tensor, pattern: Pattern) -> Tensor:
    """Equation 2 as the paper computes it: cut out each crop's map, average every channel in every
    cell, read off.
    """
    cells = pattern.cells[None]
    scores = []
    for x1, y1, x2, y2 in boxes.long().tolist():
        # (L, rows, columns)
        pooled = functional.adaptive_avg_pool2d(score_map[:, y1:y2, x1:x2], pattern.cells.shape)
        scores.append(pooled.gather(0, cells).mean())
    return torch.stack(scores)


def many_crops() -> tuple[Tensor, Tensor, Pattern]:
    """A score map of a photo's resolution, 2 000 windows of it in whole pixels, and the pattern."""
    pattern, draw = PATTERNS["cross_rectangle"], torch.Generator().manual_seed(0)
    windows = candidates.sliding_windows(WIDTH, HEIGHT, steps=20).round()
    chosen = torch.randperm(len(windows), generator=draw)[:CROPS]
    return torch.randn(pattern.partitions, HEIGHT, WIDTH, generator=draw), windows[chosen], pattern


def pooling_against_crop_by_crop(rounds: int) -> list[float]:
    """2 000 crops pooled one by one in the paper's way, over the same crops from one summed-area
    table.
    """
    score_map, boxes, pattern = many_crops()
    return ratios(
        lambda: crop_by_crop(score_map, boxes, pattern),
        lambda: composition_pool(score_map, boxes, pattern),
        rounds,
    )


def pooling_against_equation_1(rounds: int) -> list[float]:
    """The same over equation 1 crop by crop, which reads one channel a pixel and so a twelfth of
    the numbers.
    """
    score_map, boxes, pattern = many_crops()
    return ratios(
        lambda: composition_pool_pixels(score_map, boxes, pattern),
        lambda: composition_pool(score_map, boxes, pattern),
        rounds,
    )


def thousands_against_one(rounds: int) -> list[float]:
    """2 000 crops of one map, over one crop of it."""
    score_map, boxes, pattern = many_crops()
    return ratios(
        lambda: composition_pool(score_map, boxes, pattern),
        lambda: composition_pool(score_map, boxes[:1], pattern),
        rounds,
    )


def search_against_classification(rounds: int) -> list[float]:
    """Network and two-stage search of a 256-pixel photo, over torchvision's MobileNetV2 classifying
    that photo.
    """
    image = datasets.load("scenes", "test", form="cpc", size=1)[0].image()
    # what the weights are doesn't change how long it takes
    method = AsmCropper(AsmNet(weights=None), {})
    return ratios(lambda: method.propose(image), classification(prepare(image)[None]), rounds)


MEASURED = {
    "pooling 2 000 crops one by one": Ratio(
        pooling_against_crop_by_crop, "times the same from one summed-area table", at_least=50
    ),
    "pooling 2 000 crops one by one, one channel a pixel": Ratio(
        pooling_against_equation_1, "times the same from one summed-area table"
    ),
    "pooling 2 000 crops of one map": Ratio(thousands_against_one, "times pooling one crop of it"),
    "ASM-Net with its two-stage search": Ratio(
        search_against_classification,
        "times MobileNetV2 classification of the same photo",
        at_most=2,
    ),
}
