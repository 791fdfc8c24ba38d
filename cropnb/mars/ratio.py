"""From an aspect ratio to a network's weights: the embedding of a ratio (Eq. 7) and the two
meta-learners (Eq. 5), (Eq. 6).
"""

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cropnb.errors import BoxError, CropnbError

# The ratios that FAT asks for; beyond them the embedding stays what it is at the end.
LOWEST, HIGHEST = 0.5, 2.0
RATIO_INPUTS = ("interpolated", "nearest", "scalar")  # the rows of Table 4, last one first


def chosen_ratios(number: int) -> Tensor:
    """The ratios (N,) that have an embedding: evenly spaced in the logarithm, from 1/2 to 2
    (Sec. 3.3).

    Raises:
        CropnbError: `number` isn't odd, or below 3: 1 is one of them, and each has its reciprocal.
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < 3 or number % 2 == 0:
        raise CropnbError(
            f"embeddings is {number!r}: an odd number from 3, so that 1:1 stands in the middle"
        )
    return torch.linspace(-math.log(2), math.log(2), number, dtype=torch.float64).exp()


def check_ratios(aspects: Tensor | float) -> Tensor:
    """Ratios width / height as a float tensor (R,).

    Raises:
        BoxError: one of them isn't finite or above 0.
    """
    try:
        aspects = torch.as_tensor(aspects, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BoxError(
            f"aspect ratios can't be read as numbers ({error}): give width / height"
        ) from None
    aspects = aspects[None] if aspects.ndim == 0 else aspects
    if aspects.ndim != 1 or not len(aspects):
        raise BoxError(
            f"aspect ratios have the shape (R,), one number a crop, not {tuple(aspects.shape)}"
        )
    if not bool((torch.isfinite(aspects) & (aspects > 0)).all()):
        raise BoxError(
            f"an aspect ratio is width / height, finite and above 0; these are {aspects.tolist()}"
        )
    return aspects


class RatioEmbedding(nn.Module):
    """Aspect ratios (B,) → what the meta-learners read, (B, `width`).

    Ratios beyond 1/2…2 get the first or the last vector, and the scalar of that end: nothing was
    trained there.

    Args:
        number, dimension: of the trained vectors.
        kind: "interpolated" between the two neighbours in log τ (Eq. 7), "nearest" in log τ without
            interpolation, or "scalar", the ratio itself, which has no vectors (Table 4).

    Raises:
        CropnbError: another kind, an even number of vectors, or vectors without a number.
    """

    def __init__(self, number: int = 101, dimension: int = 512, kind: str = "interpolated") -> None:
        super().__init__()
        if kind not in RATIO_INPUTS:
            raise CropnbError(f"ratio_input is {kind!r}; there are {', '.join(RATIO_INPUTS)}")
        if dimension < 1:
            raise CropnbError(f"embedding_dim is {dimension}; an embedding has one number at least")
        self.kind, self.number = kind, number
        self.width = 1 if kind == "scalar" else dimension
        chosen_ratios(number)  # An even number is refused whatever the kind.
        self.vectors = None if kind == "scalar" else nn.Embedding(number, dimension)

    def position(self, aspects: Tensor) -> Tensor:
        """Where ratios (B,) lie among the chosen ones, in steps of 2 log 2 / (N − 1): 0 for 1/2, N
        − 1 for 2.
        """
        # In double: at 501 steps a float's log is off by 1e-4 of one.
        inside = aspects.double().clamp(LOWEST, HIGHEST)
        step = 2 * math.log(2) / (self.number - 1)
        return ((inside.log() + math.log(2)) / step).clamp(0, self.number - 1)

    def forward(self, aspects: Tensor) -> Tensor:
        """E(τ) between the embeddings of the two neighbours (Eq. 7)."""
        if self.vectors is None:
            return aspects.clamp(LOWEST, HIGHEST)[:, None].float()  # (B, 1)
        place = self.position(aspects)
        if self.kind == "nearest":
            return self.vectors(place.round().long())
        lower = place.floor().clamp(max=self.number - 2)
        # (log τ − log τ_lower) / step, (B, 1)
        share = (place - lower).to(self.vectors.weight.dtype)[:, None]
        lower = lower.long()
        return (1 - share) * self.vectors(lower) + share * self.vectors(lower + 1)


class RatioWeights(NamedTuple):
    """What the meta-learners predict for B ratios; None where the weights are fixed instead."""

    transform: Tensor | None  # ARS-FTM, (B, c, c): rows give f_ars, columns read f_ara
    predictor: Tensor | None  # ARS-PWP, (B, C_out)


class MetaLearner(nn.Module):
    """Embeddings (B, d) → `RatioWeights` (Figure 4): fully-connected layers with two outputs.

    The paper gives no start. A predicted matrix should begin as large as a learned one would: each
    output layer starts so that its predictions have a variance of about 1 / (their inputs), or 512
    channels drown the feature map.

    Args:
        inputs: d.
        channels: c of the feature map, None without ARS-FTM.
        out_channels: C_out, None without ARS-PWP.
        layers: the FCs before the outputs, 0…4 in Table 2.
        neurons: of each of them; the paper has 512.

    Raises:
        CropnbError: fewer than 0 layers, or than 1 neuron.
    """

    def __init__(
        self,
        inputs: int,
        channels: int | None,
        out_channels: int | None,
        layers: int = 1,
        neurons: int = 512,
    ) -> None:
        super().__init__()
        if layers < 0 or neurons < 1:
            raise CropnbError(
                f"fc_layers is {layers} and neurons {neurons}: 0 layers or more, of 1 neuron or "
                "more"
            )
        sizes = [inputs] + [neurons] * layers
        steps = [(nn.Linear(a, b), nn.ReLU()) for a, b in itertools.pairwise(sizes)]
        self.hidden = nn.Sequential(*(module for step in steps for module in step))
        self.channels = channels
        self.to_transform = nn.Linear(sizes[-1], channels**2) if channels else None
        self.to_predictor = nn.Linear(sizes[-1], out_channels) if out_channels else None
        with torch.no_grad():
            for layer, fan in ((self.to_transform, channels), (self.to_predictor, out_channels)):
                if layer is not None:
                    # An embedding's numbers have a mean square of 1, and each hidden layer leaves
                    # about a sixth of it.
                    layer.weight.normal_(0, (6.0**layers / (fan * layer.in_features)) ** 0.5)
                    layer.bias.zero_()

    def forward(self, embedding: Tensor) -> RatioWeights:
        """The weights of ARS-FTM (Eq. 5) and of ARS-PWP (Eq. 6)."""
        hidden = self.hidden(embedding)
        transform = predictor = None
        if self.to_transform is not None:
            transform = self.to_transform(hidden).view(-1, self.channels, self.channels)
        if self.to_predictor is not None:
            predictor = self.to_predictor(hidden)
        return RatioWeights(transform, predictor)
