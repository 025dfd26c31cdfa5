"""Runs: their folder, their training and what they leave while they train."""
