"""A backbone in two parts: a stem that stays as it is, whose maps are computed once a photo, and a
trunk that is trained on them.

The first units of a network see the photo at its finest, so they cost most; and they are what
changes least in training. With the stem's maps in a `cropnb.runs.features.FeatureCache` a training
step begins at the trunk.
"""

import contextlib
import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from cropnb.backbones.folding import fold_frozen_norms, fuse_for_inference, to_channels_last
from cropnb.backbones.network import Backbone, hold_statistics
from cropnb.errors import CropnbError


class Trunk(nn.Module):
    """The units of a backbone behind a cut. They are the backbone's own, not copies: training the
    trunk trains the backbone.

    `forward` takes the stem's map (B, C, h, w) and returns the same maps as the backbone, one a
    cut, in single precision; the cut at which it begins may be among them.

    Attributes:
        stride: of the photo's pixels, a cell of the map that it takes.
        channels, strides: of the maps that it returns.

    Raises:
        CropnbError: the backbone has no such cut, or one of the maps that it returns lies before
            it.
    """

    def __init__(self, backbone: Backbone, cut: str, bfloat16: bool = False) -> None:
        super().__init__()
        start = backbone.position(cut)
        early = [
            name
            for name, index in zip(backbone.cuts, backbone.positions, strict=True)
            if index < start
        ]
        if early:
            raise CropnbError(
                f"the map {', '.join(early)} is wanted and lies before {cut}: cut the stem at "
                f"{early[0]} or before"
            )
        self.units = nn.ModuleList(backbone.units[start + 1 :])
        self.stride = backbone.stride_of(cut)
        self.channels, self.strides = backbone.channels, backbone.strides
        self.bfloat16, self.train_statistics = bfloat16, backbone.train_statistics
        self._taken = [index - start for index in backbone.positions]

    def forward(self, x: Tensor) -> list[Tensor]:
        """The stem's map (B, C, h, w) → the backbone's maps in single precision, one a cut."""
        x = x.contiguous(memory_format=torch.channels_last)
        maps = [x]  # (B, C, h, w)
        fast = torch.autocast(x.device.type, torch.bfloat16)
        with fast if self.bfloat16 else contextlib.nullcontext():
            for unit in self.units:
                maps.append(unit(maps[-1]))
        return [maps[index].float() for index in self._taken]

    def train(self, mode: bool = True) -> "Trunk":
        """As `Backbone.train`."""
        super().train(mode)
        return self if self.train_statistics else hold_statistics(self)


def split(backbone: Backbone, cut: str, bfloat16: bool = False) -> tuple[Backbone, Trunk]:
    """A backbone as a frozen stem and a trunk to train, both laid out for a CPU.

    Args:
        backbone: its units up to and with the cut are frozen, in place. Its normalisations are
            folded, see `fold_frozen_norms`.
        cut: where the trunk begins, such as "c3_3".
        bfloat16: whether the trunk computes in bfloat16, with weights in single precision. It pays
            where `has_fast_bfloat16()`. It changes a run's result, in the third digit of a map.

    Returns:
        The stem, a copy of the first units with fused normalisations, which takes photos and
        returns a list of one map; and the trunk, which takes that map and returns the maps of
        `backbone.cuts`.

    Raises:
        CropnbError: the backbone has no such cut, or one of the maps that it returns lies before
            it.
    """
    trunk = Trunk(backbone, cut, bfloat16)
    number = backbone.position(cut) + 1
    backbone.units[:number].requires_grad_(False)
    stem = Backbone(backbone.name, [cut])
    stem.units = copy.deepcopy(backbone.units[:number])
    stem = to_channels_last(fuse_for_inference(stem)).requires_grad_(False)
    fold_frozen_norms(to_channels_last(backbone))
    return stem.to(next(backbone.parameters()).device), trunk


def by_size(maps: Sequence[Tensor]) -> list[tuple[list[int], Tensor]]:
    """Maps (C, h, w) of several sizes as batches of one size each, which need no padding.

    Returns:
        The places of a batch's maps in `maps`, and the batch (B, C, h, w); in the order in which
        sizes come first.
    """
    places: dict[tuple[int, ...], list[int]] = {}
    for place, each in enumerate(maps):
        places.setdefault(tuple(each.shape), []).append(place)
    return [(own, torch.stack([maps[place] for place in own])) for own in places.values()]


def through(network: Callable[[Tensor], Tensor], maps: Sequence[Tensor]) -> list[Tensor]:
    """What a network makes of maps (C, h, w) of several sizes, those of one size at a time.

    Args:
        network: (B, C, h, w) → (B, C', h', w').

    Returns:
        (1, C', h', w') each, in the order of `maps`.
    """
    results: dict[int, Tensor] = {}
    for places, batch in by_size(maps):
        results.update(zip(places, network(batch).split(1), strict=True))
    return [results[place] for place in range(len(maps))]


def has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies in bfloat16 by itself (AVX-512 BF16 or AMX); others imitate it,
    slower than single precision.
    """
    features = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))
