"""Give each exercise of the chapters a cell to try in, fold its solution, in JupyterLab, too, put
each quiz at the end of the section that it closes, and fold in JupyterLab what the page folds.

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
from cropnb.notebook.quiz import Quiz, quizzes

TRY = "exercise-try"  # the tag of a cell to try in
QUIZ = "quiz"  # the tag of the cell of a quiz
FOLDED = {
    "hide-input",
    "hide-cell",
    "remove-input",
}  # tags of code that the page folds or leaves out
# A heading of a section, with the label that may stand before it.
SECTION = re.compile(r"^(?:\([\w-]+\)=\n\s*)?## (.+)$", re.MULTILINE)
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


def prepared(notebook: NotebookNode, chapter: str) -> NotebookNode:
    """The notebook with its cells to try in, its solutions folded, and the quizzes of `chapter`."""
    ours = {TRY, QUIZ}
    for cell in notebook.cells:
        _fold_as_the_page_does(cell)
    notebook.cells = [c for c in notebook.cells if not ours & set(c.metadata.get("tags", []))]
    for name, asked in quizzes().items():
        if name.startswith(f"{chapter}."):
            _with_quiz(notebook, asked)
    for label, cells in solutions(notebook).items():
        code = [cell.source for cell in cells if cell.cell_type == "code"]
        tags = {"tags": [TRY, "remove-cell"]}
        source = scaffold(label, "\n\n".join(code))
        cell = new_code_cell(source, id=f"try-{label}", metadata=tags)
        notebook.cells.insert(notebook.cells.index(cells[0]), cell)
        for part in cells[1:]:
            _fold(part)
    return notebook


def _with_quiz(notebook: NotebookNode, asked: Quiz) -> None:
    """Put a quiz before the section that follows the one that it closes."""
    data = {"text/html": asked._repr_html_(), "text/plain": repr(asked)}
    shown = new_code_cell(
        f'from cropnb.notebook import quiz\n\nquiz("{asked.name}")',
        id=asked.name.replace(".", "-quiz-"),
        metadata={"jupyter": {"source_hidden": True}, "tags": [QUIZ, "remove-input"]},
        outputs=[new_output("execute_result", data)],
    )
    notebook.cells.insert(_end_of_section(notebook, asked.closes), shown)


def _end_of_section(notebook: NotebookNode, heading: str) -> int:
    """The place of the cell with which the section after `heading` begins. If that one begins
    inside of a cell, the cell is cut in two.
    """
    inside = False
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type != "markdown":
            continue
        for match in SECTION.finditer(cell.source):
            if not inside:
                inside = match[1].strip() == heading
                continue
            before, after = cell.source[: match.start()], cell.source[match.start() :]
            if not before.strip():
                return place
            cell.source = before.rstrip()
            rest = new_markdown_cell(after, id=_id_of(match[1]), metadata={"tags": []})
            notebook.cells.insert(place + 1, rest)
            return place + 1
    raise ValueError(f"no section follows «{heading}»")


def _id_of(heading: str) -> str:
    """An id for the cell that begins with a heading."""
    return "section-" + re.sub(r"[^a-z0-9]+", "-", heading.lower())[:40].strip("-")


def _fold(cell: NotebookNode) -> None:
    """Closed in JupyterLab until the reader opens it; the page folds solutions by itself."""
    if cell.cell_type == "code":
        cell.metadata.jupyter = {"outputs_hidden": True, "source_hidden": True}
        cell.metadata.collapsed = True
    elif not _END.match(cell.source):
        cell.metadata.jupyter = {"source_hidden": True}


def _fold_as_the_page_does(cell: NotebookNode) -> None:
    """Code and outputs that wait for a click on the page wait for one in JupyterLab, too."""
    tags = set(cell.metadata.get("tags", []))
    if cell.cell_type == "code" and tags & {*FOLDED, "hide-output"}:
        folded = cell.metadata.setdefault("jupyter", NotebookNode())
        folded.update({"source_hidden": True} if tags & FOLDED else {})
        folded.update({"outputs_hidden": True} if "hide-output" in tags else {})


def main(names: list[str]) -> int:
    """Prepare the named chapters, or all."""
    # The first page is no chapter, and has neither exercises nor quizzes.
    all_chapters = [path for path in chapters() if path.parent != BOOK]
    for path in [BOOK / f"{name}.ipynb" for name in names] or all_chapters:
        notebook = prepared(nbformat.read(path, as_version=4), path.stem)
        nbformat.write(strip_volatile(notebook, chapter_name(Path(path))), path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
