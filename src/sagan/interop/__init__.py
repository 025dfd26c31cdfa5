"""Weights out of the project and in again."""
