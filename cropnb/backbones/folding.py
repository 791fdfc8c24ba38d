"""Batch normalisation folded into the convolution before it, for training and for use.

With fixed statistics a normalisation is a scale and a shift of each channel, and so is a
convolution of another weight and bias: γ (W x − μ) / σ + β = (γ W / σ) x + (β − γ μ / σ). Weights
are small and maps are large, so the fold saves a pass over every map forward, two backward, and
the memory of one map a layer.
"""

import copy
import itertools
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Module = TypeVar("Module", bound=nn.Module)


class FoldedConv2d(nn.Conv2d):
    """A convolution that applies the normalisation after it as well, while that one's statistics
    are fixed.

    The weight is folded at each call, so the convolution, the scale and the shift are trained as
    they were: gradients pass through the fold.
    """

    folded_norm: tuple[nn.BatchNorm2d]  # in a tuple, which keeps it out of this module's children

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, h, w) → (B, C, h', w'), convolved and normalised."""
        (norm,) = self.folded_norm
        if norm.training:  # its statistics are of this batch: there is nothing to fold
            return super().forward(x)
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)  # (C,)
        shift = norm.bias - norm.running_mean * scale
        if self.bias is not None:
            shift = shift + self.bias * scale
        weight = self.weight * scale.view(-1, 1, 1, 1)  # (C, C_in / groups, k, k)
        half = x.dtype == torch.bfloat16 and x.device.type == "cpu"
        if half and self.groups > 1 and max(self.stride) > 1:
            # In bfloat16 the gradient of this one takes twice as long on a CPU as in float32, where
            # all others take half as long.
            with torch.autocast("cpu", enabled=False):
                return self._conv_forward(x.float(), weight, shift).to(x.dtype)
        return self._conv_forward(x, weight, shift)


class FoldedNorm2d(nn.BatchNorm2d):
    """A normalisation that the convolution before it has applied already, unless it is in training
    mode.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) as it is; normalised in training mode."""
        return super().forward(x) if self.training else x


def fold_frozen_norms(module: Module) -> Module:
    """Fold every batch normalisation that follows a convolution into it, in place.

    The function stays the same up to rounding, and so do its parameters, their names and their
    gradients: weights and checkpoints fit as before, also the other way round. A normalisation in
    training mode, whose statistics are of the batch, runs as it is. Folding twice is folding once.

    Args:
        module: a network in which each normalisation stands right behind its convolution, as in
            every backbone here.

    Returns:
        The same module.
    """
    for _, convolution, _, norm in _pairs(module):
        if type(convolution) is nn.Conv2d and type(norm) is nn.BatchNorm2d:
            convolution.__class__, norm.__class__ = FoldedConv2d, FoldedNorm2d
            convolution.folded_norm = (norm,)
    return module


def unfold_norms(module: Module) -> Module:
    """Undo `fold_frozen_norms`, in place; returns the same module."""
    for layer in module.modules():
        if isinstance(layer, FoldedConv2d):
            layer.__class__ = nn.Conv2d
            del layer.folded_norm
        elif isinstance(layer, FoldedNorm2d):
            layer.__class__ = nn.BatchNorm2d
    return module


def freeze_norms(module: Module) -> Module:
    """Keep every batch normalisation as it is, in place: its statistics, its scale and its shift.

    `module.train()` sets the statistics free again unless it is a `Backbone` or a `Trunk`, which
    hold them.

    Returns:
        The same module.
    """
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval().requires_grad_(False)
    return module


def to_channels_last(module: Module) -> Module:
    """Lay the weights of convolutions out as a CPU reads them fastest; returns the same module.

    Give it maps of `torch.channels_last` too, or the first layer turns each batch around.
    """
    return module.to(memory_format=torch.channels_last)


def fuse_for_inference(backbone: Module) -> Module:
    """A copy with each batch normalisation folded into the convolution before it for good: the same
    function, faster.
    """
    fused = unfold_norms(copy.deepcopy(backbone)).eval()
    for parent, convolution, name, norm in list(_pairs(fused)):
        if isinstance(norm, nn.BatchNorm2d):
            first = next(key for key, child in parent.named_children() if child is convolution)
            setattr(parent, first, fuse_conv_bn_eval(convolution, norm))
            setattr(parent, name, nn.Identity())
    return fused


def _pairs(module: nn.Module) -> Iterator[tuple[nn.Module, nn.Conv2d, str, nn.Module]]:
    """(parent, convolution, name of the layer behind it, that layer) of each convolution."""
    for parent in list(module.modules()):
        # In torchvision's ResNet the children stand in the order in which they are applied as well.
        for (_, first), (name, second) in itertools.pairwise(list(parent.named_children())):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                yield parent, first, name, second
