"""Ledger rows from runs of Mars."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cropnb import ledger, paper, reproduction
from cropnb.mars import recipe
from cropnb.mars.variants import VARIANTS
from cropnb.reproduction import Context

MEASURED = ("IoU", "Offset")
WEIGHTS_FILE = "weights.safetensors"  # of a run
LOWER_IS_BETTER = ("Offset", "BDE")
MISSING = (
    "needs {dataset}'s photos, which can't be redistributed, and ImageNet weights of the "
    "backbone; with them on a GPU: "
    "python -m cropnb.mars --dataset fat --profile full --device cuda --variants {variant} --record"
)
THEN = (
    "; then python -m cropnb.mars.table7 --dataset {dataset} --device cuda "
    "--weights runs/mars/fat-full/{folder}-seed0/{file} --record"
)
OF_TABLE_7 = {"Mars, VGG16": "vgg16 c4_3", "Mars, MobileNetV2": recipe.MAIN}
SPEED_MISSING = "a speed on the authors' GPU; ratios between rows are in the table «seconds, as a ratio» where measured"


def one_line(result: Mapping) -> str:
    """The columns of one run, for a log."""
    means = {name: sum(values) / len(values) for name, values in result["columns"].items()}
    columns = ", ".join(f"{name} {value:.4g}" for name, value in means.items())
    return f"{columns}, θ {result['threshold']:g} ({result['minutes']} min)"


def card(result: Mapping) -> dict[str, object]:
    """What a shipped checkpoint says about itself; `arguments` and `threshold` are what loading it
    needs.
    """
    scores = {name: sum(values) / len(values) for name, values in result["columns"].items()}
    kept = {name: result[name] for name in ("arguments", "threshold")}
    return reproduction.card(result, scores) | kept


def rows(
    context: Context, results: Mapping[str, Sequence[Mapping]], centred: Mapping | None = None
) -> list[ledger.Row]:
    """Every cell that these runs measured, the claims that they decide, and the centred window
    beside them.
    """
    found = [row for name, runs in results.items() for row in _cells(context, name, runs)]
    found += claims(context, results)
    some = next(iter(results.values()))[0]
    for name in MEASURED if centred else ():
        more = {
            "note": f"the largest window of the required ratio; {some['annotations']} annotations",
            "seeds": (),
        }
        found.append(
            reproduction.measured(
                context, "baseline", "largest centred window", name, centred[name], **more
            )
        )
    return found


def _cells(context: Context, variant: str, runs: Sequence[Mapping]) -> list[ledger.Row]:
    thresholds = ", ".join(f"{run['threshold']:g}" for run in runs)
    empty = sum(run["nothing above"] for run in runs) / len(runs)
    note = f"{runs[0]['annotations']} annotations; θ {thresholds}; nothing above θ in {100 * empty:.1f} %"
    note += f"; {runs[0]['arguments']['neurons']} neurons" + (
        "; frozen backbone" if _frozen(runs[0]) else ""
    )
    more = {
        "minutes": round(sum(run["minutes"] for run in runs), 1),
        "config_hash": runs[0]["config_hash"],
        "checkpoint_hash": runs[0].get("checkpoint_hash", ""),
        "note": note + ("" if runs[0]["init"] == "imagenet" else "; random start"),
        "commit": runs[0]["commit"],
        "device": runs[0]["device"],
        "seeds": tuple(run["seed"] for run in runs),
    }
    return [
        reproduction.measured(
            context, table, row, name, [run["columns"][name] for run in runs], **more
        )
        for table, row in VARIANTS[variant].cells
        for name in MEASURED
    ]


def _frozen(run: Mapping) -> bool:
    profile = recipe.PROFILES.get(run["profile"])
    return profile is not None and not profile.epochs


def claims(context: Context, results: Mapping[str, Sequence[Mapping]]) -> list[ledger.Row]:
    """A row for each claim in words that these runs decide, photo by photo, over the seeds that
    both have.
    """
    found = []
    for claim in paper.read("mars").claims:
        pair = [
            {run["seed"]: run for run in results.get(claim[side], ())}
            for side in ("better", "worse")
        ]
        seeds = sorted(set(pair[0]) & set(pair[1]))
        for name in MEASURED if seeds else ():
            better, worse = ([runs[seed]["columns"][name] for seed in seeds] for runs in pair)
            note = f"{claim['better']} against {claim['worse']}"
            note += "; frozen backbone" if _frozen(results[claim["better"]][0]) else ""
            more = {"note": note, "seeds": tuple(seeds)} | reproduction.bounds(claim, name)
            lower = name in LOWER_IS_BETTER
            found.append(
                reproduction.claim(
                    context, claim["name"], name, better, worse, higher_is_better=not lower, **more
                )
            )
    return found


def pending() -> list[ledger.Row]:
    """A row for each printed number that waits for data, or, of the columns Speed, for a machine."""
    return [
        replace(row, note=_missing(row))
        for row in reproduction.pending("mars", "")
        if row.column != "Param"
    ]


def _missing(row: ledger.Row) -> str:
    if row.column == "Speed":
        return SPEED_MISSING
    places = {place: name for name, variant in VARIANTS.items() for place in variant.cells}
    variant = OF_TABLE_7.get(row.row) or places[row.table, row.row]
    note = MISSING.format(dataset=row.dataset, variant=shlex.quote(variant))
    if row.row not in OF_TABLE_7:
        return note
    return note + THEN.format(dataset=row.dataset, folder=folder_name(variant), file=WEIGHTS_FILE)


def folder_name(variant: str) -> str:
    """A variant's name as a folder's."""
    return "".join(letter if letter.isalnum() else "-" for letter in variant)
