"""DensePose dumps, written as `apply_net.py dump` writes them, read without DensePose and without running code."""

from __future__ import annotations

import json
import pickle
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from components.core.errors import InputError
from components.core.pictures.iuv import read_iuv
from components.core.settings import PreprocessSettings
from components.preprocess.densepose.dump import unpack_dump
from pipelines.cli import main

_HOME = "densepose.structures.chart_result"


@pytest.fixture
def result(monkeypatch: pytest.MonkeyPatch) -> Iterator[type]:
    """DensePose's class of results, while dumps are written; what reads them must do without."""

    @dataclass
    class DensePoseChartResult:
        labels: torch.Tensor
        uv: torch.Tensor

    module = types.ModuleType(_HOME)
    DensePoseChartResult.__module__, DensePoseChartResult.__qualname__ = _HOME, "DensePoseChartResult"
    module.DensePoseChartResult = DensePoseChartResult  # type: ignore[attr-defined]
    for package in ("densepose", "densepose.structures"):
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    monkeypatch.setitem(sys.modules, _HOME, module)
    yield DensePoseChartResult


def _entry(result: type, name: str, iuv: np.ndarray, *, score: float = 0.99) -> dict[str, Any]:
    rows, columns = np.flatnonzero(iuv[..., 0].any(1)), np.flatnonzero(iuv[..., 0].any(0))
    x0, y0, x1, y1 = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    inside = iuv[y0:y1, x0:x1]
    person = result(torch.from_numpy(inside[..., 0].astype(np.int64)),
                    torch.from_numpy(inside[..., 1:].transpose(2, 0, 1).astype(np.float32) / 255))
    return {"file_name": name, "scores": torch.tensor([score]), "pred_densepose": [person],
            "pred_boxes_XYXY": torch.tensor([[x0, y0, x1, y1]], dtype=torch.float32)}


def test_a_dump_becomes_the_pose_maps_that_it_holds(
    bring: Callable[..., Path], drawn: Callable[[int], tuple[np.ndarray, np.ndarray]], result: type, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bring(4)
    kept = (folder / "iuv" / "p3.png").read_bytes()
    for number in range(3):
        (folder / "iuv" / f"p{number}.png").unlink()
    (folder / "anna").mkdir()
    (folder / "p1.png").rename(folder / "anna" / "p1.png")
    dump = folder / "results.pkl"
    names = ["/data/elsewhere/p0.png", "C:\\photos\\anna\\p1.png", "p2.png", "p3.png"]
    entries = [_entry(result, name, drawn(number)[1]) for number, name in enumerate(names)]
    entries[2]["scores"] = torch.tensor([0.1])
    torch.save([*entries, {**entries[0], "file_name": "gone.png"}], dump)
    for name in (_HOME, "densepose.structures", "densepose"):
        monkeypatch.delitem(sys.modules, name)

    monkeypatch.setattr(sys, "argv", ["photoshoot", "pose-maps", str(dump), "--photos", str(folder), "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["written"], told["kept"], told["out"]) == (2, 1, str(folder / "iuv"))
    assert told["rejected"] == [{"photo": "p2.png", "reason": "DensePose found nobody in it"},
                                {"photo": "gone.png", "reason": "no such photo here"}]
    for name, number in (("p0.png", 0), ("anna/p1.png", 1)):
        assert np.array_equal(read_iuv(folder / "iuv" / name).planes, drawn(number)[1])
    assert (folder / "iuv" / "p3.png").read_bytes() == kept


class _Code:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("ran"),)


@pytest.mark.parametrize(("content", "reason"), [
    (pickle.dumps(_Code(), 2), "cannot|safely"), (b"\x80\x02", "safely"), (b"PK\x03\x04 torn", "safely"),
    (b"", "safely"),
    (pickle.dumps({"a": 1}, 2), "no list of photos|safely"), (None, "no such file"),
], ids=["code", "cut", "zip", "empty", "other", "missing"])
def test_what_is_no_dump_is_refused_and_never_run(
    bring: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, dump = bring(1), tmp_path / "results.pkl"
    if content is not None:
        dump.write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        unpack_dump(dump, folder, None, PreprocessSettings())
    assert "results.pkl" in str(caught.value) and caught.value.remedy and "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [{"a": 1}, [{"b": 2}], []])
def test_a_dump_of_something_else_says_so(bring: Callable[..., Path], tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "other.pkl")
    with pytest.raises(InputError, match=r"no list of photos with their people|no pose map for any of 1 photos"):
        unpack_dump(tmp_path / "other.pkl", bring(1), None, PreprocessSettings())
    torch.save([{"file_name": "p0.png", "pred_densepose": [7], "pred_boxes_XYXY": [8], "scores": [1]}],
               tmp_path / "odd.pkl")
    with pytest.raises(InputError, match=r"not what DensePose writes of p0\.png"):
        unpack_dump(tmp_path / "odd.pkl", bring(1, "again"), None, PreprocessSettings())


def test_images_stay_as_they_were(bring: Callable[..., Path], tmp_path: Path, result: type,
                                  drawn: Callable[[int], tuple[np.ndarray, np.ndarray]]) -> None:
    folder = bring(1)
    torch.save([_entry(result, "p0.png", drawn(0)[1])], tmp_path / "results.pkl")
    before = Image.open(folder / "iuv" / "p0.png").tobytes()
    done = unpack_dump(tmp_path / "results.pkl", folder, tmp_path / "maps", PreprocessSettings())
    assert (done.written, done.kept) == (0, 1) and not (tmp_path / "maps").exists()
    assert Image.open(folder / "iuv" / "p0.png").tobytes() == before
