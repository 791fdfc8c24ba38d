"""A crop is encoded as its photo was: JPEG's tables and sampling, lossless WebP, frames, times."""

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageSequence, JpegImagePlugin

from cropnb.errors import ImageError, PhotoWarning, SaveError
from cropnb.photos import open_photo
from cropnb.photos.traits import webp_is_lossless

BOX = (16, 16, 64, 48)


def photo(width=96, height=64, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (8, 10, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def jpeg_facts(path):
    with Image.open(path) as image:
        tables = {key: tuple(table) for key, table in image.quantization.items()}
        layers = [(layer[1], layer[2], tables[layer[3]]) for layer in image.layer]
        return layers, JpegImagePlugin.get_sampling(image), bool(image.info.get("progressive"))


ODD_TABLES = [[3] * 64, list(range(1, 65)), [9] * 64]
JPEGS = {
    "fine": {"quality": 97, "subsampling": 0},
    "4:2:2": {"quality": 88, "subsampling": 1},
    "4:2:0": {"quality": 70, "subsampling": 2},
    "coarse": {"quality": 12},
    "progressive": {"quality": 80, "progressive": True},
    "one table": {"qtables": [list(range(1, 65))]},
    "two tables": {"qtables": ODD_TABLES[:2], "subsampling": 0},
    "three tables": {"qtables": ODD_TABLES, "subsampling": 0},
}


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_of_a_jpeg_has_its_tables_and_sampling(tmp_path, kind, mode):
    photo().convert(mode).save(tmp_path / "photo.jpg", **JPEGS[kind])
    notes = open_photo(tmp_path / "photo.jpg").cut(BOX).save(tmp_path / "crop.jpg")
    assert notes == []
    assert jpeg_facts(tmp_path / "crop.jpg") == jpeg_facts(tmp_path / "photo.jpg")
    with Image.open(tmp_path / "photo.jpg") as original, Image.open(tmp_path / "crop.jpg") as crop:
        assert crop.mode == mode
        before = np.asarray(original.crop(BOX)).astype(int)
        # the box lies on JPEG's blocks, so coding it once more by the same tables changes little
        assert np.abs(np.asarray(crop).astype(int) - before).mean() < (2 if kind == "fine" else 5)


def test_quality_overrides_the_tables_and_rgb_components_stay(tmp_path):
    photo().save(tmp_path / "photo.jpg", quality=60)
    photo().save(tmp_path / "plain.jpg", quality=91)
    open_photo(tmp_path / "photo.jpg").cut(BOX).save(tmp_path / "crop.jpg", quality=91)
    assert jpeg_facts(tmp_path / "crop.jpg")[0] == jpeg_facts(tmp_path / "plain.jpg")[0]
    photo().save(tmp_path / "rgb.jpg", keep_rgb=True, quality=95)
    open_photo(tmp_path / "rgb.jpg").cut(BOX).save(tmp_path / "crop.jpg")
    assert Image.open(tmp_path / "crop.jpg").layer[0][0] == ord("R")
    for quality in (0, 101):
        with pytest.raises(SaveError, match="1…100"):
            open_photo(tmp_path / "photo.jpg").cut(BOX).save(tmp_path / "x.jpg", quality=quality)


def test_a_jpeg_of_pixels_that_had_no_loss_is_a_fine_one(tmp_path):
    open_photo(photo()).cut(BOX).save(tmp_path / "crop.jpg")
    assert jpeg_facts(tmp_path / "crop.jpg")[1] == 0


def test_webp_stays_what_it_is(tmp_path):
    for lossless in (True, False):
        photo().save(tmp_path / "photo.webp", lossless=lossless)
        open_photo(tmp_path / "photo.webp").cut(BOX).save(tmp_path / "crop.webp")
        assert webp_is_lossless(str(tmp_path / "crop.webp")) is lossless
    photo().save(tmp_path / "photo.png")
    open_photo(tmp_path / "photo.png").cut(BOX).save(tmp_path / "crop.webp")
    assert webp_is_lossless((tmp_path / "crop.webp").read_bytes())
    open_photo(tmp_path / "photo.png").cut(BOX).save(tmp_path / "crop.webp", quality=80)
    assert not webp_is_lossless(str(tmp_path / "crop.webp"))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiff_keeps_its_compression(tmp_path, compression):
    photo().save(tmp_path / "photo.tif", compression=compression)
    open_photo(tmp_path / "photo.tif").cut(BOX).save(tmp_path / "crop.tif")
    assert Image.open(tmp_path / "crop.tif").info["compression"] == compression


DURATIONS = [40, 250, 100, 90]


def frames(mode="RGB", count=4):
    """Each with a square elsewhere and few colours, so that GIF can hold them exactly."""
    images = []
    for index in range(count):
        image = Image.new("RGBA", (80, 64), (10, 20, 30, 255))
        image.paste((200, 40 * index, 90, 255), (8 + 9 * index, 12, 24 + 9 * index, 30))
        if mode == "RGBA":
            image.paste((0, 0, 0, 0), (0, 0, 80, 10))
            image.paste((0, 0, 0, 0), (20, 20, 30, 60))
        images.append(image.convert(mode))
    return images


def animation(path, images, loop=0, **options):
    if path.suffix == ".webp":
        options |= {"lossless": True, "exact": True}
    if path.suffix == ".gif" and images[0].mode == "RGBA":
        options["disposal"] = 2
    if loop is not None:
        options["loop"] = loop
    images[0].save(path, save_all=True, append_images=images[1:], duration=DURATIONS, **options)


def played(path):
    with Image.open(path) as image:
        pictures, durations = [], []
        for frame in ImageSequence.Iterator(image):
            array = np.array(frame.convert("RGBA"))
            array[array[..., 3] == 0] = 0
            pictures.append(array)
            durations.append(frame.info["duration"])
        return pictures, durations, image.info.get("loop")


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("out", ["gif", "webp", "png"])
@pytest.mark.parametrize("source", ["gif", "webp", "png"])
def test_every_frame_is_cropped_alike(tmp_path, source, out, mode):
    animation(tmp_path / f"photo.{source}", frames(mode))
    notes = open_photo(tmp_path / f"photo.{source}").cut(BOX).save(tmp_path / f"crop.{out}")
    assert notes == []
    before, _, _ = played(tmp_path / f"photo.{source}")
    pictures, durations, loop = played(tmp_path / f"crop.{out}")
    assert len(pictures) == 4
    for picture, original in zip(pictures, before, strict=True):
        np.testing.assert_array_equal(picture, original[16:48, 16:64])
    assert durations == DURATIONS
    assert loop == 0


@pytest.mark.parametrize(
    ("source", "loop", "out", "expected"),
    [
        ("gif", None, "gif", None),  # once
        ("gif", None, "webp", 1),
        ("gif", 3, "gif", 3),  # repeated three times: played four times
        ("gif", 3, "png", 4),
        ("webp", 1, "gif", None),
        ("png", 5, "webp", 5),
        ("png", 5, "gif", 4),
    ],
)
def test_it_is_played_as_often(tmp_path, source, loop, out, expected):
    animation(tmp_path / f"photo.{source}", frames(), loop=loop)
    open_photo(tmp_path / f"photo.{source}").cut(BOX).save(tmp_path / f"crop.{out}")
    assert played(tmp_path / f"crop.{out}")[2] == expected


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("source", ["gif", "webp", "png"])
def test_the_frames_of_an_animation_become_pages(tmp_path, source, mode):
    animation(tmp_path / f"photo.{source}", frames(mode))
    cut = open_photo(tmp_path / f"photo.{source}").cut(BOX)
    with pytest.warns(PhotoWarning, match="4 frames became pages, without their times"):
        assert len(cut.save(tmp_path / "crop.tif")) == 1
    before, _, _ = played(tmp_path / f"photo.{source}")
    with Image.open(tmp_path / "crop.tif") as image:
        pages = [page.convert("RGBA") for page in ImageSequence.Iterator(image)]
    assert len(pages) == 4
    for page, original in zip(pages, before, strict=True):
        levels = np.array(page)
        levels[levels[..., 3] == 0] = 0
        np.testing.assert_array_equal(levels, original[16:48, 16:64])


@pytest.mark.parametrize("out", ["jpg", "bmp"])
def test_the_first_frame_is_written_where_there_is_room_for_one(tmp_path, out):
    animation(tmp_path / "photo.gif", frames())
    with pytest.warns(PhotoWarning, match="the first of 4"):
        open_photo(tmp_path / "photo.gif").cut(BOX).save(tmp_path / f"crop.{out}")
    crop = open_photo(tmp_path / f"crop.{out}").rgb()
    expected = np.asarray(frames()[0].crop(BOX)).astype(int)
    assert np.abs(np.asarray(crop).astype(int) - expected).max() < 40


def test_pages_of_a_tiff_stay_pages(tmp_path):
    animation(tmp_path / "photo.tif", frames())
    open_photo(tmp_path / "photo.tif").cut(BOX).save(tmp_path / "crop.tif")
    with Image.open(tmp_path / "crop.tif") as image:
        pages = [np.asarray(page) for page in ImageSequence.Iterator(image)]
    for page, original in zip(pages, frames(), strict=True):
        np.testing.assert_array_equal(page, np.asarray(original.crop(BOX)))
    with pytest.warns(PhotoWarning, match="no pages"):
        open_photo(tmp_path / "photo.tif").cut(BOX).save(tmp_path / "crop.png")
    frames()[0].save(tmp_path / "odd.tif", save_all=True, append_images=[Image.new("RGB", (9, 9))])
    with pytest.warns(PhotoWarning, match="several sizes"):
        open_photo(tmp_path / "odd.tif").cut(BOX).save(tmp_path / "crop.tif")


def test_pages_of_several_modes_keep_theirs_and_of_several_depths_are_named(tmp_path):
    import tifffile

    levels = np.random.default_rng(0).integers(0, 65536, (64, 80), np.uint16)
    pages = [*frames("RGBA")[:1], *frames()[1:2], photo(80, 64).convert("L"), photo(80, 64)]
    pages += [Image.fromarray(levels), photo(80, 64).convert("1"), photo(80, 64).convert("CMYK")]
    for compression in ("raw", "tiff_lzw"):
        options = {"save_all": True, "append_images": pages[1:], "compression": compression}
        pages[0].save(tmp_path / "photo.tif", **options)
        assert open_photo(tmp_path / "photo.tif").cut(BOX).save(tmp_path / "crop.tif") == []
        with Image.open(tmp_path / "crop.tif") as image:
            for page, original in zip(ImageSequence.Iterator(image), pages, strict=True):
                assert page.mode == original.mode
                np.testing.assert_array_equal(np.asarray(page), np.asarray(original.crop(BOX)))
    with tifffile.TiffWriter(tmp_path / "photo.tif") as writer:
        for array in ((levels >> 8).astype(np.uint8), levels):
            writer.write(np.stack([array] * 3, -1), photometric="rgb", metadata=None)
    with pytest.warns(PhotoWarning, match="several kinds: the first of 2"):
        open_photo(tmp_path / "photo.tif").cut(BOX).save(tmp_path / "crop.tif")


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize("strip", [False, True])
def test_every_page_keeps_what_it_says(tmp_path, kind, strip):
    import tifffile

    pages = np.random.default_rng(0).integers(0, 255, (3, 64, 80, 3)).astype(kind)
    profiles = [ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), b"", b""]
    with tifffile.TiffWriter(tmp_path / "photo.tif") as writer:
        for number, (page, profile) in enumerate(zip(pages, profiles, strict=True)):
            tags = [(270, 2, 0, f"page {number}", True)]
            tags += [(34675, 7, len(profile), profile, True)] if profile else []
            options = {"resolution": (100 + number, 100 + number), "extratags": tags}
            writer.write(page, photometric="rgb", metadata=None, software=False, **options)
    open_photo(tmp_path / "photo.tif").cut(BOX).save(tmp_path / "crop.tif", strip=strip)
    with tifffile.TiffFile(tmp_path / "crop.tif") as file:
        for number, page in enumerate(file.pages):
            np.testing.assert_array_equal(page.asarray(), pages[number, 16:48, 16:64])
            tags = {tag.code: tag.value for tag in page.tags}
            assert tags.get(34675, b"") == profiles[number]
            assert tags.get(270) == (None if strip else f"page {number}")
            assert tags.get(282) == (None if strip else (100 + number, 1))


@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_pages_of_a_deep_tiff_stay_pages(tmp_path, kind):
    import tifffile

    top = 65535 if kind == "uint16" else 1
    pages = (np.random.default_rng(0).random((3, 20, 30, 3)) * top).astype(kind)
    tifffile.imwrite(tmp_path / "photo.tif", pages, photometric="rgb", metadata=None)
    photo = open_photo(tmp_path / "photo.tif")
    assert photo.cut((4, 5, 24, 15)).save(tmp_path / "crop.tif") == []
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "crop.tif"), pages[:, 5:15, 4:24], strict=True
    )
    with pytest.warns(PhotoWarning, match="no pages: the first of 3"):
        photo.cut((4, 5, 24, 15)).save(tmp_path / "crop.png")
    with pytest.raises(ImageError, match="× 3 frames"):
        open_photo(tmp_path / "photo.tif", limit=1200).cut((0, 0, 9, 9)).save(tmp_path / "c.tif")
    tifffile.imwrite(tmp_path / "mixed.tif", pages[0], photometric="rgb", metadata=None)
    tifffile.imwrite(
        tmp_path / "mixed.tif", pages[1, :8], photometric="rgb", metadata=None, append=True
    )
    with pytest.warns(PhotoWarning, match="several kinds: the first of 2"):
        open_photo(tmp_path / "mixed.tif").cut((4, 5, 24, 15)).save(tmp_path / "crop.tif")


def test_the_other_pictures_of_an_mpo_are_named(tmp_path):
    photo().save(tmp_path / "photo.mpo", save_all=True, append_images=[photo(seed=1)])
    opened = open_photo(tmp_path / "photo.mpo")
    assert opened.format == "JPEG"
    with pytest.warns(PhotoWarning, match="further pictures"):
        opened.cut(BOX).save(tmp_path / "crop.jpg")
    assert b"MPF\0" not in (tmp_path / "crop.jpg").read_bytes()


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_deep_greys_of_any_order_are_resized_as_numbers(tmp_path, mode):
    ramp = np.tile(np.linspace(100, 40_000, 60).astype(np.uint16), (40, 1))
    kind = ">u2" if mode == "I;16B" else "<u2"
    image = Image.frombytes(mode, (60, 40), ramp.astype(kind).tobytes())
    image.save(tmp_path / "photo.tif")
    for source in (image, tmp_path / "photo.tif"):
        cut = open_photo(source).cut((0, 0, 60, 40), size=(15, 10))
        for suffix in ("png", "tif"):
            cut.save(tmp_path / f"crop.{suffix}")
            levels = np.asarray(Image.open(tmp_path / f"crop.{suffix}")).astype(int)
            expected = ramp.reshape(40, 15, 4).mean(-1)[:10]
            assert np.abs(levels - expected)[:, 1:-1].max() < 100


@pytest.mark.parametrize("level", [0, 999, 65535])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_clear_level_of_16_bits_is_resized_at_its_depth(tmp_path, level, suffix):
    greys = np.tile(np.linspace(20_000, 40_000, 60).astype(np.uint16), (40, 1))
    greys[:20] = level
    Image.fromarray(greys).save(tmp_path / "photo.png", transparency=level)
    cut = open_photo(tmp_path / "photo.png").cut((0, 0, 60, 40), size=(15, 10))
    assert cut.save(tmp_path / f"crop.{suffix}") == []
    crop = open_photo(tmp_path / f"crop.{suffix}").cut((0, 0, 15, 10)).array()
    assert crop.dtype == np.uint16
    solid = crop[..., 1] > 0 if crop.ndim == 3 else crop != level
    values = crop[..., 0] if crop.ndim == 3 else crop
    assert not solid[:5].any()
    assert solid[5:].all()
    expected = greys[20:].reshape(20, 15, 4).mean(-1)[:5]
    assert np.abs(values[5:].astype(int) - expected)[:, 1:-1].max() < 100


def test_a_resized_crop_is_antialiased_and_never_enlarged_unasked(tmp_path):
    stripes = np.zeros((400, 400), np.uint8)
    stripes[:, ::2] = 255
    opened = open_photo(stripes)
    small = np.asarray(opened.cut((0, 0, 400, 400), size=(50, 50)).image())
    assert small.shape == (50, 50)
    assert np.abs(small[2:-2, 2:-2].astype(int) - 127).max() <= 2
    assert opened.cut((0, 0, 100, 80), size=(200, 160)).size == (100, 80)
    assert opened.cut((0, 0, 100, 80), size=(200, 100)).size == (100, 50)
    assert opened.cut((0, 0, 100, 80), size=(200, 160), enlarge=True).image().size == (200, 160)
    deep = np.full((90, 120, 3), 40_000, np.uint16)
    assert (open_photo(deep).cut((0, 0, 120, 90), size=(12, 9)).array() == 40_000).all()
    clear = np.zeros((64, 64, 4), np.uint16)
    clear[:, 32:] = (60_000, 50_000, 40_000, 65_535)
    resized = open_photo(clear).cut((0, 0, 64, 64), size=(17, 17)).array()
    seen = resized[resized[..., 3] > 3000]
    assert np.abs(seen[:, :3].astype(int) - (60_000, 50_000, 40_000)).max() < 30  # no dark rim
