"""What a rendered page loses and gains before it is done: see `sphinx_cropnb.finished`."""

from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.parsers.rst import Parser
from docutils.utils import new_document
from sphinx_cropnb import UnbrokenNumbers, finished

HEAD = """<head>
  <link rel="preload" as="font" type="font/woff2" crossorigin href="_static/fa-solid-900.woff2" />
  <link href="_static/vendor/fontawesome/6.5.2/css/all.min.css?digest=1" rel="stylesheet" />
  <script src="_static/vendor/fontawesome/6.5.2/js/all.min.js?digest=1"></script>
  <script defer="defer" src="_static/../vendor/mathjax/tex-mml-chtml.js?v=2"></script>
  <script>window.MathJax = {"options": {"processHtmlClass": "math|output_area"}}</script>
  <script src="_static/figures.js?v=3"></script>
</head>"""


def test_icons_come_from_the_font_alone() -> None:
    page = finished(f"{HEAD}<p>Text.</p>")
    assert "all.min.css" in page
    assert "all.min.js" not in page
    assert 'as="font"' not in page
    assert "figures.js" in page


def test_a_page_without_formulas_loads_no_mathjax() -> None:
    assert "MathJax" not in finished(f"{HEAD}<p>Some aftermath.</p>")
    assert "mathjax" not in finished(f"{HEAD}<p>Some aftermath.</p>")
    for formula in ('<span class="math notranslate nohighlight">', '<div class="amsmath math">'):
        page = finished(f"{HEAD}{formula}x")
        assert "window.MathJax" in page
        assert "tex-mml-chtml.js" in page


def test_roles_are_those_that_screen_readers_know() -> None:
    references = '<div role="list"><div class="citation" role="doc-biblioentry">A</div></div>'
    sidebar = '<div class="bd-sidebar-primary bd-sidebar">'
    summary = '<summary aria-label="Toggle hidden content"><p>Parameters</p></summary>'
    page = finished(references + sidebar + summary)
    assert "<summary><p>Parameters</p></summary>" in page
    assert "doc-biblioentry" not in page
    assert '<div class="citation" role="listitem">' in page
    assert 'role="navigation" aria-label="The book"' in page


def test_no_line_turns_inside_of_a_number() -> None:
    document = new_document("page", get_default_settings(Parser))
    prose = nodes.paragraph(
        "", "", nodes.Text("95 % of 1 036 photos, 9 × 9 cells, N = 5 [0.4, 0.6]")
    )
    code = nodes.paragraph("", "", nodes.literal("", "N = 5"))
    document += [prose, code]
    UnbrokenNumbers(document).run()
    numbers = ["95\xa0%", "1\xa0036", "9\xa0×\xa09", "N\xa0=\xa05", "[0.4,\xa00.6]"]
    assert [word for word in prose.astext().split(" ") if "\xa0" in word] == numbers
    assert code.astext() == "N = 5"
