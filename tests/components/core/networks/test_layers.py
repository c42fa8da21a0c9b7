import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.networks.layers import (
    Conv,
    DownBlock,
    Linear,
    MinibatchDeviation,
    ModulatedConv,
    StyledConv,
    channels_at,
    downsample,
    grown,
    softened,
    upsample,
)


@given(st.floats(-3, 3))
def test_resampling_keeps_a_constant_away_from_the_edges(value: float) -> None:
    flat = torch.full((1, 2, 8, 8), value)
    assert torch.allclose(downsample(flat)[..., 1:-1, 1:-1], torch.tensor(value), atol=1e-5)
    assert torch.allclose(upsample(flat)[..., 1:-1, 1:-1], torch.tensor(value), atol=1e-5)


def test_upsampling_is_bilinear_and_downsampling_its_antialiased_counterpart() -> None:
    x = torch.randn(2, 3, 8, 8)
    up = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    down = F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False, antialias=True)
    assert torch.allclose(upsample(x)[..., 1:-1, 1:-1], up[..., 1:-1, 1:-1], atol=1e-5)
    assert torch.allclose(downsample(x)[..., 1:-1, 1:-1], down[..., 1:-1, 1:-1], atol=1e-5)


def test_equalised_layers_keep_the_variance_whatever_their_width() -> None:
    torch.manual_seed(0)
    for inputs in (8, 256):
        assert Linear(inputs, 512)(torch.randn(64, inputs)).var().item() == pytest.approx(1, abs=0.2)
        assert Conv(inputs, 64, 3)(torch.randn(8, inputs, 16, 16))[..., 1:-1, 1:-1].var().item() == pytest.approx(
            1, abs=0.2)


def test_modulated_convolution_equals_one_convolution_per_sample() -> None:
    torch.manual_seed(0)
    conv = ModulatedConv(5, 7, 3, 4)
    x, z = torch.randn(3, 5, 6, 6), torch.randn(3, 4)
    styles = conv.style(z)
    for k in range(3):
        weight = conv.weight / (5 * 9) ** 0.5 * styles[k][None, :, None, None]
        weight = weight * torch.rsqrt(weight.square().sum((1, 2, 3), keepdim=True) + 1e-8)
        assert torch.allclose(conv(x, z)[k], F.conv2d(x[k : k + 1], weight, padding=1)[0], atol=1e-5)


def test_a_styled_layer_is_noisy_in_training_only() -> None:
    layer = StyledConv(4, 4, 3)
    layer.noise.data.fill_(1.0)
    x, z = torch.randn(1, 4, 8, 8), torch.randn(1, 3)
    assert not torch.equal(layer(x, z), layer(x, z))
    layer.eval()
    assert torch.equal(layer(x, z), layer(x, z))


@settings(max_examples=10)
@given(st.integers(3, 17), st.integers(3, 17))
def test_down_blocks_halve_odd_sides_too(height: int, width: int) -> None:
    assert DownBlock(2, 4)(torch.zeros(1, 2, height, width)).shape == (1, 4, -(-height // 2), -(-width // 2))


def test_minibatch_deviation_tells_equal_samples_from_different_ones() -> None:
    same = torch.randn(1, 3, 4, 4).repeat(4, 1, 1, 1)
    layer = MinibatchDeviation()
    assert layer(same).shape == (4, 4, 4, 4)
    assert layer(same)[:, 3].max() < 1e-3
    assert layer(torch.randn(6, 3, 4, 4))[:, 3].min() > 0.3


def test_channels_double_until_the_limit() -> None:
    assert [channels_at(level, 16, 100) for level in range(5)] == [16, 32, 64, 100, 100]


def test_growing_is_the_largest_value_around() -> None:
    mask = torch.rand(1, 2, 12, 9)
    assert torch.equal(grown(mask, 2), F.max_pool2d(mask, 5, stride=1, padding=2))


def test_softening_keeps_slopes_and_flattens_what_alternates() -> None:
    slope = torch.arange(8.0).expand(1, 1, 8, 8)
    assert torch.allclose(softened(slope)[..., 1:-1], slope[..., 1:-1])
    checks = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    assert softened(checks[None, None])[..., 1:-1, 1:-1].abs().max() < 1e-6


def test_a_faster_pace_is_a_larger_learning_rate_and_nothing_else() -> None:
    torch.manual_seed(0)
    plain, fast = Linear(6, 4, bias=0.5), Linear(6, 4, bias=0.5, pace=3.0)
    fast.load_state_dict({name: value / 3 for name, value in plain.state_dict().items()})
    x, wanted = torch.randn(5, 6), torch.randn(5, 4)
    assert torch.allclose(plain(x), fast(x), atol=1e-6)
    for layer, rate in ((plain, 0.03), (fast, 0.01)):
        adam = torch.optim.Adam(layer.parameters(), rate)
        for _ in range(3):
            adam.zero_grad()
            (layer(x) - wanted).square().mean().backward()
            adam.step()
    assert torch.allclose(plain(x), fast(x), atol=1e-4)
