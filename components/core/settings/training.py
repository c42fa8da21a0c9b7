"""Settings of the networks and their training."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, ConfigDict, Field

from components.core.settings.section import PROCESSES, SEED, STEPS, WEIGHT, Section, at_most

Generator = Literal["paper", "warp"]


class LossWeights(Section):
    """Weights of the generator's losses; 0 switches one off."""

    l1: float = Field(5.0, ge=0, **WEIGHT)
    """Absolute difference inside the person."""
    head: float = Field(2.0, ge=1, **WEIGHT)
    """Weight of a pixel of the head relative to one of the body, in `l1` and `detail`."""
    detail: float = Field(6.0, ge=0, **WEIGHT)
    """Difference in the strength of edges, regardless of their exact position."""
    perceptual: float = Field(4.0, ge=0, **WEIGHT)
    """Distance between network features."""
    face: float = Field(1.0, ge=0, **WEIGHT)
    """Identity of the aligned head crop, where the face is seen and large enough."""
    gan: float = Field(0.1, ge=0, **WEIGHT)
    """Non-saturating GAN loss."""
    patch: float = Field(0.05, ge=0, **WEIGHT)
    """Co-occurrence patch loss on the re-posed image."""
    matte: float = Field(6.0, ge=0, **WEIGHT)
    """Difference of the matte."""
    r1_gamma: float = Field(1.0, ge=0, **WEIGHT)
    """R1 gradient penalty of both discriminators."""
    path: float = Field(0.0, ge=0, **WEIGHT)
    """Path length regularisation of the generator (2 in StyleGAN2)."""
    path_every: int = Field(4, ge=1, **STEPS)
    """Steps between path length penalties (lazy regularisation)."""
    r1_every: int = Field(16, ge=1, **STEPS)
    """Steps between R1 penalties (lazy regularisation)."""


START = frozenset({"from_", "from_digest", "from_pull"})
"""Settings of the model that a training starts from: see `TrainSettings.start_key`."""


class TrainSettings(Section):
    """The networks and how they are trained."""

    # `from` is a word of Python's.
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    from_: str | None = Field(None, alias="from", min_length=1, coerce_numbers_to_str=True)
    """Where the weights start. null: at random; starter: from the model that ships; champion, or the number of a
    version: from that of the registry, as it is when the run is submitted; or the path or gs:// address of a
    generator.safetensors. Networks and crops have to be of the same sizes."""
    from_digest: str | None = None
    """Set by the command line: sha256 of that model's file. `from` is then where every step can read it."""
    from_pull: float = Field(0.1, ge=0, **WEIGHT)
    """Weight of the squared distance to that model's weights in the generator's loss: what the photos say nothing of
    stays. 0: none."""
    evidence: Literal[1, 2] = 2
    """How photos are laid on a pose. 1: as models before 0.2 were taught, whose files do not say; 2: the clothes' photo
    follows the legs, and what the face's photo says of its own skin is not taken for another light."""
    generator: Generator = "warp"
    """paper: appearance through ANet's vector alone; warp: also the source texture sampled at the target pose."""
    steps: int = Field(600, ge=1, **STEPS)
    """Optimiser steps of the generator."""
    batch: int = Field(8, ge=1, **at_most(65_536, "a larger batch teaches nothing more"))
    """Pairs per step (all processes together)."""
    accumulate: int = Field(1, ge=1, **at_most(65_536, "no batch has more parts"))
    """Gradient accumulation: number of parts a batch is split into to save memory, with one optimiser step for all."""
    width: int = Field(16, ge=4, **at_most(512, "eight times what 256 px are trained with, and more than a GPU holds"))
    """Channels at full resolution; they double at each halving. The discriminators have half as many."""
    max_width: int = Field(256, ge=8, **at_most(4096, "a layer of more weighs over half a gigabyte"))
    """Maximum number of channels."""
    latent: int = Field(256, ge=8, **at_most(16_384, "eight times the published length"))
    """Length of ANet's appearance vector (2048 in the paper)."""
    learning_rate: float = Field(0.008, gt=0, **at_most(10, "Adam moves each weight by about this much a step"))
    """Adam's learning rate of generator and discriminators."""
    beta1: float = Field(0.5, ge=0, lt=1, validation_alias=AliasChoices("beta1", "momentum"))  # as models of 0.1 say
    """Adam's first beta of the generator; 0, as StyleGAN2 has it, where it is trained against a GAN throughout. The
    discriminators have none."""
    learning_rate_end: float = Field(0.1, gt=0, le=1)
    """Learning rate at the last step, as a share of the first; cosine in between."""
    gan_start: float = Field(1.0, ge=0, le=1)
    """Share of the steps after which the GAN and patch losses begin. 1: never; in short trainings more steps without a
    GAN do more good."""
    ema: float = Field(0.995, ge=0, lt=1)
    """Decay of the exponential moving average of the generator's weights, warmed up from 0."""
    sources: int = Field(4, ge=1, **at_most(64, "each is decoded for every example"))
    """Maximum number of a person's photos merged into one source; half of the pairs use a single photo."""
    reconstruction: float = Field(0.1, ge=0, le=1)
    """Share of each batch in which source and target are the same photo (the paper's first term)."""
    augment: bool = True
    """One random colour change, and for half of the examples a mirror, for texture, photos and truth alike."""
    diff_augment: bool = False
    """Random changes of everything the discriminator sees (DiffAugment), for data sets of a few thousand photos."""
    compile: bool = False
    """Whether to compile PNet and GNet with torch.compile: slower start, faster steps; needs a C++ compiler."""
    weights: LossWeights = LossWeights()
    """Loss weights."""
    perceptual: Literal["builtin", "vgg16", "vgg19"] = "builtin"
    """Network of the perceptual loss. vgg16 and vgg19 are downloaded."""
    face: Literal["auto", "builtin", "dlib", "vggface2"] = "auto"
    """Network of the face loss. auto: `builtin` for synthetic people, `dlib` for photos. vggface2 is downloaded."""
    log_every: int = Field(20, ge=1, **STEPS)
    """Steps between logged losses."""
    sample_every: int = Field(150, ge=1, **STEPS)
    """Steps between sample grids."""
    checkpoint_every: int = Field(200, ge=1, **STEPS)
    """Steps between checkpoints."""
    keep_checkpoints: int = Field(2, ge=1, **at_most(100_000, "each takes four times the model's size"))
    """Number of checkpoints kept."""
    device: str = "auto"
    """auto: a CUDA GPU if there is one; or cpu, cuda, cuda:1."""
    processes: int = Field(0, ge=0, **PROCESSES)
    """Processes per machine that share each batch. 0: one per GPU, or one without a GPU."""
    nodes: int = Field(1, ge=1, **PROCESSES)
    """Machines that share each batch. More than one takes a Kubeflow Trainer job, with people and state on gs://."""
    runtime: str = "torch-distributed"
    """ClusterTrainingRuntime of that job."""
    seed: int = Field(0, ge=0, **SEED)
    """Random seed of initialisation, sampling and augmentation."""

    def start_key(self) -> list[Any]:
        """What `START` decides, for digests: the start model's content, wherever it lies, and how it is kept to; empty
        where weights start at random."""
        return [self.from_digest, self.from_pull] if self.from_digest else []
