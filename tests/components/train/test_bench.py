import pytest
import torch
import torch.nn.functional as F

from components.train.bench import flops, kinds_of

CPU = torch.device("cpu")


def test_operations_are_counted_forward_and_backward_and_twice_differentiated() -> None:
    x = torch.randn(2, 8, 16, 16, requires_grad=True)
    weight = torch.randn(4, 8, 3, 3, requires_grad=True)
    once = 2 * 2 * 16 * 16 * 4 * 8 * 9
    assert flops(lambda: F.conv2d(x, weight, padding=1)) == once
    assert flops(lambda: F.conv2d(x, weight, padding=1).sum().backward()) == 3 * once

    def penalised() -> None:
        (slope,) = torch.autograd.grad(F.conv2d(x, weight, padding=1).square().sum(), x, create_graph=True)
        slope.square().sum().backward()

    assert flops(penalised) > 3 * once
    assert flops(lambda: torch.randn(3, 5) @ torch.randn(5, 7)) == 2 * 3 * 5 * 7


def test_a_profile_is_shares_by_kind() -> None:
    x, weight = torch.randn(4, 32, 64, 64, requires_grad=True), torch.randn(32, 32, 3, 3)
    found = kinds_of(lambda: F.conv2d(x, weight, padding=1).sum().backward(), CPU)
    assert sum(found.values()) == pytest.approx(1) and max(found, key=lambda kind: found[kind]) == "convolution"
