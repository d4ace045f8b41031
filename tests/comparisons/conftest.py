import pathlib
import sys

import pytest

from comparing import Lab

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "clients"))  # philox and mlp_torch: noise and network by other code


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as m:
        m.setenv("SCORELAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        m.setenv("NO_COLOR", "1")
        yield


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)
