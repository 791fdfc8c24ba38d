"""The same from the shell: `cropnb crop photo.jpg --aspect 16:9 --out out.jpg`, or whole folders.

Nothing here imports PyTorch before there is a photo to crop, so `--help`, `--version` and `methods`
answer at once.
"""

import argparse
import warnings

import cropnb
from cropnb.cli import output
from cropnb.errors import CropnbError

KEEPS = (
    "A crop keeps what its photo has: colour profile, depth, transparency, frames, EXIF and other "
    "metadata (turned upright, sizes corrected), the time of the file, and as JPEG the photo's own "
    "quality. As TIFF the frames of an animation become pages; pages become no animation. --strip "
    "and --strip-location leave metadata out, --quality sets the quality."
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, 1 when some of several photos failed, or 2 when it can't be done
    at all.
    """
    output.never_fail()
    try:
        options = _parser().parse_args(arguments)
        with warnings.catch_warnings():
            warnings.showwarning = output.show_warning
            return options.run(options)
    except (CropnbError, OSError) as error:
        output.error(output.reason(error))
        return 2
    except KeyboardInterrupt:
        output.error("stopped")
        return 130
    finally:
        output.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cropnb", description="Crop photos with the methods of the book."
    )
    parser.add_argument("--version", action="version", version=f"cropnb {cropnb.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    crop = commands.add_parser(
        "crop",
        help="crop photos, or folders of photos",
        epilog=KEEPS,
        description="Crop photos, or folders of photos. One photo's failure never ends the others: "
        "it is named with its reason, and the exit status is 1. Where nothing can be done, as with "
        "one photo that can't be read, it is 2.",
    )
    _add_crop_options(crop)
    crop.set_defaults(run=_crop)
    methods = commands.add_parser(
        "methods", help="list the methods: what each is for, and how it does on photographs"
    )
    methods.set_defaults(run=_methods)
    return parser


def _add_crop_options(crop: argparse.ArgumentParser) -> None:
    crop.add_argument(
        "photos", nargs="+", metavar="PHOTO", help="photos or folders; - for standard input"
    )
    crop.add_argument(
        "--method",
        help="which method crops (`cropnb methods` lists them); by default the best on "
        "photographs by the book's ledger",
    )
    shape = crop.add_argument_group("what is cut")
    shape.add_argument("--aspect", help="the required ratio: 16:9, 16/9, 1.91:1 or 1.5")
    shape.add_argument(
        "--size",
        help="such as 1080x1350: crop to this ratio and bring what is larger to this size, "
        "antialiased",
    )
    shape.add_argument(
        "--enlarge", action="store_true", help="enlarge crops that are smaller than --size, too"
    )
    shape.add_argument(
        "-k", type=int, default=1, help="how many crops of a photo, best first (default 1)"
    )
    where = crop.add_argument_group("where it goes")
    where.add_argument(
        "--out",
        help="the crop's file; for several photos, or with a / at the end, the folder of crops; "
        "- for standard output",
    )
    where.add_argument(
        "--recursive", action="store_true", help="folders in folders too; --out gets the same tree"
    )
    exists = where.add_mutually_exclusive_group()
    exists.add_argument(
        "--force", action="store_true", help="replace crops that exist (never the photos)"
    )
    exists.add_argument(
        "--skip-existing", action="store_true", help="leave photos out whose crop exists"
    )
    where.add_argument(
        "--json", action="store_true", help="print the boxes as JSON; then --out may be left out"
    )
    file = crop.add_argument_group("what the file keeps")
    file.add_argument("--quality", type=int, help="of JPEG and WebP, 1 to 100")
    file.add_argument("--strip", action="store_true", help="without metadata; the profile stays")
    file.add_argument("--strip-location", action="store_true", help="without the place (GPS)")
    how = crop.add_argument_group("how")
    how.add_argument(
        "--weights",
        help='a checkpoint of the method, or of its own "photographs" (default) or "scenes"',
    )
    how.add_argument("--device", default="cpu", help="cpu (default), cuda, …")
    how.add_argument("--jobs", type=int, help="photos read and written at a time")
    how.add_argument(
        "--max-pixels",
        "--limit",
        dest="limit",
        type=int,
        metavar="PIXELS",
        help="refuse photos that have more (default 500000000)",
    )


def _crop(options: argparse.Namespace) -> int:
    from cropnb.cli import crop

    return crop.run(options)


def _methods(options: argparse.Namespace) -> int:
    from cropnb import methods

    chosen = methods.default()
    photos = set()
    for name in methods.names():
        output.say(f"{name}{' (default)' if name == chosen else ''}")
        output.say(f"    {methods.purpose(name)}")
        try:
            rows = methods.on_photographs(name)
        except CropnbError as error:
            output.error(output.reason(error))
            rows = []
        for row in rows:
            less = methods.difference(row)
            output.say(
                f"    {row.column} {row.ours:.3f} [{row.low:.3f}, {row.high:.3f}], {row.table}"
                + (f"; less {less.reference}: {less}: {less.verdict}" if less else "")
            )
            photos.add(f"{row.images} photos of {row.dataset}")
    output.say()
    output.say(
        f"Measured on {', '.join(sorted(photos))}: the overlap (IoU) with people's crops, its 95 % "
        "interval, and the difference from a centred window, photo by photo."
        if photos
        else "How they do on photographs stands in the book's ledger, which isn't here."
    )
    output.say(
        "The default has the highest mean of the methods that look at the photo; full, center and "
        "center_window don't."
    )
    return 0
