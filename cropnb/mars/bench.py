"""What the book says about Mars' speed: against a yardstick, photos a second, and between rows of
Tables 1, 2 and 6.
"""

import copy
from collections.abc import Callable
from functools import partial
from time import perf_counter

import torch

from cropnb import backbones, datasets, paper
from cropnb.bench import Ratio, classification, keep_signals, ratios, training_speed
from cropnb.mars.cropper import FixedShape, MarsCropper
from cropnb.mars.losses import pixel_loss
from cropnb.mars.model import Mars
from cropnb.mars.padding import cells, collate, trunk_features
from cropnb.mars.photos import prepare
from cropnb.mars.variants import VARIANTS
from cropnb.runs.features import FeatureCache

ASPECTS = (1.0, 16 / 9, 3 / 4)  # asked for in turn
COLUMN = "Speed"  # of the tables: photos a second on the authors' GPU
TRAINING_PHOTOS, LOSS_CELLS = 32, 32  # a batch, and cells of each map: as the CPU profile
MOST_ROUNDS = 12  # between rows: some of them take seconds a round


def photos(number: int = 12) -> list[torch.Tensor]:
    """Test scenes of mixed shapes with their longest side at 256, as the network sees them."""
    test = datasets.load("scenes", "test", form="fat", size=number)
    return [prepare(sample.image()) for sample in test]


def _cropper(variant: str, device: str = "cpu") -> MarsCropper:
    torch.manual_seed(0)  # speed doesn't depend on the weights
    return MarsCropper(Mars(**VARIANTS[variant].arguments, weights=None), device=device)


def cropping(variant: str = "Mars", kept: bool = True, number: int = 12) -> Callable[[], object]:
    """One call crops every photo, one at a time, post-processing included.

    kept: the weights of a ratio are predicted once; otherwise anew for each photo.
    """
    cropper, shown = _cropper(variant), photos(number)
    crop = cropper.propose if kept else cropper.predict

    def call() -> None:
        for index, photo in enumerate(shown):
            crop(photo, ASPECTS[index % len(ASPECTS)])

    return call


def photos_a_second(rounds: int) -> list[float]:
    """Photos a second on the CPU, one at a time: a second of the clock over the seconds of one
    photo.
    """
    return _a_second(cropping(), len(photos()), rounds)


def photos_a_second_on_a_gpu(rounds: int, half: bool = True) -> list[float]:
    """The same on a GPU: a recorded CUDA graph for each shape and ratio, each crop fetched before
    the next photo.
    """
    cropper = _cropper("Mars", "cuda")
    shown = [photo.cuda() for photo in photos()]
    calls = [
        FixedShape(cropper, ASPECTS[index % len(ASPECTS)], *photo.shape[-2:], half=half)
        for index, photo in enumerate(shown)
    ]

    def call() -> None:
        for crop, photo in zip(calls, shown, strict=True):
            crop(photo).cpu()

    return _a_second(call, len(shown), rounds)


def _a_second(call: Callable[[], object], number: int, rounds: int) -> list[float]:
    call()
    found = []
    for _ in range(rounds):
        start = perf_counter()
        call()
        found.append(number / (perf_counter() - start))
    return found


def against_classification(rounds: int) -> list[float]:
    """Mars on photos of mixed shapes, over MobileNetV2 classifying the same photos."""
    each = [classification(photo[None]) for photo in photos()]
    return ratios(cropping(), lambda: [call() for call in each], rounds)


def keeping(rounds: int) -> list[float]:
    """What it brings to predict the weights of a ratio once: seconds without over seconds with."""
    return ratios(cropping(kept=False), cropping(), rounds)


def between_rows(variant: str, rounds: int) -> list[float]:
    """The speed of a row of the tables over that of the paper's model, in one run, on photos of
    mixed shapes.

    Rows of Table 2 differ in the meta-learners only, so there the weights are predicted for each
    photo, on both sides.
    """
    kept = not any(table == "Table 2" for table, _ in VARIANTS[variant].cells)
    first, second = (cropping(name, kept, number=6) for name in ("Mars", variant))
    return ratios(first, second, min(rounds, MOST_ROUNDS))


def training_steps(bfloat16: bool = True) -> tuple[Callable[[], float], Callable[[], float]]:
    """A training step of the whole network on photos of mixed shapes, as the paper trains and with
    the units up to c3_3 as they are: their maps kept, norms folded, the rest in bfloat16.
    Each returns its loss.
    """
    samples = datasets.load("scenes", "train", form="fat", size=TRAINING_PHOTOS)
    shown = [(prepare(sample.image()) * 255).round().to(torch.uint8) for sample in samples]
    sizes = torch.tensor([[photo.shape[-1], photo.shape[-2]] for photo in shown])
    aspects = torch.linspace(0.5, 2, TRAINING_PHOTOS)
    torch.manual_seed(0)
    plain = keep_signals(Mars(neurons=256, weights=None)).train()
    fast = copy.deepcopy(plain)
    stem, trunk = backbones.split(fast.backbone, "c3_3", bfloat16)
    cache = FeatureCache(
        lambda index, view: [stem(shown[index][None].float() / 255)[0][0]],
        len(shown),
        progress=False,
    )
    indices, views = range(len(shown)), [0] * len(shown)

    def plain_features() -> torch.Tensor:
        images, sizes = collate([photo.float() / 255 for photo in shown])
        return plain.features(images, sizes)

    def fast_features() -> torch.Tensor:
        return trunk_features(trunk, cache(indices, views)[0], sizes)

    def step(model: Mars, features: Callable[[], torch.Tensor]) -> Callable[[], float]:
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(trained, lr=1e-4, fused=True)

        def call() -> float:
            weights = model.ratio_weights(aspects)
            raised = model.add_global(features(), weights, cells(sizes, model.stride))
            # The loss is taken on some cells of each map, here the first ones; their targets don't
            # change how long it takes.
            raised = raised.flatten(2)[..., :LOSS_CELLS, None]  # (B, c, n, 1)
            logits = model.predict_cells(raised, weights)
            optimizer.zero_grad(set_to_none=True)
            loss = pixel_loss(logits, torch.zeros_like(logits))
            loss.backward()
            optimizer.step()
            return loss.item()

        return call

    return step(plain, plain_features), step(fast, fast_features)


def speed_rows() -> dict[str, tuple[str, str]]:
    """The rows of the columns «Speed»: variant → its (table, row); the paper's model itself is what
    they are over.
    """
    tables = paper.read("mars").tables
    cells = {name: variant.cells for name, variant in VARIANTS.items() if name != "Mars"}
    return {
        name: found[0]
        for name, found in cells.items()
        if found and COLUMN in tables[found[0][0]].columns
    }


MEASURED = {
    **training_speed("Mars, training the whole network", training_steps, TRAINING_PHOTOS, 2),
    "Mars with post-processing": Ratio(
        against_classification, "times MobileNetV2 classification of the same photos", images=12
    ),
    "Mars, photos a second": Ratio(
        photos_a_second, "photos a second, one at a time, on this machine", at_least=60, images=12
    ),
    "Mars, photos a second on a GPU": Ratio(
        photos_a_second_on_a_gpu,
        "photos a second, one at a time",
        at_least=1000,
        images=12,
        needs_cuda=True,
    ),
    "Mars, weights predicted for each photo": Ratio(
        keeping, "times the same with the weights of a ratio kept", images=12
    ),
    **{
        f"Mars, {name}": Ratio(
            partial(between_rows, name), "times as fast as the paper's model", images=6
        )
        for name in speed_rows()
    },
}
