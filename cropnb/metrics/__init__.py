"""Every metric that the five papers print, each taught in `book/foundations/metrics.ipynb`.

Shares are 0…1 (the papers print per cent). Metrics work on the last dimensions and broadcast over
leading ones.
"""

from cropnb.metrics.cost import average_steps, time_a_photo
from cropnb.metrics.detection import (
    average_precision,
    average_precision_by_photo,
    average_precision_interval,
)
from cropnb.metrics.intervals import (
    Comparison,
    Difference,
    Interval,
    bootstrap_interval,
    compare,
    mean_interval,
    over_seeds,
    paired_bootstrap,
    with_missing,
)
from cropnb.metrics.overlap import bde, center_offset, expected_iou, iou_and_bde, set_acc_1n
from cropnb.metrics.ranking import (
    acc_bar,
    acc_kn,
    acc_n,
    average_ranks,
    pair_accuracy,
    pair_counts,
    ranking_table,
    srcc,
)

__all__ = [
    "Comparison",
    "Difference",
    "Interval",
    "acc_bar",
    "acc_kn",
    "acc_n",
    "average_precision",
    "average_precision_by_photo",
    "average_precision_interval",
    "average_ranks",
    "average_steps",
    "bde",
    "bootstrap_interval",
    "center_offset",
    "compare",
    "expected_iou",
    "iou_and_bde",
    "mean_interval",
    "over_seeds",
    "pair_accuracy",
    "pair_counts",
    "paired_bootstrap",
    "ranking_table",
    "set_acc_1n",
    "srcc",
    "time_a_photo",
    "with_missing",
]
