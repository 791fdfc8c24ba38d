"""The layout network: a score for each crop from its geometry and from where things are, without a
look at a pixel.
"""

from collections.abc import Sequence
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
        look = features if self.sees_map else lambda _, *crops: layout_maps.geometry(*crops)
        return self.from_features(look(maps, sizes, crops_norm))

    def from_features(self, seen: Tensor) -> Tensor:
        """Scores (B, N) from what crops see, (B, N, 809), see `features`."""
        if not self.sees_map:
            seen = seen[..., -layout_maps.GEOMETRY :]
        return self.layers(seen).squeeze(-1)


def features(maps: Tensor, sizes: Tensor, crops_norm: Tensor) -> Tensor:
    """What the networks read of each crop: map, extent and geometry, (B, N, 809)."""
    seen = layout_maps.seen_maps(maps, crops_norm).flatten(2)  # (B, N, 800)
    return torch.cat([seen, layout_maps.geometry(sizes, crops_norm)], dim=-1)


@torch.no_grad()
def mean_scores(
    networks: Sequence[LayoutNetwork], maps: Tensor, sizes: Tensor, crops_norm: Tensor
) -> Tensor:
    """The mean of what several networks in evaluation mode say of crops, (B, N); what the crops see
    is computed once for all of them. Arguments and errors as of `LayoutNetwork.forward`.
    """
    layout_maps.check(maps, sizes, crops_norm)
    flipped = (maps.flip(-1), sizes, layout_maps.mirrored(crops_norm))
    looks = [features(maps, sizes, crops_norm), features(*flipped)]
    return torch.stack([net.from_features(seen) for net in networks for seen in looks]).mean(0)


def load_layout_network(path: str | Path, device: str | torch.device = "cpu") -> LayoutNetwork:
    """The network of a run, or one that ships, from its weights.

    Raises:
        CheckpointError: there is no such file, or it is damaged or another method's.
    """
    state, card = checkpoints.load_weights(path, "layout")
    network = LayoutNetwork(sees_map=bool(card.get("sees_map", True)))
    checkpoints.load_into(network, state, path)
    return network.to(device).eval()
