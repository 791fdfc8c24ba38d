"""`cropnb crop`: the plan, the cropper, the files."""

import argparse
import io
import json
import sys
from typing import TYPE_CHECKING, Any

from cropnb import ratios
from cropnb.cli import output, plan
from cropnb.cli.plan import Job, Plan
from cropnb.errors import CropnbError, ImageError

if TYPE_CHECKING:
    from cropnb.croppers import Crop

LARGEST_INPUT = 2**31  # bytes of standard input
ENDINGS = {"JPEG": ".jpg", "WEBP": ".webp", "TIFF": ".tif", "GIF": ".gif", "BMP": ".bmp"}


def run(options: argparse.Namespace) -> int:
    """Crop what was asked for; the exit status is 1 when some of several photos failed.

    Raises:
        CropnbError: options that don't fit together, no weights, or a single photo that failed.
    """
    _check(options)
    todo = plan.make(options.photos, options.out, recursive=options.recursive)
    source = None
    if todo.jobs and todo.jobs[0].photo is None:
        source = _standard_input()
    from cropnb import croppers, photos  # not before the names are checked: torch takes seconds

    request = croppers.Request.of(
        options.k, options.aspect, options.size, options.enlarge, options.limit
    )
    if source is not None:
        source = photos.open_photo(source, limit=request.limit)
        todo.jobs = [_with_ending(todo.jobs[0], source.format)]
    plan.settle(todo, options.k, force=options.force, skip_existing=options.skip_existing)
    if not todo.several and todo.failed:
        raise CropnbError(todo.failed[0][1])
    cropper = croppers.load(options.method, options.weights, options.device)

    def finish(place: int, crops: list["Crop"]) -> dict[str, Any]:
        return _finish(todo.jobs[place], crops, cropper.name, options, todo)

    sources = [source] if source is not None else [job.photo for job in todo.jobs]
    results = cropper.stream(sources, request, finish, options.jobs)
    if todo.several:
        return _several(todo, results, cropper.name, options)
    for result in results:
        if isinstance(result, Exception):
            raise (
                result
                if isinstance(result, (CropnbError, OSError))
                else CropnbError(_named(todo.jobs[0].name, result))
            )
        if options.json:
            output.say(json.dumps(result, indent=2))
        elif not todo.to_stdout:
            for crop in result["crops"]:
                line = f"{output.one_line(crop['file'])}: {_what(result, crop)}"
                there = "; a file of this name was there, and stays" * ("skipped" in crop)
                output.say(line + there)
    return 0


def _check(options: argparse.Namespace) -> None:
    """What needs no photo, before PyTorch is loaded."""
    if options.out is None and not options.json:
        raise CropnbError("say where the crop goes with --out, or ask for its box with --json")
    if options.out == plan.STANDARD:
        if options.json:
            raise CropnbError("standard output takes the crop or the JSON; give --out a file")
        if options.k != 1:
            raise CropnbError("standard output takes one crop; leave -k out")
        if sys.stdout.isatty():
            raise CropnbError("standard output is a terminal; send it to a file or a program")
    if options.quality is not None and not 1 <= options.quality <= 100:
        raise CropnbError(f"--quality is 1 to 100, not {options.quality}")
    if options.jobs is not None and not 1 <= options.jobs <= 1000:
        raise CropnbError(f"--jobs is a number of photos, 1 to 1000, not {options.jobs}")
    if options.limit is not None and options.limit < 1:
        raise CropnbError(f"--max-pixels is a number of pixels from 1, not {options.limit}")
    if options.k < 1:
        raise CropnbError(f"-k is a whole number from 1, not {options.k}")
    if options.aspect is not None:
        ratios.parse_ratio(options.aspect)
    if options.size is not None:
        ratios.parse_size(options.size)
    elif options.enlarge:
        raise CropnbError("--enlarge says what to do about --size; give one")


def _standard_input() -> bytes:
    content = sys.stdin.buffer.read(LARGEST_INPUT + 1)
    if not content:
        raise ImageError("standard input is empty; send a photo into it")
    if len(content) > LARGEST_INPUT:
        raise ImageError("standard input is larger than any photo that can be read")
    return content


def _with_ending(job: Job, form: str | None) -> Job:
    """Standard input has a format and no name: into a folder it goes as `stdin.jpg`."""
    if job.out is None or job.out.name != "stdin":
        return job
    return Job(None, job.out.with_name(f"stdin{ENDINGS.get(form, '.png')}"))


def _finish(
    job: Job, crops: list["Crop"], method: str, options: argparse.Namespace, todo: Plan
) -> dict[str, Any]:
    """Write a photo's crops, and say what was done."""
    files = job.files(len(crops), options.k)
    keep = {
        "quality": options.quality,
        "strip": options.strip,
        "strip_location": options.strip_location,
    }
    todo.check(files)
    if todo.to_stdout:
        content = io.BytesIO()
        crops[0].save(content, **keep)
        output.write(content.getvalue())
    untouched = set()
    # The first one last: where it is, all are.
    for crop, file in reversed(list(zip(crops, files, strict=False))):
        if options.skip_existing and file.is_file():  # of a run that was stopped, most likely
            untouched.add(file)
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        crop.save(file, overwrite=options.force, **keep)
    boxes = [
        {
            "box": [round(value, 2) for value in crop.box.tolist()],
            "pixels": list(crop.pixels),
            "score": crop.score,
        }
        for crop in crops
    ]
    for box, file in zip(boxes, files, strict=False):
        box["file"] = str(file)
        if file in untouched:
            box["skipped"] = True
    width, height = crops[0].photo_size if crops else (None, None)
    return {
        "photo": "-" if job.photo is None else str(job.photo),
        "width": width,
        "height": height,
        "method": method,
        "crops": boxes,
    }


def _several(todo: Plan, results: Any, method: str, options: argparse.Namespace) -> int:
    from tqdm import tqdm

    number = len(todo.jobs) + len(todo.failed) + todo.there
    for name, reason in todo.failed:
        output.error(f"{_prefixed(name, output.one_line(reason))}")
    records = []
    bar = tqdm(results, total=len(todo.jobs), desc=method, unit="photo", file=sys.stderr)
    for job, result in zip(todo.jobs, bar, strict=True):
        if isinstance(result, Exception):
            line = _named(job.name, result)
            todo.failed.append((job.name, line))
            output.error(line)
            continue
        records.append(result)
    if options.json:
        output.say(json.dumps(records, indent=2))
    if todo.there:
        output.error(f"{todo.there} of {number} photos have their crop already")
    if todo.no_photos:
        output.error(plan.no_photo_line(todo.no_photos))
    if todo.failed:
        output.error(f"{len(todo.failed)} of {number} photos failed")
    return 1 if todo.failed else 0


def _named(name: str, error: Exception) -> str:
    return _prefixed(name, output.reason(error))


def _prefixed(name: str, reason: str) -> str:
    """A reason that names its photo."""
    shown = output.one_line(name)
    return reason if shown in reason else f"{shown}: {reason}"


def _what(record: dict[str, Any], crop: dict[str, Any]) -> str:
    score = "no score" if crop["score"] is None else f"score {crop['score']:.4g}"
    return f"{crop['pixels']} of {record['width']} × {record['height']}, {score}"
