"""Records and pictures in, pages out: each is one HTML file that asks the network for nothing."""

from typing import TYPE_CHECKING

from sagan.lazy import lazy_names

if TYPE_CHECKING:
    from sagan.pages.check import check_page

__all__ = ["check_page"]

__getattr__ = lazy_names(__name__, {"sagan.pages.check": ["check_page"]})
