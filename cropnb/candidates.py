"""The boxes that a method may choose from. Taught in `book/foundations/crops.ipynb`."""

from collections.abc import Callable, Sequence
from fractions import Fraction

import torch
from torch import Tensor

from cropnb.errors import BoxError

# Every ratio at every scale, a scale of 1 being the largest window of that ratio in the photo.
SLIDING_ASPECTS = tuple(
    Fraction(w, h) for w, h in ((9, 16), (2, 3), (3, 4), (1, 1), (4, 3), (3, 2), (16, 9))
)
SLIDING_SCALES = tuple(Fraction(tenths, 10) for tenths in range(5, 11))
ASPECT_SCALES = tuple(Fraction(twentieths, 20) for twentieths in range(8, 21))
# Sizes halfway between these, and the largest window, which no list can leave out.
OTHER_SCALES = (*(Fraction(fortieths, 40) for fortieths in range(17, 40, 2)), Fraction(1))
LEAST_AREA = 0.4999  # of the photo: grid anchors keep more; GAICD's own limit


def _whole(value: float, name: str) -> int:
    if (
        isinstance(value, bool)
        or value != value
        or value in (float("inf"), float("-inf"))
        or int(value) != value
    ):
        raise BoxError(f"{name} is {value!r}: a photo has a whole number of pixels")
    return int(value)


def _photo(width: float, height: float, least: int) -> tuple[int, int]:
    width, height = _whole(width, "width"), _whole(height, "height")
    if min(width, height) < least:
        raise BoxError(
            f"a photo of {width} x {height} pixels is too small: each side needs at least {least} "
            "pixels"
        )
    return width, height


def _exact(value: float | Fraction) -> Fraction:
    # 2.2 means eleven fifths and 16 / 9 sixteen ninths, not the binary numbers next to them.
    return value if isinstance(value, Fraction) else Fraction(value).limit_denominator(100_000)


def grid_cells(
    width: int,
    height: int,
    *,
    bins: int = 12,
    min_area: float = LEAST_AREA,
    min_aspect: float | Fraction = 0.5,
    max_aspect: float | Fraction = 2.2,
) -> Tensor:
    """The cells whose centres are the corners of the grid anchors.

    The first corner lies in the first third of each axis, the second in the last third. A pair of
    cells is kept where area / photo area > `min_area` and `min_aspect` <= w / h <= `max_aspect`.
    All of that is decided in integers: at 16:9 and at 8:5 some boxes sit exactly on a limit, and
    floating point would keep or drop them by chance.

    Args:
        width: of the photo, in pixels.
        height: of the photo, in pixels.
        bins: cells along each side.
        min_area: share of the photo that is too little.
        min_aspect: smallest w / h.
        max_aspect: largest w / h.

    Returns:
        (N, 4), int64: column, row, column, row in 0…bins-1, ordered by first column, first row,
        second column, second row.

    Raises:
        BoxError: the photo is smaller than the grid.
    """
    if bins < 3:
        raise BoxError(f"bins is {bins}: a grid needs at least 3 cells on a side")
    width, height = _photo(width, height, bins)
    third = bins // 3
    first, second = torch.arange(third), torch.arange(bins - third, bins)
    cells = torch.cartesian_prod(first, first, second, second)  # (M, 4), N of which are kept
    columns, rows = (cells[:, 2:] - cells[:, :2]).unbind(1)  # (M,) each
    least, low, high = _exact(min_area), _exact(min_aspect), _exact(max_aspect)
    keep = columns * rows * least.denominator > least.numerator * bins * bins  # (M,)
    keep &= columns * width * low.denominator >= low.numerator * rows * height
    keep &= columns * width * high.denominator <= high.numerator * rows * height
    return cells[keep]


def grid_anchors(
    width: int,
    height: int,
    *,
    bins: int = 12,
    min_area: float = LEAST_AREA,
    min_aspect: float | Fraction = 0.5,
    max_aspect: float | Fraction = 2.2,
    rounded: bool = True,
) -> Tensor:
    """The candidates of GAICD: at most 90, with their corners at the centres of a 12 x 12 grid.

    90 at 4:3, 87 at 3:2, 75 at 16:9; 87, 83 and 72 in portrait. Rule, order, errors and the other
    arguments are those of `grid_cells`.

    Args:
        width: of the photo, in pixels.
        height: of the photo, in pixels.
        rounded: whole pixels, halves upwards, as the annotation files have them; else the cell
            centres themselves.

    Returns:
        (N, 4) in pixels.
    """
    cells = grid_cells(
        width, height, bins=bins, min_area=min_area, min_aspect=min_aspect, max_aspect=max_aspect
    )
    return anchors_at(cells, width, height, bins=bins, rounded=rounded)


def anchors_at(
    cells: Tensor, width: int, height: int, *, bins: int = 12, rounded: bool = True
) -> Tensor:
    """Boxes (..., 4) in pixels whose corners are the centres of the grid cells (..., 4), as
    `grid_cells` gives them.
    """
    width, height = _photo(width, height, bins)
    # in 1 / (2 bins) of a pixel
    doubled = (2 * cells + 1) * torch.tensor([width, height, width, height])  # (..., 4)
    if rounded:
        return ((doubled + bins) // (2 * bins)).to(torch.get_default_dtype())
    return (doubled.double() / (2 * bins)).to(torch.get_default_dtype())


def cells_of(boxes: Tensor, width: int, height: int, *, bins: int = 12) -> Tensor:
    """The grid cells (..., 4), int64, in which the corners of boxes (..., 4) lie: the way back from
    `grid_anchors`.
    """
    size = torch.tensor([width, height, width, height], dtype=torch.double)
    # A centre that was rounded upwards may land on its cell's far edge, so the far edge belongs to
    # the cell.
    return ((boxes.double() * bins / size).ceil().long() - 1).clamp(0, bins - 1)


def sliding_windows(
    width: int,
    height: int,
    *,
    aspects: Sequence[float | Fraction] = SLIDING_ASPECTS,
    scales: Sequence[float | Fraction] = SLIDING_SCALES,
    steps: int = 10,
) -> Tensor:
    """Windows of several ratios and sizes, slid over the photo: 899 for a 3:2 photo.

    VEN searches about 895 such windows and prints no rule; ASM-Net names neither. Ours: the largest
    window of each of seven ratios (1:1, and 4:3, 3:2, 16:9 lying and standing), at 50, 60 … 100 %
    of its sides; each slides in as many equal moves of at least 1 / `steps` of the photo's side as
    fit, from border to border.

    Args:
        width: of the photo, in pixels.
        height: of the photo, in pixels.
        aspects: the ratios, w / h.
        scales: sides of the windows, as shares of those of the largest one.
        steps: of which a move is at least one, along the photo's side.

    Returns:
        (N, 4) in pixels.

    Raises:
        BoxError: a photo below 16 pixels.
    """
    width, height = _photo(width, height, 16)
    sizes = [
        (scale * w, scale * h)
        for w, h in (_largest(width, height, _exact(aspect)) for aspect in aspects)
        for scale in map(_exact, scales)
    ]
    return _slide(width, height, sizes, Fraction(width, steps), Fraction(height, steps))


def aspect_windows(
    width: int,
    height: int,
    aspect: float | Fraction,
    count: int = 1140,
    *,
    scales: Sequence[float | Fraction] = ASPECT_SCALES,
) -> Tensor:
    """Windows of one ratio: as many as fit into `count`, and never more.

    Mars (Sec. 4.3) lets sliding-window methods choose among 1140 windows of the required ratio and
    prints no rule. Ours: the largest window of that ratio at 40, 45 … 100 % of its sides, slid from
    border to border in equal moves; the least move, the same for all sizes, is the smallest that
    stays within `count`.

    Args:
        width: of the photo, in pixels.
        height: of the photo, in pixels.
        aspect: w / h.
        count: the most windows.
        scales: sides of the windows, as shares of those of the largest one.

    Returns:
        (N, 4) in pixels.

    Raises:
        BoxError: a photo below 16 pixels, a ratio that leaves no window of one pixel, or a `count`
            too small.
    """
    width, height = _photo(width, height, 16)
    if not 0 < aspect < float("inf"):
        raise BoxError(f"aspect is {aspect}: give width / height, above 0, such as 16 / 9")
    largest = _largest(width, height, _exact(aspect))
    sizes = [(scale * largest[0], scale * largest[1]) for scale in map(_exact, scales)]
    if min(min(size) for size in sizes) < 1:
        raise BoxError(
            f"no window of ratio {float(aspect):.4g} has a pixel's width in {width} x {height} "
            "pixels"
        )
    if count < len(sizes):
        raise BoxError(f"count is {count}: {len(sizes)} window sizes need at least as many windows")

    def number(move_x: int, move_y: int) -> int:
        return sum(
            _places(width - w, Fraction(move_x, 64)) * _places(height - h, Fraction(move_y, 64))
            for w, h in sizes
        )

    # Moves are counted in 1/64 of a pixel. First one for both axes, then what is left of `count`
    # goes to the second: in a photo of the same ratio all sizes gain a place at once, and the first
    # step alone may stop far short.
    both = _smallest(64 * max(width, height), lambda move: number(move, move) <= count)
    down_only = _smallest(both, lambda move: number(both, move) <= count)
    return _slide(width, height, sizes, Fraction(both, 64), Fraction(down_only, 64))


def _smallest(high: int, fits: Callable[[int], bool]) -> int:
    """The smallest whole number from 1 that fits; `high` fits, and all above one that does."""
    low = 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle + 1, high)
    return low


def _largest(width: int, height: int, aspect: Fraction) -> tuple[Fraction, Fraction]:
    """Width and height of the largest window of this ratio."""
    return min(Fraction(width), height * aspect), min(Fraction(height), width / aspect)


def _places(room: Fraction, step: Fraction) -> int:
    return 1 + int(room / step)


def _slide(
    width: int,
    height: int,
    sizes: list[tuple[Fraction, Fraction]],
    step_x: Fraction,
    step_y: Fraction,
) -> Tensor:
    """Every window of every size, at equal offsets from border to border, or centred: (N, 4)."""
    counts = torch.tensor(
        [[_places(width - w, step_x), _places(height - h, step_y)] for w, h in sizes]
    )  # (S, 2)
    windows = torch.tensor([[float(w), float(h)] for w, h in sizes], dtype=torch.float64)  # (S, 2)
    photo = torch.tensor([width, height], dtype=torch.float64)  # (2,)
    number = counts.prod(1)  # (S,)
    owner = torch.repeat_interleave(torch.arange(len(sizes)), number)  # (N,)
    place = torch.arange(len(owner)) - (number.cumsum(0) - number)[owner]  # (N,)
    index = torch.stack([place % counts[owner, 0], place // counts[owner, 0]], dim=1)  # (N, 2)
    share = torch.where(counts[owner] == 1, 0.5, index / (counts[owner] - 1).clamp(min=1))  # (N, 2)
    first = share * (photo - windows[owner])  # (N, 2)
    boxes = torch.cat([first, first + windows[owner]], dim=1).clamp(min=0)  # (N, 4)
    return torch.minimum(boxes, photo.repeat(2)).to(torch.get_default_dtype())
