"""A program: the records of FLMS's MATLAB file as JSON. Run by `checked.matlab_records`, and on its
own, so that starting it doesn't take the time that importing cropnb does.
"""

import contextlib
import json
import resource
import sys

MEMORY = 2 << 30  # bytes

if __name__ == "__main__":
    import numpy as np
    import scipy.io

    # not every system knows this limit
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        contents = scipy.io.loadmat(sys.argv[1], variable_names=["img_gt"])
        records = [
            (
                str(np.ravel(record["filename"])[0]),
                np.asarray(record["bbox"], dtype=float).tolist(),
            )
            for record in contents["img_gt"].ravel()
        ]
    except BaseException as error:
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}")
    json.dump(records, sys.stdout)
