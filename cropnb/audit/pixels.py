"""How much of what GAICD's tables measure can be had without a look at the photo, by the ledger."""

from dataclasses import dataclass

from cropnb import ledger, metrics, paper
from cropnb.datasets.base import CropDataset
from cropnb.ledger import Row
from cropnb.metrics import Interval
from cropnb.runs.context import Context
from cropnb.runs.rows import measured

TABLE, RANDOM = "without pixels", "random order"
COLUMNS = ("SRCC", "Acc 1/5", "Acc 5", "Acc 1/10", "Acc 10")
# Printed by Zeng et al. (CVPR 2019); the other columns of these methods stand in VRN's Table 1.
PRINTED_SRCC = {"VFN": 0.450, "VEN": 0.621, "GAIC": 0.735}
PRINTED = ("VFN", "VEN", "GAIC", "VRN")
WHOLE = "GAIC"  # whose printed number is the end of the way that a share is a share of


@dataclass(frozen=True)
class Source:
    """Where the ledger has the row of one thing that a score can know."""

    name: str
    file: str
    wanted: dict[str, str]


_LAYOUTS = {"dataset": "gaicd_layouts", "table": "scores without pixels, layouts"}
SOURCES = (
    Source("nothing: a random order", "audit", {"dataset": "gaicd", "table": TABLE, "row": RANDOM}),
    Source(
        "the place among the anchors",
        "gaicd_baselines",
        {"dataset": "gaicd", "row": "mean MOS of the position"},
    ),
    Source("the crop's geometry", "layout", {**_LAYOUTS, "row": "geometry alone"}),
    Source("and jittered boxes of objects", "layout", {**_LAYOUTS, "row": "jittered"}),
    Source("and the objects' boxes", "layout", {**_LAYOUTS, "row": "objects"}),
)


def random_rows(context: Context, test: CropDataset) -> list[Row]:
    """What a random order of the candidates reaches on average: exact, by the rule of ties."""
    mos = [sample.scores for sample in test.samples]
    table = metrics.ranking_table([scores.new_zeros(scores.shape) for scores in mos], mos)
    values = {name: 100 * table[name] for name in COLUMNS if name != "SRCC"}
    values["SRCC"] = table["SRCC"].nan_to_num(0.0)  # all tied: no order, neither way
    return [measured(context, TABLE, RANDOM, name, values[name].tolist()) for name in COLUMNS]


def row(source: Source, column: str) -> Row:
    """The ledger's row of a source; `LedgerError` where it isn't recorded."""
    return ledger.one(source.file, column=column, **source.wanted)


def printed(column: str) -> dict[str, float]:
    """Method → what is printed for it on the photographs; without those that print nothing."""
    if column == "SRCC":
        return PRINTED_SRCC
    table = paper.read("vrn").tables["Table 1"]
    return {name: table.value(name, column) for name in PRINTED}


def share(value: float, column: str) -> float:
    """Which share of the way from a random order to GAIC's printed number a value has gone."""
    start = row(SOURCES[0], column).ours
    return (value - start) / (printed(column)[WHOLE] - start)


def shares(column: str) -> dict[str, Interval]:
    """Source → its share of that way, with the interval of its row; both ends taken as exact."""
    rows = {source.name: row(source, column) for source in SOURCES[1:]}
    return {
        name: Interval(*(share(value, column) for value in (one.ours, one.low, one.high)))
        for name, one in rows.items()
    }
