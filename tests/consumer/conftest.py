import os
import pathlib

import pytest
from projects import Together, sh

PROGRAM = pathlib.Path(os.environ.get("SCORELAB", pathlib.Path(__file__).resolve().parents[2] / "build/bin/scorelab")).absolute()


@pytest.fixture(scope="session")
def prefix(tmp_path_factory):
    """An installed tree: the program's own, or its build tree installed."""
    root = PROGRAM.parents[1]
    if (root / "lib/scorelab/plugins").exists():
        return root
    out = tmp_path_factory.mktemp("installed")
    sh("cmake", "--install", root, "--prefix", out)
    return out


@pytest.fixture(scope="session")
def together(prefix, tmp_path_factory):
    return Together(tmp_path_factory.mktemp("together"), prefix)
