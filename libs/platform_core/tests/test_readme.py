"""The README's example does what it says."""

import doctest
from pathlib import Path


def test_the_example_in_the_readme_runs() -> None:
    readme = Path(__file__).parents[1] / "README.md"
    results = doctest.testfile(str(readme), module_relative=False)
    assert results.attempted >= 8
    assert results.failed == 0
