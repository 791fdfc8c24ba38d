"""Run one job in a process of its own: `python run_job.py JSON`. Prints the error's type and text,
and exits with 2.
"""

import json
import os
import resource
import sys
from pathlib import Path

import pooch
import requests  # both before the limits below, and so that a user who may read nothing has them

from cropnb.datasets.fetch import install, manifest
from cropnb.datasets.fetch.manifest import Entry, Source
from cropnb.errors import CropnbError

assert pooch
assert requests
job = json.loads(sys.argv[1])
entry = job["entry"]
entry["sources"] = tuple(Source(**source) for source in entry["sources"])
manifest.entry = lambda name: Entry(**entry)
if job.get("largest_file"):
    resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest_file"], job["largest_file"]))
if job.get("nobody") and os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    report = install.obtain(
        install.Job(entry["name"], Path(job["folder"]), progress=False, patience=0.01)
    )
except CropnbError as error:
    print(f"{type(error).__name__}: {error}")
    sys.exit(2)
print("done" if report.done else "nothing to do")
