"""Does training data come back?"""
