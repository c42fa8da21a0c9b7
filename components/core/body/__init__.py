"""The body: skeleton, template, skinning, DensePose charts, rasteriser."""
