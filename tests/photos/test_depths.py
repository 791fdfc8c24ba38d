"""Formats whose depth only some libraries keep (AVIF, JPEG 2000, PPM, HEIC): kept or named."""

import numpy as np
import pytest
from PIL import Image

from cropnb.errors import ImageError, PhotoWarning
from cropnb.photos import open_photo

COLOURS = np.random.default_rng(0).integers(0, 65536, (40, 60, 3), np.uint16)
BOX = (5, 4, 45, 34)


def vips_reads(kind):
    pyvips = pytest.importorskip("pyvips")
    return bool(pyvips.type_find("VipsOperation", kind))


def jpeg_2000(path):
    import cv2

    path.write_bytes(cv2.imencode(".jp2", COLOURS[..., ::-1])[1].tobytes())


def ppm(path):
    path.write_bytes(b"P6\n# of 16 bits\n60 40\n65535\n" + COLOURS.astype(">u2").tobytes())


@pytest.mark.parametrize(
    ("write", "loader", "suffix"), [(jpeg_2000, "jp2kload", "jp2"), (ppm, "ppmload", "ppm")]
)
def test_sixteen_bits_are_kept_or_refused(tmp_path, write, loader, suffix):
    write(tmp_path / f"photo.{suffix}")
    photo = open_photo(tmp_path / f"photo.{suffix}")
    assert photo.small_rgb().shape == (3, 40, 60)  # to look at it 8 bits will do
    cut = photo.cut(BOX)
    if vips_reads(loader):
        assert cut.array().dtype == np.uint16
        assert np.abs(cut.array().astype(int) - COLOURS[4:34, 5:45]).mean() < 400
    else:
        with pytest.raises(ImageError, match=r"16 bits a channel.*16-bit TIFF or PNG"):
            cut.save(tmp_path / "crop.png")
        assert not (tmp_path / "crop.png").exists()


@pytest.mark.parametrize("depth", [10, 12])
def test_avif_of_more_than_8_bits_keeps_them(tmp_path, depth):
    import pyvips

    if not vips_reads("heifload"):
        pytest.skip("this libvips reads no AVIF")
    ramp = np.tile(np.linspace(0, 65535, 1024).astype(np.uint16), (64, 1))
    image = pyvips.Image.new_from_array(np.stack([ramp] * 3, axis=-1))
    image.copy(interpretation="rgb16").heifsave(
        str(tmp_path / "photo.avif"), bitdepth=depth, Q=95, compression="av1"
    )
    photo = open_photo(tmp_path / "photo.avif")
    assert photo.cut((0, 0, 1024, 64)).save(tmp_path / "crop.png") == []
    crop = open_photo(tmp_path / "crop.png").cut((0, 0, 1024, 64)).array()
    assert len(np.unique(crop[..., 1])) > 700  # 8 bits would leave 256
    assert np.corrcoef(crop[32, :, 1], ramp[0])[0, 1] > 0.999


def test_avif_of_8_bits_opens_as_ever(tmp_path):
    image = Image.fromarray((COLOURS >> 8).astype(np.uint8))
    image.save(tmp_path / "photo.avif", quality=100, subsampling="4:4:4")
    photo = open_photo(tmp_path / "photo.avif")
    assert photo.deep_pixels() is None
    assert photo.cut(BOX).save(tmp_path / "crop.png") == []
    before = np.asarray(Image.open(tmp_path / "photo.avif"))[4:34, 5:45]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "crop.png")), before)


def test_heic_is_read_where_pillow_heif_is(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    image = Image.fromarray((COLOURS >> 8).astype(np.uint8)).resize((120, 80))
    exif = Image.Exif()
    exif[0x010E] = "A bridge"
    file = pillow_heif.from_pillow(image)
    file.add_from_pillow(image.rotate(180))
    file.save(tmp_path / "photo.heic", quality=90, exif=exif.tobytes())
    photo = open_photo(tmp_path / "photo.heic")
    assert (photo.format, photo.size) == ("HEIF", (120, 80))
    with pytest.warns(PhotoWarning, match="1 further pictures"):
        photo.cut(BOX).save(tmp_path / "crop.jpg")
    with Image.open(tmp_path / "crop.jpg") as crop:
        assert crop.size == (40, 30)
        assert crop.getexif().get(0x010E) in ("A bridge", None)
