"""How well scores order the candidates of a photo: Acc K/N, SRCC, pair accuracy.

Tie rules. Candidates of equal score: every order of them is equally likely, and the metric is the
mean over those orders (in closed form, so it doesn't depend on the order of the rows: GAICD's files
are sorted by MOS, and a constant score with a stable sort would look perfect). Candidates of equal
MOS: all of them count as good as the best placed.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from cropnb.errors import MetricError
from cropnb.metrics.counts import is_count


def _pair(scores: Tensor, mos: Tensor) -> tuple[Tensor, Tensor]:
    scores, mos = torch.as_tensor(scores), torch.as_tensor(mos)
    if scores.shape != mos.shape or scores.ndim == 0 or scores.shape[-1] == 0:
        raise MetricError(
            f"scores {tuple(scores.shape)} and mos {tuple(mos.shape)} need one value for each "
            "candidate: (..., N) both"
        )
    if not (torch.isfinite(scores).all() and torch.isfinite(mos).all()):
        raise MetricError(
            "scores and mos have to be finite: a NaN or an infinite score has no rank"
        )
    # double keeps every float32 difference and every whole number exact
    return scores.detach().double(), mos.detach().double()


def _check_picks(candidates: int, **picks: int) -> None:
    for name, value in picks.items():
        if not is_count(value) or value > candidates:
            raise MetricError(
                f"{name} is {value!r}, but the photo has {candidates} candidates: take 1 … "
                f"{candidates}"
            )


def _pick_weights(scores: Tensor, k: int) -> Tensor:
    """How likely each candidate (..., N) is among the k best scored, ties broken at random."""
    threshold = scores.topk(k, dim=-1).values[..., -1:]  # (..., 1)
    above, level = scores > threshold, scores == threshold  # (..., N) each
    places = (k - above.sum(-1, keepdim=True)).double()  # (..., 1)
    return above + level * (places / level.sum(-1, keepdim=True))


def _among_best(mos: Tensor, n: int) -> Tensor:
    """Which candidates (..., N) reach the n-th largest MOS: more than n where the MOS tie."""
    return mos >= mos.topk(n, dim=-1).values[..., -1:]


def acc_kn(scores: Tensor, mos: Tensor, k: int, n: int) -> Tensor:
    """Acc K/N: how many of the k best-scored candidates have one of the n largest MOS.

    The GAICD protocol. VRN prints it for k = 1, n = 5 and 10 (Table 1); set prediction repeats that
    for earlier methods, and has `set_acc_1n` for its own.

    Args:
        scores: (..., N), predicted.
        mos: (..., N), annotated.
        k: candidates that are taken.
        n: candidates that count as good.

    Returns:
        A share (...), 0…1.

    Raises:
        MetricError: other shapes, values that aren't finite, k or n above N.
    """
    scores, mos = _pair(scores, mos)
    _check_picks(scores.shape[-1], k=k, n=n)
    return (_pick_weights(scores, k) * _among_best(mos, n)).sum(-1) / k


def acc_n(scores: Tensor, mos: Tensor, n: int) -> Tensor:
    """Acc N as the GAICD protocol has it: the mean (...) of Acc K/N over K = 1…4. Shapes and errors
    as `acc_kn`.
    """
    return _mean_over_k(scores, mos, 4, n)


def acc_bar(scores: Tensor, mos: Tensor, n: int) -> Tensor:
    """Acc N by the formula that VRN prints (Sec. 4.1): the mean (...) of Acc K/N over K = 1…N.

    Not the protocol behind the rows of its Table 1: see `acc_n`. Shapes and errors as `acc_kn`.
    """
    return _mean_over_k(scores, mos, n if is_count(n) else 1, n)


def _mean_over_k(scores: Tensor, mos: Tensor, most: int, n: int) -> Tensor:
    return torch.stack([acc_kn(scores, mos, k, n) for k in range(1, most + 1)]).mean(0)


def average_ranks(values: Tensor) -> Tensor:
    """Ranks (..., N) from 1 for the smallest; equal values share the mean of their places.

    Raises:
        MetricError: a value is NaN, which has no place.
    """
    if values.isnan().any():
        raise MetricError("a value is NaN, which has no rank; leave such candidates out")
    ordered = values.contiguous().sort(dim=-1).values  # (..., N)
    below = torch.searchsorted(ordered, values.contiguous(), right=False)  # (..., N)
    up_to = torch.searchsorted(ordered, values.contiguous(), right=True)  # (..., N)
    return (below + up_to + 1).double() / 2


def srcc(scores: Tensor, mos: Tensor) -> Tensor:
    """Spearman's rank correlation: Pearson's correlation of the average ranks.

    Column SRCC of ASM-Net's Table 4.

    Args:
        scores: (..., N), N >= 2.
        mos: (..., N).

    Returns:
        (...), -1…1; 0 where one of them is constant and there is no correlation to speak of (SciPy
        gives NaN).

    Raises:
        MetricError: as `acc_kn`, or a single candidate.
    """
    scores, mos = _pair(scores, mos)
    if scores.shape[-1] < 2:
        raise MetricError("a rank correlation needs at least two candidates")
    a, b = average_ranks(scores), average_ranks(mos)  # (..., N) each
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    spread = (a.square().sum(-1) * b.square().sum(-1)).sqrt()  # (...)
    return torch.where(spread > 0, (a * b).sum(-1) / spread.clamp(min=1e-12), 0.0).clamp(-1, 1)


def pair_counts(scores: Tensor, mos: Tensor, delta: float = 0.0) -> tuple[Tensor, Tensor]:
    """How many pairs are ranked rightly, and how many pairs there are: two tensors (...). See
    `pair_accuracy`.

    Raises:
        MetricError: bad shapes or values, or a `delta` below 0.
    """
    scores, mos = _pair(scores, mos)
    if not delta >= 0:
        raise MetricError(f"delta is {delta}: a difference of scores from 0")
    gap = mos.unsqueeze(-1) - mos.unsqueeze(-2)  # (..., N, N): better, worse
    # MOS have two decimals: 4.43 - 3.53 is 0.9 although their binary numbers differ by a little
    # less.
    pairs = (gap > 0) & (gap >= delta - 1e-5)  # (..., N, N)
    lead = scores.unsqueeze(-1) - scores.unsqueeze(-2)  # (..., N, N)
    right = (lead > 0).double() + 0.5 * (lead == 0)  # (..., N, N)
    return (right * pairs).sum((-1, -2)), pairs.sum((-1, -2)).double()


def pair_accuracy(scores: Tensor, mos: Tensor, delta: float = 0.0) -> Tensor:
    """How many of the pairs whose MOS differ enough, ASM-Net's (Eq. 3), are ranked rightly.

    Pairs of equal MOS never count, whatever `delta`; a tie of scores counts half.

    Args:
        scores: (..., N).
        mos: (..., N).
        delta: the least difference of a pair's MOS.

    Returns:
        A share (...), 0…1; NaN where a photo has no such pair: to average over a dataset, sum the
        `pair_counts` instead.

    Raises:
        MetricError: as `acc_kn`, or a `delta` below 0.
    """
    right, pairs = pair_counts(scores, mos, delta)
    return right / pairs


def ranking_table(scores: Iterable[Tensor], mos: Iterable[Tensor]) -> dict[str, Tensor]:
    """Every ranking metric of a dataset.

    Photos with the same N are computed together.

    Args:
        scores: one tensor (N,) a photo; N may differ from photo to photo.
        mos: the same.

    Returns:
        Name → one value a photo (photos,), all as 0…1 (SRCC as -1…1). `.mean()` of a column is the
        printed number, `bootstrap_interval` of it the interval.

    Raises:
        MetricError: as `acc_kn`, no photo, or other photos in one than in the other.
    """
    scores, mos = list(scores), list(mos)
    if len(scores) != len(mos) or not scores:
        raise MetricError(
            f"{len(scores)} photos have scores and {len(mos)} have mos: give both for every photo"
        )
    pairs = [_pair(a, b) for a, b in zip(scores, mos, strict=True)]
    columns = {
        "Acc 1/5": lambda a, b: acc_kn(a, b, 1, 5),
        "Acc 5": lambda a, b: acc_n(a, b, 5),
        "Acc 1/10": lambda a, b: acc_kn(a, b, 1, 10),
        "Acc 10": lambda a, b: acc_n(a, b, 10),
        "mean Acc K/5, K=1…5": lambda a, b: acc_bar(a, b, 5),
        "mean Acc K/10, K=1…10": lambda a, b: acc_bar(a, b, 10),
        "SRCC": srcc,
    }
    table = {name: torch.zeros(len(pairs), dtype=torch.double) for name in columns}
    counts = torch.tensor([len(a) for a, _ in pairs])  # (photos,)
    for count in counts.unique():
        where = (counts == count).nonzero().flatten()  # (n,)
        a = torch.stack([pairs[i][0] for i in where.tolist()])  # (n, N)
        b = torch.stack([pairs[i][1] for i in where.tolist()])  # (n, N)
        for name, column in columns.items():
            table[name][where] = column(a, b)
    return table
