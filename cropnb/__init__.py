"""Five image-cropping papers, taught, rebuilt and measured.

`cropnb.load("vrn")` gives a cropper; `cropnb.boxes`, `cropnb.metrics`, `cropnb.datasets` and the
other submodules are imported when they are first asked for, so that `import cropnb` costs nothing.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cropnb.croppers import load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    if name == "load":
        return importlib.import_module("cropnb.croppers").load
    if not name.startswith("_"):
        try:
            return importlib.import_module(f"cropnb.{name}")
        except ModuleNotFoundError as error:
            # the submodule is there, and something that it needs is not
            if error.name != f"cropnb.{name}":
                raise
    raise AttributeError(f"module 'cropnb' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(
        {*globals(), *__all__, *(module.name for module in pkgutil.iter_modules(__path__))}
    )
