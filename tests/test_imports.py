"""A bare GPU machine has PyTorch and little else: the package must import, and its programs start,
without the rest.
"""

import subprocess
import sys

from cropnb.methods import METHODS

ABSENT = (
    "IPython",
    "anywidget",
    "cv2",
    "gymnasium",
    "ipykernel",
    "ipywidgets",
    "matplotlib",
    "nbformat",
    "pandas",
    "papermill",
    "pooch",
    "pycocotools",
    "pyvips",
    "skimage",
    "smartcrop",
    "sphinx",
    "stable_baselines3",
    "transformers",
    "yaml",
)
PROGRAM = f"""
import contextlib, io, pkgutil, runpy, sys

sys.modules.update(dict.fromkeys({ABSENT!r}))  # an import of None is a ModuleNotFoundError
import cropnb
# figures, notebooks, and Gymnasium's classes
skipped = ("cropnb.widgets", "cropnb.notebook", "cropnb.la2c.envs.gym")
modules = pkgutil.walk_packages(cropnb.__path__, "cropnb.")
names = [module.name for module in modules if not module.name.startswith(skipped)]
for name in names:
    if not name.endswith("__main__"):
        __import__(name)
        continue
    sys.argv = [name, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            runpy.run_module(name, run_name="__main__")
        except SystemExit as end:
            assert not end.code, name
    assert "usage" in printed.getvalue(), name
print(len(names))
"""


def test_everything_but_the_figures_imports_and_every_program_starts_without_jupyter():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30


def test_a_method_needs_neither_the_engine_nor_another_method():
    """But VRN, which builds on GAIC; who reads or uses a network needs no way to train it."""
    program = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module("cropnb." + name)
    modules = [module for module in sys.modules if module.startswith("cropnb.")]
    folders = {module.split(".")[1] for module in modules}
    print(name, *sorted(folders & {"runs", *sys.argv[1:]} - {name}))
    for module in modules:  # PyTorch and all others stay: they take seconds
        del sys.modules[module]
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *METHODS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    needs = {"vrn": "vrn gaic"}
    assert done.stdout.splitlines() == [needs.get(name, name) for name in METHODS]


def test_a_blocked_module_would_be_noticed():
    program = PROGRAM.replace(
        '("cropnb.widgets", "cropnb.notebook", "cropnb.la2c.envs.gym")', '("cropnb.none",)'
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "ModuleNotFoundError" in done.stderr
