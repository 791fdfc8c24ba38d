"""Text on the page: source code, read from the package, and what comes from elsewhere, escaped."""

import html
import inspect
import re
import textwrap
from typing import Any


class Markdown(str):
    """A string that a notebook and the rendered page show as Markdown."""

    def _repr_markdown_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        # A notebook keeps this beside the Markdown: the whole text would be in the file twice.
        return f"<Markdown, {len(self.splitlines())} lines>"


# What Markdown makes something of within a line, in Jupyter and in MyST. An underscore between
# letters, as in `grid_3x3`, is none of it, and neither are brackets that no address follows.
_MARKUP = re.compile(r"[\\`*{}$~]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])|\[(?=\^)")


def escaped(text: object) -> str:
    """A text as the page shall show it, letter by letter: no HTML and no Markdown in it works.

    For whatever comes from the ledger, from names or from data into Markdown.
    """
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", html.escape(str(text), quote=False))


def show_source(*objects: Any) -> Markdown:
    """The source of functions, classes or methods as one highlighted code block each, under the
    name of its module.

    The text is read from the package when the cell runs, so what the page prints is what the tests
    ran.

    Args:
        objects: functions, methods, properties or classes, shown in this order.

    Raises:
        TypeError: for an object that has no Python source.
    """
    blocks = []
    for item in objects:
        item = inspect.unwrap(item.fget if isinstance(item, property) else item)
        try:
            source = textwrap.dedent(inspect.getsource(item)).rstrip()
        except (OSError, TypeError) as error:
            raise TypeError(
                f"{item!r} has no Python source to show; pass a function, method or class."
            ) from error
        blocks.append(f"```python\n# {item.__module__}\n{source}\n```")
    return Markdown("\n\n".join(blocks))


def folded(summary: str, text: str) -> Markdown:
    """A long table or list behind one line that opens it: on the page, in JupyterLab and in an
    exported notebook.

    Args:
        summary: the line, letter by letter.
        text: Markdown.
    """
    return Markdown(f"<details><summary>{escaped(summary)}</summary>\n\n{text}\n\n</details>")


def print_shapes(**tensors: Any) -> None:
    """Print the shape of each tensor beside its name; an underline in a name becomes a space."""
    width = max(map(len, tensors), default=0)
    for name, tensor in tensors.items():
        print(f"{name.replace('_', ' '):{width}} {list(tensor.shape)}")
