import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "resume"))  # lab.py drives the program


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    os.environ["SCORELAB_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def done(tmp_path_factory):
    """A finished run with every stream."""
    from lab import MANIFEST, Lab
    lab = Lab(tmp_path_factory.mktemp("done"), MANIFEST.replace("steps = 3000", "steps = 400").replace("steps = 250,", "steps = 20,").replace(
        "evaluate_every = 250", "evaluate_every = 100"))
    lab.run()
    return lab
