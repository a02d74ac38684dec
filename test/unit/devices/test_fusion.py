"""The collectives of a step on several NPUs: which are fused, and that none waits for itself."""

import collections

import pytest
import tensorflow.compat.v1 as tf
from fake_npu import factory

from config import Config
from datasets.registry import open_dataset
from devices.device import open_device
from devices.ranks import HcclRanks
from training.graph import TrainGraph

ASKED = Config(
    train=True,
    device="npu",
    dataset="synthetic_mnist",
    batch_size=8,
    gf_dim=4,
    df_dim=4,
    gfc_dim=16,
    dfc_dim=16,
    z_dim=8,
    sample_num=4,
    seed=5,
)


@pytest.fixture(params=["fused", "separate"])
def schedule(request):
    return request.param


@pytest.fixture
def collectives(graph, schedule):
    """The fake's events and module for the graph of two ranks, both schedules."""
    with factory.adapter() as npu_bridge:
        device = open_device(ASKED, say=lambda line: None)
        config, dataset = open_dataset(ASKED.replace(fused_step=schedule == "fused"))
        TrainGraph(config=config, dataset=dataset, ranks=HcclRanks(0, 2), device=device)
        yield npu_bridge


def test_no_two_collectives_of_a_group_depend_on_one_another(graph, collectives):
    import importlib

    fusion_groups = importlib.import_module("npu_bridge.hccl.fusion_groups")
    assert fusion_groups.dependent_pairs(graph) == []


def test_the_gradients_of_each_update_are_a_group_of_their_own(graph, schedule, collectives):
    fused = [event for event in collectives.record.of("allreduce") if event["fusion"] != 0]
    sizes = collections.Counter((event["fusion"], event["fusion_id"]) for event in fused)
    d, g = [len(tf.trainable_variables(scope + "/")) for scope in ("discriminator", "generator")]
    expected = {(2, 1): d, (2, 2): g, (2, 3): g}
    if schedule == "separate":  # the generator's update is built once and run twice
        del expected[2, 3]
    assert sizes == expected


def test_means_and_broadcasts_are_not_fused(graph, schedule, collectives):
    unfused = [event for event in collectives.record.of("allreduce") if event["fusion"] == 0]
    # An overflow on any rank, for each update, and whether all weights are finite.
    flags = [event for event in unfused if event["shape"] == []]
    assert len(flags) == {"fused": 4, "separate": 3}[schedule] < len(unfused)
    assert {event["fusion"] for event in collectives.record.of("broadcast")} == {0}
