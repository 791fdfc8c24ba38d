"""The pictures of the first page's gallery: one a chapter, drawn on photographs that come with
scikit-image and matplotlib.

Every crop, map and score in them is computed by the weights that ship.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import cropnb
from cropnb.notebook.comparison import METHOD_COLORS
from cropnb.notebook.drawing import COLORS
from cropnb.notebook.start import free_photos

WIDTH, HEIGHT = 600, 400
_FINER = 2  # drawn so many times larger, then made smaller: smooth lines
_QUALITY = 78
_BLIND = "#9a9a9a"  # what never looks, or was not chosen


def write(folder: Path) -> list[Path]:
    """Draw every picture into a folder, as `NAME.webp`.

    Args:
        folder: made where it is missing.

    Raises:
        ImageError: where scikit-image is not installed.
        WeightsUnavailable: where a method has no weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, draw_picture in PICTURES.items():
        path = folder / f"{name}.webp"
        picture = draw_picture().resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
        picture.save(path, "WEBP", quality=_QUALITY, method=6)
        paths.append(path)
    return paths


def _crops() -> Image.Image:
    """The candidates of the GAICD grid, one of them drawn out."""
    picture, scale = _canvas("chelsea")
    anchors = cropnb.candidates.grid_anchors(*_photo("chelsea").size) * scale
    _boxes(picture, anchors, ["#ffffff"] * len(anchors), 1, under=False)
    return _boxes(picture, anchors[len(anchors) // 2 :][:1], [COLORS["yellow"]], 4)


def _metrics() -> Image.Image:
    """Two boxes, what they share, and how much that is."""
    picture, scale = _canvas("coffee")
    truth, crop = torch.tensor([[120.0, 10, 520, 340], [210.0, 60, 580, 385]])
    shared = torch.cat([truth.maximum(crop)[:2], truth.minimum(crop)[2:]])
    tint = Image.new("RGB", picture.size, COLORS["yellow"])
    mask = Image.new("L", picture.size, 0)
    ImageDraw.Draw(mask).rectangle(_corners(shared * scale), fill=90)
    picture.paste(tint, mask=mask)
    _boxes(picture, torch.stack([truth, crop]) * scale, [COLORS["black"], COLORS["yellow"]], 4)
    return _label(picture, f"IoU {float(cropnb.boxes.iou(truth, crop)):.2f}")


def _data() -> Image.Image:
    """A drawn scene with its true box."""
    sample = cropnb.datasets.load("scenes", split="test", form="fcdb")[7]
    picture, scale = _fitted(sample.photo())
    return _boxes(picture, sample.boxes[:1] * scale, [COLORS["black"]], 4)


def _la2c() -> Image.Image:
    """The agent's boxes, from the whole photo to its crop."""
    from cropnb.la2c.cropper import load_agent, play

    picture, scale = _canvas("rocket")
    boxes = play(load_agent(), _photo("rocket")).boxes * scale
    picture = _darkened(picture, boxes[-1])
    _boxes(picture, boxes[:-1], ["#ffffff"] * (len(boxes) - 1), 1, under=False)
    return _boxes(picture, boxes[-1:], [METHOD_COLORS["la2c"]], 4)


def _asm_net() -> Image.Image:
    """The mean of the score map's channels over the photo, and the crop."""
    picture, scale = _canvas("chelsea")
    cropper = cropnb.load("asm_net")
    image = torch.from_numpy(np.asarray(_photo("chelsea")).copy()).permute(2, 0, 1) / 255
    means = cropper.method.score_map(image).mean(0).cpu()  # (h, w)
    low, high = means.quantile(0.02), means.quantile(0.98)
    heat = Image.fromarray((255 * ((means - low) / (high - low)).clamp(0, 1)).byte().numpy())
    from matplotlib import colormaps

    smooth = np.asarray(heat.resize(picture.size, Image.Resampling.BICUBIC))
    colours = Image.fromarray((255 * colormaps["cividis"](smooth)[..., :3]).astype(np.uint8))
    picture = Image.blend(picture, colours, 0.6)
    return _boxes(picture, _best("asm_net", "chelsea") * scale, [METHOD_COLORS["asm_net"]], 4)


def _vrn() -> Image.Image:
    """The three best and the three worst candidates."""
    picture, scale = _canvas("coffee")
    cropper = cropnb.load("vrn")
    candidates = cropper.method.candidates(*_photo("coffee").size)
    order = cropper.score(_photo("coffee"), candidates).argsort(descending=True)
    chosen = candidates[torch.cat([order[-3:], order[:3]])] * scale
    return _boxes(picture, chosen, [_BLIND] * 3 + [METHOD_COLORS["vrn"]] * 3, 3)


def _mars() -> Image.Image:
    """One crop for each of three ratios."""
    picture, scale = _canvas("rocket")
    cropper = cropnb.load("mars")
    ratios = (16 / 9, 1.0, 9 / 16)
    boxes = torch.stack([cropper(_photo("rocket"), aspect=ratio)[0].box for ratio in ratios])
    return _boxes(picture, boxes * scale, [METHOD_COLORS["mars"]] * 3, 4)


def _set_prediction() -> Image.Image:
    """The five best of the set, the best drawn out."""
    picture, scale = _canvas("chelsea")
    crops = cropnb.load("set_prediction")(_photo("chelsea"), k=5)
    boxes = torch.stack([crop.box for crop in reversed(crops)]) * scale
    color = METHOD_COLORS["set_prediction"]
    _boxes(picture, boxes[:-1], [color] * (len(boxes) - 1), 2)
    return _boxes(picture, boxes[-1:], [color], 5)


def _audit() -> Image.Image:
    """Six photographs with the same box: it looks at none."""
    picture = Image.new("RGB", (WIDTH * _FINER, HEIGHT * _FINER))
    width, height = picture.width // 3, picture.height // 2
    for place, (photo, _) in enumerate(free_photos().values()):
        tile = _covering(photo, width, height)
        x, y = place % 3 * width, place // 3 * height
        picture.paste(tile, (x, y))
        share = torch.tensor([0.1, 0.1, 0.9, 0.9])
        box = torch.tensor([x, y, x, y]) + share * torch.tensor([width, height, width, height])
        _boxes(picture, box[None], [_BLIND], 3)
    return picture


def _showdown() -> Image.Image:
    """Six methods' crops of one photo."""
    picture, scale = _canvas("chelsea")
    boxes = torch.cat([_best(name, "chelsea") for name in METHOD_COLORS]) * scale
    return _boxes(picture, boxes, list(METHOD_COLORS.values()), 4)


def _reproduction() -> Image.Image:
    """How many rows of the ledger have which verdict on what the papers print and claim."""
    from cropnb import ledger

    verdicts = {
        "exact": "exact",
        "holds": "claim holds",
        "contradicted": "contradicted",
        "unsettled": "unsettled",
        "pending": "waits",
    }
    rows = [row.says for name in ledger.names() for row in ledger.read(name)]
    counts = [rows.count(verdict) for verdict in verdicts]
    picture = Image.new("RGB", (WIDTH * _FINER, HEIGHT * _FINER), "white")
    canvas, font = ImageDraw.Draw(picture), _font(21)
    # as in the figure of the chapter, and pale where nothing was measured
    colors = [COLORS[name] for name in ("green", "blue", "orange")] + ["#808080", "#d3d3d3"]
    step, left, room = picture.height / (len(counts) + 0.6), 330, picture.width - 460
    for place, (text, count, color) in enumerate(
        zip(verdicts.values(), counts, colors, strict=True)
    ):
        middle = (place + 0.8) * step
        length = room * count / max(counts)
        canvas.rectangle((left, middle - 36, left + length, middle + 36), fill=color)
        canvas.text((left - 22, middle), text, fill="black", font=font, anchor="rm")
        canvas.text((left + length + 18, middle), str(count), fill="black", font=font, anchor="lm")
    return picture


def _playground() -> Image.Image:
    """One photo cut to three ratios by the default method."""
    picture = Image.new("RGB", (WIDTH * _FINER, HEIGHT * _FINER), "#e9ecef")
    cropper, photo = cropnb.load(), _photo("hopper")
    cuts = [cropper(photo, aspect=ratio)[0].image() for ratio in (9 / 16, 4 / 5, 1.0)]
    height = int(0.54 * picture.height)
    cuts = [cut.resize((round(height * cut.width / cut.height), height)) for cut in cuts]
    gap = (picture.width - sum(cut.width for cut in cuts)) // (len(cuts) + 1)
    x = gap
    for cut in cuts:
        picture.paste(cut, (x, (picture.height - height) // 2))
        x += cut.width + gap
    return picture


PICTURES: dict[str, Callable[[], Image.Image]] = {
    "crops": _crops,
    "metrics": _metrics,
    "data": _data,
    "la2c": _la2c,
    "asm_net": _asm_net,
    "vrn": _vrn,
    "mars": _mars,
    "set_prediction": _set_prediction,
    "audit": _audit,
    "showdown": _showdown,
    "reproduction": _reproduction,
    "playground": _playground,
}


def _photo(name: str) -> Image.Image:
    return free_photos()[name][0]


def _best(method: str, name: str) -> Tensor:
    """A method's best crop (1, 4) in the photo's pixels."""
    return cropnb.load(method)(_photo(name))[0].box[None]


def _canvas(name: str) -> tuple[Image.Image, Tensor]:
    return _fitted(_photo(name))


def _fitted(photo: Image.Image) -> tuple[Image.Image, Tensor]:
    """A photo of about three to two as large as a drawing, and what its boxes are multiplied by."""
    size = (WIDTH * _FINER, HEIGHT * _FINER)
    scale = torch.tensor([size[0] / photo.width, size[1] / photo.height] * 2)
    return photo.convert("RGB").resize(size, Image.Resampling.LANCZOS), scale


def _covering(photo: Image.Image, width: int, height: int) -> Image.Image:
    """The middle of a photo, of this size."""
    scale = max(width / photo.width, height / photo.height)
    size = (round(width / scale), round(height / scale))
    x, y = ((whole - part) // 2 for whole, part in zip(photo.size, size, strict=True))
    return photo.resize((width, height), box=(x, y, x + size[0], y + size[1]))


def _boxes(
    picture: Image.Image, boxes: Tensor, colors: Iterable[str], width: int, under: bool = True
) -> Image.Image:
    """Draw boxes (N, 4), each on a white line where it lies over a photo, yellow on a black one."""
    canvas = ImageDraw.Draw(picture)
    wide = width * _FINER
    for box, color in zip(boxes, colors, strict=True):
        if under:
            below = "black" if color == COLORS["yellow"] else "white"
            canvas.rectangle(_corners(box, wide // 2 + 2), outline=below, width=2 * wide // 2 + 4)
        canvas.rectangle(_corners(box, wide // 2), outline=color, width=wide)
    return picture


def _corners(box: Tensor, outward: int = 0) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = (round(edge) for edge in box.tolist())
    return x1 - outward, y1 - outward, x2 + outward, y2 + outward


def _darkened(picture: Image.Image, box: Tensor) -> Image.Image:
    """The picture, darker outside of a box."""
    mask = Image.new("L", picture.size, 110)
    ImageDraw.Draw(mask).rectangle(_corners(box), fill=0)
    picture.paste(Image.new("RGB", picture.size), mask=mask)
    return picture


def _label(picture: Image.Image, text: str) -> Image.Image:
    """A text in the lower left corner, black on white."""
    canvas, font = ImageDraw.Draw(picture), _font(22)
    place = (24, picture.height - 24)
    left, top, right, bottom = canvas.textbbox(place, text, font=font, anchor="lb")
    canvas.rectangle((left - 14, top - 10, right + 14, bottom + 10), fill="white")
    canvas.text(place, text, fill="black", font=font, anchor="lb")
    return picture


def _font(size: int) -> ImageFont.FreeTypeFont:
    """The letters that matplotlib carries, so that every machine draws the same ones."""
    from matplotlib import font_manager

    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size * _FINER)
