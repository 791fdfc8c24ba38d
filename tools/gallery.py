"""Draw the pictures of the first page's gallery into book/pictures, with the weights that ship.

python tools/gallery.py
"""

from pathlib import Path

from cropnb.notebook import gallery

FOLDER = Path(__file__).resolve().parent.parent / "book" / "pictures"

if __name__ == "__main__":
    for path in gallery.write(FOLDER):
        print(f"{path.name}: {path.stat().st_size:,} bytes")
