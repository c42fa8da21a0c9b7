"""Landmarks: where a photo shows a person's joints, face, hands and outline, found by small networks on LiteRT."""
