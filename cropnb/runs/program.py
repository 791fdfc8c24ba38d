"""The program of every method: `python -m cropnb.vrn --profile cpu`, and so on."""

import argparse
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from cropnb import checkpoints, ledger
from cropnb.croppers import choose_sharpness, load, weights_path
from cropnb.datasets import taught
from cropnb.datasets.base import CropDataset
from cropnb.errors import CropnbError, DatasetMissing, WeightsUnavailable
from cropnb.runs import plan, record, validation, waiting
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name, torch_device
from cropnb.runs.experiment import STARTS, WEIGHTS_FILE, Experiment
from cropnb.runs.method import Method
from cropnb.runs.results import Result


def at_least_one(text: str) -> int:
    """A whole number from 1, as an option's type."""
    return _whole(text, 1)


def _from_zero(text: str) -> int:
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"{text} is no whole number from {least}")
    return number


def parser(name: str, description: str | None = None) -> argparse.ArgumentParser:
    """The options that every measuring program has."""
    options = argparse.ArgumentParser(prog=f"python -m cropnb.{name}", description=description)
    options.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options.add_argument(
        "--threads",
        type=at_least_one,
        help="CPU threads; a CPU run repeats bit by bit with the same number",
    )
    options.add_argument("--record", action="store_true", help="write the rows into the ledger")
    options.add_argument(
        "--dry-run", action="store_true", help="read the data, say what there is, and stop"
    )
    return options


def describe(parts: Iterable[CropDataset]) -> None:
    """Say how many photos there are, and read the first of each part.

    Raises:
        DatasetMissing: a part has no photo on this disk.
    """
    for part in parts:
        if not len(part):
            raise DatasetMissing(f"{part.name}, {part.split}: none of its photos is on this disk")
        width, height = part[0].photo().size
        print(f"{part.name}, {part.split}: {len(part)} photos; the first has {width} × {height}")


def run(
    main: Callable[[argparse.Namespace, list[str]], int],
    options: argparse.ArgumentParser,
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse, set the threads and call `main(chosen, arguments)`.

    Returns:
        The exit status: 2 after a typed error or one of the operating system, which is printed in
        one line; a device that isn't there is such an error.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    chosen = options.parse_args(arguments)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    try:
        if getattr(chosen, "device", None):
            torch_device(chosen.device)
        return main(chosen, arguments)
    except (CropnbError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def study(
    measure: Callable[[argparse.Namespace, Context], Iterable[Sequence[ledger.Row]]],
    options: argparse.ArgumentParser,
    context: Context,
    arguments: Sequence[str] | None = None,
    photos: Callable[[argparse.Namespace], Iterable[CropDataset]] = lambda chosen: (),
) -> int:
    """A program that measures without training: it prints its rows, and records them as they come,
    so that one that is killed keeps what it has.

    Args:
        measure: called with the options and the context of this call; yields groups of rows.
        options: as `parser` makes them; `--record` is among them.
        context: of the rows; the arguments are filled in.
        photos: what would be read, for `--dry-run`.

    Returns:
        The exit status.
    """

    def start(chosen: argparse.Namespace, given: list[str]) -> int:
        if chosen.dry_run:
            describe(photos(chosen))
            return 0
        here = replace(context, arguments=repeatable(given))
        for rows in measure(chosen, here):
            for row in rows:
                print(row_line(row), flush=True)
            if chosen.record:
                ledger.record(context.method, rows)
        if chosen.record:
            waiting.settle(context.method, here.command)
        return 0

    return run(start, options, arguments)


def row_line(row: ledger.Row) -> str:
    """A row for a log."""
    value = row.verdict if row.ours is None else f"{row.ours:.4g}"
    span = "" if row.low is None else f" [{row.low:.4g}, {row.high:.4g}]"
    note = f"  {row.note}" if row.note else ""
    return f"{row.dataset} · {row.table} · {row.row} · {row.column}: {value}{span}{note}"


def main(method: Method, arguments: Sequence[str] | None = None) -> int:
    """Run every variant with every seed; a finished run is read, not repeated.

    Returns:
        The exit status.
    """
    options = parser(method.name, sys.modules[type(method).__module__].__doc__)
    experiment_options(options, method)
    options.add_argument(
        "--finished", action="store_true", help="train nothing, read the runs that are finished"
    )
    options.add_argument(
        "--ship",
        action="store_true",
        help="the first run's weights ship: those for scenes, or for photographs if it saw any",
    )
    method.add_options(options)

    def start(chosen: argparse.Namespace, given: list[str]) -> int:
        experiment, variants = chosen_experiment(method, chosen)
        if chosen.dry_run:
            describe(experiment.parts.values())
            for variant in variants:
                print(f"{variant}: seeds {', '.join(map(str, chosen.seeds))}")
            return 0
        results = measure(experiment, variants, chosen.seeds, chosen.finished)
        if chosen.ship:
            ship(experiment, variants[0], chosen.seeds[0], results[variants[0]][0])
        if chosen.record:
            rows = record.rows(context(experiment, results, given), experiment, results)
            rows = record.without_fewer_seeds(rows, method.name)
            ledger.record(method.name, rows)
            # After them, so that what was measured just now waits no longer.
            waiting.record(method.name)
            validation.write(method.name, validation.of_runs(results.values()))
            print(f"recorded {len(rows)} rows in {ledger.folder() / (method.name + '.json')}")
        return 0

    return run(start, options, arguments)


def experiment_options(options: argparse.ArgumentParser, method: Method) -> None:
    """The options that name an experiment, its variants and seeds."""
    names = [*method.groups, *method.variants]
    options.add_argument("--profile", choices=list(method.profiles), default="smoke")
    options.add_argument(
        "--dataset", default=ledger.SCENES, help="scenes, one on this disk, or scenes+one"
    )
    if len(method.forms) > 1:
        options.add_argument("--form", choices=method.forms, help="the form that scenes have")
    options.add_argument(
        "--variants",
        nargs="+",
        choices=names,
        default=[method.main],
        metavar="NAME",
        help="of " + ", ".join(f"'{name}'" for name in names),
    )
    options.add_argument(
        "--seeds", nargs="+", type=_from_zero, default=[0], help="a training each (default: 0)"
    )
    options.add_argument("--init", choices=STARTS, default="imagenet", help="the backbone's start")
    options.add_argument(
        "--frozen", action="store_true", help="train the head only, on features of the backbone"
    )
    options.add_argument(
        "--test-photos",
        type=int,
        help="how many are measured; a run that is trained is not trained again (default: as the "
        "profile says)",
    )
    options.add_argument(
        "--out", default=str(plan.runs_folder()), help="a run found there is continued"
    )


def chosen_experiment(method: Method, chosen: argparse.Namespace) -> tuple[Experiment, list[str]]:
    """The experiment that the options name, and its variants in place of groups of them."""
    experiment = Experiment(
        method,
        chosen.dataset,
        getattr(chosen, "form", None),
        chosen.profile,
        device=chosen.device,
        init=chosen.init,
        frozen=chosen.frozen,
        test_photos=chosen.test_photos,
        out=chosen.out,
    )
    names = (v for name in chosen.variants for v in method.groups.get(name, (name,)))
    return experiment, list(dict.fromkeys(names))


def experiment_of(row: ledger.Row) -> Experiment:
    """The experiment that trained a row of a method's ledger, as its command names it; nothing of
    it is kept or read.

    Raises:
        CropnbError: a method, dataset or profile that isn't there any more.
    """
    method = plan.method_named(row.paper)
    options = argparse.ArgumentParser(allow_abbrev=False)
    options.add_argument("--form")
    options.add_argument("--frozen", action="store_true")
    options.add_argument("--test-photos", type=int)
    chosen, _ = options.parse_known_args(shlex.split(row.command))
    return Experiment(
        method,
        row.dataset,
        chosen.form,
        row.profile,
        frozen=chosen.frozen,
        test_photos=chosen.test_photos,
        out=None,
    )


def measure(
    experiment: Experiment, variants: Sequence[str], seeds: Sequence[int], finished: bool = False
) -> dict[str, list[Result]]:
    """Train what is not finished, and read what is; variant → one result a seed.

    Raises:
        WeightsUnavailable: `finished` asks for runs that are all still to be trained.
    """
    results: dict[str, list[Result]] = {}
    for seed in seeds:
        for variant in variants:
            result = experiment.finished(variant, seed)
            if result is None and finished:
                continue
            result = result or experiment.train(variant, seed)[2]
            results.setdefault(variant, []).append(result)
            print(record.one_line(experiment.method.columns, result), flush=True)
    if not results:
        raise WeightsUnavailable(
            f"no run of {', '.join(variants)} is finished; leave --finished out to train"
        )
    return results


def context(experiment: Experiment, results: record.Results, arguments: Sequence[str]) -> Context:
    """What the rows of these runs share."""
    first = next(iter(results.values()))[0]
    return Context(
        experiment.method.name,
        experiment.dataset,
        repeatable(arguments),
        split=first.split,
        profile=experiment.profile_name,
        seeds=tuple(sorted({run.seed for runs in results.values() for run in runs})),
        device=first.device,
        commit=first.commit,
    )


def of_experiment(context: Context, experiment: Experiment, seeds: Sequence[int]) -> Context:
    """The context of a study that reads the runs of an experiment with these seeds."""
    return replace(
        context,
        dataset=experiment.dataset,
        split=experiment.method.eval_split(experiment),
        profile=experiment.profile_name,
        seeds=tuple(seeds),
        device=device_name(experiment.device),
    )


def repeatable(arguments: Sequence[str]) -> list[str]:
    """The arguments without those that say where runs lie and that they are finished."""
    repeated, skip = [], False
    for argument in arguments:
        if not skip and argument not in ("--out", "--finished"):
            repeated.append(argument)
        skip = argument == "--out" and not skip
    return repeated


def ship(experiment: Experiment, variant: str, seed: int, result: Result) -> None:
    """Put the weights of a run beside the package, in half precision, with their card.

    Those for photographs are asked for the crop that a person would draw: where the method scores
    crops, its card names the sharpness that serves this best on validation photos.
    """
    method, run = experiment.method, experiment.run(variant, seed)
    trained_on = ledger.SCENES if experiment.dataset == ledger.SCENES else ledger.PHOTOGRAPHS
    path, weights = weights_path(method.name, trained_on), run.folder / WEIGHTS_FILE
    state, _ = checkpoints.load_weights(weights, method.name)
    scores = record.means(method.columns, result)
    card = record.card(result, scores) | dict(method.card(result))
    if trained_on == ledger.PHOTOGRAPHS:
        card |= _sharpness(method.name, weights, experiment.parts["val"])
    checkpoints.save_weights(path, method.shipped(state), card, half=True, without_frozen=True)
    method.ship_beside(experiment, run, result)
    print(f"shipped {path} ({path.stat().st_size / 1e6:.1f} MB)")


def _sharpness(method: str, weights: Path, photos: CropDataset) -> dict[str, float]:
    """The card's `sharpness`, for a method with scores and photos whose boxes a teacher rated."""
    cropper = load(method, weights=weights)
    rated = photos.name == ledger.TAUGHT and photos[0].scores is not None
    if not rated or not hasattr(cropper.method, "sharpness"):
        return {}
    samples = list(photos)
    truths = [sample.boxes for sample in samples]
    chances = [taught.likely(sample.scores, photos.root) for sample in samples]
    if hasattr(cropper.method, "score_boxes"):
        boxes = truths
        scores = [cropper.score(sample.photo(), sample.boxes) for sample in samples]
    else:
        proposals = [cropper.method.propose(sample.image()) for sample in samples]
        boxes, scores = zip(*proposals, strict=True)
    sharpness = choose_sharpness(boxes, scores, chances, truths)
    return {"sharpness": round(sharpness, 3)}
