"""The program under test: $SCORELAB, or build/bin/scorelab of this repository; its cache is this session's own."""

import atexit
import os
import pathlib
import shutil
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
BAD, GOOD = HERE / "bad", HERE / "good"
PROGRAM = pathlib.Path(os.environ.get("SCORELAB") or HERE.parents[1] / "build/bin/scorelab").resolve()
CACHE = tempfile.mkdtemp(prefix="scorelab-tests-")
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)


def environment(**changes):
    out = {**os.environ, "SCORELAB_CACHE": CACHE, "LC_ALL": "C.UTF-8", **changes}
    for name in ("NO_COLOR", "SCORELAB_DATA"):
        if name not in changes:
            out.pop(name, None)
    return out


def scorelab(*arguments, cwd=HERE, program=PROGRAM, timeout=120, **changes):
    done = subprocess.run([str(program), *map(str, arguments)], cwd=cwd, env=environment(**changes), timeout=timeout,
                          stdin=subprocess.DEVNULL, capture_output=True)
    done.stdout, done.stderr = (text.decode("utf-8", "backslashreplace") for text in (done.stdout, done.stderr))  # to the byte: \r stays
    return done
