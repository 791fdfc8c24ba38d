"""What the book says about ASM-Net's speed."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from cropnb import backbones, candidates, datasets
from cropnb.asm_net.cropper import AsmCropper
from cropnb.asm_net.losses import DELTA
from cropnb.asm_net.model import AsmNet, Levels, ScoredPhotos, photo_and_saliency, prepare
from cropnb.asm_net.patterns import PATTERNS, Pattern
from cropnb.asm_net.pooling import composition_pool, composition_pool_pixels
from cropnb.asm_net.recipe import Variant, from_cache, from_photos, step
from cropnb.bench import FROM_C3_3, Ratio, classification, keep_signals, ratios, training_speed
from cropnb.runs import FeatureCache

CROPS = 2000
WIDTH, HEIGHT = 384, 256
TRAINING_PHOTOS = 4  # a batch of the CPU profile


def crop_by_crop(score_map: Tensor, boxes: Tensor, pattern: Pattern) -> Tensor:
    """Φ as the paper computes it (Eq. 2): cut out each crop's map, average every channel in every
    cell, read off.
    """
    cells = pattern.cells[None]
    scores = []
    for x1, y1, x2, y2 in boxes.long().tolist():
        # (L, rows, columns)
        pooled = F.adaptive_avg_pool2d(score_map[:, y1:y2, x1:x2], pattern.cells.shape)
        scores.append(pooled.gather(0, cells).mean())
    return torch.stack(scores)


def many_crops() -> tuple[Tensor, Tensor, Pattern]:
    """A score map of a photo's resolution, 2 000 windows of it in whole pixels, and the pattern."""
    pattern, rng = PATTERNS["cross_rectangle"], torch.Generator().manual_seed(0)
    windows = candidates.sliding_windows(WIDTH, HEIGHT, steps=20).round()
    chosen = torch.randperm(len(windows), generator=rng)[:CROPS]
    return torch.randn(pattern.partitions, HEIGHT, WIDTH, generator=rng), windows[chosen], pattern


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
    """The same over (Eq. 1) crop by crop, which reads one channel a pixel and so a twelfth of
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


def training_steps(bfloat16: bool = True) -> tuple[Callable[[], float], Callable[[], float]]:
    """A training step on photos of one size: the first four units frozen and computed anew each
    time, and those up to c3_3 frozen, their maps kept, norms folded, the rest in bfloat16.
    Each returns its loss.
    """
    dataset = datasets.load("scenes", "train", form="cpc", size=24)
    pixels = FeatureCache(
        lambda number, view: photo_and_saliency(dataset[number].image()),
        len(dataset),
        progress=False,
        dtype=torch.uint8,
    )
    photos = ScoredPhotos(dataset, pixels, DELTA["cpc"])
    sizes = photos.batches(range(len(photos)), lambda numbers, mirrored: [])
    # As many photos as a batch has, of the size that most of them have.
    batch = max((each.indices for each in sizes), key=len)[:TRAINING_PHOTOS]
    torch.manual_seed(0)
    plain = keep_signals(AsmNet(weights=None)).train().to(memory_format=torch.channels_last)
    fast = copy.deepcopy(plain)
    plain.backbone.units[:4].requires_grad_(False)
    stem, trunk = backbones.split(fast.backbone, "c3_3", bfloat16)
    maps = FeatureCache(
        lambda number, view: [stem(photos.images([number]))[0][0]], len(dataset), progress=False
    )

    def training(model: AsmNet, levels: Levels) -> Callable[[], float]:
        loss = step(model, photos, Variant(), DELTA["cpc"], levels, mirror=False)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(trained, lr=1e-4, fused=True)

        def call() -> float:
            optimizer.zero_grad(set_to_none=True)
            value = loss(batch, torch.Generator())["loss"]
            value.backward()
            optimizer.step()
            return value.item()

        return call

    fast_levels = from_cache(maps, torch.device("cpu"), trunk)
    return training(plain, from_photos(plain, photos)), training(fast, fast_levels)


MEASURED = {
    **training_speed(
        "ASM-Net, training the network",
        training_steps,
        TRAINING_PHOTOS,
        2,
        f"{FROM_C3_3}; the rest of the backbone is in bfloat16; the plain step trains all but the "
        "first four units",
    ),
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
