"""Trained generators: their files, what `load` gives, and pictures and arrays of them in files."""
