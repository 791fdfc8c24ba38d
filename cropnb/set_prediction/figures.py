"""`python -m cropnb.set_prediction.figures --profile cpu --seeds 0 1 2 --record`: rows of the
paper's figures.

They are read from finished runs of `python -m cropnb.set_prediction`; see `study` for what is
measured.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from cropnb import datasets, ledger, metrics, program, reproduction
from cropnb.set_prediction import recipe, study
from cropnb.set_prediction.data import CropPhotos
from cropnb.set_prediction.experiment import METHOD, Experiment
from cropnb.set_prediction.fitting import Found, predict, truths

GOOD_QUALITY = 3.5  # s_u: from here on a soft label is as high as it gets


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--record` write the rows. Returns the exit status."""
    options = program.options(f"{METHOD}.figures", recipe.PROFILES, __doc__)
    options.add_argument(
        "--variants", nargs="+", choices=recipe.VARIANTS, default=[recipe.MAIN], metavar="NAME"
    )
    options.add_argument(
        "--form",
        default="gaicd",
        help="of the scenes: gaicd, gaicd_v2 or cpc (default: %(default)s)",
    )
    return program.run(_main, options, arguments)


def _main(options: argparse.Namespace, arguments: list[str]) -> int:
    profile = recipe.PROFILES[options.profile]
    experiment = Experiment(
        options.dataset, options.profile, profile, options.form, options.device, options.out
    )
    context = reproduction.Context(
        METHOD,
        options.dataset,
        arguments,
        module=f"cropnb.{METHOD}.figures",
        split=experiment.parts[2].split,
        profile=options.profile,
        seeds=tuple(options.seeds),
        device=program.device_name(options.device),
    )
    for name in options.variants:
        rows = measure(experiment, name, options.seeds, context)
        for row in rows:
            span = "" if row.low is None else f" [{row.low:.3f}, {row.high:.3f}]"
            print(f"{row.table} · {row.row} · {row.column}: {row.ours:.3f}{span}")
        if options.record:
            ledger.record(METHOD, rows)
    return 0


def measure(
    experiment: Experiment, name: str, seeds: Sequence[int], context: reproduction.Context
) -> list[ledger.Row]:
    """The rows of every figure for one variant; of CPC's form also Table 3."""
    test = experiment.photos(2, recipe.VARIANTS[name].at_least)
    found = [experiment.kept(name, seed)[1] for seed in seeds]
    cpc, scenes = experiment.form == "cpc", experiment.dataset == "scenes"
    # all stand in one table
    on = " on CPC" if cpc else " on v2" if scenes and experiment.form == "gaicd_v2" else ""
    rows = [*globality(found, test, name + on, context), *diversity(found, test, name, context, on)]
    rows += bias(found, test, name + on, context)
    if not cpc:  # whose scores are on another scale than equation 4's
        early = [
            predict(m, test, experiment.frozen(m, 2))
            for m in (experiment.start(name, seed) for seed in seeds)
        ]
        rows += [
            *invalid_anchors(early, found, test, name + on, context),
            *scatter(found, test, name + on, context),
        ]
    else:
        rows.append(table_3(experiment, name, seeds, context))
    return rows


def invalid_anchors(
    early: Sequence[list[Found]],
    late: Sequence[list[Found]],
    test: CropPhotos,
    name: str,
    context: reproduction.Context,
) -> list[ledger.Row]:
    """Figure 3: crops of unmatched anchors, before and after training."""
    rows = []
    for when, runs in (("before training", early), ("after training", late)):
        quality = torch.cat([study.unmatched(run, test).quality for run in runs])
        values = {
            "per cent with a scored neighbour": 100 * (~quality.isnan()).double().mean(),
            "mean estimated quality": quality.nanmean(),
            "per cent of these of 3.5 or more": 100
            * (quality[~quality.isnan()] >= GOOD_QUALITY).double().mean(),
        }
        for column, value in values.items():
            where = ("Figure 3", f"{name}, unmatched anchors, {when}", column)
            rows.append(reproduction.number(context, *where, round(float(value), 4), len(test)))
    return rows


def globality(
    found: Sequence[list[Found]], test: CropPhotos, name: str, context: reproduction.Context
) -> list[ledger.Row]:
    """Figure 4: the share of the ten most valid crops that no grid anchor can give."""
    kinds = {
        "a corner outside of the grid's regions": study.off_grid,
        "no anchor within ε = 0.85": partial(study.far_from_grid, photos=test, eps=0.85),
        "no anchor within ε = 0.90": partial(study.far_from_grid, photos=test, eps=0.90),
    }
    return [
        reproduction.measured(
            context,
            "Figure 4",
            f"{name}, ten most valid crops",
            column,
            [(100 * kind(run)).tolist() for run in found],
        )
        for column, kind in kinds.items()
    ]


def diversity(
    found: Sequence[list[Found]],
    test: CropPhotos,
    name: str,
    context: reproduction.Context,
    on: str = "",
) -> list[ledger.Row]:
    """Figure 5: how far apart the five most valid crops are, and the annotated good ones."""
    runs = [study.diversity([one.corners[:5] for one in run]).tolist() for run in found]
    annotated = study.diversity(truths(test))
    annotated = annotated[~annotated.isnan()]
    column = "mean of 1 − IoU between two crops"
    return [
        reproduction.measured(
            context, "Figure 5", f"{name}{on}, five most valid crops", column, runs
        ),
        reproduction.measured(
            context, "Figure 5", f"annotated good crops{on}", column, annotated.tolist()
        ),
    ]


def scatter(
    found: Sequence[list[Found]], test: CropPhotos, name: str, context: reproduction.Context
) -> list[ledger.Row]:
    """Figure 7a: the rank correlation of validity and estimated quality, photo by photo where it
    has enough crops.
    """
    runs = [
        [_rank_correlation(*pair) for pair in study.quality_and_validity(run, test)]
        for run in found
    ]
    note = "0 where fewer than five crops have a scored neighbour"
    return [
        reproduction.measured(
            context, "Figure 7", f"{name}, all anchors", "SRCC with quality", runs, note=note
        )
    ]


def bias(
    found: Sequence[list[Found]], test: CropPhotos, name: str, context: reproduction.Context
) -> list[ledger.Row]:
    """Section 5: are small good crops ignored?"""
    areas = [(100 * study.area_bias(run, test)).tolist() for run in found]
    rows = [
        reproduction.measured(
            context,
            "Section 5",
            f"{name}, ten most valid crops",
            "area less the good crops'",
            areas,
        )
    ]
    # a tuple of runs for each third
    thirds = zip(*(study.recall_by_area(run, test) for run in found), strict=True)
    for third, parts in zip(("smallest", "middle", "largest"), thirds, strict=True):
        reached = torch.stack([part[1] for part in parts]).mean(0)
        where = (
            "Section 5",
            f"{name}, {third} third of the good crops",
            "per cent reached within ε = 0.85 by 40",
        )
        note = f"mean area {100 * parts[0][0]:.1f} % of the photo; {len(reached)} good crops"
        rows.append(
            reproduction.number(
                context, *where, round(100 * float(reached.mean()), 4), len(test), note=note
            )
        )
    return rows


def table_3(
    experiment: Experiment, name: str, seeds: Sequence[int], context: reproduction.Context
) -> ledger.Row:
    """Table 3: trained on CPC's form, tested on FLMS's, against the true box that the most valid
    crop overlaps best.
    """
    scenes = experiment.dataset == "scenes"
    dataset = (
        datasets.load("scenes", "test", form="flms") if scenes else datasets.load("flms", "test")
    )
    photos = CropPhotos(dataset.with_photos(), experiment.profile.test_side, experiment.device)
    runs = [
        study.best_iou(predict(experiment.trained(name, seed), photos), photos).tolist()
        for seed in seeds
    ]
    row = "Ours" if name == "SD" else f"Ours, {name}"
    return reproduction.measured(
        context, "Table 3", row, "IoU", runs, note="trained on CPC's form, tested on FLMS's"
    )


def _rank_correlation(quality: Tensor, validity: Tensor) -> float:
    enough = len(quality) >= 5 and bool(quality.std() > 0)
    return float(metrics.srcc(validity, quality)) if enough else 0.0


if __name__ == "__main__":
    sys.exit(main())
