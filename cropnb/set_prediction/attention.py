"""The conditional transformer's layers (Sec. 3.3), after Meng et al., "Conditional DETR", written
out.

B photos, T tokens (cells of the feature map), Q anchors, C channels, A heads of D = C / A channels
each.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TEMPERATURE = 10_000


def sine_embedding(values: Tensor, channels: int) -> Tensor:
    """(...) in 0…1 → (..., channels): sines and cosines of one coordinate, interleaved, from fast
    to slow.
    """
    pair = torch.arange(channels, device=values.device, dtype=torch.float32) // 2  # (channels,)
    angle = 2 * math.pi * values[..., None].float() / TEMPERATURE ** (2 * pair / channels)
    waves = [angle[..., 0::2].sin(), angle[..., 1::2].cos()]  # (..., channels / 2) each
    return torch.stack(waves, dim=-1).flatten(-2).to(values.dtype)


def point_embedding(points: Tensor, channels: int) -> Tensor:
    """Points (..., 2) as x, y in 0…1 → (..., channels): half of the channels for y, then half for
    x.
    """
    x, y = points.unbind(-1)
    return torch.cat([sine_embedding(y, channels // 2), sine_embedding(x, channels // 2)], dim=-1)


def cell_embedding(mask: Tensor, channels: int) -> Tensor:
    """Where each cell of a feature map lies in its photo: mask (B, h, w), true inside the photo →
    (B, h w, C).

    Rows and columns are counted from 1 and divided by their number within the photo, whatever the
    padding.
    """
    rows = mask.cumsum(1, dtype=torch.float32)  # (B, h, w)
    columns = mask.cumsum(2, dtype=torch.float32)  # (B, h, w)
    x = columns / (columns[:, :, -1:] + 1e-6)  # (B, h, w)
    y = rows / (rows[:, -1:] + 1e-6)  # (B, h, w)
    return point_embedding(torch.stack([x, y], dim=-1), channels).flatten(1, 2)


def attend(
    query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor | None, dropout: float
) -> Tensor:
    """softmax(query keyᵀ / √D) value in each head, D = E / heads: one fused call, which never holds
    all Q × T weights.

    Args:
        query: (B, Q, E).
        key: (B, T, E).
        value: (B, T, C).
        mask: (B, T), false for tokens that nothing may look at.
        dropout: the share of weights that is dropped.

    Returns:
        (B, Q, C).
    """
    query, key, value = (
        part.unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, A, Q or T, E / A)
        for part in (query, key, value)
    )
    seen = None if mask is None else mask[:, None, None, :]  # (B, 1, 1, T)
    mixed = F.scaled_dot_product_attention(
        query, key, value, attn_mask=seen, dropout_p=dropout
    )  # (B, A, Q, C / A)
    return mixed.transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """The projections that every attention has: of query, key, value and what comes out."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value, self.out = (
            nn.Linear(channels, channels) for _ in range(4)
        )

    def attend(self, query: Tensor, key: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Projected query and key, and tokens x (B, T, C) → (B, Q, C)."""
        dropout = self.dropout if self.training else 0.0
        mixed = attend(
            query, key, self.value(x), heads=self.heads, mask=mask, dropout=dropout
        )  # (B, Q, C)
        return self.out(mixed)


class SelfAttention(Attention):
    """The encoder's: every token looks at every token. Where a token lies is added to query and
    key, not to value.
    """

    def forward(self, x: Tensor, places: Tensor, mask: Tensor | None) -> Tensor:
        """x, places (B, T, C), mask (B, T), false for padding → (B, T, C)."""
        placed = x + places  # (B, T, C)
        return self.attend(self.query(placed), self.key(placed), x, mask)


class AnchorSelfAttention(Attention):
    """The decoder's first: anchors exchange what they know. What (x) and who (anchors) have
    projections of their own.

    x, anchors: (B, Q, C) → (B, Q, C).
    """

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__(channels, heads, dropout)
        self.query_anchor, self.key_anchor = (nn.Linear(channels, channels) for _ in range(2))

    def forward(self, x: Tensor, anchors: Tensor) -> Tensor:
        """x, anchors (B, Q, C) → (B, Q, C)."""
        query = self.query(x) + self.query_anchor(anchors)  # (B, Q, C)
        key = self.key(x) + self.key_anchor(anchors)  # (B, Q, C)
        return self.attend(query, key, x)


class ConditionalCrossAttention(Attention):
    """The decoder's second: anchors look at the photo.

    Content and place are set side by side in each head, so that their products add up instead of
    mixing: a head can look for a place (an edge of the crop) whatever is there. Only the first
    layer also adds the anchor to the content.

    Called with x (B, Q, C); places_sought (B, Q, C), the sine embedding of the reference points,
    scaled by what the anchor has seen so far; memory (B, T, C), the encoder's output; places
    (B, T, C); anchors (B, Q, C). Returns (B, Q, C).
    """

    def __init__(self, channels: int, heads: int, dropout: float, first: bool) -> None:
        super().__init__(channels, heads, dropout)
        self.query_place, self.key_place = (nn.Linear(channels, channels) for _ in range(2))
        self.query_anchor = nn.Linear(channels, channels) if first else None

    def forward(
        self,
        x: Tensor,
        places_sought: Tensor,
        memory: Tensor,
        places: Tensor,
        anchors: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        """Queries (B, Q, C) and the photo's tokens (B, T, C), each with places → (B, Q, C)."""
        query = self.query(x)  # (B, Q, C)
        key = self.key(memory)  # (B, T, C)
        key_place = self.key_place(places)  # (B, T, C)
        if self.query_anchor is not None:
            query, key = query + self.query_anchor(anchors), key + key_place
        query = self._side_by_side(query, self.query_place(places_sought))  # (B, Q, 2 C)
        key = self._side_by_side(key, key_place)  # (B, T, 2 C)
        return self.attend(query, key, memory, mask)

    def _side_by_side(self, content: Tensor, place: Tensor) -> Tensor:
        parts = [part.unflatten(-1, (self.heads, -1)) for part in (content, place)]
        return torch.cat(parts, dim=-1).flatten(-2)  # (..., heads × [content, place])


class FeedForward(nn.Sequential):
    """Each token for itself: C → hidden → C."""

    def __init__(self, channels: int, hidden: int, dropout: float) -> None:
        super().__init__(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, channels)
        )


class EncoderLayer(nn.Module):
    """x (B, T, C), places (B, T, C), mask (B, T) → (B, T, C). Normalised after each sum, as in
    DETR.
    """

    def __init__(self, channels: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(channels, heads, dropout)
        self.feed_forward = FeedForward(channels, hidden, dropout)
        self.norm_attention, self.norm_feed_forward = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, places: Tensor, mask: Tensor | None) -> Tensor:
        """x, places (B, T, C), mask (B, T), false for padding → (B, T, C)."""
        x = self.norm_attention(x + self.dropout(self.attention(x, places, mask)))
        return self.norm_feed_forward(x + self.dropout(self.feed_forward(x)))


class DecoderLayer(nn.Module):
    """Anchors exchange, look at the photo, then think for themselves: (B, Q, C) → (B, Q, C)."""

    def __init__(self, channels: int, heads: int, hidden: int, dropout: float, first: bool) -> None:
        super().__init__()
        self.exchange = AnchorSelfAttention(channels, heads, dropout)
        self.look = ConditionalCrossAttention(channels, heads, dropout, first)
        self.feed_forward = FeedForward(channels, hidden, dropout)
        self.norm_exchange, self.norm_look, self.norm_feed_forward = (
            nn.LayerNorm(channels) for _ in range(3)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        anchors: Tensor,
        places_sought: Tensor,
        memory: Tensor,
        places: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        """Anchors (B, Q, C) and the photo's tokens (B, T, C), each with places → (B, Q, C)."""
        x = self.norm_exchange(x + self.dropout(self.exchange(x, anchors)))
        seen = self.look(
            x,
            places_sought=places_sought,
            memory=memory,
            places=places,
            anchors=anchors,
            mask=mask,
        )  # (B, Q, C)
        x = self.norm_look(x + self.dropout(seen))
        return self.norm_feed_forward(x + self.dropout(self.feed_forward(x)))
