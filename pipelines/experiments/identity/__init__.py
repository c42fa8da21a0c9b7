"""Does the face survive? `paper`, `warp` and warping without a network on held-out people."""
