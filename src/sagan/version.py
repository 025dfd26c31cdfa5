"""The version, in its one place: pyproject.toml takes it from here, and tests/test_release.py compares the rest.

``.dev0`` says that it is not released yet; the changelog calls it unreleased as long.
"""

__version__ = "0.2.0.dev0"
