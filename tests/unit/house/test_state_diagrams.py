"""The diagrams in the docs are those of the code."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"


def test_the_drawn_states_are_up_to_date() -> None:
    """Otherwise the docs show a machine that is no more; `python docs/make_state_diagrams.py > docs/states.md`."""
    made = runpy.run_path(str(DOCS / "make_state_diagrams.py"))["page"]()

    assert made == (DOCS / "states.md").read_text()
