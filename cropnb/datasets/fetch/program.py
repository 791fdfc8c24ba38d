"""What the scripts of `data_scripts/` run: `main("gaicd")` for one dataset."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cropnb.datasets.fetch import flickr, install, manifest, status
from cropnb.datasets.fetch.install import Job, Report
from cropnb.datasets.folders import PART_OF, dataset_root
from cropnb.errors import CropnbError


def main(name: str, arguments: Sequence[str] | None = None) -> int:
    """Fetch, verify, unpack, convert and report a dataset. Returns 0, or 2 after an error told in
    one line.
    """
    entry = manifest.entry(name)
    chosen = _parser(entry).parse_args(arguments)
    data = chosen.root.expanduser().resolve() if chosen.root else dataset_root(name).parent
    folder = data / PART_OF.get(name, name)
    if chosen.status:
        others = [other for other in manifest.entries() if other != name]
        for one in [name, *others]:
            print("\n".join(status.describe(one, data / PART_OF.get(one, one))))
        return 0
    job = Job(name, folder, progress=not chosen.quiet, trusted=chosen.trust)
    try:
        if chosen.prepare:
            return _prepare(name, folder, chosen.prepare)
        if name == "fcdb":
            if not chosen.given and not chosen.retry and flickr.is_complete(job):
                report = install.report(job, done=False)
            else:
                report = flickr.obtain(job, chosen.given, chosen.keep, chosen.retry)
        else:
            report = install.obtain(job, chosen.given, chosen.keep)
    except CropnbError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(report_lines(report)))
    return 0


def _parser(entry: manifest.Entry) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python data_scripts/{entry.name}.py",
        description=(
            f"Fetch {entry.title}, verify it, and put it where cropnb reads it. A second run does "
            "nothing."
        ),
        epilog="What to get by hand, where a site wants a person: "
        + "; ".join(f"{source.file}: {source.by_hand}" for source in entry.sources),
    )
    parser.add_argument(
        "--status",
        action="store_true",
        help="say what is there, what is missing and what that blocks",
    )
    parser.add_argument(
        "--from",
        dest="given",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help=(
            "take a file, or an unpacked folder, that you have already; may be given more than once"
        ),
    )
    parser.add_argument(
        "--root", type=Path, help="the folder that holds the datasets (default: $CROPNB_DATA)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the archives after unpacking")
    parser.add_argument(
        "--retry", action="store_true", help="ask again for photos that were gone (FCDB)"
    )
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="SHA256",
        help="accept a file of this hash instead of the manifest's",
    )
    parser.add_argument(
        "--prepare",
        type=int,
        metavar="PIXELS",
        help="make the cache of photos with that shorter side (256)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    return parser


def report_lines(report: Report) -> list[str]:
    """A report as lines."""
    entry = manifest.entry(report.name)
    what = "done" if report.done else "nothing to do"
    photos = f" and {report.photos} photo files" if entry.photo_files else ""
    lines = [
        f"{entry.title}: {what}. {report.annotated} of {entry.published} annotated photos"
        f"{photos} in {report.folder}"
    ]
    lines += [f"  {note}" for note in report.notes]
    lines += [
        f"  {path} doesn't decode ({problem}) and was left out"
        for path, problem in report.damaged.items()
    ]
    return lines


def _prepare(name: str, folder: Path, short_side: int) -> int:
    from cropnb.datasets import prepared

    for split in manifest.entry(name).photos:
        count, size = prepared.prepare(name, split, short_side, root=folder)
        side = f"{short_side} pixels on the shorter side"
        print(f"{name}, {split}: {count} photos prepared with {side}, {size / 1e6:.0f} MB")
    return 0
