"""The layout network: a score for each crop from its geometry and from where things are, without a
look at a pixel.
"""

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from cropnb import checkpoints
from cropnb.layout import maps as layout_maps

WIDTHS = (256, 64)  # of the hidden layers


class LayoutNetwork(nn.Module):
    """Scores crops by a map of the photo: of its objects, or of whatever else draws attention.

    Args:
        sees_map: False leaves the map out, and the geometry alone remains.
    """

    def __init__(self, sees_map: bool = True) -> None:
        super().__init__()
        self.sees_map = sees_map
        seen = 2 * layout_maps.SAMPLES**2 if sees_map else 0
        widths = (seen + layout_maps.GEOMETRY, *WIDTHS)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(WIDTHS[-1], 1))

    def forward(self, maps: Tensor, sizes: Tensor, crops_norm: Tensor) -> Tensor:
        """How much better or worse than the photo's average crop each crop is, in points of MOS.

        In evaluation mode it is the mean of two looks, at the photo and at its mirror image, so
        that both get the same scores.

        Args:
            maps: (B, S, S) in 0…1 with a maximum of 1, over the whole photo; trained at S = 32.
            sizes: (B, 2) width and height of each photo, in any unit.
            crops_norm: (B, N, 4).

        Returns:
            (B, N).

        Raises:
            ImageError: maps or sizes of another form.
            BoxError: crops of another form, or outside of the photo.
        """
        layout_maps.check(maps, sizes, crops_norm)
        scores = self._look(maps, sizes, crops_norm)
        if self.training:
            return scores
        flipped = self._look(maps.flip(-1), sizes, layout_maps.mirrored(crops_norm))
        return (scores + flipped) / 2

    def _look(self, maps: Tensor, sizes: Tensor, crops_norm: Tensor) -> Tensor:
        """Scores (B, N) of one look."""
        features = layout_maps.geometry(sizes, crops_norm)  # (B, N, 9)
        if self.sees_map:
            seen = layout_maps.seen_maps(maps, crops_norm).flatten(2)  # (B, N, 800)
            features = torch.cat([seen, features], dim=-1)
        return self.layers(features).squeeze(-1)


def load_layout_network(path: str | Path, device: str | torch.device = "cpu") -> LayoutNetwork:
    """The network of a run, or one that ships, from its weights.

    Raises:
        CheckpointError: there is no such file, or it is damaged or another method's.
    """
    state, card = checkpoints.load_weights(path, "layout")
    network = LayoutNetwork(sees_map=bool(card.get("sees_map", True)))
    checkpoints.load_into(network, state, path)
    return network.to(device).eval()
