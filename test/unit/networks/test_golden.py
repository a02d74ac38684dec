"""Equality with the reference: trajectories of four steps, both schedules, both products.

The files in `golden/` were computed with the reference graph under TensorFlow 1.15.5 on a CPU.
"""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from golden_runs import SIZES, load_golden
from suite import others_slow

import kernels
import model
import ops_cpu
from datasets.pipeline import Batch
from devices.loss_scale import NetworkOptimizer
from training import step as training_step

LEARNING_RATE = 2e-4
ROUNDING = dict(rtol=2e-4, atol=5e-5)
# A bias in front of batch norm has no gradient but rounding noise, which Adam scales up to its full
# step in either direction: after n updates two equivalent runs may be 2 n steps apart there and
# nowhere else. The batch means carry that shift on. A pass too many or too few would show as 1e-2.
UPDATES = {"discriminator": 4, "generator": 8}
SAMPLER_NOISE = dict(rtol=0, atol=4 * LEARNING_RATE)


def adam_noise(scope):
    return dict(rtol=0, atol=2 * UPDATES[scope] * LEARNING_RATE)


def variables_by_name():
    return {v.op.name: v for v in tf.global_variables() if "_optim" not in v.op.name}


def restore(session, golden, moment):
    for name, variable in variables_by_name().items():
        variable.load(golden[moment + "/" + name], session)


def tolerance(name, golden):
    scope, layer, kind = name.split("/")
    batch_norm = f"{layer[0]}_bn{layer[3]}"  # g_h1_lin is followed by g_bn1
    normalized = f"init/{scope}/{batch_norm}/gamma" in golden
    if kind.startswith("moving_") or (kind in ("bias", "biases") and normalized):
        return adam_noise(scope)
    return ROUNDING


def assert_same(actual, expected, name, golden):
    """All but 0.5 % within rounding; an element whose gradient is near 0 may be noise."""
    beyond = ~np.isclose(actual, expected, **tolerance(name, golden))
    assert beyond.mean() <= 5e-3, name
    np.testing.assert_allclose(actual, expected, err_msg=name, **adam_noise(name.split("/")[0]))


def placeholders(golden, batch_size):
    images, labels = golden["images"], golden["labels"]
    return Batch(
        tf.placeholder(tf.float32, (batch_size,) + images.shape[1:]),
        tf.placeholder(tf.float32, (batch_size,) + labels.shape[1:]),
        tf.placeholder(tf.float32, golden["z"].shape[1:]),
    )


@pytest.mark.parametrize(
    "kind", others_slow("winograd", *sorted({*kernels.PRODUCTS} - {"winograd"}))
)
@pytest.mark.parametrize("fused", others_slow(True, False), ids=["fused", "separate"])
@pytest.mark.parametrize("architecture", sorted(SIZES))
def test_trajectory(graph, monkeypatch, architecture, fused, kind):
    monkeypatch.setattr(ops_cpu, "LEAST_CHANNELS", 1)  # these networks are narrow
    golden = load_golden(architecture)
    networks = model.build_networks(architecture, SIZES[architecture], kernels.PRODUCTS[kind])
    batch_size = golden["z"].shape[1]
    batch = placeholders(golden, batch_size)
    d_optimizer, g_optimizer = [
        NetworkOptimizer(tf.train.AdamOptimizer(LEARNING_RATE, beta1=0.5)) for _ in range(2)
    ]
    step = training_step.build_train_step(
        networks=networks,
        batch=batch,
        d_optimizer=d_optimizer,
        g_optimizer=g_optimizer,
        fused=fused,
    )
    sampled = networks.generator(batch.z, batch.labels, training=False)
    expected = {key.split("/", 1)[1] for key in golden if key.startswith("init/")}
    assert set(variables_by_name()) == expected

    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        restore(session, golden, "init")
        sampler_inputs = {batch.z: golden["z"][0], batch.labels: golden["labels"][:batch_size]}
        np.testing.assert_allclose(
            session.run(sampled, sampler_inputs), golden["sampler/init"], **ROUNDING
        )
        for index, expected_losses in enumerate(golden["losses"]):
            part = slice(index * batch_size, (index + 1) * batch_size)
            feed = dict(
                zip(batch, (golden["images"][part], golden["labels"][part], golden["z"][index]))
            )
            values = {}
            for fetches in step.runs:
                values.update(session.run(fetches, feed))
            losses = [
                values[key] for key in ("d_loss_real", "d_loss_fake", "g_loss_first", "g_loss")
            ]
            np.testing.assert_allclose(losses, expected_losses, rtol=1e-4)
        for name, variable in variables_by_name().items():
            assert_same(session.run(variable), golden["final/" + name], name, golden)
        np.testing.assert_allclose(
            session.run(sampled, sampler_inputs), golden["sampler/final"], **SAMPLER_NOISE
        )
