"""Formats whose depth only some libraries keep (AVIF, JPEG 2000, PPM, HEIC): kept or named."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from cropnb.errors import ImageError, PhotoWarning
from cropnb.photos import metadata, open_photo

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


def plain_ppm(path):
    path.write_bytes(b"P3 60 40 65535\n" + b" ".join(b"%d" % level for level in COLOURS.ravel()))


@pytest.mark.parametrize(
    ("write", "loader", "suffix"),
    [(jpeg_2000, "jp2kload", "jp2"), (ppm, "ppmload", "ppm"), (plain_ppm, "ppmload", "ppm")],
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


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><y exif:PixelXDimension="120" dc:creator="Ada"/>'


def heic(path, image, **options):
    pillow_heif = pytest.importorskip("pillow_heif")
    file = pillow_heif.from_pillow(image)
    file.save(path, quality=-1, chroma=444, **options)
    return file


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_heic_is_turned_and_keeps_what_it_says(tmp_path, suffix):
    image = Image.fromarray((COLOURS >> 8).astype(np.uint8)).resize((120, 80))
    exif, profile = Image.Exif(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif[0x010E], exif[0x0112] = "A bridge", 6
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 5.0)})
    heic(tmp_path / "photo.heic", image, exif=exif.tobytes(), xmp=XMP, icc_profile=profile)
    photo = open_photo(tmp_path / "photo.heic")
    assert (photo.format, photo.size) == ("HEIF", (80, 120))
    assert photo.cut(BOX).save(tmp_path / f"crop.{suffix}") == []
    with Image.open(tmp_path / f"crop.{suffix}") as crop:
        metadata.preload(crop)
        crop.load()
        own = metadata.gather(crop)
        expected = np.asarray(image.transpose(Image.Transpose.ROTATE_270)).astype(int)
        off = np.abs(np.asarray(crop.convert("RGB")).astype(int) - expected[4:34, 5:45])
        assert off.mean() < (30 if suffix in ("jpg", "webp") else 1)
    assert own.icc == profile
    assert b'PixelXDimension="40"' in own.xmp
    tags = metadata.exif_object(own.exif)
    assert (tags[0x010E], tags.get(0x0112, 1)) == ("A bridge", 1)
    assert tags.get_ifd(0x8825)[1] == "N"
    photo.cut(BOX).save(tmp_path / "crop.jpg", strip_location=True)
    with Image.open(tmp_path / "crop.jpg") as crop:
        assert not crop.getexif().get_ifd(0x8825)


def test_the_further_pictures_of_a_heic_are_named_and_its_alpha_stays(tmp_path):
    image = Image.fromarray((COLOURS >> 8).astype(np.uint8)).resize((120, 80))
    file = heic(tmp_path / "photo.heic", image)
    file.add_from_pillow(image.rotate(180))
    file.save(tmp_path / "photo.heic", quality=90)
    with pytest.warns(PhotoWarning, match="1 further pictures"):
        open_photo(tmp_path / "photo.heic").cut(BOX).save(tmp_path / "crop.jpg")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    heic(tmp_path / "photo.heic", image)
    assert open_photo(tmp_path / "photo.heic").cut(BOX).save(tmp_path / "crop.png") == []
    with Image.open(tmp_path / "crop.png") as crop:
        np.testing.assert_array_equal(
            np.asarray(crop.getchannel("A")), np.asarray(image.crop(BOX).getchannel("A"))
        )


def test_heic_of_10_bits_keeps_them_and_is_not_stretched_as_a_jpeg(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    ramp = np.linspace(10_000, 50_000, 1024).astype(np.uint16)
    image = np.tile(ramp[None, :, None], (64, 1, 3))
    file = pillow_heif.from_bytes("RGB;16", (1024, 64), image.tobytes())
    file.save(tmp_path / "photo.heic", quality=-1, chroma=444)
    cut = open_photo(tmp_path / "photo.heic").cut((100, 0, 1000, 64))
    for source in (cut, open_photo((tmp_path / "photo.heic").read_bytes()).cut((100, 0, 1000, 64))):
        for suffix in ("png", "tif"):
            assert source.save(tmp_path / f"crop.{suffix}") == []
            levels = open_photo(tmp_path / f"crop.{suffix}").cut((0, 0, 900, 64)).array()
            assert len(np.unique(levels[..., 1])) > 500  # of 8 bits there would be 140
            assert np.abs(levels[32, :, 1].astype(int) - ramp[100:1000]).max() < 400
    with pytest.warns(PhotoWarning, match="the crop became 8-bit$"):
        cut.save(tmp_path / "crop.jpg", quality=100)
    with Image.open(tmp_path / "crop.jpg") as crop:
        shades = np.asarray(crop).astype(int)[32, :, 1]
        assert np.abs(shades - ramp[100:1000] / 257).max() < 5
    assert open_photo(tmp_path / "photo.heic").small_rgb().shape == (3, 64, 1024)


def test_a_heic_that_was_cut_short_is_an_image_error(tmp_path):
    heic(tmp_path / "photo.heic", Image.fromarray((COLOURS >> 8).astype(np.uint8)))
    data = (tmp_path / "photo.heic").read_bytes()
    (tmp_path / "photo.heic").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"photo.heic is"):
        open_photo(tmp_path / "photo.heic").cut(BOX).save(tmp_path / "crop.jpg")
    assert not (tmp_path / "crop.jpg").exists()
