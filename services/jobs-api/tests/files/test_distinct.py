"""The number of different values is exact, also when memory holds only a few of them."""

import hashlib
from pathlib import Path

import pytest
from files_kit import Lab, Reports
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs_api.files import distinct, spill
from jobs_api.files.distinct import distinct_counts
from jobs_api.files.progress import Progress

LONG = "x" * distinct.WHOLE_CHARACTERS


def counted(folder: Path, batches: list[list[list[str]]], columns: int) -> list[int]:
    """Feed batches of rows, as the reading does, and return the totals."""
    with distinct_counts(folder, columns) as counts:
        for rows in batches:
            for column in range(columns):
                present = {row[column] for row in rows}
                counts.add(column, present, max(map(len, present)))
        return counts.totals(Progress(Reports()).stage(0, 100, columns, "counting"))


@pytest.fixture
def tiny_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few values in memory that everything is spilled, split and split again."""
    monkeypatch.setattr(distinct, "KEPT_VALUES", 3)
    monkeypatch.setattr(spill, "BUFFERED_ITEMS", 5)


@pytest.mark.usefixtures("tiny_memory")
def test_far_more_values_than_memory_holds(tmp_path: Path) -> None:
    batches = [
        [[str(number % 700), str(number % 2), str(number)] for number in range(start, start + 100)]
        for start in range(0, 2000, 100)
    ]
    assert counted(tmp_path, batches, 3) == [700, 2, 2000]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("tiny_memory")
def test_a_value_kept_early_is_not_counted_again_after_a_spill(tmp_path: Path) -> None:
    batches = [[["a"]], [["b"]], [["c"], ["d"], ["e"]], [["a"], ["b"], ["d"], ["f"]], [["a"]]]
    assert counted(tmp_path, batches, 1) == [6]


def test_the_memory_is_shared_by_all_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct, "KEPT_VALUES", 10)
    rows = [[str(number), f"b{number}"] for number in range(8)]
    with distinct_counts(tmp_path, 2) as counts:
        counts.add(0, {row[0] for row in rows}, 2)
        counts.add(1, {row[1] for row in rows}, 2)
        assert counts.totals(Progress(Reports()).stage(0, 1, 2, "")) == [8, 8]


def test_long_values_are_told_apart_by_their_ends(tmp_path: Path) -> None:
    texts = [LONG, LONG + "a", LONG + "b", LONG + "a", LONG[1:], "é" * 100, "é" * 101]
    assert counted(tmp_path, [[[text]] for text in texts], 1) == [6]


def test_a_value_that_reads_like_the_digest_of_another_is_a_value_of_its_own(tmp_path: Path) -> None:
    digest = hashlib.blake2b((LONG + "a").encode(), digest_size=20).hexdigest()
    assert counted(tmp_path, [[[LONG + "a"]], [[digest]]], 1) == [2]


@settings(deadline=None)
@given(
    kept=st.integers(1, 6),
    buffered=st.integers(1, 6),
    batches=st.lists(st.lists(st.lists(st.text(max_size=2), min_size=2, max_size=2), min_size=1), min_size=1),
)
def test_like_a_set(lab: Lab, kept: int, buffered: int, batches: list[list[list[str]]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distinct, "KEPT_VALUES", kept)
        patch.setattr(distinct, "WHOLE_CHARACTERS", 1)
        patch.setattr(spill, "BUFFERED_ITEMS", buffered)
        totals = counted(lab.folder, batches, 2)
    assert totals == [len({row[column] for rows in batches for row in rows}) for column in (0, 1)]
