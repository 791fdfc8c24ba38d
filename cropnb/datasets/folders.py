"""Where the datasets are on this disk."""

import os
from pathlib import Path


def dataset_root(name: str, root: str | os.PathLike | None = None) -> Path:
    """The folder of a dataset: `root`, else `$CROPNB_DATA/name`, else `name` in the user's cache
    folder.
    """
    if root is not None:
        return Path(root).expanduser()
    if os.environ.get("CROPNB_DATA"):
        return Path(os.environ["CROPNB_DATA"]).expanduser() / name
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cropnb" / name
