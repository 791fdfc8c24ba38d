"""Every committed chapter has what a reader, a screen reader and the checks rely on."""

import copy
import re
from pathlib import Path

import nbformat
import pytest
import yaml
from build_book import BOOK, chapter_name, chapters
from exercises import QUIZ, SECTION, TRY, prepared, solutions
from notebooks import WIDGET_STATE, strip_volatile

from cropnb.notebook.exercises import exercises, unfilled
from cropnb.notebook.quiz import quizzes

NOTEBOOKS = [path for path in chapters() if path.parent != BOOK]  # the first page is no chapter
NOTEBOOK_BYTES, ALL_BYTES = 1_000_000, 12_000_000
CELL_LINES, COLUMNS = 12, 78  # of the code on a page
HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}  # tags of folded cells
# Sections before the exercises that teach nothing new, so that no quiz has to close them.
UNASKED = {"Play with it", "Look for yourself", "The same on paper", "Repeat one"}
UNASKED |= {"Play: whose weights?", "Play: crop against ten annotators"}
PAPERS = BOOK.parent / "cropnb"  # in a folder each, with a paper.toml
SHARED = 3  # sections at most have a quiz in common
# Lines of code of a chapter in view: half of those before drawing and tables moved to the package.
LINES_IN_VIEW = {"la2c": 349, "asm_net": 347, "vrn": 285, "mars": 316, "set_prediction": 279}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(params=NOTEBOOKS, ids=chapter_name)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def notebook(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in code(notebook) for output in cell.outputs]


def test_every_page_of_the_contents_exists() -> None:
    contents = yaml.safe_load((BOOK / "_toc.yml").read_text())
    pages = [contents["root"]] + [
        chapter["file"] for part in contents["parts"] for chapter in part["chapters"]
    ]
    missing = [page for page in pages if not list(BOOK.glob(f"{page}.*"))]
    assert not missing
    assert len(pages) == len(set(pages))


def test_the_book_stays_small() -> None:
    assert NOTEBOOKS
    assert sum(path.stat().st_size for path in NOTEBOOKS) < ALL_BYTES


def test_size(path: Path) -> None:
    assert path.stat().st_size < NOTEBOOK_BYTES


def test_valid_and_in_python_3(notebook: nbformat.NotebookNode) -> None:
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    ids = [cell.id for cell in notebook.cells]
    assert len(ids) == len(set(ids))


def test_parameters(notebook: nbformat.NotebookNode) -> None:
    tagged = [cell for cell in code(notebook) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    names: dict[str, object] = {}
    exec(tagged[0].source, names)
    assert names["PROFILE"] == "smoke"
    assert names["DATASET"] == "scenes"
    assert names["SEED"] == 0
    assert names["DEVICE"] == "cpu"


def test_executed_from_first_to_last(notebook: nbformat.NotebookNode) -> None:
    counts = [cell.execution_count for cell in code(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_no_error_and_no_warning_on_the_page(notebook: nbformat.NotebookNode) -> None:
    assert not [output for output in outputs(notebook) if output.output_type == "error"]
    texts = [output.text for output in outputs(notebook) if output.output_type == "stream"]
    assert not [text for text in texts if "Traceback (most recent call last)" in text]
    assert not [output.text for output in outputs(notebook) if output.get("name") == "stderr"]


def test_at_least_three_cells_are_checked(notebook: nbformat.NotebookNode) -> None:
    assert not [cell.source for cell in code(notebook) if "NBVAL" in cell.source], "use the tag"
    checked = [c for c in code(notebook) if "nbval-check-output" in c.metadata.get("tags", [])]
    assert len(checked) >= 3
    for cell in checked:
        assert cell.outputs, cell.source
        assert all(output.output_type != "display_data" for output in cell.outputs), cell.source
        assert not any(WIDGET_VIEW in output.get("data", {}) for output in cell.outputs), (
            cell.source
        )


def test_at_least_five_exercises_each_with_an_executed_solution(
    notebook: nbformat.NotebookNode,
) -> None:
    """A solution names its exercise, follows it before the next one, and holds code that ran."""
    solved: dict[str, int] = {}
    exercise = solution = None
    for cell in notebook.cells:
        if cell.cell_type == "code":
            if solution:
                solved[solution] += cell.execution_count is not None
            continue
        for line in cell.source.splitlines():
            if re.match(r"`{3,}\{exercise(-start)?\}|:{3,}\{exercise(-start)?\}", line):
                exercise = ""
            elif exercise == "" and (label := re.match(r":label: *(\S+)", line)):
                exercise = label[1]
                assert exercise not in solved, f"two exercises are called {exercise}"
                solved[exercise] = 0
            elif start := re.match(r"[`:]{3,}\{solution-start\} *(\S+)", line):
                assert start[1] == exercise, (
                    f"the solution of {start[1]} doesn't follow its exercise"
                )
                solution = start[1]
            elif re.match(r"[`:]{3,}\{solution-end\}", line):
                solution = None
    assert len(solved) >= 5
    assert not [label for label, cells in solved.items() if not cells], (
        "exercises without an executed solution"
    )


def test_solutions_are_folded(notebook: nbformat.NotebookNode) -> None:
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    starts = re.findall(r"[`:]{3,}\{solution-start\}(?:.*\n)((?::.*\n)*)", text)
    assert all("dropdown" in options for options in starts)


def test_what_the_page_folds_is_folded_in_jupyterlab_too(notebook: nbformat.NotebookNode) -> None:
    for cell in notebook.cells:
        tags = set(cell.metadata.get("tags", []))
        folded = cell.metadata.get("jupyter", {})
        if cell.cell_type == "code" and tags & (HIDDEN - {"remove-cell"}):
            assert folded.source_hidden, cell.id
        assert "hide-output" not in tags or folded.outputs_hidden, cell.id


def test_links_carry_the_name_of_what_they_lead_to(notebook: nbformat.NotebookNode) -> None:
    """JupyterLab would show the path where the page puts a chapter's title."""
    for cell in notebook.cells:
        assert cell.cell_type != "markdown" or "[](" not in cell.source, cell.id


def _solutions(notebook: nbformat.NotebookNode) -> dict[str, list[nbformat.NotebookNode]]:
    listed = solutions(notebook)
    assert len(listed) >= 5
    return listed


def test_solutions_are_folded_in_jupyterlab_too(notebook: nbformat.NotebookNode) -> None:
    for label, cells in _solutions(notebook).items():
        for cell in cells[1:]:
            if re.fullmatch(r"[`:]{3,}\{solution-end\}\s+[`:]{3,}", cell.source.strip()):
                continue
            assert cell.metadata.jupyter.source_hidden, label
            assert cell.cell_type != "code" or cell.metadata.jupyter.outputs_hidden, label


def test_each_exercise_differs_from_its_solution_in_the_blanks_only(
    notebook: nbformat.NotebookNode,
) -> None:
    """A cell to try in precedes the solution, does nothing as it is, and becomes the solution."""
    for label, cells in _solutions(notebook).items():
        before = notebook.cells[notebook.cells.index(cells[0]) - 1]
        assert before.id == f"try-{label}"
        assert "remove-cell" in before.metadata.tags
        assert not before.outputs
        assert all(line.startswith("#") for line in before.source.splitlines())
        asked = unfilled(before.source)
        solution = "\n\n".join(cell.source for cell in cells if cell.cell_type == "code").rstrip()
        assert "____" in asked
        assert re.fullmatch(re.escape(asked).replace("____", "(.+)"), solution), label


def test_checked_answers_are_those_that_the_solutions_print(
    notebook: nbformat.NotebookNode,
) -> None:
    for label, cells in _solutions(notebook).items():
        entry = exercises()[label]
        if "asks" not in entry or entry.get("derived"):
            continue
        text = " ".join(
            output.get("text", "") for cell in cells for output in cell.get("outputs", [])
        ).replace(",", "")
        numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]
        answer = entry["answer"] if isinstance(entry["answer"], list) else [entry["answer"]]
        tolerance = entry.get("tolerance", 0.001)
        rooms = tolerance if isinstance(tolerance, list) else [tolerance] * len(answer)
        for value, room in zip(answer, rooms, strict=True):
            near = min(abs(number - value) for number in numbers)
            assert near <= room + 1e-9, f"{label}: the solution doesn't print {value}"


def quizzes_amiss(notebook: nbformat.NotebookNode, chapter: str) -> list[str]:
    """What is wrong with the quizzes of a chapter.

    Each section before the exercises belongs to a group, unless `UNASKED` names it. A group has
    `SHARED` sections at most, and a quiz stands at the end of its last one.
    """
    amiss, group, shown = [], [], []
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            headings = [match[1].strip() for match in SECTION.finditer(cell.source)]
            if "Exercises" in headings:
                break
            group += [heading for heading in headings if heading not in UNASKED]
        elif QUIZ in cell.metadata.get("tags", []):
            asked = quizzes()[re.search(r'quiz\("(.+)"\)', cell.source)[1]]
            shown.append(asked.name)
            if not group or group[-1] != asked.closes:
                amiss.append(f"{asked.name} doesn't stand in «{asked.closes}»")
            if not SECTION.match(notebook.cells[place + 1].source):
                amiss.append(f"{asked.name} doesn't end its section")
            if len(group) > SHARED:
                amiss.append(f"{asked.name} closes too many sections: {group}")
            group = []
    amiss += [f"no quiz closes «{heading}»" for heading in group]
    of_chapter = [name for name in quizzes() if name.startswith(f"{chapter}.")]
    if shown != of_chapter:
        amiss.append(f"the chapter shows {shown} of {of_chapter}")
    return amiss


def test_a_quiz_closes_each_group_of_sections(path: Path, notebook: nbformat.NotebookNode) -> None:
    assert not quizzes_amiss(notebook, path.stem), "run python tools/exercises.py"
    texts = [o.data["text/html"] for o in outputs(notebook) if "text/html" in o.get("data", {})]
    names = [name for name in quizzes() if name.startswith(f"{path.stem}.")]
    assert len(names) >= 3
    assert not [name for name in names if quizzes()[name]._repr_html_() not in texts]


def test_a_group_without_its_quiz_is_found() -> None:
    path = next(path for path in NOTEBOOKS if path.stem == "vrn")
    chapter = nbformat.read(path, as_version=4)
    places = [
        place for place, cell in enumerate(chapter.cells) if QUIZ in cell.metadata.get("tags", [])
    ]
    last = copy.deepcopy(chapter)
    del last.cells[places[-1]]
    assert "no quiz closes «Reproduce it»" in quizzes_amiss(last, "vrn")
    shared = copy.deepcopy(chapter)
    del shared.cells[places[1]], shared.cells[places[0]]
    assert [text for text in quizzes_amiss(shared, "vrn") if "too many sections" in text]
    moved = copy.deepcopy(chapter)
    moved.cells.insert(places[0] - 2, moved.cells.pop(places[0]))
    assert [text for text in quizzes_amiss(moved, "vrn") if "end its section" in text]


def test_exercises_and_quizzes_are_those_of_the_data(path: Path) -> None:
    """`python tools/exercises.py` wrote it: once more changes no byte."""
    again = strip_volatile(
        prepared(nbformat.read(path, as_version=4), path.stem), chapter_name(path)
    )
    assert nbformat.writes(again).strip() == path.read_text(encoding="utf-8").strip()


def test_pictures_are_described(notebook: nbformat.NotebookNode) -> None:
    for cell in code(notebook):
        drawn = [
            o for o in cell.outputs if any(kind.startswith("image/") for kind in o.get("data", {}))
        ]
        # A figure that answers carries its still picture along; the page shows the figure, which
        # describes itself.
        if not [output for output in drawn if WIDGET_VIEW not in output.data]:
            continue
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        assert len(alt.split()) >= 4, f"no description of the picture drawn by:\n{cell.source}"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"!\[\s*\]\(", cell.source)


def test_a_figure_that_answers(path: Path, notebook: nbformat.NotebookNode) -> None:
    views = [output for output in outputs(notebook) if WIDGET_VIEW in output.get("data", {})]
    state = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    assert views
    assert all(output.data[WIDGET_VIEW]["model_id"] in state for output in views)


def test_stripped_of_what_varies(path: Path, notebook: nbformat.NotebookNode) -> None:
    """`make refresh` wrote it: stripping it once more changes no byte."""
    again = nbformat.writes(strip_volatile(notebook, chapter_name(path)))
    assert again.strip() == path.read_text(encoding="utf-8").strip(), "run `make refresh`"


def test_no_address_of_an_object_in_memory(notebook: nbformat.NotebookNode) -> None:
    for output in outputs(notebook):
        printed = str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", ""))
        assert not re.search(r"at 0x[0-9a-f]{8,}", printed)


def test_cells_are_short(notebook: nbformat.NotebookNode) -> None:
    """No cell that a reader sees has more than `CELL_LINES` lines of code, blank ones not counted.
    What is folded, as imports, drawings and solutions are, may be longer.
    """
    assert not [cell.source for cell in code(notebook) if len(cell.source.splitlines()) > 40]
    solved = [cell.id for cells in solutions(notebook).values() for cell in cells]
    assert not [
        cell.source
        for cell in code(notebook)
        if not HIDDEN & set(cell.metadata.get("tags", []))
        and cell.id not in solved
        and sum(bool(line.strip()) for line in cell.source.splitlines()) > CELL_LINES
    ]


@pytest.mark.parametrize("chapter", LINES_IN_VIEW)
def test_a_page_shows_the_code_that_teaches(chapter: str) -> None:
    """Blank lines, solutions and what is folded not counted."""
    notebook = nbformat.read(BOOK / f"papers/{chapter}.ipynb", as_version=4)
    solved = {cell.id for cells in solutions(notebook).values() for cell in cells}
    lines = [
        line
        for cell in code(notebook)
        if not HIDDEN & set(cell.metadata.get("tags", [])) and cell.id not in solved
        for line in cell.source.splitlines()
        if line.strip()
    ]
    assert len(lines) <= LINES_IN_VIEW[chapter]


def test_lines_of_code_are_narrow(notebook: nbformat.NotebookNode) -> None:
    """The page and a telephone show every line whole: none has more than `COLUMNS` characters, in
    folded cells and solutions, too. A cell to try in is its solution behind a `# `.
    """
    too_wide = []
    for cell in code(notebook):
        prefix = len("# ") if TRY in cell.metadata.get("tags", []) else 0
        lines = cell.source.splitlines()
        too_wide += [line for line in lines if len(line) > COLUMNS + prefix]
    assert not too_wide


def shortened(text: str) -> list[str]:
    """Where prose shortens «Section» or «Equation», as docstrings alone may; code is left out."""
    prose = re.sub(r"(`+).+?\1", "", text, flags=re.DOTALL)
    return re.findall(r"\b(?:Sec|Eq)s?\.? ?\(?\d+", prose)


def test_a_shortened_section_or_equation_is_found() -> None:
    assert shortened("twice (Sec. 3.2), Eq. (7) and Eqs. 3") == ["Sec. 3", "Eq. (7", "Eqs. 3"]
    assert shortened("Section 3, Equations 4, `(Eq. 5)`\n```\n(Sec. 6)\n```\n") == []


def test_prose_says_section_and_equation(path: Path, notebook: nbformat.NotebookNode) -> None:
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    citations = [each for text in prose for each in shortened(text)]
    assert citations == []


@pytest.mark.parametrize(
    "path",
    [*PAPERS.glob("*/paper.toml"), *BOOK.glob("*/*.md")],
    ids=lambda path: path.relative_to(BOOK.parent).as_posix(),
)
def test_so_do_the_texts_of_papers_and_other_pages(path: Path) -> None:
    assert shortened(path.read_text("utf-8")) == []
