"""What travels with the pixels: EXIF, XMP, IPTC, profile, resolution, texts, times; and turns."""

import os
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from cropnb.errors import PhotoWarning
from cropnb.photos import metadata, open_photo, texts

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6" '
    b'dc:creator="Ada" exif:GPSLatitude="52,30.5N" exif:PixelXDimension="60">'
    b"<exif:GPSLongitude>13,24E</exif:GPSLongitude><tiff:ImageLength>40</tiff:ImageLength>"
    b"<xmp:Thumbnails>AAAA</xmp:Thumbnails></rdf:Description></rdf:RDF></x:xmpmeta>"
)
IPTC = b"\x1c\x02\x05\x00\x05Title\x1c\x02\x50\x00\x03Ada"
RESOURCES = texts.resource_block(
    [(0x0404, b"", IPTC), (0x040C, b"", b"a small copy of the photo"), (0x03ED, b"x", b"dots")]
)
BOX = (4, 6, 34, 26)


def exif_bytes(orientation=6):
    exif = Image.Exif()
    exif[0x010E], exif[0x0132], exif[0x0112] = "A bridge", "2019:05:04 03:02:01", orientation
    exif.get_ifd(0x8769).update(
        {0x9003: "2019:05:04 03:02:01", 0xA002: 60, 0xA003: 40, 0x9214: (30, 20), 0x829A: 0.004}
    )
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 5.0), 3: "E", 4: (13.0, 24.0, 36.0)})
    return exif.tobytes()


def scene(width=60, height=40):
    return Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    ).resize((width, height))


def jpeg_source(path, **options):
    extra = b"Photoshop 3.0\0" + RESOURCES
    scene().save(
        path,
        "JPEG",
        exif=exif_bytes(),
        xmp=XMP,
        icc_profile=PROFILE,
        dpi=(300, 300),
        comment=b"by hand",
        extra=b"\xff\xed" + struct.pack(">H", len(extra) + 2) + extra,
        **options,
    )


def png_source(path):
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "A bridge")
    info.add_itxt("Author", "Ada Çelik", "tr", "Yazar")
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    info.add_text("Raw profile type iptc", metadata.raw_profile("iptc", RESOURCES))
    info.add(b"gAMA", struct.pack(">I", 55_556))
    scene().save(path, "PNG", exif=exif_bytes(), pnginfo=info, icc_profile=PROFILE, dpi=(300, 300))


def tiff_source(path):
    exif = Image.Exif()
    exif.load(exif_bytes())
    exif[700], exif[33723], exif[34377] = XMP, IPTC, RESOURCES
    scene().save(path, "TIFF", exif=exif, icc_profile=PROFILE, dpi=(300, 300))


def webp_source(path):
    scene().save(path, "WEBP", lossless=True, exif=exif_bytes()[6:], xmp=XMP, icc_profile=PROFILE)


SOURCES = {"jpg": jpeg_source, "png": png_source, "tif": tiff_source, "webp": webp_source}
PAIRS = [(source, out) for source in SOURCES for out in ("jpg", "png", "tif", "webp")]


def crop(tmp_path, source, out, **options):
    original, path = tmp_path / f"photo.{source}", tmp_path / f"crop.{out}"
    SOURCES[source](original)
    photo = open_photo(original)
    assert photo.size == (40, 60)
    notes = photo.cut(BOX).save(path, **options)
    image = Image.open(path)
    image.load()
    return image, notes


def gathered(path):
    with Image.open(path) as image:
        metadata.preload(image)
        image.load()
        return metadata.gather(image)


@pytest.mark.filterwarnings("ignore::cropnb.errors.PhotoWarning")
@pytest.mark.parametrize(("source", "out"), PAIRS)
def test_metadata_goes_along_corrected(tmp_path, source, out):
    image, notes = crop(tmp_path, source, out)
    assert image.size == (30, 20)
    exif = Image.open(tmp_path / f"crop.{out}").getexif()  # not turned any more
    assert exif.get(0x0112, 1) == 1
    assert (exif[0x010E], exif[0x0132]) == ("A bridge", "2019:05:04 03:02:01")
    inner = exif.get_ifd(0x8769)
    assert inner[0x9003] == "2019:05:04 03:02:01"
    assert (inner[0xA002], inner[0xA003]) == (30, 20)
    assert float(inner[0x829A]) == pytest.approx(0.004)
    assert 0x9214 not in inner
    assert [float(part) for part in exif.get_ifd(0x8825)[2]] == [52, 30, 5]
    assert image.info["icc_profile"] == PROFILE
    own = gathered(tmp_path / f"crop.{out}")
    assert b'tiff:Orientation="6"' not in own.xmp
    assert b'exif:PixelXDimension="30"' in own.xmp
    assert b"<tiff:ImageLength>20<" in own.xmp
    assert b'dc:creator="Ada"' in own.xmp
    assert b"GPSLatitude" in own.xmp
    assert b"Thumbnails" not in own.xmp
    if out == "webp":
        assert source == "webp" or any("IPTC" in note for note in notes)
    elif source != "webp":
        assert own.iptc == IPTC
        numbers = [number for number, _, _ in texts.resources(own.photoshop)]
        assert numbers == [0x0404, 0x03ED]  # not the small copy of the uncropped photo
    if out != "webp" and source != "webp":
        assert own.dpi == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize("suffix", ["tif", "png"])
@pytest.mark.parametrize("deep", [False, True])
def test_a_profile_for_other_colours_is_left_out_and_named(tmp_path, suffix, deep):
    if deep:
        grey = np.random.default_rng(0).integers(0, 2**31, (40, 60), np.uint32)
        import tifffile

        tag = (34675, 7, len(PROFILE), PROFILE, True)
        tifffile.imwrite(tmp_path / "photo.tif", grey, metadata=None, extratags=[tag])
    else:
        scene().convert("L").save(tmp_path / "photo.tif", icc_profile=PROFILE)
    with pytest.warns(PhotoWarning, match="for another kind of colours, and was left out"):
        open_photo(tmp_path / "photo.tif").cut(BOX).save(tmp_path / f"crop.{suffix}")
    assert PROFILE[-60:] not in (tmp_path / f"crop.{suffix}").read_bytes()


@pytest.mark.filterwarnings("ignore::cropnb.errors.PhotoWarning")
@pytest.mark.parametrize(("source", "out"), PAIRS)
def test_strip_leaves_the_profile_and_strip_location_the_rest(tmp_path, source, out):
    crop(tmp_path, source, out, strip=True)
    own = gathered(tmp_path / f"crop.{out}")
    assert own.icc == PROFILE
    assert (own.xmp, own.photoshop, own.comment, own.texts) == (b"", b"", b"", {})
    assert not own.exif or not metadata.exif_object(own.exif).get(0x010E)
    assert b"Ada" not in (tmp_path / f"crop.{out}").read_bytes()
    crop(tmp_path, source, out, strip_location=True)
    own = gathered(tmp_path / f"crop.{out}")
    assert b"GPS" not in own.xmp
    assert b'dc:creator="Ada"' in own.xmp
    exif = metadata.exif_object(own.exif)
    assert exif[0x010E] == "A bridge"
    assert not exif.get_ifd(0x8825)
    whole = (tmp_path / f"crop.{out}").read_bytes()
    assert struct.pack("<II", 52, 1) not in whole  # wiped, not just unlinked
    assert struct.pack(">II", 52, 1) not in whole


def test_texts_and_gamma_of_png_stay_in_png(tmp_path):
    image, notes = crop(tmp_path, "png", "png")
    assert notes == []
    assert image.text["Title"] == "A bridge"
    author = image.text["Author"]
    assert (str(author), author.lang, author.tkey) == ("Ada Çelik", "tr", "Yazar")
    assert image.info["gamma"] == pytest.approx(0.55556)
    with pytest.warns(PhotoWarning, match="text chunks: Title, Author"):
        crop(tmp_path, "png", "tif")


PLACES = b'drone-dji:GpsLatitude="+52.12" drone-dji:GpsLongtitude="13.99" a:Latitude="52.12"'
WHOLE = (
    b'GPano:FullPanoWidthPixels="60" GCamera:MicroVideoOffset="9" hdrgm:Version="1.0">'
    b"<Container:Directory>follows</Container:Directory><MP:RegionInfo>a face</MP:RegionInfo>"
)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_no_kind_of_place_stays_and_nothing_that_holds_for_the_whole_photo(tmp_path, suffix):
    info = PngImagePlugin.PngInfo()
    info.add_text("exif:GPSLatitude", "52/1, 12/1")
    info.add_text("Title", "A bridge", zip=True)
    info.add_itxt("XML:com.adobe.xmp", (b'<x dc:title="Ada" %s %s</x>' % (PLACES, WHOLE)).decode())
    scene().save(tmp_path / "photo.png", pnginfo=info)
    cut = open_photo(tmp_path / "photo.png").cut(BOX)
    with pytest.warns(PhotoWarning, match="what follows the photo in its file"):
        cut.save(tmp_path / f"crop.{suffix}", strip_location=True)
    data = (tmp_path / f"crop.{suffix}").read_bytes()
    assert b'dc:title="Ada"' in data
    for place in (b"52.12", b"13.99", b"52/1", b"GPano", b"GCamera", b"hdrgm", b"follows", b"face"):
        assert place not in data
    assert suffix != "png" or Image.open(tmp_path / "crop.png").text["Title"] == "A bridge"


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_a_georeference_is_left_out_and_named(tmp_path, suffix):
    import tifffile

    tags = [(33922, 12, 6, (0.0, 0.0, 0.0, 5e5, 46e5, 0.0), True), (42113, 2, 0, "0", True)]
    options = {"photometric": "rgb", "metadata": None, "extratags": tags}
    tifffile.imwrite(tmp_path / "photo.tif", np.asarray(scene()), **options)
    with pytest.warns(PhotoWarning, match="its georeference was left out"):
        open_photo(tmp_path / "photo.tif").cut(BOX).save(tmp_path / f"crop.{suffix}")
    exif = Image.open(tmp_path / f"crop.{suffix}").getexif()
    assert 33922 not in exif
    assert exif[42113] == "0"


@pytest.mark.parametrize("source", ["jpg", "png", "tif", "bmp"])
@pytest.mark.parametrize("out", ["jpg", "png", "tif", "webp", "bmp"])
def test_the_resolution_stays_and_is_turned(tmp_path, source, out):
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {} if source == "bmp" else {"exif": exif}
    scene().save(tmp_path / f"photo.{source}", dpi=(300, 150), **options)
    open_photo(tmp_path / f"photo.{source}").cut(BOX).save(tmp_path / f"crop.{out}")
    expected = (300, 150) if source == "bmp" else (150, 300)
    if out == "webp" and source != "bmp":
        return  # EXIF without a resolution is there already
    assert gathered(tmp_path / f"crop.{out}").dpi == pytest.approx(expected, abs=0.1)
    if source == "bmp" and out == "webp":  # and back
        open_photo(tmp_path / "crop.webp").cut((0, 0, 9, 9)).save(tmp_path / "crop.jpg")
        assert gathered(tmp_path / "crop.jpg").dpi == pytest.approx(expected, abs=0.1)


def test_a_comment_stays(tmp_path):
    assert crop(tmp_path, "jpg", "jpg")[0].info["comment"] == b"by hand"
    assert crop(tmp_path, "jpg", "png")[0].text["Comment"] == "by hand"


def test_the_thumbnail_is_the_crops_and_nothing_of_the_old_one_stays(tmp_path):
    stream = BytesIO()
    Image.new("RGB", (16, 12), "red").save(stream, "JPEG")
    old = stream.getvalue()
    block = exif_bytes().removeprefix(b"Exif\0\0")
    order = "<" if block[:2] == b"II" else ">"
    first = struct.unpack_from(order + "I", block, 4)[0]
    count = struct.unpack_from(order + "H", block, first)[0]
    link = first + 2 + 12 * count
    second = len(block)
    directory = struct.pack(order + "H", 3)
    directory += struct.pack(order + "HHIHH", 0x0112, 3, 1, 6, 0)
    directory += struct.pack(order + "HHII", 0x0201, 4, 1, second + 42)
    directory += struct.pack(order + "HHII", 0x0202, 4, 1, len(old)) + bytes(4)
    block = block[:link] + struct.pack(order + "I", second) + block[link + 4 :] + directory + old
    scene().save(tmp_path / "photo.jpg", exif=b"Exif\0\0" + block)
    open_photo(tmp_path / "photo.jpg").cut(BOX).save(tmp_path / "crop.jpg")
    exif = Image.open(tmp_path / "crop.jpg").getexif()
    thumbnail = exif.get_ifd(ExifTags.IFD.IFD1)
    data = (tmp_path / "crop.jpg").read_bytes()
    assert old not in data
    assert old[20:-20] not in data
    start, length = thumbnail[0x0201], thumbnail[0x0202]
    assert thumbnail[0x0112] == 1
    own = gathered(tmp_path / "crop.jpg")
    small = Image.open(BytesIO(own.exif[start : start + length]))
    assert small.size == (30, 20)
    expected = np.asarray(open_photo(tmp_path / "crop.jpg").rgb()).astype(int)
    assert np.abs(np.asarray(small).astype(int) - expected).mean() < 60  # the crop, not red


@pytest.mark.filterwarnings("ignore::cropnb.errors.PhotoWarning")
@pytest.mark.parametrize("damage", range(8, 120, 7))
def test_damaged_exif_never_costs_the_crop(tmp_path, damage):
    block = bytearray(exif_bytes())
    block[damage : damage + 4] = b"\xff\xfe\xff\xfd"
    scene().save(tmp_path / "photo.jpg", exif=bytes(block))
    open_photo(tmp_path / "photo.jpg").cut(BOX).save(tmp_path / "crop.jpg")
    with Image.open(tmp_path / "crop.jpg") as image:
        image.load()
        assert image.size == (30, 20)


def test_makers_notes_stay_where_they_are(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x927C] = b"MAKER" + bytes(range(200))
    exif[0x0112] = 3
    block = exif.tobytes()
    scene().save(tmp_path / "photo.jpg", exif=block)
    open_photo(tmp_path / "photo.jpg").cut(BOX).save(tmp_path / "crop.jpg")
    own = gathered(tmp_path / "crop.jpg").exif
    assert own.index(b"MAKER") == block.removeprefix(b"Exif\0\0").index(b"MAKER")


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_box_is_in_upright_pixels(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    scene().save(tmp_path / f"photo.{suffix}", exif=exif, **options)
    upright = np.asarray(open_photo(tmp_path / f"photo.{suffix}").rgb())
    cut = open_photo(tmp_path / f"photo.{suffix}").cut((3, 5, 20, 31))
    cut.save(tmp_path / f"crop.{suffix}")
    crop = np.asarray(Image.open(tmp_path / f"crop.{suffix}"))
    np.testing.assert_array_equal(crop, upright[5:31, 3:20])
    np.testing.assert_array_equal(np.asarray(cut.image()), upright[5:31, 3:20])
    assert cut.image().getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_photos_are_turned_alike(tmp_path, orientation):
    import cv2

    array = np.random.default_rng(1).integers(0, 65536, (20, 30, 3), np.uint16)
    _, encoded = cv2.imencode(".png", array)
    exif = Image.Exif()
    exif[0x0112] = orientation
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = b"eXIf" + block
    chunk = struct.pack(">I", len(block)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    data = encoded.tobytes()
    (tmp_path / "photo.png").write_bytes(data[:33] + chunk + data[33:])
    stored = Image.fromarray((array >> 8).astype(np.uint8)[..., ::-1].copy())
    stored.save(tmp_path / "shallow.png", exif=exif)
    shallow = open_photo(tmp_path / "shallow.png")
    deep = open_photo(tmp_path / "photo.png")
    assert deep.size == shallow.size
    box = (2, 3, 15, 18)
    expected = np.asarray(shallow.cut(box).image())
    np.testing.assert_array_equal(deep.cut(box).array() >> 8, expected)
    seen, low = np.asarray(deep.rgb()).astype(int), np.asarray(shallow.rgb()).astype(int)
    assert np.abs(seen - low).max() <= 2


@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_that_pillow_does_not_know_is_turned_and_keeps_what_it_says(tmp_path, big):
    import tifffile

    colours = np.random.default_rng(0).random((40, 60, 3), np.float32)
    tags = [
        (270, 2, 0, "A bridge", True),
        (274, 3, 1, 6, True),
        (700, 1, len(XMP), XMP, True),
        (33723, 7, len(IPTC), IPTC, True),
        (34675, 7, len(PROFILE), PROFILE, True),
    ]
    options = {"photometric": "rgb", "metadata": None, "bigtiff": big, "resolution": (300, 300)}
    tifffile.imwrite(tmp_path / "photo.tif", colours, extratags=tags, **options)
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(tmp_path / "photo.tif")
    photo = open_photo(tmp_path / "photo.tif")
    assert photo.size == (40, 60)
    assert photo.cut(BOX).save(tmp_path / "crop.tif") == []
    crop = tifffile.imread(tmp_path / "crop.tif")
    np.testing.assert_array_equal(crop, np.rot90(colours, -1)[6:26, 4:34])
    with open(tmp_path / "crop.tif", "rb") as stream:
        own, turn = metadata.gather_tiff(stream)
    assert turn == 1
    assert (own.icc, own.iptc, own.dpi) == (PROFILE, IPTC, pytest.approx((300, 300)))
    assert metadata.exif_object(own.exif)[270] == "A bridge"
    assert b'tiff:Orientation="1"' in own.xmp


def test_the_modification_time_stays(tmp_path):
    jpeg_source(tmp_path / "photo.jpg")
    os.utime(tmp_path / "photo.jpg", ns=(10**18, 123456789 * 10**9))
    open_photo(tmp_path / "photo.jpg").cut(BOX).save(tmp_path / "crop.jpg")
    assert (tmp_path / "crop.jpg").stat().st_mtime == 123456789
