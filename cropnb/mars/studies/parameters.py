"""The parameter counts of Tables 1, 2 and 6, as arithmetic:
`python -m cropnb.mars.studies.parameters --record`.

The text leaves open which layer each cut names, the kernels, where channels change and what is
counted. The columns «Param» decide most of it: `search` tries every combination of readings on all
printed cells, and `table` counts the parameters of the networks that `Mars` builds.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import torch
from torch import nn

from cropnb import ledger, paper
from cropnb.backbones import Backbone
from cropnb.mars.model import VARIANTS, WIDEST, Mars, Variant
from cropnb.runs import program
from cropnb.runs.context import Context
from cropnb.runs.rows import number

EMBEDDINGS, DIMENSION, NEURONS = 101, 512, 512
COLUMN = "Param"  # in millions, one decimal


@dataclass(frozen=True)
class Cell:
    """One printed count: the network that a row of a table describes, and the number beside it, in
    millions.
    """

    table: str
    row: str
    variant: Variant
    printed: float

    @property
    def settings(self) -> tuple[str, str, int, int, int]:
        """Backbone, cut, FC layers, C_out and the output's stride."""
        defaults = {
            "backbone": "mobilenet_v2",
            "cut": "c4_6",
            "fc_layers": 1,
            "out_channels": 96,
            "out_stride": 4,
        }
        return tuple((defaults | self.variant.arguments)[name] for name in defaults)


def cells() -> list[Cell]:
    """Every printed count, 26 of them: the row that Tables 1, 2 and 6 share is printed in each
    (twice in Table 6).
    """
    tables = paper.read("mars").tables
    return [
        Cell(table, row, variant, tables[table].value(row, COLUMN))
        for variant in VARIANTS.values()
        for table, row in variant.cells
        if COLUMN in tables[table].columns
    ]


def count(model: nn.Module) -> int:
    """All trained numbers of a network. Running means and variances are no parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def build(cell: Cell) -> Mars:
    """The network of one cell, without memory for its numbers: VGG16's Mars has 150 million."""
    with torch.device("meta"):
        return Mars(**cell.variant.arguments, weights=None)


def table() -> list[tuple[Cell, int, bool]]:
    """(cell, our count, whether it rounds to the printed number) for every printed count."""
    counts = [(cell, count(build(cell))) for cell in cells()]
    return [(cell, number, rounds_to(number, cell.printed)) for cell, number in counts]


def rounds_to(number: int, printed: float) -> bool:
    """Whether a count, in millions and to one decimal, is the printed one. Counts are far from
    ties.
    """
    return f"{number / 1e6:.1f}" == f"{printed:.1f}"


def slack(number: int, printed: float) -> int:
    """How many parameters a count may gain (above 0) or must (below 0) to leave or to reach the
    printed number's range.

    The smaller of the two distances to the ends of the range; negative outside of it.
    """
    low, high = round(printed * 1e6 - 5e4), round(printed * 1e6 + 5e4)
    return min(number - low, high - number)


@dataclass(frozen=True)
class Reading:
    """One way to understand what the paper doesn't say."""

    vgg: str  # c4_3 of VGG16: "by resolution", the third layer at 1/16, or "usual name", conv4_3
    kernel: int  # of the deconvolutions, 1…4
    # c → C_out: "first deconvolution", "1x1 before", "1x1 where needed", "3x3 before"
    narrowing: str
    # a further layer at C_out: "none", "1x1", or "depthwise 3x3" after each deconvolution
    second: str
    resnet: str  # 1024 and 2048 → 512: "none", "1x1" or "3x3"
    biases: bool  # of the layers above
    norms: bool  # a batch normalisation after each of them
    transform_bias: bool  # ARS-FTM has a predicted bias of c numbers
    predictor_bias: bool  # ARS-PWP has a predicted bias
    meta_biases: bool  # the meta-learners' own layers have biases
    embeddings: bool  # the 101 vectors count
    statistics: bool  # running means and variances count

    def total(
        self, backbone: str, cut: str, fc_layers: int, out_channels: int, out_stride: int
    ) -> int:
        """Parameters of the network with these settings, under this reading."""
        total, channels, stride, statistics = _trunk(backbone, self._cut(backbone, cut))
        total += statistics if self.statistics else 0
        if channels > WIDEST and self.resnet != "none":
            total += self._convolution(channels, WIDEST, int(self.resnet[0]))
            channels = WIDEST
        doublings = (stride // out_stride).bit_length() - 1
        width = channels  # of what the next layer reads
        if self.narrowing in ("1x1 before", "3x3 before") or (
            self.narrowing == "1x1 where needed" and channels != out_channels
        ):
            total += self._convolution(channels, out_channels, int(self.narrowing[0]))
        if self.narrowing != "first deconvolution":
            width = out_channels
        for _ in range(doublings):
            total += self._convolution(width, out_channels, self.kernel)
            width = out_channels
        if self.second == "1x1":
            total += self._convolution(width, width, 1)
        elif self.second == "depthwise 3x3":
            total += doublings * (9 * out_channels + self._extras(out_channels))
        predicted = channels**2 + self.transform_bias * channels + width + self.predictor_bias
        total += fc_layers * NEURONS * (NEURONS + self.meta_biases) + predicted * (
            NEURONS + self.meta_biases
        )
        return total + (EMBEDDINGS * DIMENSION if self.embeddings else 0)

    def _cut(self, backbone: str, cut: str) -> str:
        if backbone != "vgg16" or cut == "pool5":
            return "c5_1" if cut == "pool5" else cut
        # conv4_3 is computed before the fourth pooling, at 1/8.
        return cut if self.vgg == "by resolution" else f"c{int(cut[1]) - 1}{cut[2:]}"

    def _convolution(self, channels: int, out_channels: int, kernel: int) -> int:
        return channels * out_channels * kernel**2 + self._extras(out_channels)

    def _extras(self, out_channels: int) -> int:
        norms = (4 if self.statistics else 2) if self.norms else 0
        return (self.biases + norms) * out_channels


OPTIONS = {
    "vgg": ("by resolution", "usual name"),
    "kernel": (1, 2, 3, 4),
    "narrowing": ("first deconvolution", "1x1 before", "1x1 where needed", "3x3 before"),
    "second": ("none", "1x1", "depthwise 3x3"),
    "resnet": ("none", "1x1", "3x3"),
    **{field.name: (False, True) for field in fields(Reading) if field.type is bool},
}
OURS = Reading(
    vgg="by resolution",
    kernel=2,
    narrowing="1x1 before",
    second="1x1",
    resnet="1x1",
    biases=True,
    norms=False,
    transform_bias=False,
    predictor_bias=False,
    meta_biases=True,
    embeddings=True,
    statistics=False,
)


def readings() -> Iterator[Reading]:
    """Every combination of `OPTIONS`."""
    return (Reading(*choice) for choice in itertools.product(*OPTIONS.values()))


@dataclass(frozen=True)
class Fit:
    """A reading and the cells that it misses, with its counts for them."""

    reading: Reading
    missed: tuple[tuple[Cell, int], ...]


def search(at_most: int = 1) -> list[Fit]:
    """The readings that miss `at_most` printed cells, best first. Some 37 000 are tried, in a few
    seconds.
    """
    printed = cells()
    fits = []
    for reading in readings():
        missed = []
        for cell in printed:
            number = reading.total(*cell.settings)
            if not rounds_to(number, cell.printed):
                missed.append((cell, number))
                if len(missed) > at_most:
                    break
        else:
            fits.append(Fit(reading, tuple(missed)))
    return sorted(fits, key=lambda fit: len(fit.missed))


@lru_cache(maxsize=64)
def _trunk(backbone: str, cut: str) -> tuple[int, int, int, int]:
    """A backbone's parameters up to a cut, channels and stride there, and running statistics."""
    with torch.device("meta"):
        network = Backbone(backbone, [cut])
    statistics = sum(buffer.numel() for name, buffer in network.named_buffers() if "units" in name)
    return count(network), network.channels[0], network.strides[0], statistics


def rows(context: Context) -> list[ledger.Row]:
    """A row for each printed count, with how near it lies to the end of the printed number's
    range.
    """
    return [
        number(
            context,
            cell.table,
            cell.row,
            COLUMN,
            ours=round(parameters / 1e6, 4),
            images=1,
            paper_value=cell.printed,
            verdict="exact" if fits else "contradicts",
            note=(
                f"{parameters:,} parameters; arithmetic, no photo is looked at; slack "
                f"{slack(parameters, cell.printed):,}"
            ),
        )
        for cell, parameters, fits in table()
    ]


def print_search() -> None:
    """What the readings share that miss no cell, and those that miss one."""
    fits = search(1)
    exact = [fit for fit in fits if not fit.missed]
    for kind, group in (("no cell", exact), ("at most one", fits)):
        print(f"{len(group)} readings miss {kind}; what they share:")
        for field in fields(Reading):
            values = sorted({str(getattr(fit.reading, field.name)) for fit in group})
            print(f"  {field.name} is {' or '.join(values)}")


def measure(chosen: argparse.Namespace, context: Context) -> Iterator[list[ledger.Row]]:
    """The rows of all cells."""
    counted = rows(context)
    yield counted
    exact = sum(row.verdict == "exact" for row in counted)
    print(f"{exact} of {len(counted)} cells are exact")
    if chosen.search:
        print_search()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every cell, and with `--record` write the rows. Returns the exit status."""
    options = program.parser("mars.studies.parameters", __doc__)
    options.add_argument("--search", action="store_true", help="try every reading on every cell")
    context = Context(
        method="mars",
        dataset="fat",
        arguments=(),
        module="cropnb.mars.studies.parameters",
        split="val",
        device="arithmetic",
    )
    return program.study(measure, options, context, arguments)


if __name__ == "__main__":
    sys.exit(main())
