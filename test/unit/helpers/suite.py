"""What the whole suite does: the order of the tests, and what a skipped one means in CI."""

import os

import pytest

HARDWARE = "needs hardware: "


def others_slow(first, *others):
    """The values of a parameter: the first one in the everyday tests, the others in the slow ones."""
    return [first, *(pytest.param(each, marks=pytest.mark.slow) for each in others)]


def pytest_collection_modifyitems(items):
    """The longest tests come first: one that began last would keep a single core busy at the end."""
    for marker in ("slow", "marathon"):
        items.sort(key=lambda item: item.get_closest_marker(marker) is None)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI a skipped test fails, unless the reason is hardware that CI does not have."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        _, _, reason = report.longrepr
        if HARDWARE not in reason:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: skipped, which fails in CI: {reason}"
