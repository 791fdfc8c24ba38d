"""What the whole repository agrees on: names, aliases, errors in docstrings, how to cite."""

import ast
import importlib
import inspect
import io
import json
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from cropnb import errors, methods, paper

ROOT = Path(__file__).parents[1]
FOLDERS = ("cropnb", "tests", "tools", "data_scripts")
EMPTY = {"found", "kept", "about", "more", "said", "some"}  # they say nothing of what they hold
# The first two of these have words of the field, rng and fingerprint; `draw` may be a function.
VAGUE = EMPTY | {"draw", "mark", "told", "taught", "judged"}
VAGUE_IN_SCRIPTS = EMPTY | {"told"}
# Scripts of figures stand in the outputs of the chapters that show them, names and all.
SHOWN_IN_CHAPTERS = {
    "cropnb/widgets/composition_rules.js": {"found"},
    "cropnb/widgets/ledger_explorer.js": {"kept"},
    "cropnb/widgets/method_crops.js": {"told"},
    "cropnb/widgets/pattern_explorer.js": {"found"},
    "cropnb/widgets/ratio_maps.js": {"some"},
    "cropnb/widgets/ratio_slider.js": {"found"},
    "cropnb/widgets/sample_browser.js": {"kept"},
    "cropnb/widgets/tolerance_explorer.js": {"told"},
}
# What a script declares: the names of `const {a, b} = …`, and the arguments of a function
DECLARED = (
    re.compile(r"\b(?:const|let|var)\s+([^=;]+?)\s*(?:=|;|\bof\b|\bin\b)"),
    re.compile(r"\bfunction\s*\w*\s*\(([^)]*)\)"),
    re.compile(r"\(([^()]*)\)\s*=>"),
    re.compile(r"\b(\w+)\s*=>"),
    re.compile(r"^\s*(?:async\s+)?\w+\(([^()]*)\)\s*\{", re.MULTILINE),
)
ERRORS = {name for name, kind in vars(errors).items() if inspect.isclass(kind)}
SIDES = {"across", "down"}  # together they are a width and a height, and are called so
ALIASES = {
    "torch.nn.functional": "F",
    "torchvision.transforms.v2.functional": "TF",
    "hypothesis.strategies": "st",
}
MOST_FILES = 10  # at the top of a method's folder
# An equation or a section of a paper, and the one way to cite it: (Eq. 5), (Eq. 3, 4), (Sec. 3.3)
MENTIONED = re.compile(r"\b(?:Eqs?|Secs?)\b|\b(?:Equation|Section)s?\s+\(?\d|§", re.IGNORECASE)
CITED = re.compile(r"\(Eq\. \d+(?:(?:,| and| to) \d+)*\)|\(Sec\. \d+(?:\.\d+)*\)")
MOST_PLACES = 5  # arguments of a call that are told apart by their place alone
# but for what takes numbers of one kind, or draws with x, y, width and height
IN_PLACES = {"permute", "reshape", "validate", "ellipse", "line", "shape"}


@cache
def sources() -> tuple[tuple[str, ast.Module], ...]:
    """Every module, and every code cell that is plain Python."""
    return tuple(_sources())


def _sources() -> Iterator[tuple[str, ast.Module]]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "book").rglob("*.ipynb")):
        if "_build" in path.parts:
            continue
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        for number, cell in enumerate(cells):
            lines = "".join(cell["source"]).splitlines(keepends=True)
            plain = "".join(line for line in lines if not line.startswith(("%", "!")))
            if cell["cell_type"] == "code":
                yield f"{path.relative_to(ROOT)}, cell {number}", ast.parse(plain)


def texts(path: Path) -> Iterator[tuple[str, int]]:
    """Docstrings and comments of a module, with the lines on which they begin."""
    source = path.read_text(encoding="utf-8")
    for node in filter(_holds, ast.walk(ast.parse(source))):
        if (docstring := ast.get_docstring(node, clean=False)) is not None:
            yield docstring, node.body[0].lineno
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string, token.start[0]


def loose_citations(text: str) -> list[str]:
    """What a text says of an equation or a section where it doesn't cite it as all do."""
    left = CITED.sub("", text)
    return [left[match.start() :][:20] for match in MENTIONED.finditer(left)]


def calls_by_place(tree: ast.AST) -> list[tuple[str, int]]:
    """Calls with too many arguments that no keyword names, with their lines."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [getattr(call.func, "attr", getattr(call.func, "id", "")) for call in calls]
    return [
        (name, call.lineno)
        for name, call in zip(names, calls, strict=True)
        if len(call.args) > MOST_PLACES and name not in IN_PLACES
    ]


def vague_names(tree: ast.AST) -> list[tuple[str, int]]:
    """Assignment targets and arguments that are called something vague, with their lines."""
    return [(name, line) for name, line in _stored(tree) if name in VAGUE]


def empty_names(tree: ast.AST) -> list[tuple[str, int]]:
    """Functions, classes, labels of arguments and aliases that say nothing, with their lines."""
    empty = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.keyword):
            name = node.arg
        elif isinstance(node, ast.alias):
            name = node.asname
        else:
            continue
        empty += [(name, node.lineno)] * (name in EMPTY)
    return empty


def vague_sides(tree: ast.AST) -> list[int]:
    """Lines of tuples and arguments that call a width and a height `across` and `down`."""
    groups = [
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Store))
        or isinstance(node, ast.arguments)
    ]
    return [
        max(line for _, line in names)
        for names in map(_stored, groups)
        if {name for name, _ in names} >= SIDES
    ]


def _stored(tree: ast.AST) -> list[tuple[str, int]]:
    """Assignment targets and arguments, with their lines."""
    nodes = list(ast.walk(tree))
    names = [
        (node.id, node.lineno)
        for node in nodes
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]
    return names + [(node.arg, node.lineno) for node in nodes if isinstance(node, ast.arg)]


def wrong_aliases(tree: ast.AST) -> list[str]:
    """Modules of `ALIASES` that are imported under another name, or written in full."""
    wrong = [
        f"{module} as {name}"
        for module, name in imported(tree)
        if name != ALIASES.get(module, name)
    ]
    chains = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    # `nn.functional` is `torch.nn.functional` too.
    return wrong + [
        chain for chain in chains if any(f".{name}".endswith(f".{chain}") for name in ALIASES)
    ]


def vague_in_script(text: str) -> set[str]:
    """Variables and arguments of a script that are called something vague."""
    declared = " ".join(match for kind in DECLARED for match in kind.findall(text))
    return set(re.findall(r"[A-Za-z_$][\w$]*(?!\s*:)\b", declared)) & VAGUE_IN_SCRIPTS


def unnamed_errors(tree: ast.Module) -> list[tuple[str, str, int]]:
    """Public functions and methods that raise an error of the package which neither their docstring
    nor their class's names: function, error and line.
    """
    unnamed = []

    def visit(place: ast.Module | ast.ClassDef, text: str) -> None:
        for node in place.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                visit(node, ast.get_docstring(node) or "")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if node.name.startswith("_") and node.name != "__init__":
                    continue
                words = re.findall(r"\w+", f"{text} {ast.get_docstring(node) or ''}")
                for error in sorted(raised(node) - set(words)):
                    unnamed.append((node.name, error, node.lineno))

    visit(tree, "")
    return unnamed


def raised(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Errors of the package that a function's own body raises; a function in it is another one."""
    names, nodes = set(), list(function.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.Raise) and node.exc is not None:
            error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            names.add(getattr(error, "attr", getattr(error, "id", "")))
        nodes += ast.iter_child_nodes(node)
    return names & ERRORS


def imported(tree: ast.AST) -> list[tuple[str, str]]:
    """Everything that is imported, and what it is called here."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [(alias.name, alias.asname or alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [
                (f"{node.module}.{alias.name}", alias.asname or alias.name) for alias in node.names
            ]
    return names


def names_a_method(tree: ast.AST) -> list[str]:
    """Methods that code speaks of, in an import or a string; docstrings may."""
    texts = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            texts |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            texts |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.add(node.value)
    docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if _holds(node)}
    words = {word for text in texts - docstrings for word in re.findall(r"\w+", text)}
    return sorted(words & set(methods.METHODS))


def _holds(node: ast.AST) -> bool:
    """Whether a node can have a docstring."""
    return isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)


def equations() -> list[tuple[str, int, str]]:
    """Method, number and function of every equation that has a function."""
    return [
        (method, equation["number"], equation["function"])
        for method in methods.METHODS
        if paper.known(method)
        for equation in paper.read(method).equations
        if "function" in equation
    ]


def test_a_variable_says_what_it_holds():
    vague = {where: names for where, tree in sources() if (names := vague_names(tree))}
    assert not vague
    empty = {
        where: names
        for where, tree in sources()
        if where.endswith(".py") and (names := empty_names(tree))
    }
    assert not empty
    sides = {where: lines for where, tree in sources() if (lines := vague_sides(tree))}
    assert not sides


def test_a_module_has_one_alias_everywhere():
    wrong = {where: names for where, tree in sources() if (names := wrong_aliases(tree))}
    assert not wrong
    called: dict[str, dict[str, str]] = {}  # module → alias → one place that has it
    for where, tree in sources():
        if not where.endswith(".py"):
            continue  # a chapter has no variable that a module's own name would hide
        for module, name in imported(tree):
            path = ROOT / module.replace(".", "/")
            if name != module and (path.with_suffix(".py").exists() or path.is_dir()):
                called.setdefault(module, {})[name] = where
    assert len(called) > 100
    assert not {module: names for module, names in called.items() if len(names) > 1}


def test_a_variable_of_a_script_says_what_it_holds():
    folders = ("cropnb", "tools", "book/_static")
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.js"))]
    assert len(paths) > 20
    names = {
        str(path.relative_to(ROOT)): vague_in_script(path.read_text(encoding="utf-8"))
        for path in paths
    }
    assert {where: vague for where, vague in names.items() if vague} == SHOWN_IN_CHAPTERS


def test_a_docstring_names_the_errors_that_are_raised():
    package = {where: tree for where, tree in sources() if where.startswith("cropnb/")}
    assert len(package) > 200
    assert not {where: names for where, tree in package.items() if (names := unnamed_errors(tree))}


def test_equations_and_sections_are_cited_one_way():
    loose = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            where = str(path.relative_to(ROOT))
            for text, line in texts(path):
                if citations := loose_citations(text):
                    loose[f"{where}:{line}"] = citations
    assert not loose


def test_a_call_names_what_it_gives():
    program = {
        where: tree
        for where, tree in sources()
        if where.endswith(".py") and not where.startswith("tests/")
    }
    assert len(program) > 200
    assert not {where: calls for where, tree in program.items() if (calls := calls_by_place(tree))}


def test_the_engine_knows_no_method():
    engine = {where: tree for where, tree in sources() if where.startswith("cropnb/runs/")}
    assert len(engine) > 15
    assert not {where: names for where, tree in engine.items() if (names := names_a_method(tree))}


@pytest.mark.parametrize("method", methods.METHODS)
def test_only_a_recipe_knows_what_the_ledger_needs(method):
    folder = f"cropnb/{method}/"
    beside = (f"{folder}recipe", f"{folder}studies/")
    core = {
        where: [module for module, _ in imported(tree) if ".studies" in module]
        for where, tree in sources()
        if where.startswith(folder) and not where.startswith(beside)
    }
    assert len(core) >= 4
    assert not {where: modules for where, modules in core.items() if modules}


def test_the_checks_see_what_they_forbid():
    tree = ast.parse("import torch.nn.functional as f\nfor kept in ():\n  g = lambda more: more\n")
    assert sorted(vague_names(tree)) == [("kept", 2), ("more", 3)]
    assert wrong_aliases(tree) == ["torch.nn.functional as f"]
    tree = ast.parse("from torch.nn import functional\nfrom torch.nn import functional as F\n")
    assert wrong_aliases(tree) == ["torch.nn.functional as functional"]
    tree = ast.parse("torch.nn.functional.pad(x)\nnn.functional.pad(x)\nF.pad(x.functional)")
    assert sorted(wrong_aliases(tree)) == ["nn.functional", "torch.nn.functional"]
    assert not vague_names(ast.parse("rows.found = 1\nprint(found, more=2)"))
    tree = ast.parse("def kept(): pass\nprint(more=2)\nfrom rows import row as found")
    assert sorted(empty_names(tree)) == [("found", 3), ("kept", 1), ("more", 2)]
    assert not empty_names(ast.parse("rows.found = 1\nprint(found, draw=2)\ndef draw(): pass"))
    tree = ast.parse("import cropnb.roi\nfrom cropnb import boxes as box_math")
    assert imported(tree) == [("cropnb.roi", "cropnb.roi"), ("cropnb.boxes", "box_math")]
    assert vague_sides(ast.parse("across, down = 1, 2\ndef f(down, across): pass")) == [1, 2]
    tree = ast.parse(
        '"""Such as gaic."""\nimport cropnb.vrn\nx = "cropnb/mars/photos.py", "not_la2c"'
    )
    assert names_a_method(tree) == ["mars", "vrn"]
    assert not vague_sides(ast.parse("right, down = 1, 2\ndef f(across): print(across, 1)"))


def test_the_check_of_scripts_sees_what_it_forbids():
    for text in (
        "const found = 1;",
        "let { map, kept } = x;",
        "const [more] = x;",
        "for (const told of names) f();",
        "function f(a, said) {}",
        "x.map((a, some) => a)",
        "x.map(about => 1)",
        "  move(box, found) {\n",
        "const f = (...told) => told;",
    ):
        assert vague_in_script(text), text
    for text in ('say("found");', "x.some((a) => a)", "state.found = found;", "if (found) f();"):
        assert not vague_in_script(text), text


def test_the_check_of_errors_sees_what_it_forbids():
    tree = ast.parse(
        "def f():\n  raise BoxError(1)\n"
        "def g():\n  'A BoxError.'\n  raise errors.BoxError\n"
        "def _h():\n  raise BoxError\n"
        "def i():\n  raise ValueError\n  def j():\n    raise BoxError\n"
        "class K:\n  'An ImageError.'\n"
        "  def k(self):\n    raise ImageError\n"
        "  def __init__(self):\n    raise PlanError"
    )
    assert unnamed_errors(tree) == [("f", "BoxError", 1), ("__init__", "PlanError", 16)]


def test_the_check_of_citations_sees_what_it_forbids(tmp_path):
    for text in ("(Eq. 5)", "(Eq. 3, 4)", "(Eq. 5 and 6)", "(Eq. 2 to 5).", "(Sec. 3.2.1)", "sect"):
        assert not loose_citations(text), text
    loose = (
        "Eq. 5",
        "(GAIC, Eq. 5)",
        "(Eq.\n5)",
        "(Eqs. 1 and 2)",
        "of Sec. 3",
        "Equation 1",
        "§ 3",
    )
    assert all(map(loose_citations, loose))
    module = tmp_path / "module.py"
    module.write_text('"""(Eq. 1)"""\n\n\ndef f():\n    """Eq. 2"""  # Sec. 3\n')
    assert list(texts(module)) == [("(Eq. 1)", 1), ("Eq. 2", 5), ("# Sec. 3", 5)]


def test_the_check_of_calls_sees_what_it_forbids():
    assert calls_by_place(ast.parse("f(1, 2, 3, 4, 5, 6)\nx.y.g(1, 2, 3, 4, 5, *six)")) == [
        ("f", 1),
        ("g", 2),
    ]
    assert not calls_by_place(ast.parse("f(1, 2, 3, 4, 5, six=6)\nx.permute(0, 1, 2, 4, 3, 5)"))


@pytest.mark.parametrize(("method", "number", "function"), equations())
def test_an_equations_function_carries_its_number(method, number, function):
    module, _, name = function.rpartition(".")
    while True:  # `cropnb.vrn.model.Vrn.forward` names a method of a class
        try:
            place = importlib.import_module(module)
            break
        except ModuleNotFoundError:
            module, _, outer = module.rpartition(".")
            name = f"{outer}.{name}"
    for part in name.split("."):
        place = getattr(place, part)
    text = inspect.getdoc(place) or ""
    assert re.search(rf"Eq\. {number}\b", text), f"{function} doesn't say (Eq. {number})"


@pytest.mark.parametrize("method", methods.METHODS)
def test_a_methods_folder_is_short(method):
    files = [path for path in (ROOT / "cropnb" / method).iterdir() if path.is_file()]
    assert len(files) <= MOST_FILES, sorted(path.name for path in files)
