"""Photos as people have them, read into one form; the bad ones in one table of typed errors."""

import struct
import zlib
from io import BytesIO, StringIO

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from cropnb.errors import CropnbError, ImageError
from cropnb.images import (
    photo_size,
    read_photo,
    resize_short_side,
    short_side_size,
    to_image,
    to_tensor,
)

# Red left, blue right, in the upper half; green and yellow below: any flip, turn or swap of
# channels shows.
UPRIGHT = np.zeros((12, 20, 3), np.uint8)
UPRIGHT[:6, :10], UPRIGHT[:6, 10:] = (255, 0, 0), (0, 0, 255)
UPRIGHT[6:, :10], UPRIGHT[6:, 10:] = (0, 255, 0), (255, 255, 0)

# EXIF: what row 0 and column 0 of the stored pixels are in the upright photo, as the standard words
# it.
STORED = {
    1: UPRIGHT,
    2: np.fliplr(UPRIGHT),  # top, right
    3: np.rot90(UPRIGHT, 2),  # bottom, right
    4: np.flipud(UPRIGHT),  # bottom, left
    5: UPRIGHT.transpose(1, 0, 2),  # left, top
    6: np.rot90(UPRIGHT, 1),  # right, top
    7: np.rot90(UPRIGHT, 2).transpose(1, 0, 2),  # right, bottom
    8: np.rot90(UPRIGHT, -1),  # left, bottom
}


def pixels(image):
    return np.asarray(image).astype(int)


def same(image, expected, tolerance=0):
    assert image.mode == "RGB"
    assert pixels(image).shape == expected.shape
    assert np.abs(pixels(image) - expected).max() <= tolerance


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_gives_the_upright_photo(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{suffix}"
    options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(
        suffix, {}
    )
    Image.fromarray(np.ascontiguousarray(STORED[orientation])).save(path, exif=exif, **options)
    same(read_photo(path), UPRIGHT, tolerance=8 if suffix == "jpg" else 0)
    assert photo_size(path) == (20, 12)
    assert read_photo(path).getexif().get(0x0112) is None
    with Image.open(path) as opened:  # the same, from an image that the caller opened
        same(read_photo(opened), UPRIGHT, tolerance=8 if suffix == "jpg" else 0)


def test_a_photo_is_the_same_as_path_image_array_and_tensor(tmp_path):
    Image.fromarray(UPRIGHT).save(tmp_path / "photo.png")
    image = read_photo(str(tmp_path / "photo.png"))
    same(image, UPRIGHT)
    same(read_photo(Image.fromarray(UPRIGHT)), UPRIGHT)
    same(read_photo(UPRIGHT), UPRIGHT)
    same(read_photo(UPRIGHT[:, ::-1][:, ::-1]), UPRIGHT)  # a view with negative strides
    tensor = to_tensor(image)
    assert tensor.shape == (3, 12, 20)
    assert tensor.dtype == torch.float32
    assert tensor[:, 0, 0].tolist() == [1, 0, 0]
    same(read_photo(tensor), UPRIGHT)
    same(to_image(tensor.double().requires_grad_()), UPRIGHT)


def test_every_grey_level_survives_the_way_to_a_tensor_and_back():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    same(to_image(to_tensor(Image.fromarray(levels))), levels)


def test_the_callers_image_is_left_as_it_was():
    image = Image.fromarray(UPRIGHT)
    exif = image.getexif()
    exif[0x0112] = 6
    result = read_photo(image)
    result.putpixel((0, 0), (9, 9, 9))
    assert image.getpixel((0, 0)) == (255, 0, 0)
    assert image.size == (20, 12)
    assert result.size == (12, 20)


def animation(path, **options):
    first, second = Image.fromarray(UPRIGHT), Image.new("RGB", (20, 12), "black")
    first.save(path, save_all=True, append_images=[second, second], **options)


def grey16(path):
    Image.fromarray(np.array([[0, 257, 32896, 65535]], np.uint16)).save(path)


def palette_with_transparency(path):
    image = Image.new("P", (4, 1), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((0, 0), 0)
    image.save(path, transparency=0)


def cmyk(path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path, quality=100)


GOOD = {
    "cmyk.jpg": (cmyk, (8, 8), (0, 0), (255, 0, 0)),
    "grey16.png": (grey16, (4, 1), (3, 0), (255, 255, 255)),
    "grey16.tif": (grey16, (4, 1), (2, 0), (128, 128, 128)),
    "palette.png": (
        lambda path: Image.fromarray(UPRIGHT).quantize(4).save(path),
        (20, 12),
        (19, 0),
        (0, 0, 255),
    ),
    "palette_transparent.png": (palette_with_transparency, (4, 1), (0, 0), (255, 255, 255)),
    "palette_opaque_part.png": (palette_with_transparency, (4, 1), (1, 0), (0, 0, 255)),
    "grey.jpg": (lambda path: Image.new("L", (8, 8), 77).save(path), (8, 8), (3, 3), (77, 77, 77)),
    "bilevel.png": (
        lambda path: Image.new("1", (8, 8), 1).save(path),
        (8, 8),
        (3, 3),
        (255, 255, 255),
    ),
    "la.png": (
        lambda path: Image.new("LA", (8, 8), (0, 0)).save(path),
        (8, 8),
        (3, 3),
        (255, 255, 255),
    ),
    "rgba.png": (
        lambda path: Image.new("RGBA", (8, 8), (255, 0, 0, 51)).save(path),
        (8, 8),
        (3, 3),
        (255, 204, 204),
    ),
    "rgb_with_a_transparent_colour.png": (
        lambda path: Image.new("RGB", (8, 8), "black").save(path, transparency=(0, 0, 0)),
        (8, 8),
        (3, 3),
        (255, 255, 255),
    ),
    "animated.gif": (animation, (20, 12), (19, 11), (255, 255, 0)),
    "animated.webp": (
        lambda path: animation(path, lossless=True),
        (20, 12),
        (19, 11),
        (255, 255, 0),
    ),
    "animated.png": (animation, (20, 12), (19, 11), (255, 255, 0)),
    "pages.tif": (animation, (20, 12), (19, 11), (255, 255, 0)),
    "one_pixel.png": (
        lambda path: Image.new("RGB", (1, 1), "red").save(path),
        (1, 1),
        (0, 0),
        (255, 0, 0),
    ),
    "strip.png": (
        lambda path: Image.new("RGB", (1, 900), "red").save(path),
        (1, 900),
        (0, 899),
        (255, 0, 0),
    ),
    "named_wrongly.jpg": (
        lambda path: Image.fromarray(UPRIGHT).save(path, "PNG"),
        (20, 12),
        (0, 0),
        (255, 0, 0),
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_unusual_photos_are_read(tmp_path, name):
    write, size, place, colour = GOOD[name]
    write(tmp_path / name)
    image = read_photo(tmp_path / name)
    assert (image.mode, image.size) == ("RGB", size)
    assert np.abs(np.subtract(image.getpixel(place), colour)).max() <= 2
    assert photo_size(tmp_path / name) == size
    assert not getattr(image, "is_animated", False)


@pytest.mark.parametrize(
    "mode", ["La", "RGBa", "PA", "HSV", "YCbCr", "LAB", "RGBX", "I;16B", "F", "I"]
)
def test_every_mode_of_pil_becomes_rgb(mode):
    blank = Image.new(mode, (5, 4))
    assert read_photo(blank).mode == "RGB"
    assert read_photo(blank).size == (5, 4)


def test_a_float_photo_that_overshoots_by_rounding_is_clipped():
    tensor = torch.full((3, 4, 5), 1 + 1e-6)
    assert read_photo(tensor).getpixel((0, 0)) == (255, 255, 255)
    assert read_photo(tensor.numpy().transpose(1, 2, 0)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.uint8([[7, 9]]), [(7, 7, 7), (9, 9, 9)]),
        (np.uint8([[[7], [9]]]), [(7, 7, 7), (9, 9, 9)]),
        (np.float64([[0, 1]]), [(0, 0, 0), (255, 255, 255)]),
        (np.uint16([[1000, 2000]]), [(0, 0, 0), (255, 255, 255)]),
        (np.uint16([[[0, 0, 0], [400, 200, 0]]]), [(0, 0, 0), (255, 128, 0)]),
        (np.uint8([[[9, 9, 9, 255], [0, 0, 0, 0]]]), [(9, 9, 9), (255, 255, 255)]),
    ],
)
def test_arrays_of_every_kind_are_photos(array, expected):
    image = read_photo(array)
    assert [image.getpixel((0, 0)), image.getpixel((1, 0))] == expected


def test_bytes_and_open_files_are_photos(tmp_path):
    Image.fromarray(UPRIGHT).save(tmp_path / "photo.png")
    same(read_photo((tmp_path / "photo.png").read_bytes()), UPRIGHT)
    with open(tmp_path / "photo.png", "rb") as stream:
        same(read_photo(stream), UPRIGHT)


def test_a_float_image_in_0_to_1_is_a_grey_photo():
    assert read_photo(Image.new("F", (2, 2), 0.5)).getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize("block", [b"Exif\0\0II*\0\x08\0\0\0", b"Exif\0\0nonsense", b"Exif\0\0"])
def test_a_damaged_exif_block_does_not_lose_the_photo(tmp_path, block):
    Image.fromarray(UPRIGHT).save(tmp_path / "photo.jpg", exif=block, quality=100, subsampling=0)
    same(read_photo(tmp_path / "photo.jpg"), UPRIGHT, tolerance=8)
    assert photo_size(tmp_path / "photo.jpg") == (20, 12)


def test_the_colour_profile_is_kept_while_it_describes_the_pixels(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(UPRIGHT).save(tmp_path / "rgb.png", icc_profile=profile)
    Image.new("CMYK", (8, 8)).save(tmp_path / "cmyk.jpg", icc_profile=profile)
    assert read_photo(tmp_path / "rgb.png").info == {"icc_profile": profile}
    assert read_photo(tmp_path / "cmyk.jpg").info == {}


def huge_png(path, side=30_000):
    """A header of 30 000 × 30 000 pixels with next to nothing behind it."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + header
        + chunk(b"IDAT", zlib.compress(bytes(100)))
        + chunk(b"IEND", b"")
    )


def jpeg(size=(200, 200)):
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    stream = BytesIO()
    Image.fromarray(noise).save(stream, "JPEG")
    return stream.getvalue()


def png():
    stream = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(
        stream, "PNG"
    )
    return stream.getvalue()


BAD_FILES = {
    "truncated.jpg": (lambda path: path.write_bytes(jpeg()[:9000]), "damaged.*again"),
    "truncated.png": (lambda path: path.write_bytes(png()[:3000]), "damaged.*again"),
    "header_only.jpg": (lambda path: path.write_bytes(jpeg()[:30]), "not a photo"),
    "zero_bytes.jpg": (lambda path: path.write_bytes(b""), "0 bytes"),
    "text.jpg": (lambda path: path.write_text("This is no photo."), "not a photo.*JPEG or PNG"),
    "page.jpg": (lambda path: path.write_text("<html>404 Not Found</html>"), "not a photo"),
    "noise.png": (
        lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
        "not a photo|damaged",
    ),
    "huge.png": (huge_png, "30000 × 30000|pixels; make it smaller"),
    "folder.jpg": (lambda path: path.mkdir(), "is a folder"),
    "missing.jpg": (lambda path: None, "there is no file"),
    "drawing.svg": (
        lambda path: path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>"),
        "not a photo",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused_with_what_to_do(tmp_path, name):
    write, message = BAD_FILES[name]
    write(tmp_path / name)
    with pytest.raises(ImageError, match=message) as caught:
        read_photo(tmp_path / name)
    assert name in str(caught.value)


NAN = torch.full((3, 4, 4), 0.5)
NAN[1, 2, 3] = float("nan")
BAD_VALUES = {
    "float array beyond 0…1": (np.full((4, 4, 3), 200.0), "0…1, and this one in 200…200"),
    "integer array": (np.zeros((4, 4, 3), np.int32), "uint16, or floats in 0…1, not int32"),
    "array of five channels": (np.zeros((4, 4, 5), np.uint8), r"\(H, W, 4\), not \(4, 4, 5\)"),
    "array with the channels first": (np.zeros((3, 4, 5), np.uint8), r"transpose\(1, 2, 0\)"),
    "array without pixels": (np.zeros((0, 5, 3), np.uint8), "no pixel"),
    "array with NaN": (np.full((4, 4), np.nan), "NaN.*array"),
    "a batch of arrays": (np.zeros((2, 4, 5, 3), np.uint8), "batch as a list"),
    "tensor with the channels last": (torch.zeros(4, 5, 3), r"permute\(2, 0, 1\)"),
    "batch": (torch.zeros(1, 3, 4, 5), "batch as a list"),
    "grey tensor": (torch.zeros(1, 4, 5), r"\(3, H, W\)"),
    "integer tensor": (torch.zeros(3, 4, 5, dtype=torch.int64), "uint8, or floats"),
    "tensor in 0…255": (torch.full((3, 4, 5), 200.0), "divide by 255"),
    "normalised tensor": (torch.full((3, 4, 5), -2.1), "normalisation"),
    "tensor with NaN": (NAN, "NaN"),
    "tensor with inf": (torch.full((3, 4, 5), float("inf")), "infinite"),
    "tensor without pixels": (torch.zeros(3, 0, 5), "no pixel"),
    "a sparse tensor": (torch.zeros(3, 4, 5).to_sparse(), "to_dense"),
    "an image without pixels": (Image.new("RGB", (0, 5)), "0 × 5"),
    "None": (None, "NoneType"),
    "bytes that are no photo": (b"\xff\xd8\xff", "not a photo"),
    "no bytes": (b"", "0 bytes"),
    "a file open as text": (StringIO("text"), "mode 'rb'"),
    "list": ([[0, 0, 0]], "list"),
    "a float image without a number": (Image.new("F", (4, 4), float("nan")), "finite"),
    "an array too large": (
        np.broadcast_to(np.uint8(0), (30_000, 30_000)),
        "30000 × 30000.*--max-pixels",
    ),
    "a tensor too large": (
        torch.zeros(1, dtype=torch.uint8).expand(3, 30_000, 30_000),
        "30000 × 30000.*limit=",
    ),
}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_what_is_no_photo_is_refused_with_what_to_do(name):
    photo, message = BAD_VALUES[name]
    with pytest.raises(ImageError, match=message):
        read_photo(photo)


def test_a_header_of_900_million_pixels_allocates_nothing(tmp_path):
    import tracemalloc

    huge_png(tmp_path / "huge.png")
    tracemalloc.start()
    with pytest.raises(ImageError):
        read_photo(tmp_path / "huge.png")
    with pytest.raises(ImageError):
        photo_size(tmp_path / "huge.png")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_the_limit_holds_where_pillow_was_told_to_have_none(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    huge_png(tmp_path / "huge.png")
    with pytest.raises(ImageError, match="30000 × 30000"):
        read_photo(tmp_path / "huge.png")


def test_image_errors_are_cropnb_errors_and_value_errors():
    with pytest.raises(CropnbError):
        read_photo(3)
    with pytest.raises(ValueError, match="a photo is"):
        read_photo(3)


@pytest.mark.parametrize(
    ("size", "multiple", "expected"),
    [
        ((1024, 683), None, (384, 256)),
        ((1024, 683), 32, (384, 256)),
        ((1024, 575), 32, (448, 256)),  # 455.9 is nearer to 448 than to 480
        ((575, 1024), 32, (256, 448)),
        ((1024, 768), 32, (352, 256)),  # 341.3 is nearer to 352 than to 320: floor would be wrong
        ((100, 100), 32, (256, 256)),  # small photos grow
        ((3000, 100), None, (7680, 256)),
    ],
)
def test_short_side_size(size, multiple, expected):
    assert short_side_size(*size, 256, multiple) == expected


def test_resizing_does_the_same_to_images_and_tensors():
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    image = Image.fromarray(noise)
    small = resize_short_side(image, 32, 32)
    tensor = resize_short_side(to_tensor(image), 32, 32)
    assert small.size == (32, 32)
    assert tensor.shape == (3, 32, 32)
    assert (to_tensor(small) - tensor).abs().max() < 2 / 255  # without antialiasing it would be 0.5
    batch = resize_short_side(to_tensor(image)[None], 45)
    assert batch.shape == (1, 3, 45, 60)


def test_a_strip_is_not_blown_up():
    with pytest.raises(ImageError, match="factor of 40"):
        resize_short_side(torch.zeros(3, 1, 900), 256)
    assert short_side_size(40, 1, 256) == (10240, 256)
