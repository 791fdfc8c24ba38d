"""How fast photos are read: originals decoded and scaled each time, against the prepared cache."""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from cropnb import candidates, datasets
from cropnb.bench import Ratio, ratios
from cropnb.datasets import prepared
from cropnb.datasets.scenes import describe, draw

PHOTOS = 24
WIDTH = 1024  # of GAICD's photos, most of them 3:2


def large_photo(number: int) -> Image.Image:
    """A scene as large as a photo of GAICD, with the grain that makes a JPEG of it as large: about
    130 kB.
    """
    scene = draw(describe(0, number, "test"))
    whole = np.asarray(
        Image.fromarray(scene).resize((WIDTH, round(WIDTH * 2 / 3)), Image.Resampling.BICUBIC), int
    )
    grain = np.random.default_rng(number).normal(0, 7, (*whole.shape[:2], 1)).round().astype(int)
    return Image.fromarray((whole + grain).clip(0, 255).astype(np.uint8))


def write_dataset(root: Path, photos: int = PHOTOS) -> None:
    """Drawn photos in GAICD's layout, each with the annotations of all its anchors."""
    (root / "images" / "test").mkdir(parents=True)
    (root / "annotations" / "test").mkdir(parents=True)
    for number in range(photos):
        photo = large_photo(number)
        photo.save(root / "images" / "test" / f"{number}.jpg", quality=85)
        lines = [
            f"{y1:.0f} {x1:.0f} {y2:.0f} {x2:.0f} 3"
            for x1, y1, x2, y2 in candidates.grid_anchors(*photo.size).tolist()
        ]
        (root / "annotations" / "test" / f"{number}.txt").write_text("\n".join(lines))


def originals_against_cache(rounds: int) -> list[float]:
    """Reading all photos at 256 pixels from the original files, over reading them from the prepared
    cache.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "gaicd"
        write_dataset(root)
        from_files = datasets.load("gaicd", "test", root=root, short_side=256)
        prepared.prepare("gaicd", "test", root=root, progress=False)
        from_cache = datasets.load("gaicd", "test", root=root, short_side=256)
        return ratios(
            lambda: [one.photo() for one in from_files],
            lambda: [one.photo() for one in from_cache],
            rounds,
        )


MEASURED = {
    "photos at 256 pixels from the original files": Ratio(
        originals_against_cache,
        "times reading them from the prepared cache",
        at_least=5,
        images=PHOTOS,
    ),
}
