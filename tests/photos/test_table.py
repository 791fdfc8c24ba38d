"""Mode × format: what a crop holds, level by level. Made files only; read back by Pillow, and where
Pillow would lose depth by OpenCV and tifffile.
"""

import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from cropnb.errors import ImageError, PhotoWarning
from cropnb.photos import open_photo

WIDTH, HEIGHT = 48, 32
BOX = (5, 3, 37, 27)
X1, Y1, X2, Y2 = BOX


def pattern(channels, top=255, kind=np.uint8):
    """Every pixel another value, so that a shift, a turn or a swap of channels shows."""
    values = np.random.default_rng(channels).random((HEIGHT, WIDTH, channels)) * top
    values = values.round() if np.dtype(kind).kind != "f" else values
    return np.ascontiguousarray(
        values.astype(kind)[..., 0] if channels == 1 else values.astype(kind)
    )


def alpha(array, top=255):
    """Clear on the left, solid on the right, half between."""
    array[..., -1] = (np.linspace(0, 1, WIDTH) * top).round().astype(array.dtype)
    return array


def premultiplied(array, top):
    array[..., :3] = array[..., :3].astype(int) * array[..., 3:] // top
    return array


def palette(count=200):
    image = Image.fromarray((pattern(1) % count).astype(np.uint8), "L")
    image.putpalette(np.random.default_rng(9).integers(0, 256, 3 * count, np.uint8).tobytes())
    return image


def keyed(array, key):
    """An array in which one colour occurs often, for PNG to call it transparent."""
    array[::2, ::3] = key
    return array


def pil(make, form, **options):
    return lambda path: make().save(path, form, **options)


def from_array(*args, mode=None, **kwargs):
    return lambda: Image.fromarray(pattern(*args, **kwargs), mode)


def opencv(make):
    def write(path):
        import cv2

        array = make()
        order = {1: [0], 2: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[array.shape[-1]]
        path.write_bytes(cv2.imencode(path.suffix, array[..., order])[1].tobytes())

    return write


def tiff(make, **options):
    def write(path):
        import tifffile

        tifffile.imwrite(path, make(), metadata=None, **options)

    return write


def vips(make, **options):
    def write(path):
        import pyvips

        image = pyvips.Image.new_from_array(make())
        image.copy(**options).write_to_file(str(path))

    return write


DEEP = 65535
MAKERS = {
    "1.png": pil(lambda: Image.fromarray(pattern(1) > 99), "PNG"),
    "1.tif": pil(lambda: Image.fromarray(pattern(1) > 99), "TIFF", compression="group4"),
    "1.bmp": pil(lambda: Image.fromarray(pattern(1) > 99), "BMP"),
    "l.png": pil(from_array(1), "PNG"),
    "l.tif": pil(from_array(1), "TIFF", compression="tiff_lzw"),
    "l.bmp": pil(from_array(1), "BMP"),
    "l.pgm": pil(from_array(1), "PPM"),
    "la.png": pil(lambda: Image.fromarray(alpha(pattern(2))), "PNG"),
    "la.tif": pil(lambda: Image.fromarray(alpha(pattern(2))), "TIFF"),
    "p.png": pil(palette, "PNG"),
    "p.gif": pil(palette, "GIF"),
    "p.bmp": pil(palette, "BMP"),
    "p.tif": pil(palette, "TIFF"),
    "p_index.png": pil(palette, "PNG", transparency=7),
    "p_index.gif": pil(palette, "GIF", transparency=7),
    "p_alpha.png": pil(palette, "PNG", transparency=bytes(range(0, 200))),
    "rgb.png": pil(from_array(3), "PNG"),
    "rgb.tif": pil(from_array(3), "TIFF", compression="tiff_lzw"),
    "rgb.bmp": pil(from_array(3), "BMP"),
    "rgb.ppm": pil(from_array(3), "PPM"),
    "rgb.webp": pil(from_array(3), "WEBP", lossless=True),
    "rgb.jp2": pil(from_array(3), "JPEG2000"),
    "rgb_key.png": pil(
        lambda: Image.fromarray(keyed(pattern(3), (1, 2, 3))), "PNG", transparency=(1, 2, 3)
    ),
    "l_key.png": pil(lambda: Image.fromarray(keyed(pattern(1), 9)), "PNG", transparency=9),
    "rgba.png": pil(lambda: Image.fromarray(alpha(pattern(4))), "PNG"),
    "rgba.tif": pil(lambda: Image.fromarray(alpha(pattern(4))), "TIFF"),
    "rgba.webp": pil(lambda: Image.fromarray(alpha(pattern(4))), "WEBP", lossless=True, exact=True),
    "cmyk.tif": pil(from_array(4, mode="CMYK"), "TIFF"),
    "lab.tif": pil(from_array(3, mode="LAB"), "TIFF"),
    "i16.png": pil(from_array(1, DEEP, np.uint16), "PNG"),
    "i16.tif": pil(from_array(1, DEEP, np.uint16), "TIFF"),
    "i16_key.png": pil(
        lambda: Image.fromarray(keyed(pattern(1, DEEP, np.uint16), 999)), "PNG", transparency=999
    ),
    "i16_big_endian.tif": tiff(lambda: pattern(1, DEEP, np.uint16), byteorder=">"),
    "i32.tif": tiff(lambda: pattern(1, 2e9, np.int32)),
    "i32_small.tif": tiff(lambda: pattern(1, DEEP, np.int32)),
    "f.tif": tiff(lambda: pattern(1, 9, np.float32)),
    "u32.tif": tiff(lambda: pattern(1, 4e9, np.uint32)),
    "i16_signed.tif": tiff(lambda: (pattern(1, DEEP, np.int32) - 30_000).astype(np.int16)),
    "l_white_is_zero.tif": tiff(lambda: pattern(1), photometric="miniswhite"),
    "i16_white_is_zero.tif": tiff(lambda: pattern(1, DEEP, np.uint16), photometric="miniswhite"),
    "rgb_spectral.tif": tiff(lambda: pattern(5), photometric="rgb", extrasamples=[0, 0]),
    "rgb16_spectral.tif": tiff(
        lambda: pattern(5, DEEP, np.uint16), photometric="rgb", extrasamples=[0, 0]
    ),
    "rgba_premultiplied.tif": tiff(
        lambda: premultiplied(alpha(pattern(4)), 255),
        photometric="rgb",
        extrasamples=["assocalpha"],
    ),
    "rgb32.tif": tiff(lambda: pattern(3, 4e9, np.uint32), photometric="rgb"),
    "rgb16_big.tif": tiff(lambda: pattern(3, DEEP, np.uint16), photometric="rgb", bigtiff=True),
    "rgb16.png": opencv(lambda: pattern(3, DEEP, np.uint16)),
    "rgb16.tif": tiff(lambda: pattern(3, DEEP, np.uint16), photometric="rgb"),
    "rgb16_planes.tif": tiff(
        lambda: pattern(3, DEEP, np.uint16).transpose(2, 0, 1).copy(),
        photometric="rgb",
        planarconfig="separate",
    ),
    "rgb16_big_endian.tif": tiff(
        lambda: pattern(3, DEEP, np.uint16), photometric="rgb", byteorder=">"
    ),
    "rgba16.png": opencv(lambda: alpha(pattern(4, DEEP, np.uint16), DEEP)),
    "rgba16.tif": tiff(
        lambda: alpha(pattern(4, DEEP, np.uint16), DEEP),
        photometric="rgb",
        extrasamples=["unassalpha"],
    ),
    "la16.png": vips(lambda: alpha(pattern(2, DEEP, np.uint16), DEEP), interpretation="grey16"),
    "rgb_float.tif": tiff(lambda: pattern(3, 1, np.float32), photometric="rgb"),
    "cmyk16.tif": tiff(lambda: pattern(4, DEEP, np.uint16), photometric="separated"),
}

# source, output -> the mode of the output, or "deep" where Pillow can't hold it
KEPT = {
    ("1.png", "png"): "1",
    ("1.png", "bmp"): "1",
    ("1.tif", "tif"): "1",
    ("1.bmp", "png"): "1",
    ("1.png", "gif"): "P",
    ("1.png", "webp"): "RGB",
    ("l.png", "png"): "L",
    ("l.png", "bmp"): "L",
    ("l.png", "gif"): "P",
    ("l.png", "webp"): "RGB",
    ("l.tif", "tif"): "L",
    ("l.bmp", "bmp"): "L",
    ("l.pgm", "png"): "L",
    ("la.png", "png"): "LA",
    ("la.png", "tif"): "LA",
    ("la.png", "webp"): "RGBA",
    ("la.tif", "tif"): "LA",
    ("p.png", "png"): "P",
    ("p.png", "gif"): "P",
    ("p.png", "tif"): "P",
    ("p.png", "webp"): "RGB",
    ("p.gif", "gif"): "P",
    ("p.gif", "png"): "P",
    ("p.bmp", "bmp"): "P",
    ("p.tif", "tif"): "P",
    ("p_index.png", "png"): "P",
    ("p_index.png", "gif"): "P",
    ("p_index.png", "webp"): "RGBA",
    ("p_index.png", "tif"): "RGBA",
    ("p_index.gif", "gif"): "P",
    ("p_index.gif", "png"): "P",
    ("p_alpha.png", "png"): "P",
    ("p_alpha.png", "webp"): "RGBA",
    ("p_alpha.png", "tif"): "RGBA",
    ("rgb.png", "png"): "RGB",
    ("rgb.png", "tif"): "RGB",
    ("rgb.png", "bmp"): "RGB",
    ("rgb.png", "webp"): "RGB",
    ("rgb.tif", "tif"): "RGB",
    ("rgb.bmp", "png"): "RGB",
    ("rgb.ppm", "tif"): "RGB",
    ("rgb.webp", "webp"): "RGB",
    ("rgb.webp", "png"): "RGB",
    ("rgb.jp2", "png"): "RGB",
    ("rgb_key.png", "png"): "RGB",
    ("rgb_key.png", "webp"): "RGBA",
    ("rgb_key.png", "tif"): "RGBA",
    ("l_key.png", "png"): "L",
    ("l_key.png", "tif"): "LA",
    ("rgba.png", "png"): "RGBA",
    ("rgba.png", "webp"): "RGBA",
    ("rgba.png", "tif"): "RGBA",
    ("rgba.tif", "tif"): "RGBA",
    ("rgba.tif", "png"): "RGBA",
    ("rgba.webp", "webp"): "RGBA",
    ("rgba.webp", "png"): "RGBA",
    ("cmyk.tif", "tif"): "CMYK",
    ("lab.tif", "tif"): "LAB",
    ("i16.png", "png"): "I;16",
    ("i16.png", "tif"): "I;16",
    ("i16.tif", "tif"): "I;16",
    ("i16.tif", "png"): "I;16",
    ("i16_key.png", "png"): "I;16",
    ("i16_key.png", "tif"): "la16",
    ("i16_big_endian.tif", "tif"): "I;16",
    ("i16_big_endian.tif", "png"): "I;16",
    ("i32.tif", "tif"): "I",
    ("i32_small.tif", "png"): "I;16",
    ("f.tif", "tif"): "F",
    ("u32.tif", "tif"): "deep",
    ("i16_signed.tif", "tif"): "I",
    ("l_white_is_zero.tif", "png"): "L",
    ("l_white_is_zero.tif", "tif"): "L",
    ("rgb16_spectral.tif", "tif"): "deep",
    ("rgba_premultiplied.tif", "tif"): "RGBA",
    ("rgb32.tif", "tif"): "deep",
    ("rgb16_big.tif", "png"): "deep",
    ("rgb16_big.tif", "tif"): "deep",
    ("rgb16.png", "png"): "deep",
    ("rgb16.png", "tif"): "deep",
    ("rgb16.tif", "tif"): "deep",
    ("rgb16.tif", "png"): "deep",
    ("rgb16_planes.tif", "tif"): "deep",
    ("rgb16_big_endian.tif", "png"): "deep",
    ("rgba16.png", "png"): "deep",
    ("rgba16.png", "tif"): "deep",
    ("rgba16.tif", "tif"): "deep",
    ("rgba16.tif", "png"): "deep",
    ("la16.png", "png"): "la16",
    ("la16.png", "tif"): "la16",
    ("rgb_float.tif", "tif"): "deep",
    ("cmyk16.tif", "tif"): "deep",
}


def read(path):
    """A file's levels as they are, or 8-bit ones as RGBA."""
    with Image.open(path) as image:
        image.load()
        if image.mode in ("I;16", "I;16B", "I", "F", "CMYK", "LAB"):
            return np.asarray(image).astype(np.float64)
        return np.asarray(image.convert("RGBA"))


def read_deep(path):
    if path.suffix == ".png":
        import cv2

        array = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        return array[..., [2, 1, 0, 3][: array.shape[-1]]]
    import tifffile

    with tifffile.TiffFile(path) as file:
        array = file.asarray()
        separate = file.pages[0].planarconfig == 2
    return array.transpose(1, 2, 0) if separate else array


def read_grey_alpha(path):
    import pyvips

    array = pyvips.Image.new_from_file(str(path)).numpy()
    assert array.shape[-1] == 2
    return array


@pytest.mark.parametrize(("source", "suffix"), KEPT)
def test_a_crop_keeps_every_level(tmp_path, source, suffix):
    mode = KEPT[source, suffix]
    original, crop = tmp_path / source, tmp_path / f"crop.{suffix}"
    MAKERS[source](original)
    with warnings.catch_warnings():
        warnings.simplefilter("error", PhotoWarning)
        photo = open_photo(original)
        assert photo.size == (WIDTH, HEIGHT)
        assert photo.cut(BOX).save(crop) == []
    reader = {"deep": read_deep, "la16": read_grey_alpha}.get(mode, read)
    expected = reader(original)[Y1:Y2, X1:X2]
    levels = reader(crop)
    assert len(np.unique(expected)) > (1 if source.startswith("1.") else 60)
    assert levels.shape == expected.shape
    np.testing.assert_array_equal(levels, expected)
    if mode in ("deep", "la16"):
        assert levels.dtype == reader(original).dtype
    else:
        assert Image.open(crop).mode == mode


def test_the_table_is_as_long_as_promised():
    assert len(KEPT) >= 60


# what can't be kept is named
NAMED = {
    ("rgba.png", "jpg"): ("laid on white", "RGB"),
    ("rgba.png", "bmp"): ("laid on white", "RGB"),
    ("la.png", "jpg"): ("laid on white", "L"),
    ("p_index.gif", "jpg"): ("laid on white", "RGB"),
    ("rgba.png", "gif"): ("half transparency.*|256 colours", "P"),
    ("rgb.png", "gif"): ("256 colours", "P"),
    ("i16.png", "jpg"): ("8 bits of grey", "L"),
    ("i16.tif", "webp"): ("8 bits of grey", "RGB"),
    ("i16_key.png", "webp"): ("8 bits of grey beside a transparent level", "RGBA"),
    ("i16_key.png", "jpg"): ("laid on white", "L"),
    ("i32.tif", "png"): ("16 bits of grey", "I;16"),
    ("f.tif", "png"): ("16 bits of grey", "I;16"),
    ("f.tif", "jpg"): ("8 bits of grey", "L"),
    ("rgb16.tif", "jpg"): ("holds less than the photo", "RGB"),
    ("rgba16.png", "webp"): ("holds less than the photo", "RGBA"),
    ("rgba16.png", "jpg"): ("holds less than the photo", "RGB"),
    ("rgb_float.tif", "bmp"): ("holds less than the photo", "RGB"),
    ("cmyk.tif", "png"): ("no CMYK", "RGB"),
    ("cmyk16.tif", "png"): ("became RGB", "RGB"),
    ("u32.tif", "png"): ("16 bits a channel", "I;16"),
    ("rgb_spectral.tif", "tif"): ("2 further channels", "RGB"),
    ("rgb16_spectral.tif", "jpg"): ("2 were left out", "RGB"),
}


@pytest.mark.parametrize(("source", "suffix"), NAMED)
def test_what_an_output_cannot_hold_is_named(tmp_path, source, suffix):
    words, mode = NAMED[source, suffix]
    MAKERS[source](tmp_path / source)
    cut = open_photo(tmp_path / source).cut(BOX)
    with pytest.warns(PhotoWarning, match=words):
        notes = cut.save(tmp_path / f"crop.{suffix}")
    assert notes
    with Image.open(tmp_path / f"crop.{suffix}") as crop:
        assert (crop.mode, crop.size) == (mode, (X2 - X1, Y2 - Y1))


def test_a_deep_grey_that_counts_from_white_is_no_negative(tmp_path):
    MAKERS["i16_white_is_zero.tif"](tmp_path / "photo.tif")
    stored = read_deep(tmp_path / "photo.tif")
    for suffix in ("tif", "png"):
        open_photo(tmp_path / "photo.tif").cut(BOX).save(tmp_path / f"crop.{suffix}")
        levels = read(tmp_path / f"crop.{suffix}")
        np.testing.assert_array_equal(levels, 65535 - stored[Y1:Y2, X1:X2])
    seen = open_photo(tmp_path / "photo.tif").small_rgb()[0]
    assert np.corrcoef(seen.ravel(), stored.ravel())[0, 1] < -0.99


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_the_clear_level_of_few_bits_is_the_one_that_is_meant(tmp_path, bits, suffix):
    top = 2**bits - 1
    levels = pattern(1, top)
    packed = np.packbits((levels[..., None] >> np.arange(bits)[::-1] & 1).reshape(HEIGHT, -1), 1)
    rows = np.pad(packed, ((0, 0), (1, 0))).tobytes()
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"tRNS", b"\0\1"), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    (tmp_path / "photo.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )
    )
    open_photo(tmp_path / "photo.png").cut(BOX).save(tmp_path / f"crop.{suffix}")
    with Image.open(tmp_path / f"crop.{suffix}") as crop:
        solid = np.asarray(crop.convert("RGBA"))[..., 3]
    np.testing.assert_array_equal(solid == 0, levels[Y1:Y2, X1:X2] == 1)


def test_bytes_below_zero_are_refused(tmp_path):
    tiff(lambda: pattern(1, 100).astype(np.int8))(tmp_path / "photo.tif")
    with pytest.raises(ImageError, match="int8 values"):
        open_photo(tmp_path / "photo.tif").cut(BOX).save(tmp_path / "crop.tif")


def test_a_float_photo_of_colours_becomes_16_bits_in_png(tmp_path):
    MAKERS["rgb_float.tif"](tmp_path / "photo.tif")
    with pytest.warns(PhotoWarning, match="16 bits a channel"):
        open_photo(tmp_path / "photo.tif").cut(BOX).save(tmp_path / "crop.png")
    expected = read_deep(tmp_path / "photo.tif")[Y1:Y2, X1:X2]
    levels = read_deep(tmp_path / "crop.png")
    assert levels.dtype == np.uint16
    assert np.corrcoef(levels.ravel(), expected.ravel())[0, 1] > 0.9999
