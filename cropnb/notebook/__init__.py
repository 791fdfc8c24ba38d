"""What the chapters print and draw with: source code from the package, pictures with boxes, tables
from the ledger and from the papers.
"""

from cropnb.notebook.drawing import (
    COLORS,
    draw_arrow,
    draw_block,
    draw_boxes,
    draw_estimates,
    draw_outline,
    loss_curve,
    style,
)
from cropnb.notebook.outcome import came_out, outcomes
from cropnb.notebook.printed import (
    printed_claims,
    printed_details,
    printed_mistakes,
    printed_table,
)
from cropnb.notebook.source import Markdown, escaped, show_source
from cropnb.notebook.start import sample_photos, starting_weights
from cropnb.notebook.tables import (
    count_verdicts,
    ledger_grid,
    ledger_table,
    markdown_table,
    measured_row,
    measured_rows,
    with_interval,
)

__all__ = [
    "COLORS",
    "Markdown",
    "came_out",
    "count_verdicts",
    "draw_arrow",
    "draw_block",
    "draw_boxes",
    "draw_estimates",
    "draw_outline",
    "escaped",
    "ledger_grid",
    "ledger_table",
    "loss_curve",
    "markdown_table",
    "measured_row",
    "measured_rows",
    "outcomes",
    "printed_claims",
    "printed_details",
    "printed_mistakes",
    "printed_table",
    "sample_photos",
    "show_source",
    "starting_weights",
    "style",
    "with_interval",
]
