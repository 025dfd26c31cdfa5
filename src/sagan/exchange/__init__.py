"""Weights of other implementations in, files that others can use out."""
