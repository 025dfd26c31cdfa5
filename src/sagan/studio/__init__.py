"""The studio: a local page to explore trained generators with."""
