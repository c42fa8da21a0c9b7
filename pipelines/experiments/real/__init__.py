"""Real people in poses of others and in their own: recognisable, in place, clean, and hard to tell from photos?"""
