"""The generator: ANet, PNet, GNet, and what `warp` adds.

Versions that were registered before it was a folder import it from here.
"""

from components.core.networks.generator.reposer import Output, Reposer, SourceBatch

__all__ = ["Output", "Reposer", "SourceBatch"]
