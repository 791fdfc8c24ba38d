"""What the chapters print and draw with: source code from the package, pictures with boxes, tables
from the ledger and from the papers.
"""

from cropnb.notebook.claims import claims_grid, printed_gaps
from cropnb.notebook.comparison import (
    METHOD_COLORS,
    cost_table,
    difference_table,
    draw_costs,
    draw_differences,
    photographs_table,
    scenes_table,
    training_table,
)
from cropnb.notebook.drawing import (
    COLORS,
    draw_arrow,
    draw_block,
    draw_boxes,
    draw_estimates,
    draw_outline,
    draw_photos,
    loss_curve,
    style,
)
from cropnb.notebook.exercises import check
from cropnb.notebook.outcome import came_out, outcomes, what_it_takes
from cropnb.notebook.printed import (
    printed_claims,
    printed_details,
    printed_mistakes,
    printed_table,
    quoted_table,
)
from cropnb.notebook.quiz import quiz
from cropnb.notebook.source import Markdown, escaped, folded, print_shapes, show_source
from cropnb.notebook.start import free_photos, sample_photos, starting_weights
from cropnb.notebook.tables import (
    count_verdicts,
    ledger_grid,
    ledger_table,
    markdown_table,
    measured_row,
    measured_rows,
    measured_speeds,
    settings_table,
    speed_table,
    with_interval,
)
from cropnb.notebook.training_curves import validation_figure

__all__ = [
    "COLORS",
    "METHOD_COLORS",
    "Markdown",
    "came_out",
    "check",
    "claims_grid",
    "cost_table",
    "count_verdicts",
    "difference_table",
    "draw_arrow",
    "draw_block",
    "draw_boxes",
    "draw_costs",
    "draw_differences",
    "draw_estimates",
    "draw_outline",
    "draw_photos",
    "escaped",
    "folded",
    "free_photos",
    "ledger_grid",
    "ledger_table",
    "loss_curve",
    "markdown_table",
    "measured_row",
    "measured_rows",
    "measured_speeds",
    "outcomes",
    "photographs_table",
    "print_shapes",
    "printed_claims",
    "printed_details",
    "printed_gaps",
    "printed_mistakes",
    "printed_table",
    "quiz",
    "quoted_table",
    "sample_photos",
    "scenes_table",
    "settings_table",
    "show_source",
    "speed_table",
    "starting_weights",
    "style",
    "training_table",
    "validation_figure",
    "what_it_takes",
    "with_interval",
]
