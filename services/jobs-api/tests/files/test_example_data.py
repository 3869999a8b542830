"""The files of the demo: real figures that others have published, and a fault where it is said to be."""

from pathlib import Path

from files_kit import Lab, refusal

DATA = Path(__file__).parents[4] / "examples" / "data"


def test_penguins(lab: Lab) -> None:
    """The figures agree with those of the data set's own documentation (344 penguins, 2 not measured)."""
    result = lab.stats((DATA / "penguins.csv").read_bytes())
    assert result["rows"] == 344
    columns = {column["name"]: column for column in result["columns"]}
    assert columns["species"]["distinct"] == 3
    assert columns["sex"]["nulls"] == 11
    mass = columns["body_mass_g"]
    assert (mass["type"], mass["nulls"], mass["min"], mass["max"]) == ("integer", 2, 2700, 6300)
    assert mass["mean"] == 1437000 / 342
    bill = columns["bill_length_mm"]
    assert (bill["type"], bill["min"], bill["max"]) == ("float", 32.1, 59.6)
    assert bill["mean"] is not None
    assert round(bill["mean"], 2) == 43.92


def test_the_raw_penguins(lab: Lab) -> None:
    result = lab.stats((DATA / "penguins-raw.csv").read_bytes())
    columns = {column["name"]: column for column in result["columns"]}
    assert (columns["Date Egg"]["type"], columns["Date Egg"]["min"]) == ("date", "2007-11-09")
    assert columns["Stage"]["max"] == "Adult, 1 Egg Stage"


def test_the_broken_file_names_its_fault(lab: Lab) -> None:
    sentence = refusal(lambda: lab.stats((DATA / "broken.csv").read_bytes()))
    assert sentence.startswith("Row 17 (line 18) has 9 values but the header has 8.")
