"""What every suite in Python begins with: the plugins that tests build are trusted, and nothing is written to the user's own folders."""
import os

import pytest

os.environ.setdefault("SCORELAB_TRUST", "/")


@pytest.fixture(scope="session", autouse=True)
def own_configuration(tmp_path_factory):
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))
