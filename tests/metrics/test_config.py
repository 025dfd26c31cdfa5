"""What cannot be monitored."""

import pytest

from sagan.metrics.config import MonitorConfig


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"features": "vgg"}, "features must be one of pixels, efficientnet-lite0, inception, found 'vgg'"),
        ({"metrics": ()}, "metrics takes some of fd, is, kd, prdc, found none"),
        ({"metrics": ("fod",)}, "found fod"),
        ({"metrics": ("is",)}, "have no classes and so no `is`"),
        ({"num": 2}, "num must be at least 10, found 2"),
    ],
)
def test_what_cannot_be_monitored_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        MonitorConfig(**fields)
