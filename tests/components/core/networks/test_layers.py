import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.networks.layers import (
    ActivatedConv,
    Conv,
    DownBlock,
    Linear,
    MinibatchDeviation,
    ModulatedConv,
    Paint,
    StyledConv,
    activate,
    channels_at,
    dilated,
    downsample,
    pixels_first,
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


def test_paint_equals_one_convolution_per_sample() -> None:
    torch.manual_seed(0)
    paint = Paint(5, 7, 4)
    x, z = torch.randn(3, 5, 6, 4), torch.randn(3, 4)
    for k in range(3):
        weight = paint.weight / 5**0.5 * paint.style(z)[k][None, :, None, None]
        assert torch.allclose(paint(x, z)[k], F.conv2d(x[k : k + 1], weight)[0], atol=1e-6)


def _by_the_book_styled(layer: StyledConv, x: torch.Tensor, z: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
    """A styled layer as the paper draws it, one operation after the other."""
    styles, weight = layer.conv.style(z)[:, :, None, None], layer.conv.weight / (x.shape[1] * 9) ** 0.5
    demodulation = torch.rsqrt((weight * styles[:, None]).square().sum((2, 3, 4)) + 1e-8)
    y = F.conv2d(x * styles, weight, padding=1) * demodulation[:, :, None, None]
    y = (upsample(y) if layer._up else y) + skip
    noise = torch.randn(len(y), 1, *y.shape[2:], dtype=y.dtype)
    return activate(y + layer.noise * noise + layer.bias[:, None, None])


def _by_the_book_down(block: DownBlock, x: torch.Tensor) -> torch.Tensor:
    y = x
    for conv in (block.conv0, block.conv1):
        y = activate(Conv.forward(conv, y))
    return (y + block.skip(downsample(x))) / 2**0.5


def _once_and_twice(y: torch.Tensor, *inputs: torch.Tensor) -> list[torch.Tensor]:
    """A result, its gradients, and the gradients of these: what R1 and path length descend."""
    torch.manual_seed(1)
    slopes = torch.autograd.grad((y * torch.randn(y.shape, dtype=y.dtype)).sum(), inputs, create_graph=True)
    penalty = sum(slope.square().sum() for slope in slopes)
    twice = torch.autograd.grad(penalty, inputs, materialize_grads=True)
    return [y, *slopes, *twice]


def _agree(mine: list[torch.Tensor], theirs: list[torch.Tensor]) -> None:
    for one, other in zip(mine, theirs, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()


@pytest.mark.parametrize("up", [False, True])
def test_a_styled_layer_and_its_gradients_are_those_of_the_paper(up: bool) -> None:
    torch.manual_seed(0)
    layer = StyledConv(5, 6, 4, up=up).double()
    for value in (layer.bias, layer.noise):
        torch.nn.init.normal_(value)
    x, z = (torch.randn(shape, dtype=torch.double, requires_grad=True) for shape in ((2, 5, 8, 6), (2, 4)))
    skip = torch.randn(2, 6, *(side * (1 + up) for side in (8, 6)), dtype=torch.double, requires_grad=True)
    inputs, found = (x, z, skip, *layer.parameters()), []
    for work in (layer, lambda *args: _by_the_book_styled(layer, *args)):
        torch.manual_seed(2)
        found.append(_once_and_twice(work(x, z, skip), *inputs))
    _agree(*found)


def test_a_down_block_and_its_gradients_are_those_of_the_paper() -> None:
    torch.manual_seed(0)
    block = DownBlock(3, 5).double()
    for name, value in block.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(value)
    x = torch.randn(2, 3, 8, 6, dtype=torch.double, requires_grad=True)
    inputs = (x, *block.parameters())
    _agree(_once_and_twice(block(x), *inputs), _once_and_twice(_by_the_book_down(block, x), *inputs))


def test_layers_leave_what_they_are_given_as_it_was() -> None:
    x, z, skip = torch.randn(2, 4, 8, 8), torch.randn(2, 3), torch.randn(2, 4, 8, 8)
    x = pixels_first(x)
    before = [given.clone() for given in (x, z, skip)]
    with torch.no_grad():
        StyledConv(4, 4, 3)(x, z, skip)
        Paint(4, 4, 3)(x, z)
        DownBlock(4, 4)(x)
        ActivatedConv(4, 4, 3)(x)
    assert all(torch.equal(one, other) for one, other in zip((x, z, skip), before, strict=True))


def test_layers_keep_pictures_pixel_by_pixel_in_memory_and_so_do_their_gradients() -> None:
    x, z = pixels_first(torch.randn(2, 4, 8, 8)).requires_grad_(), torch.randn(2, 3)
    for y in (Conv(4, 5, 1)(x), DownBlock(4, 5)(x), StyledConv(4, 5, 3, up=True)(x, z), Paint(4, 5, 3)(x, z)):
        assert y.is_contiguous(memory_format=torch.channels_last)
        (slope,) = torch.autograd.grad(y.square().sum(), x)
        assert slope.is_contiguous(memory_format=torch.channels_last)


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


@given(st.integers(0, 9), st.integers(1, 12), st.integers(1, 12))
def test_growing_is_the_largest_value_around(radius: int, height: int, width: int) -> None:
    mask = torch.randn(1, 2, height, width)
    pooled = F.max_pool2d(F.pad(mask, (radius,) * 4, value=-torch.inf), 2 * radius + 1, stride=1)
    assert torch.equal(dilated(mask, radius), pooled)


def test_softening_keeps_slopes_and_flattens_what_alternates() -> None:
    slope = torch.arange(8.0).expand(1, 1, 8, 8)
    assert torch.allclose(softened(slope)[..., 1:-1], slope[..., 1:-1])
    checks = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    assert softened(checks[None, None])[..., 1:-1, 1:-1].abs().max() < 1e-6
