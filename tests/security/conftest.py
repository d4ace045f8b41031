import pathlib
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "comparisons"))

from comparing import Lab  # noqa: E402


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def lab(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("SCORELAB_CACHE", cache)
    monkeypatch.setenv("NO_COLOR", "1")
    return Lab(tmp_path)
