"""Arithmetic that comes out the same on every processor.

IEEE 754 fixes the last bit of sums, products, quotients and roots, and NumPy keeps to that. It does not fix that of
sines, exponentials and powers, nor the order in which matrix products and filters add up: there every processor has
its own vector code, and single precision shows it: a pixel in a few thousand is another grey level. So these are
computed in double precision and rounded to the precision they came in: two processors then agree, but for one value in
thousands of millions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]


def _doubly(function: Callable[..., Any], *values: Any) -> Any:
    """`function` of `values` in double precision, rounded to the precision of `values`."""
    result = function(*(np.asarray(value, np.float64) for value in values))
    kind = np.result_type(*values)
    return result.astype(kind) if np.issubdtype(kind, np.floating) else result


def sin(x: ArrayLike) -> Any:
    """Sine of `x` radians."""
    return _doubly(np.sin, x)


def cos(x: ArrayLike) -> Any:
    """Cosine of `x` radians."""
    return _doubly(np.cos, x)


def exp(x: ArrayLike) -> Any:
    """The exponential function."""
    return _doubly(np.exp, x)


def arctan2(y: ArrayLike, x: ArrayLike) -> Any:
    """Angle of (x, y) in radians, -pi..pi."""
    return _doubly(np.arctan2, y, x)


def hypot(x: ArrayLike, y: ArrayLike) -> Any:
    """Euclidean length of (x, y)."""
    return _doubly(np.hypot, x, y)


def power(x: ArrayLike, exponent: float) -> Any:
    """`x` to the power of a number."""
    return _doubly(np.power, x, exponent)


def product(a: ArrayLike, b: ArrayLike) -> Any:
    """The matrix product a @ b."""
    return _doubly(np.matmul, a, b)


def blurred(image: Floats, sigma: float) -> Floats:
    """`image` [H, W] or [H, W, C] after a Gaussian of `sigma` pixels."""
    return np.asarray(_doubly(lambda fine: cv2.GaussianBlur(fine, (0, 0), sigma), image))


def enlarged(image: Floats, height: int, width: int) -> Floats:
    """`image` [h, w], bilinearly at another size."""
    return np.asarray(_doubly(lambda fine: cv2.resize(fine, (width, height), interpolation=cv2.INTER_LINEAR), image))


def halved(image: Floats) -> Floats:
    """The mean of each block of 2 x 2 pixels of `image` [2H, 2W] or [2H, 2W, C]."""
    return np.asarray((image[::2, ::2] + image[::2, 1::2] + image[1::2, ::2] + image[1::2, 1::2]) * np.float32(0.25))
