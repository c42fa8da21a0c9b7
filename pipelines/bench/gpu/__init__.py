"""``make gpu``: what a GPU does with this project, in eight minutes, without network, on a bare machine with torch.

Parts in order of importance, each in a process of its own with a time box, each leaving results of its own: JSON lines
while it runs, then one JSON file and docs/benchmarks/gpu.md. `parts.py` lists them.
"""
