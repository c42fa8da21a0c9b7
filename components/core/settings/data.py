"""Settings of the steps that make data: synthesize, preprocess, cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from components.core.settings.section import Section

Resolution = Literal[64, 128, 256, 512]
EMBEDDERS = ("auto", "builtin", "builtin-judge", "builtin-both", "dlib", "vggface2")
NETWORK_FILES = (".onnx", ".pt", ".pth", ".torchscript")
"""Endings by which an embedder's name is taken for the path of a network."""


def _embedder(name: str) -> str:
    if name not in EMBEDDERS and not name.endswith(NETWORK_FILES):
        raise ValueError(f"neither a face embedder ({', '.join(EMBEDDERS)}) nor a path or gs:// address of an ONNX or "
                         f"TorchScript file ({', '.join(NETWORK_FILES)})")
    return name


Embedder = Annotated[str, AfterValidator(_embedder)]
"""A face embedder by name, or the path or gs:// address of an ONNX or TorchScript file."""


class SynthesizeSettings(Section):
    """People who do not exist, rendered with exact pose maps."""

    people: int = Field(60, ge=1)
    """How many identities."""
    photos_per_person: int = Field(6, ge=1)
    """Photos of each identity."""
    outfits_per_person: int = Field(2, ge=1)
    """Outfits over which an identity's photos are spread."""
    height: int = Field(256, ge=64, le=2048)
    """Photo height in pixels; the width is three quarters of it."""
    back_views: float = Field(0.15, ge=0, le=1)
    """Share of photos taken from behind."""
    pose_noise: float = Field(0.0, ge=0, le=1)
    """0: exact pose maps; 1: as noisy as a detector's."""
    write_mattes: bool = False
    """Also write exact mattes to matte/, as somebody with a matting tool would bring."""
    first_person: int = Field(0, ge=0)
    """Index of the first identity: populations that do not overlap are disjoint people."""
    seed: int = 0
    """Same seed, same photos."""


class DensePoseSettings(Section):
    """DensePose through detectron2, where pose_maps asks for it. Needs detectron2 (docs/densepose.md)."""

    config: str = "densepose_rcnn_R_101_FPN_DL_s1x"
    """One of DensePose's chart configurations by name, or the path of a YAML file."""
    weights: str = "auto"
    """auto: those published for the configuration, downloaded once and checked; else the name of another
    configuration whose weights to take, a path, or a gs:// address. They are a Python pickle: take them only from
    those you trust."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """What the weights' digest must be; null: for published weights the check that their name carries."""
    device: str = "auto"
    """auto: a GPU where there is one; else what torch calls it: cpu, cuda, cuda:1."""
    batch: int = Field(8, ge=1, le=256)
    """Photos in one pass."""
    min_score: float = Field(0.8, ge=0, le=1)
    """Detections less sure than this are nobody."""
    overrides: tuple[str | int | float | bool, ...] = ()
    """Further detectron2 configuration, key and value in turn, e.g. [INPUT.MIN_SIZE_TEST, 512]."""


class PreprocessSettings(Section):
    """From photos to person crops, pose maps, mattes and texture maps."""

    pose_maps: Literal["auto", "given", "landmarks", "densepose"] = "auto"
    """Where pose maps come from. auto: a photo's own where it has one (iuv/<stem>.png), else from landmarks; given: its
    own only; landmarks: from landmarks, whatever was brought; densepose: its own, else DensePose's."""
    person: Literal["largest", "all", "centre"] = "largest"
    """Whom to take of several people in a photo: the one who covers most pixels, all of them (each a person of their
    own), or the one nearest the photo's middle."""
    min_confidence: float = Field(0.25, ge=0, le=1)
    """Photos whose pose is less sure than this are left out, where it comes from landmarks. 0: none."""

    resolution: Resolution = 128
    """Side of the square person crop in pixels; the networks take their size from it."""
    texel: int = Field(32, ge=8, le=256)
    """Side of one of the 24 texture atlas tiles."""
    margin: float = Field(0.08, ge=0, le=1)
    """Room around the person's box, as a share of its longer side."""
    matte: Literal["auto", "grabcut", "silhouette"] = "auto"
    """auto: the user's own matte/<stem>.png where there is one, else the landmark networks' person mask, refined to
    hair and fingers, where they made the pose map, else GrabCut seeded by the pose map; grabcut: the user's own, else
    GrabCut; silhouette: the pose map's outline as it is."""
    erode: float = Field(0.006, ge=0, le=0.1)
    """How far the silhouette shrinks before unwrapping, as a share of the crop's side: keeps background out of
    the texture."""
    min_person: int = Field(48, ge=8)
    """Smallest side in pixels of a person's box in the photo."""
    min_head: int = Field(0, ge=0)
    """Smallest height in pixels of a head that shows in the photo; 0: any. Heads under 12 px give no face."""
    min_sharpness: float = Field(0.01, ge=0)
    """Least sharpness of the person: what fine detail adds to the grey levels' variance. 0: any. The default leaves out
    what is blurred over more than a hundredth of the crop's side."""
    repeats: int = Field(10, ge=-1, le=64)
    """Of people whose pictures' perceptual hashes differ in at most this many of 576 bits, only the first in order of
    name is kept. 10: the same picture saved again; 20: frames of a video that hardly differ, too; -1: all are kept."""
    min_coverage: float = Field(0.01, ge=0, le=1)
    """Smallest share of the 24 tiles' texels that the photo must show."""
    check_maps: bool = True
    """Leave out photos whose pose map is not theirs: another photo's, shifted, mirrored or upside down. false: take
    pose maps as they come. Maps that DensePose makes here are not checked."""
    max_megapixels: float = Field(80.0, gt=0)
    """Photos that unpack to more than this are refused (image bombs)."""
    densepose: DensePoseSettings = DensePoseSettings()
    """How DensePose makes pose maps for photos that come without."""
    shard_size: int = Field(256, ge=1)
    """Most photos per shard; a small folder is cut finer."""
    shards: int = Field(1, ge=1, le=1000)
    """Tasks that share the photos, on a cluster each with its own machine. The outcome is the same for any number."""

    @model_validator(mode="before")
    @classmethod
    def _person_was_densepose_s(cls, given: Any) -> Any:
        """Settings stored before 0.3 have `person` under densepose."""
        below = given.get("densepose") if isinstance(given, Mapping) else None
        if not isinstance(below, Mapping) or "person" not in below:
            return given
        rest = {key: value for key, value in below.items() if key != "person"}
        return {"person": below["person"], **given, "densepose": rest}


class ClusterSettings(Section):
    """Who is who, and who may be trained on."""

    embedder: Embedder = "auto"
    """Face embedder. auto: `builtin-both` for synthetic people, `dlib` for photos; or builtin, builtin-judge, vggface2,
    or the path of an ONNX or TorchScript file."""
    same_person: float | None = Field(None, gt=0, le=2)
    """Distance below which two single photos show one person; null: the embedder's own. Smaller is more careful."""
    method: Literal["kmeans", "average", "hdbscan", "folders"] = "kmeans"
    """Clustering method. folders: no clustering; the sub-folders of the photos say who is who, one per person, and the
    faces only check it."""
    identities: int | None = Field(None, ge=1)
    """How many people there are; found by silhouette when not given (K-means, average linkage only)."""
    validation: float = Field(0.1, ge=0, lt=1)
    """Share of identities kept for validation."""
    test: float = Field(0.25, gt=0, lt=1)
    """Share of identities kept for evaluation, never trained on."""
    leak_distance: float | None = Field(None, ge=0, le=2)
    """The step stops when a face that is trained on is nearer than this to one that is held out; null: by the embedder
    and the number of photos; 0: never."""
    overrides: str | None = None
    """File with what was decided by hand (`photoshoot identities`): a path or gs:// address."""
    previous: str | None = None
    """Identities of an earlier run, a folder or gs:// prefix: whoever was in it keeps name and split."""
    files_digest: str | None = None
    """Filled in by the command line: what the files that overrides, previous and embedder name hold, so that a cached
    run notices a change."""
    seed: int = 0
    """Seed of the split's hash, and of the cells in which more than 4000 faces are grouped."""
