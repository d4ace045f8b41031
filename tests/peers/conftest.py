import os
import pathlib
import sys

import pytest

for folder in ("tests/resume", "tests/clients", "python"):  # lab.py drives the program, philox.py is its noise written again
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / folder))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    os.environ["SCORELAB_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def doubles():
    """Peers make their grids in the default dtype."""
    import torch
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
