import os

import pytest

import lab as laboratory


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: many more random kills; run with -m slow or SCORELAB_SLOW=1")


def pytest_collection_modifyitems(config, items):
    if os.environ.get("SCORELAB_SLOW") == "1" or "slow" in (config.getoption("-m") or ""):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="SCORELAB_SLOW=1 or -m slow"))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    os.environ["SCORELAB_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The run that nothing interrupts."""
    lab = laboratory.Lab(tmp_path_factory.mktemp("whole"))
    lab.run()
    return lab


@pytest.fixture(scope="session")
def reference(whole):
    return laboratory.outcome(whole)
