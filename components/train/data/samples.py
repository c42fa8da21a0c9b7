"""A look at the model during training: the same few people each time, none of them trained on where there are such."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from components.core.networks.generator.reposer import Generator
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities, Split
from components.core.pictures.iuv import PARTS
from components.train.data.augment import prepare
from components.train.data.batches import Batches

_ROWS = 6
_GREY = 0.6


class Samples:
    """Rows of source, pose asked for, output, truth: people of the validation split, or of training without one."""

    def __init__(self, dataset: PeopleDataset, identities: Identities, device: torch.device) -> None:
        splits: tuple[Split, ...] = ("validation", "train")
        groups = next(filter(None, (list(identities.members(dataset, split).values()) for split in splits)))
        batches = Batches(dataset, groups, batch=_ROWS, reconstruction=0.0, seed=0)
        self._batch = prepare(batches[0], device, augment=False)

    @torch.no_grad()
    def grid(self, generator: Generator) -> NDArray[np.uint8]:
        """uint8 [rows x S, 4 x S, 3] over grey; `generator` in evaluation mode."""
        batch = self._batch
        backgrounds = torch.full_like(batch.photos, _GREY)
        painted = generator(batch.source, batch.poses).over(backgrounds)
        face = batch.source.face
        columns = (torch.lerp(backgrounds, face.images, face.mattes), _pose_colours(batch.poses), painted,
                   torch.lerp(backgrounds, batch.photos, batch.mattes))
        rows = torch.cat(columns, 3).permute(0, 2, 3, 1).flatten(0, 1)
        return ((rows.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu().numpy()


def _pose_colours(poses: torch.Tensor) -> torch.Tensor:
    """A pose map uint8 [B, 3, S, S] as a picture [B, 3, S, S] in [-1, 1]: part, U, V; white where nobody is."""
    part, u, v = poses.float().unbind(1)
    colours = torch.stack((part / PARTS * 2 - 1, u / 127.5 - 1, v / 127.5 - 1), 1)
    return torch.where(part[:, None] > 0, colours, 1.0)
