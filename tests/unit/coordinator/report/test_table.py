"""Tables give way in a fixed order when there is little room."""

import pytest

from osbench.coordinator.report.table import Column, cells, plain, table

COLUMNS = (
    Column(title="Action", is_text=True),
    Column(title="Min (sec)", rank=2),
    Column(title="Max (sec)", rank=1),
    Column(title="Count"),
)
ROWS = [["nova.boot_server", "0.1", "0.2", "7"]]


def titles(width: int | None) -> list[str]:
    lines = table("T", COLUMNS, ROWS, width).splitlines()
    return [cell.strip() for cell in lines[3].strip("|").split("|")]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (None, ["Action", "Min (sec)", "Max (sec)", "Count"]),
        (52, ["Action", "Min (sec)", "Max (sec)", "Count"]),
        (51, ["Action", "Min", "Max", "Count"]),
        (39, ["Action", "Max", "Count"]),
        (33, ["Action", "Count"]),
    ],
)
def test_words_in_brackets_go_first_then_columns_by_rank(width: int | None, expected: list[str]) -> None:
    assert titles(width) == expected


def test_the_first_column_is_cut_when_nothing_else_is_left() -> None:
    lines = table("T", COLUMNS, ROWS, 24).splitlines()

    assert lines[5] == "| nova.boot_s… |     7 |"


def test_another_column_is_cut_if_it_says_so() -> None:
    """An id that is cut is of no use to whoever wants to name it."""
    columns = (Column(title="Id", is_text=True), Column(title="Title", is_text=True, is_cut=True))
    lines = table("T", columns, [["0123456789abcdef", "a title that is much too long"]], 40).splitlines()

    assert lines[5] == "| 0123456789abcdef | a title that is … |"


def test_wide_characters_take_two_cells() -> None:
    lines = table("T", (Column(title="名前", is_text=True), Column(title="n")), [["e\u0301", "1"]]).splitlines()

    assert cells("名前") == 4
    assert {cells(line) for line in lines} == {12}


def test_a_title_wider_than_its_table_widens_it() -> None:
    lines = table("a long title", (Column(title="n"),), [["1"]]).splitlines()

    assert {len(line) for line in lines} == {16}


def test_plain_text_is_one_line_and_bounded() -> None:
    assert plain("a\n\tb\x1b[31m") == "a b\ufffd[31m"
    assert plain("x" * 20, 10) == "xxxxxxxxx…"
