"""Where the datasets are on this disk."""

import os
from pathlib import Path

# Datasets that lie in another one's folder, beside its photos.
PART_OF = {"gaicd_layouts": "gaicd", "gaicd_v2_layouts": "gaicd_v2"}


def dataset_root(name: str, root: str | os.PathLike | None = None) -> Path:
    """The folder of a dataset: `root`, else `$CROPNB_DATA/name`, else `name` in the user's cache
    folder. Of a dataset that is part of another one, that one's folder.
    """
    name = PART_OF.get(name, name)
    if root is not None:
        return Path(root).expanduser()
    if os.environ.get("CROPNB_DATA"):
        return Path(os.environ["CROPNB_DATA"]).expanduser() / name
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cropnb" / name
