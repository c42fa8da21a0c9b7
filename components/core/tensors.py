"""Tensors as the bytes of a safetensors file, the same bytes for the same tensors and metadata, in whatever process.

The safetensors library lays tensors out in a fixed order (by the size of their numbers, then by name), but writes
several metadata keys in the order of a hash table that is seeded anew in each process. A file's digest is how
everything here names a model, so the header is put in order before it is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_METADATA = "__metadata__"


def tensor_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file of contiguous tensors on the CPU; equal content gives equal bytes."""
    from safetensors.torch import save

    return in_order(save(dict(sorted(tensors.items())), dict(metadata)))


def in_order(content: bytes) -> bytes:
    """A safetensors file with its metadata in order of key, before the tensors in order of place.

    Header: 8 bytes of length (little-endian), then JSON, padded with blanks to a multiple of 8.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8:end])
    metadata = header.pop(_METADATA, {})
    tensors = sorted(header.items(), key=lambda item: (item[1]["data_offsets"], item[0]))
    text = json.dumps({_METADATA: dict(sorted(metadata.items())), **dict(tensors)}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]
