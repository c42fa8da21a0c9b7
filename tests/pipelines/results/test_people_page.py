"""The page of what was understood of photos: everybody, sources, reasons, and nothing that needs a connection."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from networks import needs_weights
from PIL import Image

from components.core.settings import PreprocessSettings, SynthesizeSettings
from components.core.stores.published import GROUPS
from components.synthesize import synthesize
from pipelines.cli.app import main
from pipelines.results.people.page import write_people_page

SETTINGS = PreprocessSettings(resolution=64, texel=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos with pose maps, one without anybody, one that is torn."""
    out = tmp_path_factory.mktemp("brought") / "anna & ben"
    synthesize(out, SynthesizeSettings(people=3, photos_per_person=1, height=192, back_views=0), workers=1)
    Image.new("RGB", (90, 120), (90, 120, 60)).save(out / "photos" / "meadow.png")
    (out / "photos" / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0torn")
    return out


def pictures(page: str) -> int:
    return page.count('<button type="button" class="zoom"')


def test_everybody_is_shown_with_source_and_who_is_left_out_with_the_reason(folder: Path, tmp_path: Path) -> None:
    summary = write_people_page(folder, tmp_path / "page.html", SETTINGS.model_copy(update={"pose_maps": "given"}), 99)
    assert (summary.photos, summary.shown, summary.people) == (5, 5, 3)
    assert summary.pose_maps == {"given": 3} and summary.mattes == {"grabcut": 3}
    assert [one["photo"] for one in summary.rejected] == ["meadow.png", "torn.jpg"]
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "People in anna &amp; ben" in page and "files that were brought: 3" in page and "GrabCut: 3" in page
    assert pictures(page) == 3 * 4 + 1, "of the meadow only the photo, of what cannot be read nothing"
    assert "meadow.png: no pose map" in page and "torn.jpg: " in page
    assert page.index("meadow.png") < page.index("person00000_000"), "what is left out comes first"
    assert not re.search(r'(?:src|href)="(?!data:|#)', page), "everything is in the file"


def test_of_many_photos_a_sample_is_shown(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "page.html"
    monkeypatch.setattr(sys, "argv", ["photoshoot", "people", str(folder), "--out", str(out), "--most", "2", "--set",
                                      "preprocess.pose_maps=given", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert not ended.value.code and (told["photos"], told["shown"]) == (5, 2)
    assert "2 of 5 photos, evenly spread" in out.read_text(encoding="utf-8")


def test_plain_photos_have_confidence_and_notes(folder: Path, tmp_path: Path) -> None:
    needs_weights(*GROUPS["landmarks"])
    pytest.importorskip("ai_edge_litert")
    summary = write_people_page(folder, tmp_path / "page.html",
                                SETTINGS.model_copy(update={"pose_maps": "landmarks"}), 99)
    assert summary.pose_maps == {"landmarks": 3} == summary.mattes
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    sure = [float(found) for found in re.findall(r"<figcaption>[^<]*confidence (0\.\d\d)", page)]
    assert len(sure) == 3 and sure == sorted(sure), "the least sure first"
    assert "meadow.png: nobody is found in it" in page
