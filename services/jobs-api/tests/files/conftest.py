"""The `lab` fixture: a folder for the whole session, so that hypothesis may use it."""

import pytest
from files_kit import Lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Where the tests of this folder work on files."""
    return Lab(tmp_path_factory.mktemp("lab"))
