"""Give each exercise of the chapters a cell to try in, fold its solution, in JupyterLab, too, and
put the chapter's quiz before the exercises.

    python tools/exercises.py [CHAPTER …]        writes the notebooks; a second run changes nothing

The cell holds the solution with blanks as a comment (`cropnb/notebook/exercises.toml` names them).
The page leaves it out, since nobody can type there.
"""

import re
import sys
from pathlib import Path

import nbformat
from build_book import BOOK, chapter_name, chapters
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from notebooks import strip_volatile

from cropnb.notebook.exercises import scaffold
from cropnb.notebook.quiz import quiz

TRY = "exercise-try"  # the tag of a cell to try in
QUIZ = "quiz"  # the tag of the two cells of a quiz
QUIZ_TEXT = """## Check yourself

Choose an option: it opens and says why it is right, or what is wrong with it."""
_EXERCISES = re.compile(r"^## Exercises", re.MULTILINE)
_START = re.compile(r"^[`:]{3,}\{solution-start\} *(\S+)", re.MULTILINE)
_END = re.compile(r"^[`:]{3,}\{solution-end\}", re.MULTILINE)


def solutions(notebook: NotebookNode) -> dict[str, list[NotebookNode]]:
    """The cells of each solution by the exercise's label, the one that opens it first."""
    cells: dict[str, list[NotebookNode]] = {}
    label = None
    for cell in notebook.cells:
        start = _START.search(cell.source) if cell.cell_type == "markdown" else None
        label = start[1] if start else label
        if label:
            cells.setdefault(label, []).append(cell)
        if cell.cell_type == "markdown" and _END.search(cell.source):
            label = None
    return cells


def prepared(notebook: NotebookNode, name: str) -> NotebookNode:
    """The notebook with its cells to try in, its solutions folded, and the quiz `name`."""
    ours = {TRY, QUIZ}
    notebook.cells = [c for c in notebook.cells if not ours & set(c.metadata.get("tags", []))]
    _with_quiz(notebook, name)
    for label, cells in solutions(notebook).items():
        code = [cell.source for cell in cells if cell.cell_type == "code"]
        tags = {"tags": [TRY, "remove-cell"]}
        source = scaffold(label, "\n\n".join(code))
        cell = new_code_cell(source, id=f"try-{label}", metadata=tags)
        notebook.cells.insert(notebook.cells.index(cells[0]), cell)
        for part in cells[1:]:
            _fold(part)
    return notebook


def _with_quiz(notebook: NotebookNode, name: str) -> None:
    """Put the quiz before the exercises, whose heading gets a cell of its own if it has none."""
    place, cell = next(
        (place, cell)
        for place, cell in enumerate(notebook.cells)
        if cell.cell_type == "markdown" and _EXERCISES.search(cell.source)
    )
    before, exercises = (
        cell.source[: _EXERCISES.search(cell.source).start()],
        cell.source[_EXERCISES.search(cell.source).start() :],
    )
    if before.strip():
        notebook.cells.insert(place + 1, new_markdown_cell(exercises, id="exercises"))
        notebook.cells[place + 1].metadata = {"tags": []}
        cell.source = before.rstrip()
        place += 1
    asked = quiz(name)
    data = {"text/html": asked._repr_html_(), "text/plain": repr(asked)}
    shown = new_code_cell(
        f'from cropnb.notebook import quiz\n\nquiz("{name}")',
        id="quiz",
        metadata={"jupyter": {"source_hidden": True}, "tags": [QUIZ, "remove-input"]},
        outputs=[new_output("execute_result", data)],
    )
    heading = new_markdown_cell(QUIZ_TEXT, id="quiz-heading", metadata={"tags": [QUIZ]})
    notebook.cells[place:place] = [heading, shown]


def _fold(cell: NotebookNode) -> None:
    """Closed in JupyterLab until the reader opens it; the page folds solutions by itself."""
    if cell.cell_type == "code":
        cell.metadata.jupyter = {"outputs_hidden": True, "source_hidden": True}
        cell.metadata.collapsed = True
    elif not _END.match(cell.source):
        cell.metadata.jupyter = {"source_hidden": True}


def main(names: list[str]) -> int:
    """Prepare the named chapters, or all."""
    # The first page is no chapter, and has neither exercises nor a quiz.
    all_chapters = [path for path in chapters() if path.parent != BOOK]
    for path in [BOOK / f"{name}.ipynb" for name in names] or all_chapters:
        notebook = prepared(nbformat.read(path, as_version=4), path.stem)
        nbformat.write(strip_volatile(notebook, chapter_name(Path(path))), path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
