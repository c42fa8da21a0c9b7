"""A dressed person as one bag of triangles at rest, ready to be posed and rendered many times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.core.body import template as body
from components.core.body.head import directions, head_mesh
from components.core.body.meshes import Floats, Ints, Mesh
from components.synthesize.appearance import worn
from components.synthesize.appearance.clothes import Outfit, cloth_thickness
from components.synthesize.appearance.hair import Piece, hair_pieces
from components.synthesize.identity import Person, flesh

BODY, HEAD, HAIR, SKIRT, COAT, GLASSES, BAG, SCARF = range(8)
_ON_THE_MAP = (BODY, HEAD)
_SHEETS = (HAIR, SKIRT, COAT)


@dataclass(frozen=True)
class Figure:
    """`points`, `weights`, `coordinates` per vertex (what a surface is painted by), `kind` per triangle."""

    person: Person
    outfit: int
    points: Floats
    weights: Floats
    coordinates: Floats
    triangles: Ints
    kind: NDArray[np.uint8]
    on_map: NDArray[np.bool_]
    two_sided: NDArray[np.bool_]
    head_vertices: slice


def build_figure(person: Person, outfit: int) -> Figure:
    """Dress `person` in their outfit number `outfit`."""
    clothes = person.outfits[outfit]
    skin = body.template()
    rest = skin.mesh.points
    swell = flesh(person.build, rest) + cloth_thickness(clothes, rest)
    dressed = Mesh(rest + swell[:, None] * skin.normals, skin.mesh.triangles)
    head = head_mesh(person.face.shape)
    azimuth, elevation, _ = directions()
    on_head = np.zeros((len(head.points), len(body.BONES)), np.float32)
    on_head[:, body.BONE["head"]] = 1.0
    facing = np.rad2deg(np.stack([azimuth, elevation, np.zeros_like(azimuth)], 1)).astype(np.float32)
    pieces: list[tuple[int, Piece]] = [
        (BODY, Piece(dressed, skin.weights, rest)),
        (HEAD, Piece(head, on_head, facing)),
        *((HAIR, piece) for piece in hair_pieces(person.hair, head, 0.016 + _clothes_depth(person, clothes))),
    ]
    if clothes.skirt_end is not None:
        pieces.append((SKIRT, worn.skirt(clothes, clothes.skirt_end, 0.009 + 0.9 * clothes.thick, clothes.skirt_flare)))
    if clothes.coat is not None and clothes.coat_end < 0.8:
        flare = 0.03 if clothes.skirt_end is None else 0.03 + clothes.skirt_flare
        pieces.append((COAT, worn.skirt(clothes, clothes.coat_end, 0.028, flare, gap=0.35)))
    if person.face.glasses != "none":
        pieces.append((GLASSES, worn.glasses(person.face, head)))
    if clothes.bag is not None:
        pieces.append((BAG, worn.bag(clothes)))
    if clothes.scarf is not None:
        pieces.append((SCARF, worn.scarf()))
    return _assemble(person, outfit, pieces, len(rest), len(head.points))


def _clothes_depth(person: Person, outfit: Outfit) -> float:
    """How far clothes and bust stand off the resting chest where hair falls, metres."""
    return 0.4 * person.build.bust + 1.2 * outfit.thick + (0.012 if outfit.coat is not None else 0.0)


def _assemble(person: Person, outfit: int, pieces: list[tuple[int, Piece]], body_size: int, head_size: int) -> Figure:
    starts = np.cumsum([0, *(len(piece.mesh.points) for _, piece in pieces)])
    kind = np.concatenate([np.full(len(piece.mesh.triangles), number, np.uint8) for number, piece in pieces])
    triangles = [piece.mesh.triangles + int(start) for (_, piece), start in zip(pieces, starts, strict=False)]
    return Figure(
        person=person,
        outfit=outfit,
        points=np.concatenate([piece.mesh.points for _, piece in pieces]),
        weights=np.concatenate([piece.weights for _, piece in pieces]),
        coordinates=np.concatenate([piece.coordinates for _, piece in pieces]),
        triangles=np.concatenate(triangles).astype(np.int32),
        kind=kind,
        on_map=np.isin(kind, _ON_THE_MAP),
        two_sided=np.isin(kind, _SHEETS),
        head_vertices=slice(body_size, body_size + head_size),
    )
