"""What a training step does on a GPU, as far as it shows without one: where tensors are, and in which format."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from components.core.errors import SettingsError
from components.core.networks import layers
from components.core.networks.generator.reposer import Generator
from components.core.networks.patch import random_crops
from components.core.networks.pretrained.features import PerceptualDistance
from components.core.settings import TrainSettings
from components.train import bench
from components.train.checkpoint import set_state, state_tensors
from components.train.data.augment import Batch, prepare
from components.train.data.batches import Examples
from components.train.distributed import Group
from components.train.loop import choose_device, workers_for
from components.train.trainer import Trainer

CPU, META = torch.device("cpu"), torch.device("meta")
SIDE, TEXEL, COUNT = 64, 8, 4
TINY: dict[str, Any] = {"width": 4, "max_width": 16, "latent": 8, "gan_start": 0.0, "weights": {"face": 0}}


def examples() -> Examples:
    draw = torch.Generator().manual_seed(0)

    def plane(*shape: int) -> Tensor:
        return torch.randint(0, 256, (COUNT, *shape), generator=draw, dtype=torch.uint8)

    def photo() -> tuple[Tensor, Tensor, Tensor]:
        poses = plane(SIDE, SIDE, 3)
        poses[..., 0] = poses[:, ::32, ::32, 0].repeat_interleave(32, 1).repeat_interleave(32, 2) % 25
        return plane(SIDE, SIDE, 3), plane(SIDE, SIDE), poses

    return Examples(plane(24, TEXEL, TEXEL, 3), plane(24, TEXEL, TEXEL) > 99, photo(), photo(), photo(),
                    torch.zeros(COUNT, 2, dtype=torch.bool))


def batch_on(device: torch.device, *, augment: bool = False) -> Batch:
    torch.manual_seed(0)
    return prepare(examples(), device, augment=augment)


def trainer_on(device: torch.device, **changes: Any) -> Trainer:
    settings = TrainSettings.model_validate(TINY | changes)
    return Trainer(settings, SIDE, TEXEL, device, perceptual=PerceptualDistance().to(device), embedder=None)


def test_all_that_a_step_makes_is_on_the_device() -> None:
    """On a device without memory an operation refuses what is elsewhere, as it does on a GPU."""
    weights = {"face": 0, "path": 1.0, "path_every": 2, "r1_every": 2}
    terms = trainer_on(META, weights=weights, diff_augment=True).step(0, batch_on(META, augment=True))
    assert {str(term.device) for term in terms.values()} == {"meta"}
    assert terms.keys() >= {"l1", "perceptual", "gan", "patch", "r1", "patch_r1", "path"}


def test_a_step_in_bf16_has_the_losses_of_one_in_float32() -> None:
    wanted = trainer_on(CPU).step(0, batch_on(CPU))
    with layers.mixed_on("cpu"):
        got = trainer_on(CPU).step(0, batch_on(CPU))
    assert {term.dtype for term in got.values()} == {torch.float32}
    for name, term in wanted.items():
        assert got[name].item() != term.item() or name in ("l1", "matte"), name
        assert got[name].item() == pytest.approx(term.item(), rel=0.05, abs=0.01), name


def test_crops_are_cut_at_whole_precision_whatever_is_around() -> None:
    pictures, inside = torch.rand(2, 3, 256, 256), torch.ones(2, 1, 256, 256)
    found = []
    for half in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            found.append(random_crops(pictures, inside, 4))
    assert torch.equal(*found)


def test_a_picture_is_summed_in_float32_and_filtered_as_it_is() -> None:
    network = Generator(TrainSettings.model_validate(TINY), SIDE, TEXEL)
    seen: list[torch.dtype] = []
    network.gnet.up[-1].register_forward_hook(lambda module, given, out: seen.append(out[1].dtype))
    batch = batch_on(CPU)
    with torch.autocast("cpu", torch.bfloat16):
        network(batch.source, batch.poses)
        for change in (layers.upsample, layers.downsample):
            for dtype in (torch.float32, torch.bfloat16):
                assert change(torch.ones(1, 2, 8, 8, dtype=dtype)).dtype == dtype
    assert seen == [torch.float32]


def test_a_table_that_was_first_used_without_gradients_serves_training() -> None:
    layers.constant.cache_clear()
    layers._kept_filter.cache_clear()
    with torch.inference_mode():
        batch = batch_on(CPU)
        trainer_on(CPU).averaged(batch.source, batch.poses)
    made = layers.constant.cache_info().misses
    assert made > 3
    trainer_on(CPU).step(0, batch_on(CPU))
    assert layers.constant.cache_info().misses == made  # made once, copied to a GPU once


def test_a_rehearsal_takes_all_that_a_step_takes_and_changes_nothing() -> None:
    weights = {"face": 0, "path": 1.0, "path_every": 2, "r1_every": 4}
    whom = trainer_on(CPU, gan_start=0.5, steps=10, weights=weights)
    before = {name: {key: value.clone() for key, value in network.state_dict().items()}
              for name, network in whom.networks.items()}
    seen: list[str] = []
    for name in ("_path_length", "_discriminator_terms"):
        plain = getattr(whom, name)
        setattr(whom, name, lambda *given, plain=plain, name=name: (seen.append(name), plain(*given))[1])
    whom.rehearse(batch_on(CPU))
    assert seen == ["_path_length", "_discriminator_terms"]
    for name, network in whom.networks.items():
        assert all(torch.equal(value, before[name][key]) for key, value in network.state_dict().items()), name
        assert all(parameter.grad is None for parameter in network.parameters())
    assert not whom.optimisers["generator_optimiser"].state


def test_adams_count_of_steps_stays_with_the_processor() -> None:
    """On a GPU Adam would wait for each parameter's count in every step."""
    fetched: list[str] = []

    class Elsewhere(Tensor):
        def cpu(self, *given: Any, **named: Any) -> Tensor:
            fetched.append("step")
            return self.as_subclass(Tensor)

    whom = trainer_on(CPU)
    whom.step(0, batch_on(CPU))
    tensors = {name: value.as_subclass(Elsewhere) for name, value in state_tensors({}, whom.optimisers).items()}
    set_state(tensors, {}, whom.optimisers)
    assert len(fetched) == sum(name.endswith(".step") for name in tensors) > 50


def test_a_kernel_counts_with_the_operation_that_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def event(key: str, device: str, spent: float) -> SimpleNamespace:
        return SimpleNamespace(key=key, device_type=SimpleNamespace(name=device), self_device_time_total=spent)

    events = [event("aten::cudnn_convolution", "CPU", 6.0), event("sm90_xmma_fprop_implicit_gemm", "CUDA", 6.0),
              event("aten::_fused_adam_", "CPU", 1.0), event("aten::mul", "CPU", 3.0),
              event("void at::native::vectorized_elementwise_kernel", "CUDA", 3.0)]

    class Seen:
        def __init__(self, **given: Any) -> None: ...
        def __enter__(self) -> "Seen":
            return self

        def __exit__(self, *given: object) -> None: ...
        def key_averages(self) -> list[SimpleNamespace]:
            return events

    monkeypatch.setattr(bench, "profile", Seen)
    assert bench.kinds_of(lambda: None, torch.device("cuda")) == pytest.approx(
        {"convolution": 0.6, "element by element, rest": 0.3, "optimiser": 0.1})


def test_every_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = torch.device("cuda:0")
    assert Group(1, 2, 1, joined=True).device(asked) == torch.device("cuda:1")
    assert Group().device(asked) == asked and Group(1, 2, 1, joined=True).device(CPU) == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda:1")  # nothing is put there to find out
    with pytest.raises(SettingsError, match="there are 2 GPUs, the first is cuda:0"):
        choose_device("cuda:2")


@pytest.mark.parametrize(("in_memory", "kind", "beside", "wanted"), [
    (True, "cuda", 1, 4), (False, "cuda", 1, 16), (False, "cuda", 8, 6), (False, "cpu", 1, 4), (False, "cuda", 99, 1)])
def test_a_gpu_is_fed_by_as_many_processes_as_there_are_cores_for(
        in_memory: bool, kind: str, beside: int, wanted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 48)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(beside))
    assert workers_for(in_memory, torch.device(kind)) == wanted


def test_compiling_on_a_gpu_is_refused_without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    whom = trainer_on(CPU)
    whom.device = torch.device("cuda")
    monkeypatch.setattr("components.train.trainer.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="needs Triton and a C compiler"):
        whom._compile()
