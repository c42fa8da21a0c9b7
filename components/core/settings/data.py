"""Settings of the steps that make data: synthesize, preprocess, cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from components.core.settings.section import PEOPLE, PIXELS, SEED, Section, at_most, within

Resolution = Literal[64, 128, 256, 512]
LARGE, FEW_PHOTOS = 512, 4096
"""The larger crops' side unless it is set, and up to how many real photos they are kept of: a quarter of a MB each."""
EMBEDDERS = ("auto", "builtin", "builtin-judge", "builtin-both", "dlib", "sface", "vggface2")
NETWORK_FILES = (".onnx", ".pt", ".pth", ".torchscript")
"""Endings by which an embedder's name is taken for the path of a network."""


def _embedder(name: str) -> str:
    if name not in EMBEDDERS and not name.endswith(NETWORK_FILES):
        raise ValueError(f"neither a face embedder ({', '.join(EMBEDDERS)}) nor a path or gs:// address of an ONNX or "
                         f"TorchScript file ({', '.join(NETWORK_FILES)})")
    return name


Embedder = Annotated[str, AfterValidator(_embedder)]
"""A face embedder by name, or the path or gs:// address of an ONNX or TorchScript file."""


class CameraSettings(Section):
    """What rooms and cameras do to synthetic photos. As it is, nothing: soft light and a camera without faults. Each
    effect is drawn by itself: who is on a photo, in which pose and where, does not depend on it."""

    tallest: int = Field(0, ge=0, le=2048)
    """Height of the tallest photos in pixels: heights are spread evenly, as factors, from synthesize.height to this. 0:
    all photos have synthesize.height."""
    one_sided: float = Field(0.0, ge=0, le=1)
    """Share of the photos lit from one side, the other in shadow."""
    one_light: bool = False
    """Whether all photos of a person in one outfit are taken in one light and with one tone, as in a session."""
    tone: float = Field(0.0, ge=0, le=1)
    """How far exposure, white balance and contrast are off. 1: as far as photos of telephones indoors."""
    blur: float = Field(0.0, ge=0, le=0.02)
    """Most blur, as the standard deviation of a Gaussian and a share of the photo's height."""
    noise: float = Field(0.0, ge=0, le=64)
    """Most noise of a sensor, as its standard deviation in grey levels of 255 at a middle grey. The dark has less."""
    jpeg: int = Field(95, ge=10, le=95)
    """Lowest quality of the JPEG files; the best is 95."""


class SynthesizeSettings(Section):
    """People who do not exist, rendered with exact pose maps."""

    people: int = Field(60, ge=1, **PEOPLE)
    """Number of identities."""
    photos_per_person: int = Field(6, ge=1, **at_most(10_000, "file names count them with few digits"))
    """Number of photos of each identity."""
    outfits_per_person: int = Field(2, ge=1, **at_most(10_000, "nobody has more photos"))
    """Number of outfits across which an identity's photos are spread."""
    height: int = Field(256, ge=64, le=2048)
    """Photo height in pixels; the width is three quarters of it."""
    back_views: float = Field(0.15, ge=0, le=1)
    """Share of photos taken from behind."""
    pose_noise: float = Field(0.0, ge=0, le=1)
    """Noise added to the pose maps. 0: none; 1: as much as a detector's."""
    write_maps: bool = True
    """Whether to write the pose maps to iuv/. Photos without are like a telephone's: the pose maps are made from
    landmarks, as preprocess.pose_maps says."""
    write_mattes: bool = False
    """Whether to write exact mattes to matte/ as well, like those a user with a matting tool would bring."""
    write_truth: bool = False
    """Whether to write to truth/people what each photo should show of the person: their exact matte, and their colours
    without the blur, noise and compression of `camera`. The losses then compare with that instead of the photo."""
    camera: CameraSettings = CameraSettings()
    """What rooms and cameras do to the photos."""
    first_person: int = Field(0, ge=0, **at_most(2**31 - 1, "an index also seeds how somebody looks"))
    """Index of the first identity. Runs whose ranges of indices do not overlap share nobody."""
    seed: int = Field(0, **within(2**32 - 1, "who wants more people raises `people`"))
    """Random seed; the same seed gives the same photos."""


class DensePoseSettings(Section):
    """DensePose through detectron2, where pose_maps asks for it. Needs detectron2 (docs/densepose.md)."""

    config: str = "densepose_rcnn_R_101_FPN_DL_s1x"
    """One of DensePose's chart configurations by name, or the path of a YAML file."""
    weights: str = "auto"
    """auto: those published for the configuration, downloaded once and checked; else the name of another
    configuration whose weights to take, a path, or a gs:// address. They are a Python pickle: take them only from
    those you trust."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """Required sha256 of the weights; null: published weights are checked against the digest in their name."""
    device: str = "auto"
    """auto: a GPU where there is one; else what torch calls it: cpu, cuda, cuda:1."""
    batch: int = Field(8, ge=1, le=256)
    """Photos per pass."""
    min_score: float = Field(0.8, ge=0, le=1)
    """Minimum confidence of a detection."""
    overrides: tuple[str | int | float | bool, ...] = Field((), max_length=200)
    """Additional detectron2 configuration, alternating keys and values, e.g. [INPUT.MIN_SIZE_TEST, 512]."""


class PreprocessSettings(Section):
    """From photos to person crops, pose maps, mattes and texture maps."""

    pose_maps: Literal["auto", "given", "landmarks", "densepose"] = "auto"
    """Where pose maps come from. auto: the photo's own (iuv/<stem>.png) where there is one, else landmarks; given: its
    own only; landmarks: landmarks, even where there is one; densepose: its own where there is one, else DensePose."""
    person: Literal["largest", "all", "centre"] = "largest"
    """Whom to keep where a photo or its pose map shows several people. largest: whoever covers the most pixels; all:
    each of them, as separate people; centre: whoever is nearest the middle of the photo."""
    min_confidence: float = Field(0.45, ge=0, le=1)
    """Minimum confidence of a pose map made from landmarks, 0 to 1; photos below it are left out. Good photos have 0.8
    and more; under the default hardly any map is right."""

    resolution: Resolution = 128
    """Side of the square person crop in pixels, which is also the resolution of the networks."""
    texel: int = Field(32, ge=8, le=256)
    """Side of one of the 24 texture atlas tiles."""
    large: int | None = Field(None, ge=0, **at_most(2048, "no larger picture is made of a person"))
    """Most pixels along the side of a second, larger crop kept of each person, by which a model is judged
    (`evaluate.size`): where the networks work a face has 16 to 30 pixels. null: 512 for up to 4096 real photos, none
    for more and for synthetic people; 0: none."""
    margin: float = Field(0.08, ge=0, le=1)
    """Margin around the person's box, as a share of its longer side."""
    matte: Literal["auto", "grabcut", "silhouette"] = "auto"
    """auto: the user's own matte/<stem>.png where there is one, else the landmark networks' person mask, refined to
    hair and fingers, where they made the pose map, else GrabCut seeded by the pose map; grabcut: the user's own, else
    GrabCut; silhouette: the pose map's outline as it is."""
    erode: float = Field(0.006, ge=0, le=0.1)
    """How far the silhouette shrinks before unwrapping, as a share of the crop's side: keeps background out of
    the texture."""
    min_person: int = Field(48, ge=8, **PIXELS)
    """Minimum side of a person's box in the photo, in pixels."""
    min_head: int = Field(0, ge=0, **PIXELS)
    """Minimum height of a visible head in the photo, in pixels; 0: any. Heads under 12 px never give a face."""
    min_sharpness: float = Field(0.01, ge=0, **at_most(100, "noise alone has less"))
    """Minimum sharpness of the person: the variance of fine detail relative to that of the grey levels. 0: any. The
    default leaves out what is blurred across more than a hundredth of the crop's side."""
    repeats: int = Field(10, ge=-1, le=64)
    """Pictures whose perceptual hashes differ in at most this many of 576 bits count as repeats; only the first by name
    is kept. 10: copies saved again; 20: also nearly identical video frames; -1: everything is kept."""
    min_coverage: float = Field(0.01, ge=0, le=1)
    """Minimum share of the 24 tiles' texels that the photo shows."""
    check_maps: bool = True
    """Whether to leave out photos whose pose map does not match them: another photo's, shifted, mirrored or upside
    down. Maps that DensePose makes here are not checked."""
    max_megapixels: float = Field(80.0, gt=0, **at_most(1000, "a photo of so many takes 12 GB while it is cut out"))
    """Maximum size of a photo once decoded; larger ones are refused (image bombs)."""
    densepose: DensePoseSettings = DensePoseSettings()
    """How DensePose makes pose maps for photos that come without."""
    shard_size: int = Field(256, ge=1, **at_most(100_000, "a shard is one file, and lost as a whole"))
    """Maximum number of photos per shard; a small folder is split into smaller ones."""
    shards: int = Field(1, ge=1, le=1000)
    """Number of tasks that share the photos; on Kubeflow each has its own pod. The result does not depend on it."""

    def large_of(self, photos: int, synthetic: bool) -> int:
        """`large` for so many photos, where it is left to them; 0: no larger crops are kept."""
        if self.large is not None:
            return self.large
        return LARGE if not synthetic and photos <= FEW_PHOTOS and self.resolution < LARGE else 0

    @model_validator(mode="after")
    def _large_is_larger(self) -> PreprocessSettings:
        if self.large and self.large <= self.resolution:
            raise ValueError(f"large={self.large} is no larger than resolution={self.resolution}")
        return self

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
    """Face embedder. auto: `builtin-both` for synthetic people, `sface` for photos; or builtin, builtin-judge, dlib,
    vggface2, or the path of an ONNX or TorchScript file."""
    same_person: float | None = Field(None, gt=0, le=2)
    """Distance below which two photos count as the same person; null: the embedder's own. Lower is stricter."""
    person: Literal["alone", "largest", "centre"] = "alone"
    """Whose face to take from a portrait that shows several (`photoshoot cluster --photos DIR`).
    alone: nobody's, and the photo is set aside, unless one face is in the middle with the others at its sides;
    largest; centre: the face nearest the middle."""
    method: Literal["kmeans", "average", "hdbscan", "folders"] = "kmeans"
    """Clustering method. folders: no clustering; the sub-folders of the photos say who is who, one per person, and the
    faces only check it."""
    identities: int | None = Field(None, ge=1, **PEOPLE)
    """Number of people; null: found by silhouette. For kmeans and average only."""
    validation: float = Field(0.1, ge=0, lt=1)
    """Share of identities held out for validation."""
    test: float = Field(0.25, gt=0, lt=1)
    """Share of identities held out for evaluation."""
    leak_distance: float | None = Field(None, ge=0, le=2)
    """The step fails if a training face is closer than this to a held-out one; null: depends on the embedder and the
    number of photos; 0: never."""
    overrides: str | None = None
    """File with decisions made by hand (`photoshoot identities`): a path or gs:// address."""
    previous: str | None = None
    """Identities of an earlier run (a folder or gs:// prefix); everybody in it keeps their name and split."""
    files_digest: str | None = None
    """Set by the command line: a digest of the files named by overrides, previous and embedder, so that a cached run
    notices when they change."""
    seed: int = Field(0, ge=0, **SEED)
    """Random seed of the split, and of the cells in which more than 4000 faces are grouped."""
