"""Matting: from a soft person mask to an alpha matte at the photo's resolution, and the person's own colours."""
