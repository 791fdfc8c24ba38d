"""The playground, opened from a file in Chromium with the network off: its crops are those of
`cropnb.load`, its files keep what photos say, and it says what it can't do.
"""

import base64
import io
import json
import os
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

import cropnb
from cropnb.methods import METHODS
from cropnb.notebook import METHOD_COLORS

PATIENCE = 120_000  # milliseconds: the machine may be busy with the other tests
# How many photographs are cropped by page and command: twenty take minutes, so ask for them.
USUAL = 3
PHOTOS = int(os.environ.get("CROPNB_PLAYGROUND_PHOTOS") or USUAL)
FIRST_CROP, FURTHER_RATIO = 3.0, 0.1  # seconds of one processor
LARGE_PHOTO = 15.0  # the same, for as many pixels as a telephone's camera gives

pytestmark = pytest.mark.browser

ORIENTATION, CAMERA = 0x0112, 0x0110
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>The playground</title>
<link rel="stylesheet" href="playground.css"><div id="playground"></div>
<script src="manifest.js"></script><script src="playground.js"></script>"""
BRING = """([name, text]) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    (window.files ??= {})[name] ??= new File([bytes], name);
}"""
CROPS = """async ([method, name, shapes, kind]) => {
    const pack = window.cropnbPlayground;
    const photo = (window.photos ??= {})[name] ??= await pack.openPhoto(window.files[name]);
    const loaded = await pack.loadMethod(method, () => {}, kind);
    const answers = [];
    for (const shape of shapes) {
        const { ratio } = pack.parseShape(shape);
        const crops = await pack.bestCrops(loaded, photo, ratio, 2);
        answers.push(crops.map(({ box, pixels, score }) => ({ box: [...box], pixels, score })));
    }
    return answers;
}"""
LOAD = "([method, kind]) => cropnbPlayground.loadMethod(method, () => {}, kind).then(() => 0)"
SHAPES = ["", "16:9", "4:5"]


@cache
def photos() -> dict[str, bytes]:
    """Files of photographs: one as it is, one that is large, so that it is made smaller twice, one
    that a camera held upright, whose file says so, and as many more as `PHOTOS` asks for.
    """
    from skimage import data

    chelsea, coffee = Image.fromarray(data.chelsea()), Image.fromarray(data.coffee())
    turned = Image.Exif()
    turned[ORIENTATION], turned[CAMERA] = 6, "a camera"
    files = {}
    for name, picture, options in (
        ("chelsea.png", chelsea, {}),
        ("large.png", coffee.resize((1860, 1240), Image.Resampling.LANCZOS), {"compress_level": 1}),
        ("upright.jpg", coffee, {"exif": turned.tobytes(), "quality": 95}),
    ):
        stream = io.BytesIO()
        picture.save(stream, "JPEG" if name.endswith("jpg") else "PNG", **options)
        files[name] = stream.getvalue()
    return files | dict(islice(_further(), PHOTOS - len(files)))


def _further() -> Iterator[tuple[str, bytes]]:
    """Files of real photos where they are, then parts of scikit-image's."""
    from skimage import data

    folder = Path(os.environ.get("CROPNB_DATA", "missing")) / "fcdb/photos"
    for path in sorted(folder.glob("*.jpg"))[:17]:
        yield path.name, path.read_bytes()
    for number, share in enumerate((1.0, 0.9, 0.75, 0.6)):
        for picture in (data.astronaut(), data.rocket(), data.chelsea(), data.coffee()):
            height, width = (round(share * side) for side in picture.shape[:2])
            stream = io.BytesIO()
            Image.fromarray(picture[-height:, :width]).save(stream, "PNG", compress_level=1)
            yield f"part-{number}-{width}.png", stream.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the playground and the networks of all methods: those that `make book` left,
    where they are up to date.
    """
    import playground_files
    from vendor import EXTRA, vendor

    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if shared.name.startswith("popen-gw") else shared
    extra = shared / "extra"
    target = extra / playground_files.FOLDER
    with FileLock(shared / "playground.lock"):
        if not (target / "page.html").is_file():
            source = vendor() / playground_files.FOLDER
            (target / "models").mkdir(parents=True)
            for runtime in playground_files.RUNTIMES:
                os.symlink(source / runtime, target / runtime)
            built = playground_files.manifest(EXTRA)["models"]
            for method in METHODS:
                if method in built:
                    os.symlink(source / "models" / method, target / "models" / method)
                else:
                    _export(method, extra)
            playground_files.assemble(extra)
            (target / "page.html").write_text(PAGE)
    return target


def _export(method: str, extra: Path) -> None:
    import export_onnx

    export_onnx.pack_method(method, extra)


@pytest.fixture(scope="module")
def page(browser: object, folder: Path) -> Iterator:
    """The playground, and nothing may go wrong in it or leave it while the tests run."""
    opened = browser.new_page(viewport={"width": 1280, "height": 1000})
    opened.set_default_timeout(PATIENCE)
    problems: list[str] = []
    opened.on("console", lambda m: m.type == "error" and problems.append(m.text))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on(
        "request",
        lambda r: r.url.startswith(("file:", "blob:", "data:")) or problems.append(r.url),
    )
    opened.goto((folder / "page.html").as_uri())
    for name, content in photos().items():
        opened.evaluate(BRING, [name, base64.b64encode(content).decode()])
    yield opened
    assert not problems
    opened.close()


class Stopwatch:
    """Counts what a page computes: other programs on the machine don't count."""

    def __init__(self, page: object) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self._last = self._total()

    def _total(self) -> float:
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    def lap(self) -> float:
        """Seconds since the last lap."""
        last, self._last = self._last, self._total()
        return self._last - last


@pytest.mark.parametrize("method", METHODS)
def test_crops_are_those_of_the_command(page: object, method: str) -> None:
    """And the first comes quickly, once the network is there."""
    cropper = cropnb.load(method)
    page.evaluate(LOAD, [method, "runtime"])
    stopwatch = Stopwatch(page)
    for number, (name, content) in enumerate(photos().items()):
        stopwatch.lap()
        answers = page.evaluate(CROPS, [method, name, SHAPES[:1], "runtime"])
        first = stopwatch.lap()
        assert number or first < FIRST_CROP
        answers += page.evaluate(CROPS, [method, name, SHAPES[1:], "runtime"])
        if method == "mars":
            assert stopwatch.lap() < FURTHER_RATIO * (len(SHAPES) - 1)
        for shape, crops in zip(SHAPES, answers, strict=True):
            ours = cropper(content, aspect=shape or None)[0]
            pixel = min(ours.photo_size) / 256  # of what the networks see
            off = [abs(a - b) for a, b in zip(crops[0]["box"], ours.box.tolist(), strict=True)]
            assert max(off) <= pixel, f"{name}, {shape or 'any ratio'}"
            if max(off) == 0:
                assert crops[0]["pixels"] == list(ours.pixels)
            if ours.score is not None:
                assert abs(crops[0]["score"] - ours.score) < 0.02 * max(1, abs(ours.score))


# A graphics card that is a program, and slow: only where more photos are asked for, it crops one.
# Half of LA2C it can't compute, and leaves to the processor.
CARD = [
    "--no-sandbox",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
]


@pytest.mark.parametrize("method", METHODS if PHOTOS > USUAL else ["la2c"])
def test_a_graphics_card_gives_the_same_crops(
    browser: object, chromium: str, folder: Path, method: str
) -> None:
    with browser.browser_type.launch(executable_path=chromium, args=CARD) as running:
        page = running.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto((folder / "page.html").as_uri())
        page.get_by_label("compute on the graphics card").wait_for()
        page.evaluate(LOAD, [method, "gpu"])
        if PHOTOS <= USUAL:
            return
        text = base64.b64encode(photos()["chelsea.png"]).decode()
        page.evaluate(BRING, ["chelsea.png", text])
        plain, card = (
            page.evaluate(CROPS, [method, "chelsea.png", SHAPES, kind])
            for kind in ("runtime", "gpu")
        )
        pixel = 300 / 256  # of what the networks see
        for one, other in zip(plain, card, strict=True):
            pairs = zip(one[0]["box"], other[0]["box"], strict=True)
            assert max(abs(a - b) for a, b in pairs) <= pixel


def _choose(page: object, name: str, content: bytes, tmp_path: Path) -> None:
    """With the keyboard, as a file chooser comes from a button."""
    (tmp_path / name).write_bytes(content)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a photo").press("Enter")
    chooser.value.set_files(tmp_path / name)


def _rgb(color: str) -> str:
    """As a browser tells a colour `#rrggbb`."""
    return f"rgb({', '.join(str(part) for part in bytes.fromhex(color[1:]))})"


def test_a_reader_crops_a_photo(page: object, tmp_path: Path) -> None:
    status = page.get_by_role("status")
    page.get_by_label("Method").select_option("vrn")
    _choose(page, "upright.jpg", photos()["upright.jpg"], tmp_path)
    status.filter(has_text="Best crops. vrn").wait_for()
    assert page.locator(".playground-lists li").count() == 5

    page.get_by_label("Compare with").select_option("la2c")
    status.filter(has_text="la2c:").wait_for()
    assert page.locator(".playground-previews canvas").evaluate_all(
        "canvases => canvases.map(canvas => canvas.style.borderColor)"
    ) == [_rgb(METHOD_COLORS[name]) for name in ("vrn", "la2c")]
    steps = page.locator("input[data-name=step]")
    steps.focus()
    page.keyboard.press("ArrowLeft")
    assert "probability" in page.locator(".cropnb-steps").inner_text()

    own = page.locator("output[data-name=own]")
    before = own.get_attribute("data-value")
    page.locator(".cropnb-box").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "before => document.querySelector('output[data-name=own]').dataset.value !== before",
        arg=before,
    )
    assert "la2c scores no boxes" in page.locator(".cropnb-readouts").inner_text()

    page.get_by_label("Ratio or size").select_option("4:5")
    page.wait_for_function(
        """() => {
            const [left, top, right, bottom] =
                cropnbPlayground.playground.results.first.crops[0].pixels;
            return (right - left) * 5 === (bottom - top) * 4;
        }"""
    )
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download the crop").click()
    with Image.open(waiting.value.path()) as crop:
        wide, high = crop.size
        exif = crop.getexif()
        assert (exif[ORIENTATION], exif[CAMERA]) == (1, "a camera")
        # the photo's own pixels, upright
        left, top, right, bottom = page.evaluate(
            "cropnbPlayground.playground.results.first.crops[0].pixels"
        )
        assert (wide, high) == (right - left, bottom - top)
        assert wide * 5 == high * 4
        with Image.open(io.BytesIO(photos()["upright.jpg"])) as photo:
            upright = photo.transpose(Image.Transpose.ROTATE_270)
        expected = upright.crop((left, top, right, bottom)).resize((8, 8))
        pairs = zip(crop.convert("RGB").resize((8, 8)).tobytes(), expected.tobytes(), strict=True)
        assert max(abs(one - other) for one, other in pairs) < 6

    with page.expect_download() as waiting:
        page.get_by_role("button", name="Boxes as JSON").click()
    content = json.loads(Path(waiting.value.path()).read_text())
    assert content["photo"] == {"name": "upright.jpg", "width": 400, "height": 600}
    assert set(content["methods"]) == {"vrn", "la2c"}
    assert len(content["methods"]["vrn"]) == 5


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jpg", b"", "is empty"),
        ("text.jpg", b"no photo at all", "no photo that this browser can read"),
        ("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "can't read HEIC"),
        (
            "huge.png",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (90_000).to_bytes(4, "big") * 2 + b"\x08\x02" * 8,
            "more than the 200 million",
        ),
    ],
)
def test_what_is_no_photo_is_refused(
    page: object, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    _choose(page, name, content, tmp_path)
    page.get_by_role("alert").filter(has_text=message).wait_for()


@cache
def odd_photos() -> dict[str, bytes]:
    """Files that a page may meet: turned by their camera, of other colours or depths, transparent,
    moving, of one colour, long and thin.
    """
    from skimage import data

    coffee, chelsea = Image.fromarray(data.coffee()), Image.fromarray(data.chelsea())
    upside_down = Image.Exif()
    upside_down[ORIENTATION] = 3
    half = chelsea.convert("RGBA")
    half.putalpha(Image.linear_gradient("L").resize(chelsea.size).point(lambda a: 255 * (a > 80)))
    deep = Image.fromarray(np.asarray(coffee.convert("L")).astype(np.uint16) * 257)
    moving = [chelsea.resize((300, 200)).rotate(angle) for angle in (0, 180)]
    files = {}
    for name, picture, options in (
        ("upside-down.jpg", coffee, {"exif": upside_down.tobytes()}),
        ("print.jpg", coffee.convert("CMYK"), {"quality": 95}),
        ("deep.png", deep, {}),
        ("transparent.png", half, {}),
        ("moving.gif", moving[0], {"save_all": True, "append_images": moving[1:], "loop": 0}),
        ("grey.png", Image.new("RGB", (400, 300), (90, 90, 90)), {}),
        (f"strip{'-and-on' * 20}.png", coffee.resize((3000, 90)), {}),
    ):
        stream = io.BytesIO()
        picture.save(stream, {"jpg": "JPEG"}.get(name[-3:], name[-3:].upper()), **options)
        files[name] = stream.getvalue()
    return files


@pytest.fixture
def phone(page: object) -> Iterator:
    """The playground as narrow as a telephone."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_label("Compare with").select_option("")
    page.get_by_label("Method").select_option("mars")
    page.get_by_label("Ratio or size").select_option("")
    yield page
    page.set_viewport_size({"width": 1280, "height": 1000})


@pytest.mark.parametrize("name", odd_photos())
def test_an_odd_photo_is_cropped_on_a_telephone(phone: object, tmp_path: Path, name: str) -> None:
    content = odd_photos()[name]
    status = phone.locator(".playground-status")
    _choose(phone, name[:40], content, tmp_path)
    expect = cropnb.load("mars")(content)[0]
    left, top, right, bottom = expect.pixels
    status.filter(has_text=f"mars: {right - left} × {bottom - top} pixels from {left},").wait_for()
    assert not phone.get_by_role("alert").is_visible()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_one_pixel_is_no_photo(phone: object, tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (1, 1)).save(stream, "PNG")
    _choose(phone, "pixel.png", stream.getvalue(), tmp_path)
    phone.get_by_role("alert").filter(has_text="each side needs 16 pixels").wait_for()


def test_a_telephone_s_photo_takes_seconds(page: object) -> None:
    """48 million pixels are made smaller in the page, once a photo."""
    stream = io.BytesIO()
    with Image.open(io.BytesIO(photos()["chelsea.png"])) as photo:
        photo.resize((8000, 6000)).save(stream, "JPEG")
    page.evaluate(BRING, ["telephone.jpg", base64.b64encode(stream.getvalue()).decode()])
    page.evaluate(LOAD, ["mars", "runtime"])
    stopwatch = Stopwatch(page)
    stopwatch.lap()
    page.evaluate(CROPS, ["mars", "telephone.jpg", SHAPES[:1], "runtime"])
    assert stopwatch.lap() < LARGE_PHOTO


def test_the_photo_chosen_last_stays(page: object) -> None:
    """Although an earlier, larger one is decoded later."""
    shown = page.evaluate(
        """async () => {
            const { playground } = cropnbPlayground;
            const names = ["large.png", "chelsea.png"];
            await Promise.all(names.map((name) => playground.take(window.files[name])));
            return playground.photo.name;
        }"""
    )
    assert shown == "chelsea.png"


def test_the_page_may_be_drawn_anew_while_a_photo_comes(page: object) -> None:
    """As it is when the window changes its size between choosing a photo and seeing it."""
    drawn = page.evaluate(
        """async () => {
            const { playground } = cropnbPlayground;
            await playground.take(window.files["upright.jpg"]);
            const { convertToBlob } = OffscreenCanvas.prototype;
            let drawn = 0;
            OffscreenCanvas.prototype.convertToBlob = async function (...options) {
                playground.redraw();
                drawn += 1;
                return convertToBlob.apply(this, options);
            };
            await playground.take(window.files["chelsea.png"]);
            OffscreenCanvas.prototype.convertToBlob = convertToBlob;
            return drawn;
        }"""
    )
    assert drawn == 1
    assert not page.get_by_role("alert").is_visible()


def test_a_late_answer_is_not_about_the_next_photo(page: object) -> None:
    """The answer on one photo comes while the picture of the next is made."""
    mixed, shown = page.evaluate(
        """async () => {
            const { playground } = cropnbPlayground;
            await playground.take(window.files["chelsea.png"]);
            const { setTimeout } = window;
            const { convertToBlob } = OffscreenCanvas.prototype;
            const held = [];
            window.setTimeout = (call) => held.push(call); // the answer waits …
            const late = playground.ask();
            let mixed = null;
            OffscreenCanvas.prototype.convertToBlob = async function (...options) {
                window.setTimeout = setTimeout;
                const before = playground.results;
                for (const call of held) call(); // … until now
                await late;
                mixed = playground.photo.name !== "chelsea.png" && playground.results !== before;
                return convertToBlob.apply(this, options);
            };
            await playground.take(window.files["upright.jpg"]);
            OffscreenCanvas.prototype.convertToBlob = convertToBlob;
            return [held.length === 1 && mixed, playground.photo.name];
        }"""
    )
    assert mixed is False
    assert shown == "upright.jpg"
    assert not page.get_by_role("alert").is_visible()


def test_a_copy_without_networks_says_so(browser: object, tmp_path: Path) -> None:
    import playground_files

    target = playground_files.assemble(tmp_path)
    (target / "page.html").write_text(PAGE)
    opened = browser.new_page()
    opened.set_default_timeout(PATIENCE)
    opened.goto((target / "page.html").as_uri())
    assert "make book" in opened.locator("#playground").inner_text()
    assert opened.locator("#playground button").count() == 0
    opened.close()


def test_runtime_and_one_method_are_small(folder: Path) -> None:
    sizes = {
        name: sum(path.stat().st_size for path in (folder / name).glob("*.js"))
        for name in ("runtime", "gpu", *(f"models/{method}" for method in METHODS))
    }
    largest = max(sizes[f"models/{method}"] for method in METHODS)
    assert max(sizes["runtime"], sizes["gpu"]) + largest < 25_000_000
