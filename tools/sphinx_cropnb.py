"""What this book adds to Sphinx: its vendored libraries, and the API page from the docstrings.

The API page reads the package's source and imports nothing of it, so that the book renders without
torch:

    ```{cropnb-api} cropnb.boxes
    ```

lists the public names of a module (its `__all__`, else the classes and functions without a leading
underscore that are defined there) with signature and docstring.
"""

import ast
import json
import os
import re
import textwrap
from pathlib import Path

from docutils import nodes
from myst_nb.core import render
from open_book import Repository, colab_copies, repository, with_links
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective
from vendor import TOOLS, vendor

ROOT = TOOLS.parent
_SECTION = re.compile(
    r"(Args|Arguments|Attributes|Example|Examples|Note|Raises|Returns|Shapes|Yields):"
)
# the spaces of `95 %`, `1 036`, `9 × 9`, `λ = 0.1` and `[0.48, 0.54]`, at which no line shall turn
_INSIDE = re.compile(
    r"(?<=\d) (?=%|\d{3}(?!\d))|(?<=[\dN]) (?=× [\dN])|(?<=×) (?=\d)|(?<=\b\w) (?==)|(?<==) (?=\d)"
    r"|(?<=\d,) (?=[+−-]?[\d.]+\])"
)
_INLINE = re.compile(r"(``?)([^`]+)\1|\$([^$\n]+)\$")


def public_names(module: str) -> list[ast.FunctionDef | ast.ClassDef]:
    """The public classes and functions of a module, in the order of its source, re-exported ones
    included.
    """
    body = ast.parse(module_path(module).read_text(encoding="utf-8")).body
    assigned = (
        s
        for s in body
        if isinstance(s, ast.Assign) and getattr(s.targets[0], "id", "") == "__all__"
    )
    listed = next((set(ast.literal_eval(statement.value)) for statement in assigned), None)
    definitions: list[ast.FunctionDef | ast.ClassDef] = []
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            public = (
                statement.name in listed
                if listed is not None
                else not statement.name.startswith("_")
            )
            definitions += [statement] if public else []
        elif isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith(
            "cropnb."
        ):
            wanted = {alias.name for alias in statement.names} & (listed or set())
            definitions += (
                [item for item in public_names(statement.module) if item.name in wanted]
                if wanted
                else []
            )
    return definitions


def module_path(module: str) -> Path:
    """The source file of a module or package."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def modules_of(page: str) -> list[str]:
    """The modules that a Markdown page documents with the directive below."""
    return re.findall(r"^```\{cropnb-api\} +(\S+)", page, flags=re.MULTILINE)


def signature(function: ast.FunctionDef) -> str:
    """`name(arguments) -> result`, as it is written, without the `self` of a method."""
    arguments = ast.unparse(function.args)
    arguments = re.sub(r"^self(, )?", "", arguments)
    result = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return f"{function.name}({arguments}){result}"


class ModuleApi(SphinxDirective):
    """The public names of one module."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module = self.arguments[0]
        path = module_path(module)
        self.env.note_dependency(str(path))
        introduction = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        content = _prose(introduction)
        for item in public_names(module):
            content.append(self._definition(item))
        return content

    def _definition(self, item: ast.FunctionDef | ast.ClassDef) -> nodes.definition_list:
        if isinstance(item, ast.ClassDef):
            made = [s for s in item.body if isinstance(s, ast.FunctionDef) and s.name == "__init__"]
            title = f"class {item.name}"
            if made:
                title += re.sub(r"^__init__|( -> None)$", "", signature(made[0]))
        else:
            title = signature(item)
        term = nodes.term("", "", nodes.literal(title, title))
        term["ids"] = [nodes.make_id(f"api-{self.arguments[0]}-{item.name}")]
        body = _prose(ast.get_docstring(item) or "")
        if isinstance(item, ast.ClassDef):
            methods = [
                s
                for s in item.body
                if isinstance(s, ast.FunctionDef)
                and not s.name.startswith("_")
                and ast.get_docstring(s)
            ]
            body.extend(self._definition(method) for method in methods)
        return nodes.definition_list(
            "", nodes.definition_list_item("", term, nodes.definition("", *body)), classes=["api"]
        )


def _prose(docstring: str) -> list[nodes.Node]:
    """Paragraphs with code and formulas in them. `Args:` and its like become lists, other indented
    text stays.
    """
    content: list[nodes.Node] = []
    for block in re.split(r"\n\s*\n", docstring.strip()):
        lines = block.split("\n")
        if _SECTION.fullmatch(lines[0]) and len(lines) > 1:
            content.append(_fields(lines[0][:-1], textwrap.dedent("\n".join(lines[1:]))))
        elif all(line[:1].strip() for line in lines) and not lines[0].startswith(("- ", "* ", "|")):
            content.append(nodes.paragraph("", "", *_inline(" ".join(lines))))
        elif block.strip():
            content.append(nodes.literal_block(block, block, language="text"))
    return content


def _fields(title: str, text: str) -> nodes.definition_list:
    entries = re.split(r"\n(?=\S)", text)
    items = [nodes.paragraph("", "", *_inline(" ".join(entry.split()))) for entry in entries]
    return nodes.definition_list(
        "",
        nodes.definition_list_item("", nodes.term("", title), nodes.definition("", *items)),
        classes=["fields"],
    )


def _inline(text: str) -> list[nodes.Node]:
    pieces: list[nodes.Node] = []
    end = 0
    for match in _INLINE.finditer(text):
        if match.start() > end:
            pieces.append(nodes.Text(text[end : match.start()]))
        code, formula = match[2], match[3]
        pieces.append(nodes.literal(code, code) if code else nodes.math(formula, formula))
        end = match.end()
    if end < len(text):
        pieces.append(nodes.Text(text[end:]))
    return pieces


class UnbrokenNumbers(SphinxPostTransform):
    """No line turns inside of a number: its spaces become such as don't break."""

    default_priority = 900

    def run(self, **kwargs: object) -> None:
        for text in list(self.document.findall(nodes.Text)):
            if isinstance(text.parent, nodes.literal | nodes.literal_block | nodes.raw):
                continue
            better = _INSIDE.sub("\N{NO-BREAK SPACE}", text)
            if better != text and not isinstance(text.parent, nodes.math | nodes.math_block):
                text.parent.replace(text, nodes.Text(better))


def _vendored(app: Sphinx, config: object) -> None:
    config.html_extra_path = [*config.html_extra_path, str(vendor())]


def _without_thebe(app: Sphinx, config: object) -> None:
    # Jupyter Book always loads sphinx-thebe, which writes its settings into each page twice (a
    # script error) and names a library on the network. No page here runs its cells on somebody's
    # server.
    for listeners in app.events.listeners.values():
        for listener in list(listeners):
            if listener.handler.__module__ == "sphinx_thebe":
                app.disconnect(listener.id)
    app.registry.css_files[:] = [
        file for file in app.registry.css_files if not file[0].startswith("sphinx-thebe")
    ]


# What a page loads and doesn't need. The theme draws its icons twice, by a font and by a script of
# 1.5 MB, and preloads the font as if from another site, which a browser refuses on `file://`,
# loudly.
_NEEDLESS = re.compile(
    r'\s*<link rel="preload" as="font"[^>]*>'
    r'|\s*<script [^>]*src="[^"]*fontawesome/[^"]*\.js[^>]*></script>'
)
_MATHJAX = re.compile(
    r'\s*<script [^>]*src="[^"]*mathjax/[^>]*></script>|\s*<script>window\.MathJax = .*?</script>'
)


_EMPTY_HEAD = re.compile(r'<th( class="head[^"]*")>(?:<p></p>)?</th>')  # a corner heads nothing


# Roles that theme and bibliography give or leave out against the rules of ARIA: a reference
# in a list is its item, and what stands beside the text belongs to a landmark.
_ROLES = {
    'role="doc-biblioentry"': 'role="listitem"',
    # what is folded is called what stands on its line, not this
    '<summary aria-label="Toggle hidden content">': "<summary>",
    '<div class="bd-sidebar-primary bd-sidebar">': (
        '<div class="bd-sidebar-primary bd-sidebar" role="navigation" aria-label="The book">'
    ),
}


def finished(page: str) -> str:
    """A page without what it loads in vain, and with roles that screen readers understand. MathJax
    stays where there is a formula.
    """
    page = _NEEDLESS.sub("", page)
    for wrong, right in _ROLES.items():
        page = page.replace(wrong, right)
    page = _EMPTY_HEAD.sub(r"<td\1></td>", page)
    return page if re.search(r'class="[^"]*\bmath\b', page) else _MATHJAX.sub("", page)


def _finish(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        if (better := finished(text)) != text:
            path.write_text(better, encoding="utf-8")


def _open_elsewhere(app: Sphinx, source: Repository) -> None:
    """Links to Binder, to Colab and to where a page is edited, on every page with a source."""

    def page_links(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
        if doctree is not None:
            with_links(context, source, page, Path(app.env.doc2path(page)).suffix)

    def copies(app: Sphinx, error: Exception | None) -> None:
        if error is None and app.builder.format == "html":
            paths = {page: Path(app.env.doc2path(page)) for page in sorted(app.env.found_docs)}
            pages = [page for page, path in paths.items() if path.suffix == ".ipynb"]
            colab_copies(Path(app.srcdir), pages, Path(app.outdir), source)

    # after the theme has made its own buttons
    app.connect("html-page-context", page_links, priority=502)
    app.connect("build-finished", copies)


def script_content(content: str) -> str:
    """What a `<script>` holds, JSON or JavaScript, so that no text in it can end the script or open
    another.

    MyST-NB replaces `</script>` alone, and a browser takes `</SCRIPT >` and `<!--` as well.
    """
    try:
        json.loads(content)
    except ValueError:
        return re.sub(r"<(?=/script)", r"\\x3c", content, flags=re.IGNORECASE)
    return content.replace("<", r"\u003c")


def setup(app: Sphinx) -> dict[str, object]:
    """Called by Sphinx."""
    render.sanitize_script_content = script_content
    app.add_directive("cropnb-api", ModuleApi)
    app.add_post_transform(UnbrokenNumbers)
    app.connect("config-inited", _vendored, priority=100)
    app.connect("config-inited", _without_thebe)
    app.connect("build-finished", _finish)
    source = repository(os.environ)
    if source is not None:
        _open_elsewhere(app, source)
    return {"version": "1", "parallel_read_safe": True}
