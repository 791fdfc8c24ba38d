"""Where ASM-Net's numbers stand: Table 1 and Figure 5 in CPC's form, Table 4 in GAICD's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from cropnb.asm_net.losses import LAMBDA
from cropnb.ledger import Row
from cropnb.runs import Experiment, Place, Result, record
from cropnb.runs.context import Context
from cropnb.runs.rows import difference

MAIN = "cross_rectangle"
TABLE_1 = (
    "grid_1x1",
    "grid_1x3",
    "grid_3x1",
    "grid_5x5",
    "multi_rectangle",
    "multi_direction",
    MAIN,
)
# the two are drawn in Figure 3, without a row in the table
PATTERNS = (*TABLE_1, "grid_3x3", "multi_rectangle_3")
MAIN_POINT = "λ=0.1"  # of Figure 5: Table 1 was trained with this λ, so it is the main variant
FIGURE_5 = {"λ=0": 0.0, "λ=0.01": 0.01, "λ=1": 1.0, "λ=10": 10.0, "λ=100": 100.0}
MEAN = ", mean over pairs"
PER_PAIR = {f"λ={weight:g}{MEAN}": weight for weight in (LAMBDA, 1.0, 10.0, 100.0)}
RANKING = ("SRCC", "Acc 5", "Acc 10")


def places(form: str, variant: str) -> list[Place]:
    """The rows that a variant fills, by the form of its dataset."""
    if form != "cpc":  # Table 4 has the paper's own pattern; others stand beside it
        row = "ASM-Net" if variant == MAIN else f"ASM-Net, {variant}"
        return [Place("Table 4", row, RANKING)] if variant in TABLE_1 else []
    if variant not in PATTERNS:
        return [Place("Figure 5", variant, ("Accuracy",))]
    point = [Place("Figure 5", MAIN_POINT, ("Accuracy",))] if variant == MAIN else []
    return [Place("Table 1", variant, ("Accuracy", *RANKING)), *point]


def accuracies(right: Tensor, pairs: Tensor) -> Tensor:
    """One number a photo, whose mean is the share of all pairs of the dataset that is ranked
    rightly: (photos,), (photos,) → (photos,).

    A photo with more pairs counts more. What is resampled is the ratio's linear part, as the delta
    method has it.
    """
    share = right.sum() / pairs.sum()
    return share + (right - share * pairs) / pairs.mean()


def differences(
    context: Context, experiment: Experiment, results: Mapping[str, Sequence[Result]]
) -> list[Row]:
    """What λ = 0.1 gains over λ = 0 in points, photo by photo: printed as 3.22 % (Sec. 4.3)."""
    rows = []
    columns, suffix = experiment.method.columns, experiment.method.suffix(experiment)
    for variant, ending in ((MAIN, ""), (f"{MAIN_POINT}{MEAN}", MEAN)):
        pair = [{run.seed: run for run in results.get(name, ())} for name in (variant, "λ=0")]
        seeds = sorted(set(pair[0]) & set(pair[1]))
        if experiment.form != "cpc" or not seeds:
            continue
        gained, without = (
            record.values(columns, "Accuracy", [side[seed] for seed in seeds]) for side in pair
        )
        row = f"{MAIN_POINT} less λ=0{ending}{suffix}"
        here = replace(context, seeds=tuple(seeds))
        rows.append(
            difference(
                here, "Figure 5", row, "Accuracy", first=gained, second=without, note="in points"
            )
        )
    return rows


def note(result: Result) -> str:
    """What the reader of a row should know of its runs."""
    profile, variant = (result.settings[name] for name in ("profile", "variant"))
    text = f"last epoch, {profile['backbone']}, λ = {variant['weight']:g}"
    return f"{text}; ranking loss divided by its pairs" if variant["per_pair"] else text
