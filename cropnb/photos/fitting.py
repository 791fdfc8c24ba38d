"""Pixels made to fit an output format, with a note for whatever the format can't hold."""

import numpy as np
from PIL import Image

from cropnb.photos import deep
from cropnb.photos.pixels import (
    flatten,
    has_clear_level,
    in_own_order,
    is_clear,
    levels,
    to_rgb,
    value_range,
    with_alpha,
)

HOLDS = {
    "JPEG": {"L", "RGB", "CMYK", "YCbCr"},
    "PNG": {"1", "L", "LA", "I;16", "P", "RGB", "RGBA"},
    "WEBP": {"RGB", "RGBA"},
    "TIFF": {"1", "L", "LA", "I;16", "I", "F", "P", "RGB", "RGBA", "CMYK", "LAB"},
    "BMP": {"1", "L", "P", "RGB"},
    "GIF": {"P"},
}
LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383, "GIF": 65_535, "BMP": 32_767}
_ALPHA = {"PNG", "WEBP", "TIFF", "GIF"}
# Which transparency apart from an alpha channel a format has a place for.
_KEYED = {"PNG": {"P", "L", "RGB", "I;16", "1"}, "GIF": {"P"}}
_DEEP = {"PNG": "u", "TIFF": "uf"}


def fit(image: Image.Image, form: str) -> tuple[Image.Image, list[str]]:
    """An image in a mode that the format holds, nothing lost where it can be helped.

    Returns:
        the image, and what had to be lost, in words.
    """
    notes: list[str] = []
    image = in_own_order(image)
    if image.mode in ("PA", "La", "RGBa"):
        image = _with_info(with_alpha(image), image)
    if image.has_transparency_data and image.mode not in _KEYED.get(form, ()):
        image, notes = _transparent(image, form)
    if image.mode in ("I", "I;16", "F") and image.mode not in HOLDS[form]:
        image, note = _shallow(image, form)
        notes += note
    if form == "GIF":
        image, note = to_palette(image)
        return image, notes + note
    if image.mode in HOLDS[form]:
        return image, notes
    if image.mode == "CMYK":
        notes.append(f"{form} holds no CMYK: the crop became RGB")
    target = {"LA": "RGBA", "1": "L", "L": "RGB"}.get(image.mode, "RGB")
    if target == "L" and "L" not in HOLDS[form]:
        target = "RGB"
    fitted = to_rgb(image) if target == "RGB" else image.convert(target)
    fitted = _with_info(fitted, image)
    if image.mode in ("CMYK", "LAB"):
        fitted.info.pop("icc_profile", None)
    return fitted, notes


def fit_deep(
    array: np.ndarray, form: str, cmyk: bool, own_range: bool = True
) -> tuple[np.ndarray | Image.Image, list[str]]:
    """The same for an array (H, W, C) of more than 8 bits: itself where the format holds it.

    Args:
        own_range: as `deep.to_8_bit` takes it.
    """
    kind, count = array.dtype, array.shape[-1]
    if count > 4 and not cmyk and form != "TIFF":
        fitted, notes = fit_deep(array[..., :3], form, cmyk, own_range)
        return fitted, [f"{form} holds four channels at most: {count - 3} were left out", *notes]
    if form == "PNG" and not cmyk and kind != np.uint16:
        low, high = value_range(array[..., :3])
        scaled = (array.astype(np.float64) - low) * (65535 / (high - low))
        if count in (2, 4):
            scaled[..., -1] = array[..., -1] * (65535 / (1.0 if kind.kind == "f" else 2**32 - 1))
        note = f"PNG holds 16 bits a channel: {low:.6g}…{high:.6g} became 0…65535"
        return scaled.clip(0, 65535).round().astype(np.uint16), [note]
    if form in _DEEP and kind.kind in _DEEP[form] and not (cmyk and form == "PNG"):
        return array, []
    fitted, notes = fit(deep.to_8_bit(array, cmyk, own_range), form)
    what = "the crop became 8-bit" + (", its range scaled" if own_range else "")
    what = "CMYK of 16 bits became RGB of 8" if cmyk else what
    return fitted, [f"{form} holds less than the photo: {what}", *notes]


def to_palette(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """An image of at most 256 colours as a palette image, exactly; one of more, quantised."""
    if image.mode == "P" and isinstance(image.info.get("transparency"), (int, type(None))):
        return image, []
    if image.mode in ("1", "L") and not image.has_transparency_data:
        return _with_info(image.convert("P"), image), []
    notes: list[str] = []
    if image.mode == "CMYK":
        notes.append("GIF holds no CMYK: the crop became RGB")
        image = to_rgb(image)
    pixels = np.array(image.convert("RGBA"))  # (H, W, 4)
    alpha = pixels[..., 3]
    clear = alpha < 128
    if ((alpha > 0) & (alpha < 255)).any():
        notes.append("GIF holds no half transparency: it became all or nothing")
    pixels[clear] = 0
    pixels[..., 3] = np.where(clear, 0, 255)
    colours, places = np.unique(pixels.view(np.uint32)[..., 0], return_inverse=True)
    if len(colours) <= 256:
        palette = colours.view(np.uint8).reshape(-1, 4)
        result = Image.fromarray(places.reshape(clear.shape).astype(np.uint8), "L")
        result.putpalette(palette[:, :3].tobytes())
        gone = np.flatnonzero(palette[:, 3] == 0)
        if len(gone):
            result.info["transparency"] = int(gone[0])
        return result, notes
    notes.append(f"GIF holds 256 colours: the crop's {len(colours)} were reduced")
    result = Image.fromarray(pixels[..., :3]).quantize(255)
    if clear.any():
        indices = np.array(result)
        indices[clear] = 255
        palette = (result.getpalette() or [])[: 255 * 3]
        result = Image.fromarray(indices, "L")
        result.putpalette([*palette, *[0] * (768 - len(palette))])
        result.info["transparency"] = 255
    return result, notes


def _transparent(image: Image.Image, form: str) -> tuple[Image.Image, list[str]]:
    notes, grey = [], has_clear_level(image)
    if grey:
        notes = [f"{form} is written with 8 bits of grey beside a transparent level"]
    full = with_alpha(image)
    if form in _ALPHA:
        return _with_info(full, image), notes
    white = flatten(full.convert("RGBA"))
    white = white.convert("L") if grey or full.mode == "LA" else white
    note = f"{form} holds no transparency: the crop was laid on white"
    return _with_info(white, image), [*notes, note]


def deep_grey_alpha(image: Image.Image) -> np.ndarray:
    """Greys and their transparency, (H, W, 2) uint16, of an image that `has_clear_level`."""
    values = np.asarray(image).astype(np.uint16)  # (H, W)
    return np.stack([values, np.where(is_clear(image), 0, 65535).astype(np.uint16)], -1)


def _shallow(image: Image.Image, form: str) -> tuple[Image.Image, list[str]]:
    """Greys of more bits than the format holds."""
    values = np.asarray(image)
    if form == "PNG":
        if image.mode == "I" and values.min() >= 0 and values.max() <= 65535:
            return _with_info(Image.fromarray(values.astype(np.uint16)), image), []
        low, high = value_range(values)
        scaled = np.nan_to_num((values.astype(np.float64) - low) * (65535 / (high - low)))
        note = f"PNG holds 16 bits of grey: {low:.6g}…{high:.6g} became 0…65535"
        scaled = scaled.clip(0, 65535).round().astype(np.uint16)
        return _with_info(Image.fromarray(scaled), image), [note]
    low, high = value_range(values)
    note = f"{form} holds 8 bits of grey: {low:.6g}…{high:.6g} became 0…255"
    return _with_info(Image.fromarray(levels(values)), image), [note]


def _with_info(image: Image.Image, source: Image.Image) -> Image.Image:
    """The profile goes along; a transparent colour is in the alpha channel now."""
    if profile := source.info.get("icc_profile"):
        image.info["icc_profile"] = profile
    image.info.pop("transparency", None)
    return image
