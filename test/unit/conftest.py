"""Makes the project's modules importable and gives every test a graph and folders of its own."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "helpers"))
from fake_npu import factory  # noqa: E402
from paths import ROOT  # noqa: E402
from suite import (  # noqa: E402, F401
    others_slow,
    pytest_collection_modifyitems,
    pytest_runtest_makereport,
)

sys.path.insert(0, ROOT)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# A process has one pool of threads, as large as its first session asked for; how a sum is shared
# among threads shows in its last bits. One thread makes runs in this process and in others comparable,
# and leaves the other cores to the other processes of the tests.
for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"


@pytest.fixture
def graph():
    """An empty graph as the default one, with TensorFlow 2.x behaving as 1.15."""
    import tensorflow.compat.v1 as tf

    tf.disable_v2_behavior()
    with tf.Graph().as_default() as graph:
        yield graph


@pytest.fixture(params=[*others_slow(*factory.RELEASES[:-1]), factory.RELEASES[-1]])
def any_release(request):
    """The fake NPU adapter in each of its releases."""
    with factory.adapter(request.param) as npu_bridge:
        yield npu_bridge


@pytest.fixture
def npu_bridge():
    """The fake NPU adapter in its newest release."""
    with factory.adapter() as npu_bridge:
        yield npu_bridge
