"""Memory stays flat: a file four times as large needs no more of it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")

PROGRAM = """
import sys
from pathlib import Path
from jobs_api.files.{operation} import {operation}
{operation}(Path(sys.argv[1]), Path(sys.argv[2]), {{"file_id": "f"}}, lambda percent, message: None)
print(Path("/proc/self/status").read_text())
"""
MEGABYTE = 1_000_000


def write_table(path: Path, size: int, text: str = "value") -> None:
    """Write a table of about `size` bytes whose values are nearly all different; each holds `text`."""
    row = 0
    with path.open("w") as file:
        file.write("id,code,text,group\n")
        while file.tell() < size:
            numbers = range(row, row + 1000)
            file.write("".join(f"{n},{n * 2654435761 % 2**32:08x},{text} {n},{n % 7}\n" for n in numbers))
            row += 1000


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tables")
    small, large = folder / "small.csv", folder / "large.csv"
    # Even the small one has more values and rows than are held in memory.
    write_table(small, 8 * MEGABYTE)
    write_table(large, 32 * MEGABYTE)
    return small, large


def peak(operation: str, source: Path) -> int:
    """Run an operation in a process of its own; return its peak memory in bytes.

    Read from the kernel: the figure of `resource.getrusage` includes the parent's at the fork.
    """
    program = PROGRAM.format(operation=operation)
    command = [sys.executable, "-c", program, str(source), str(source.parent / "result")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (high_water,) = re.findall(r"VmHWM:\s+(\d+) kB", done.stdout)
    return int(high_water) * 1024


@pytest.mark.parametrize("operation", ["row_count", "column_stats", "deduplicate"])
def test_memory_does_not_grow_with_the_file(tables: tuple[Path, Path], operation: str) -> None:
    small, large = (peak(operation, table) for table in tables)
    assert large < small + 15 * MEGABYTE
    assert large < 120 * MEGABYTE


def test_long_texts_take_no_more_memory_than_short_ones(tmp_path: Path) -> None:
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    write_table(small, 5 * MEGABYTE, text="text " * 200)
    write_table(large, 25 * MEGABYTE, text="text " * 200)
    assert peak("column_stats", large) < peak("column_stats", small) + 10 * MEGABYTE
