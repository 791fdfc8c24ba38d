"""The maps that a training reads instead of photos: as a frozen backbone makes them, or as a trunk
does from those of its stem.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from cropnb import backbones
from cropnb.runs.experiment import Experiment
from cropnb.runs.features import FeatureCache

# (photos, which of them mirrored) → their maps, (1, C, h, w) each
Maps = Callable[[Sequence[int], Sequence[bool]], list[Tensor]]


class Photos(Protocol):
    """Photos as a network reads them."""

    def photo(self, index: int, mirrored: bool = False) -> Tensor:
        """(1, 3, H, W) in 0…1."""


def cached(
    experiment: Experiment,
    part: str,
    network: nn.Module,
    photos: Photos,
    size: object,
    join: Callable[[Sequence[Tensor]], Tensor] | None = None,
    described: Mapping[str, object] | None = None,
) -> FeatureCache:
    """What a network that doesn't move makes of the photos of a part, and of training photos
    mirrored: computed once, one map a photo.

    Args:
        network: (1, 3, H, W) → a map (1, C, h, w), or several.
        size: how photos are resized.
        join: several maps → one; by default there is one.
        described: how they are joined, as constants.
    """

    def look(index: int, view: int) -> Tensor:
        maps = network(photos.photo(index, mirrored=bool(view)))
        if join is not None:
            return join(maps)
        return maps if isinstance(maps, Tensor) else maps[0]

    return experiment.features(
        part, network, look, views=2 if part == "train" else 1, described=described, size=size
    )


def from_cache(
    cache: FeatureCache,
    device: torch.device | str = "cpu",
    trunk: Callable[[Tensor], Tensor] | None = None,
) -> Maps:
    """Maps that were computed before, or what a trunk makes of those of its stem: (B, C, h, w) of
    photos of one size at a time.
    """

    def maps(photos: Sequence[int], mirrored: Sequence[bool]) -> list[Tensor]:
        views = zip(photos, mirrored, strict=True)
        levels = [cache([photo], [int(flipped)], device)[0] for photo, flipped in views]
        return levels if trunk is None else backbones.through(trunk, [one[0] for one in levels])

    return maps


def from_photos(network: Callable[[Tensor], Tensor], photos: Photos) -> Maps:
    """Maps computed at each call, by a backbone that is trained."""
    return lambda indices, mirrored: [
        network(photos.photo(index, flipped))
        for index, flipped in zip(indices, mirrored, strict=True)
    ]


def from_stem(
    experiment: Experiment,
    photos: Mapping[str, Photos],
    stem: nn.Module,
    trunk: Callable[[Tensor], Tensor],
    size: object,
) -> dict[str, Maps]:
    """What a trunk makes of the photos of each part, from its stem's maps, which are computed once.

    Args:
        photos: part → its photos.
        stem: see `backbones.split`.
        trunk: (B, C, h, w) → the maps (B, C', h', w') that the rest of the network reads.
        size: how photos are resized.
    """
    return {
        part: from_cache(cached(experiment, part, stem, own, size), experiment.device, trunk)
        for part, own in photos.items()
    }
