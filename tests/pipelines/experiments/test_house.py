"""The picture of the house: it says what the imports say, and the committed one is up to date."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from pipelines.experiments import house


def test_the_committed_picture_is_what_the_imports_give() -> None:
    drawn = house.svg(house.wings(house.graph()))
    assert house.PICTURE.read_text(encoding="utf-8") == drawn, "imports between rooms have changed: `make house`"
    ET.fromstring(drawn)


def test_a_room_stands_above_what_it_imports_and_arrows_that_follow_are_left_out() -> None:
    imports = [("pipelines.cli.app", "pipelines.local.run"), ("pipelines.local.run", "pipelines.steps"),
               ("pipelines.cli.app", "pipelines.steps"), ("pipelines.cli.app", "components.train.loop"),
               ("components.train.loop", "components.core.errors"), ("photoshoot.model", "components.core.errors")]
    pipelines, steps, core = house.wings(imports)
    assert pipelines.floors == (("steps",), ("local",), ("cli", "photoshoot"))
    assert pipelines.arrows["cli"] == {"local"} and pipelines.arrows["local"] == {"steps"}
    assert steps.floors == (("train",),) and core.floors == (("errors",),)
    assert house.svg(house.wings(imports[::-1])) == house.svg([pipelines, steps, core])


@pytest.mark.parametrize(("imports", "said"), [
    ([("pipelines.a.x", "pipelines.b.x"), ("pipelines.b.y", "pipelines.a.y")], "imports itself"),
    ([("components.core.errors", "components.train.loop")], "stands above"),
])
def test_circles_and_imports_that_lead_up_are_errors(imports: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        house.wings(imports)
