"""Many threads meet types for the first time, all at once; `test_json_values` runs it as a program.

The threads change at nearly every step, so what could go wrong in years goes wrong in a second.
"""

import sys
import threading
from typing import TypedDict

from platform_core.json_values import JsonValue, convert_as

ROUNDS = 40
VALUE: JsonValue = {name: [{"a": "x", "b": 1, "c": ["y"]}] for name in "kmnopqr"}


def new_type() -> type[object]:
    """Return a type that nobody has met, with another one inside."""

    class Inner(TypedDict):
        a: str | int | list[str] | None
        b: dict[str, int] | int | None
        c: list[str] | str | int

    class Outer(TypedDict):
        k: list[Inner]
        m: list[Inner]
        n: list[Inner]
        o: list[Inner]
        p: list[Inner]
        q: list[Inner]
        r: list[Inner]

    return Outer


def meet(target: type[object], together: threading.Barrier) -> None:
    """Convert a value when all are there."""
    together.wait()
    assert convert_as(VALUE, target) == VALUE


def main() -> None:
    """Let four threads meet each type."""
    sys.setswitchinterval(1e-7)
    for _ in range(ROUNDS):
        target, together = new_type(), threading.Barrier(4)
        threads = [threading.Thread(target=meet, args=(target, together)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
