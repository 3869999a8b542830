"""What was appended to a bucket comes back, in order, and from no other."""

from pathlib import Path

import pytest
from files_kit import Lab
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import msgpack

from jobs_api.files import spill
from jobs_api.files.spill import buckets

NUMBERS = msgpack.Decoder(list[int])


def everything(parts: spill.Buckets[int], bucket: int) -> list[int]:
    return [number for block in parts.read(bucket) for number in block]


@settings(deadline=None)
@given(
    writes=st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**60)), max_size=8)),
    buffered=st.integers(1, 10),
)
def test_like_lists(lab: Lab, writes: list[list[tuple[int, int]]], buffered: int) -> None:
    expected: list[list[int]] = [[], [], [], []]
    with pytest.MonkeyPatch.context() as patch, buckets(lab.folder, 4, NUMBERS) as parts:
        patch.setattr(spill, "BUFFERED_ITEMS", buffered)
        for items in writes:
            parts.scatter([number for _, number in items], [bucket for bucket, _ in items])
            for bucket, number in items:
                expected[bucket].append(number)
        assert [everything(parts, bucket) for bucket in range(4)] == expected


def test_appending_goes_on_after_reading(tmp_path: Path) -> None:
    with buckets(tmp_path, 2, NUMBERS) as parts:
        parts.extend(0, [1, 2])
        parts.extend(1, [3])
        assert everything(parts, 0) == [1, 2]
        parts.extend(0, [4])
        assert everything(parts, 0) == [1, 2, 4]
        assert everything(parts, 1) == [3]


def test_the_file_is_never_visible(tmp_path: Path) -> None:
    with buckets(tmp_path, 1, NUMBERS) as parts:
        parts.extend(0, range(100_000))
        assert list(tmp_path.iterdir()) == []
