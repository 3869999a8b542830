"""What the figures of a column are, type by type."""

import math
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from files_kit import Lab, refusal
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs_api.files import column_stats, columns, table, values
from jobs_api.files.values import Bound

BIG = "9007199254740993"


@pytest.mark.parametrize(
    ("cells", "kind", "low", "high", "mean"),
    [
        pytest.param(["9", "10", "-3"], "integer", -3, 10, 16 / 3, id="integers by size, not by text"),
        pytest.param(["+5", "0", "-0"], "integer", 0, 5, 5 / 3, id="signs"),
        pytest.param([" 7", "8 ", "\t9\t"], "integer", 7, 9, 8.0, id="spaces around"),
        pytest.param([BIG, "1"], "integer", 1, BIG, 4503599627370497.0, id="beyond 2**53: as text"),
        pytest.param(["1" + "0" * 299, "1"], "integer", 1, "1" + "0" * 299, 5e298, id="beyond 64 bits"),
        pytest.param(["1" + "0" * 300, "1"], "float", 1.0, 1e300, 5e299, id="beyond 300 digits"),
        pytest.param(["1" * 5000, "1"], "text", "1", "1" * 100, None, id="beyond a double"),
        pytest.param(["007", "8"], "text", "007", "8", None, id="leading zeros are an identifier's"),
        pytest.param(["00.5"], "text", "00.5", "00.5", None, id="leading zeros before a point"),
        pytest.param(["0.1", "0.2", "0.3"], "float", 0.1, 0.3, 0.2, id="mean rounded once"),
        pytest.param(["1e5", "2"], "float", 2.0, 1e5, 50001.0, id="exponent"),
        pytest.param([".5", "5.", "-1E-3"], "float", -0.001, 5.0, 1.833, id="points at an end"),
        pytest.param(["1", "2.5"], "float", 1.0, 2.5, 1.75, id="integers and floats"),
        pytest.param(["1e308", "1e308", "1e308"], "float", 1e308, 1e308, 1e308, id="sum beyond a double"),
        pytest.param(["1e400"], "text", "1e400", "1e400", None, id="a float beyond a double"),
        pytest.param(["inf", "1.5"], "text", "1.5", "inf", None, id="infinity is no number to average"),
        pytest.param(["1_000"], "text", "1_000", "1_000", None, id="Python's own way to write integers"),
        pytest.param(["١٢"], "text", "١٢", "١٢", None, id="digits of another script"),
        pytest.param(["1,000"], "text", "1,000", "1,000", None, id="thousands separator"),
        pytest.param(["1\n2"], "text", "1\n2", "1\n2", None, id="two numbers in one value"),
        pytest.param(["0x10", "1"], "text", "0x10", "1", None, id="hexadecimal"),
        pytest.param(["true", "FALSE", "True"], "boolean", False, True, None, id="booleans"),
        pytest.param([" true "], "boolean", True, True, None, id="true alone"),
        pytest.param(["true", "1"], "text", "1", "true", None, id="booleans and integers"),
        pytest.param(["no", "yes"], "text", "no", "yes", None, id="yes and no"),
        pytest.param(["2024-02-29", "1999-12-31 "], "date", "1999-12-31", "2024-02-29", None, id="dates"),
        pytest.param(["2023-02-29"], "text", "2023-02-29", "2023-02-29", None, id="no such day"),
        pytest.param(["20240229"], "integer", 20240229, 20240229, 20240229.0, id="eight digits"),
        pytest.param(["29.02.2024"], "text", "29.02.2024", "29.02.2024", None, id="another order"),
        pytest.param(
            ["2024-01-01T10:00:00Z", "2024-01-01 11:30+02:00"],
            "datetime",
            "2024-01-01T11:30:00+02:00",
            "2024-01-01T10:00:00+00:00",
            None,
            id="datetimes by moment, not by text",
        ),
        pytest.param(
            ["2024-01-01T10:00", "2024-01-01T10:00:00.5"],
            "datetime",
            "2024-01-01T10:00:00",
            "2024-01-01T10:00:00.500000",
            None,
            id="datetimes without offset",
        ),
        pytest.param(
            ["2024-01-01T10:00", "2024-01-01T10:00Z"],
            "text",
            "2024-01-01T10:00",
            "2024-01-01T10:00Z",
            None,
            id="with and without offset",
        ),
        pytest.param(
            ["2024-01-01T25:00"], "text", "2024-01-01T25:00", "2024-01-01T25:00", None, id="hour 25"
        ),
        pytest.param(
            ["2024-01-01", "2024-01-01T10:00"], "text", "2024-01-01", "2024-01-01T10:00", None, id="both"
        ),
        pytest.param(["b", "a", "é", "Z"], "text", "Z", "é", None, id="text by code point"),
        pytest.param(["1", "x"], "text", "1", "x", None, id="a mixture"),
        pytest.param(["x" * 150, "x" * 120 + "y"], "text", "x" * 100, "x" * 100, None, id="long text is cut"),
        pytest.param(["", " ", "NA"], "empty", None, None, None, id="nothing but nulls"),
        pytest.param([], "empty", None, None, None, id="no rows"),
    ],
)
def test_type_and_bounds(
    lab: Lab, cells: list[str], kind: str, low: Bound, high: Bound, mean: float | None
) -> None:
    stats = lab.column(*cells)
    assert (stats["type"], stats["min"], stats["max"], stats["mean"]) == (kind, low, high, mean)
    assert (type(stats["min"]), type(stats["max"])) == (type(low), type(high))


def test_nulls_are_counted_and_left_out_of_everything_else(lab: Lab) -> None:
    stats = lab.column("1", "", "NA", "  ", "null", " NaN ", "1", "3")
    assert (stats["type"], stats["nulls"], stats["distinct"]) == ("integer", 5, 2)
    assert (stats["min"], stats["max"], stats["mean"], stats["longest"]) == (1, 3, 5 / 3, 1)


def test_null_words_can_be_named(lab: Lab) -> None:
    """Or Namibia's country code would never be a value."""
    assert lab.column("NA", "DE", "", null_words=[])["nulls"] == 1
    stats = lab.column("NA", "-", "- ", "", null_words=["-"])
    assert (stats["nulls"], stats["distinct"]) == (3, 1)


def test_distinct_and_longest_are_of_the_text_as_written(lab: Lab) -> None:
    stats = lab.column("1", "1.0", "01", "1", "")
    assert (stats["distinct"], stats["longest"]) == (3, 3)


def test_a_late_value_decides_the_type_of_all(lab: Lab) -> None:
    """The first million rows look like numbers, but the text bounds were kept all along."""
    cells = [str(number) for number in range(5, 30_000)]
    assert lab.column(*cells, "2.5")["type"] == "float"
    assert lab.column(*cells, "2.5")["min"] == 2.5
    stats = lab.column(*cells, "n/a?")
    assert (stats["type"], stats["min"], stats["max"]) == ("text", "10", "n/a?")
    assert lab.column("true", *cells)["type"] == "text"


def test_columns_are_told_apart_by_position(lab: Lab) -> None:
    result = lab.stats("a,a,\n1,x,2024-01-01\n2,y,2024-01-02\n")
    assert [(c["name"], c["position"], c["type"]) for c in result["columns"]] == [
        ("a", 1, "integer"),
        ("a", 2, "text"),
        ("", 3, "date"),
    ]
    assert result["rows"] == 2


def test_too_many_columns_are_refused(lab: Lab) -> None:
    width = column_stats.MAX_COLUMNS + 1
    sentence = refusal(lambda: lab.stats(",".join(["x"] * width)))
    assert sentence == "The file has 16385 columns; at most 16384 can be described."
    assert lab.count(",".join(["x"] * width))["columns"] == width
    width = table.MAX_COLUMNS + 1
    sentence = refusal(lambda: lab.count(",".join(["x"] * width)))
    assert sentence == "The file has 100001 columns; at most 100000 can be handled."


def test_the_mean_does_not_drift_over_many_batches(lab: Lab) -> None:
    """A plain running sum of these has a relative error of about 1e-10; large parts cancel out as well."""
    cells = ["0.1"] * 50_000 + ["1e17"] + ["0.1"] * 50_000 + ["-1e17"]
    exact = (100_000 * Fraction(0.1)) / 100_002
    assert lab.column(*cells)["mean"] == float(exact)


@settings(deadline=None)
@given(st.lists(st.integers(-(10**30), 10**30), min_size=1, max_size=30))
def test_integers_like_pythons_own(lab: Lab, numbers: list[int]) -> None:
    stats = lab.column(*map(str, numbers))
    assert stats["type"] == "integer"
    assert (int(str(stats["min"])), int(str(stats["max"]))) == (min(numbers), max(numbers))
    assert stats["mean"] == float(Fraction(sum(numbers), len(numbers)))
    assert stats["distinct"] == len(set(numbers))


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_floats_like_exact_arithmetic(lab: Lab, numbers: list[float]) -> None:
    stats = lab.column(*map(repr, numbers))
    assert (stats["type"], stats["min"], stats["max"]) == ("float", min(numbers), max(numbers))
    exact = sum(map(Fraction, numbers), Fraction(0)) / len(numbers)
    assert stats["mean"] is not None
    # The sum is good to 2**-105 of its largest part.
    assert (
        abs(Fraction(stats["mean"]) - exact)
        <= Fraction(math.ulp(float(exact))) + abs(Fraction(max(map(abs, numbers)))) / 2**100
    )


@settings(deadline=None)
@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=3), min_size=1, max_size=20))
def test_decimals_in_any_notation_are_floats(lab: Lab, numbers: list[Decimal]) -> None:
    stats = lab.column(*(f"{number:f}" for number in numbers))
    assert (stats["type"], stats["min"]) == ("float", float(min(numbers)))


@settings(deadline=None)
@given(st.lists(st.dates(), min_size=1, max_size=20), st.lists(st.datetimes(), min_size=1, max_size=20))
def test_dates_and_datetimes_like_pythons_own(lab: Lab, days: list[date], moments: list[datetime]) -> None:
    stats = lab.column(*(day.isoformat() for day in days))
    assert (stats["type"], stats["min"], stats["max"]) == ("date", str(min(days)), str(max(days)))
    stats = lab.column(*(moment.isoformat() for moment in moments))
    assert (stats["type"], stats["min"]) == ("datetime", min(moments).isoformat())


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
def test_any_text_has_its_bounds(lab: Lab, texts: list[str]) -> None:
    stats = lab.column(*texts, "\u2713")
    present = [
        text for text in [*texts, "\u2713"] if text.strip(" \t") not in {"", *columns.DEFAULT_NULL_WORDS}
    ]
    assert stats["type"] == "text"
    assert (stats["min"], stats["max"]) == (min(present)[:100], max(present)[:100])
    assert stats["distinct"] == len(set(present))
    assert stats["nulls"] == len(texts) + 1 - len(present)


def test_figures_stand_alone_for_every_reading() -> None:
    """Each reading refuses what is not its own, whatever came before."""
    for reading, good, bad in (
        (values.Numbers(), "1", "x"),
        (values.Booleans(), "true", "1"),
        (values.Dates(), "2024-01-01", "2024-01-32"),
        (values.Datetimes(), "2024-01-01T00:00", "2024-01-01"),
    ):
        assert reading.add({good}, [good])
        assert not reading.add({bad}, [bad])
