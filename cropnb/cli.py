"""The same from the shell: `cropnb crop photo.jpg --method vrn --aspect 16:9 --out out.jpg`, or a
folder of photos.
"""

import argparse
import json
import os
import sys
import warnings
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cropnb.errors import BoxError, CropnbError, ImageError

if TYPE_CHECKING:
    from cropnb.croppers import Crop, Cropper

WRITABLE = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
READABLE = {*WRITABLE, ".gif", ".avif", ".jp2"}
OPTIONS = {"JPEG": {"quality": 95}, "WEBP": {"quality": 95}}


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, 1 when some photos of a folder failed, or 2 when it can't be done
    at all.
    """
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            return options.run(options)
        except (CropnbError, OSError) as error:
            print(f"cropnb: {_one_line(error)}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("cropnb: stopped", file=sys.stderr)
            return 130


def parse_aspect(text: str) -> float:
    """Width / height from "16:9", "16/9" or "1.5".

    Raises:
        BoxError: for anything else.
    """
    sides = text.replace("/", ":").split(":")
    try:
        width, height = map(Fraction, sides if len(sides) == 2 else [*sides, 1])
        if width > 0 and height > 0:
            return float(width / height)
    except (ValueError, OverflowError):
        pass
    raise BoxError(f"the aspect ratio {text!r} isn't one: write it as 16:9, 16/9 or 1.5")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cropnb", description="Crop photos with the methods of the book."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    crop = commands.add_parser("crop", help="crop a photo, or a folder of photos")
    crop.add_argument("photo", type=Path, help="a photo, or a folder of photos")
    crop.add_argument(
        "--method",
        required=True,
        help="which method crops, such as vrn (`cropnb methods` lists them)",
    )
    crop.add_argument("--aspect", help="the required ratio: 16:9, 16/9 or 1.5")
    crop.add_argument(
        "--out", type=Path, help="the crop's file, or for a folder of photos the folder of crops"
    )
    crop.add_argument(
        "-k", type=int, default=1, help="how many crops of a photo, best first (default 1)"
    )
    crop.add_argument("--weights", type=Path, help="a checkpoint of the method, instead of its own")
    crop.add_argument("--device", default="cpu", help="cpu (default), cuda, …")
    crop.add_argument(
        "--json", action="store_true", help="print the boxes as JSON; then --out may be left out"
    )
    crop.set_defaults(run=_crop)
    commands.add_parser("methods", help="list the methods").set_defaults(run=_methods)
    return parser


def _methods(options: argparse.Namespace) -> int:
    from cropnb import croppers

    print("\n".join(croppers.names()))
    return 0


def _crop(options: argparse.Namespace) -> int:
    from cropnb import croppers  # not at the top: torch takes seconds, and --help shouldn't

    if options.out is None and not options.json:
        raise CropnbError("say where the crop goes with --out, or ask for its box with --json")
    if not options.photo.exists():
        raise ImageError(f"there is no photo or folder {options.photo}; check the path")
    options.aspect = None if options.aspect is None else parse_aspect(options.aspect)
    if options.photo.is_dir():
        photos = _photos_of(options.photo, options.out)
        return _crop_folder(
            croppers.load(options.method, options.weights, options.device), photos, options
        )
    out = options.out
    if out is not None:
        out = out / _crop_name(options.photo) if out.is_dir() else out
        _format(out)
    record = _crop_one(
        croppers.load(options.method, options.weights, options.device), options.photo, out, options
    )
    if options.json:
        print(json.dumps(record, indent=2))
    return 0


def _photos_of(folder: Path, out: Path | None) -> list[Path]:
    if out is not None and out.exists() and not out.is_dir():
        raise CropnbError(
            f"--out {out} is a file, but {folder} is a folder of photos; give a folder"
        )
    if out is not None and out.resolve() == folder.resolve():
        raise CropnbError(
            "--out is the folder of the photos themselves, which are never overwritten; give "
            "another"
        )
    photos = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in READABLE and path.is_file()
    )
    if not photos:
        raise ImageError(f"{folder} holds no photo ({', '.join(sorted(READABLE))})")
    return photos


def _crop_folder(cropper: "Cropper", photos: list[Path], options: argparse.Namespace) -> int:
    from tqdm import tqdm

    records, failed = [], 0
    for photo in tqdm(photos, desc=cropper.name, unit="photo", file=sys.stderr):
        try:
            out = options.out / _crop_name(photo) if options.out is not None else None
            records.append(_crop_one(cropper, photo, out, options))
        except (ImageError, BoxError) as error:
            failed += 1
            tqdm.write(f"cropnb: {photo.name} skipped: {_one_line(error)}", file=sys.stderr)
    if options.json:
        print(json.dumps(records, indent=2))
    if failed:
        print(f"cropnb: {failed} of {len(photos)} photos skipped", file=sys.stderr)
    return 1 if failed else 0


def _crop_one(
    cropper: "Cropper", photo: Path, out: Path | None, options: argparse.Namespace
) -> dict[str, Any]:
    crops = cropper(photo, k=options.k, aspect=options.aspect)
    files = [] if out is None else _files(out, len(crops), options.k)
    for crop, file in zip(crops, files, strict=False):
        _save(crop, file, photo)
        if not options.json and not options.photo.is_dir():
            print(f"{file}: {crop}")
    boxes = [
        {"box": [round(value, 2) for value in crop.box.tolist()], "score": crop.score}
        for crop in crops
    ]
    for box, file in zip(boxes, files, strict=False):
        box["file"] = str(file)
    width, height = crops[0].photo.size if crops else (None, None)
    return {
        "photo": str(photo),
        "width": width,
        "height": height,
        "method": cropper.name,
        "crops": boxes,
    }


def _files(out: Path, count: int, k: int) -> list[Path]:
    """out.jpg for one crop; out-1.jpg, out-2.jpg … when several were asked for."""
    return (
        [out]
        if k == 1
        else [out.with_name(f"{out.stem}-{number}{out.suffix}") for number in range(1, count + 1)]
    )


def _crop_name(photo: Path) -> str:
    return photo.name if photo.suffix.lower() in WRITABLE else f"{photo.name}.png"


def _format(file: Path) -> str:
    try:
        return WRITABLE[file.suffix.lower()]
    except KeyError:
        raise CropnbError(
            f"the crop can't be written as {file.name}; use one of {', '.join(WRITABLE)}"
        ) from None


def _save(crop: "Crop", file: Path, photo: Path) -> None:
    """Write a crop whole or not at all. Its pixels are upright, so no EXIF goes with it; the colour
    profile does.
    """
    if file.exists() and os.path.samefile(file, photo):
        raise CropnbError(
            f"{file} is the photo itself, which is never overwritten; give another --out"
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    form, image = _format(file), crop.image()
    part = file.with_name(f".{file.name}.part")
    try:
        image.save(part, form, icc_profile=image.info.get("icc_profile"), **OPTIONS.get(form, {}))
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"cropnb: warning: {' '.join(str(message).split())}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
