"""Loss scaling: what is skipped, what moves all the same, and that nothing else changes.

The overflow checks of a step come in its order: the discriminator's, then the generator's two. So
check number 3 * step - 2 is the discriminator's.
"""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from suite import others_slow

import model
from config import Config
from datasets.pipeline import Batch
from devices import loss_scale
from devices.device import open_device
from devices.ranks import SINGLE_PROCESS, HcclRanks
from training import optimizers
from training import step as training_step

SIZES = model.Sizes(8, 8, 1, 2, 3, gf_dim=2, df_dim=2, gfc_dim=4, dfc_dim=4)
RELEASES_AND_SCHEDULES = pytest.mark.parametrize(
    "any_release, fused",
    [
        ("r1.3", True),
        pytest.param("r1.9", True, marks=pytest.mark.slow),
        ("r1.15", True),
        pytest.param("r1.15", False, marks=pytest.mark.slow),
    ],
    indirect=["any_release"],
)
SCHEDULES = pytest.mark.parametrize("fused", others_slow(True, False), ids=["fused", "separate"])


class Training:
    """A few steps of a small network pair on a device, on the same batch."""

    def __init__(self, config, *, fused=True, ranks=SINGLE_PROCESS):
        device = open_device(config, say=lambda line: None)
        random = np.random.RandomState(7)
        batch = Batch(
            tf.constant(random.rand(6, 8, 8, 1), tf.float32),
            tf.one_hot([0, 1] * 3, 2),
            tf.constant(random.randn(6, 3), tf.float32),
        )
        tf.set_random_seed(3)
        schedule = optimizers.Schedule(config, ranks_size=ranks.size, total_steps=1)
        self.d, self.g = [
            optimizers.build_optimizer(
                network, config=config, device=device, ranks=ranks, schedule=schedule
            )
            for network in ("d", "g")
        ]
        self.step = training_step.build_train_step(
            networks=model.build_networks("mnist", SIZES),
            batch=batch,
            fused=fused,
            d_optimizer=self.d,
            g_optimizer=self.g,
        )
        self.session = tf.Session(config=device.session_config)
        self.session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])

    def run(self, steps=1):
        """The values of the last of so many steps."""
        for _ in range(steps):
            values = {}
            for fetches in self.step.runs:
                values.update(self.session.run(fetches))
        return values

    def make_steep(self):
        """Makes the gradients 10,000 times what they were."""
        weight = next(v for v in tf.global_variables() if v.op.name.endswith("d_h3_lin/Matrix"))
        weight.load(1e4 * self.session.run(weight), self.session)

    def variables(self, part):
        """{name: value} of the global variables whose name holds `part`."""
        chosen = {v.op.name: v for v in tf.global_variables() if part in v.op.name}
        return self.session.run(chosen)


def moved(before, after):
    """The names of the variables that differ."""
    return {name for name in before if not np.array_equal(before[name], after[name])}


@RELEASES_AND_SCHEDULES
def test_an_overflow_skips_one_update_and_nothing_else(graph, any_release, fused):
    training = Training(Config(device="npu"), fused=fused)
    any_release.device.injected.add(1)
    before = training.variables("")
    values = training.run()
    after = training.variables("")
    changed = moved(before, after)
    trained = {v.op.name for v in tf.trainable_variables("discriminator/")}
    assert not changed & trained
    assert not {name for name in changed if "Adam" in name and "discriminator" in name}
    assert {v.op.name for v in tf.trainable_variables("generator/")} <= changed
    averages = {
        v.op.name
        for scope in ("discriminator", "generator")
        for v in model.moving_averages_of(scope)
    }
    assert averages <= changed
    assert (values["d_skipped"], values["g_skipped"]) == (1, 0)
    assert after["d_loss_scale/updates_tried"] == 1
    assert after["g_loss_scale/updates_tried"] == 2 == after["g_loss_scale/updates_applied"]
    changed = moved(after, (training.run(), training.variables(""))[1])
    assert trained <= changed


@RELEASES_AND_SCHEDULES
def test_the_second_overflow_halves_the_scale_of_its_network(graph, any_release, fused):
    training = Training(Config(device="npu"), fused=fused)
    any_release.device.injected.update([1, 4, 5])
    values = training.run()
    assert (values["d_loss_scale"], values["g_loss_scale"]) == (2**16, 2**16)
    values = training.run()
    assert (values["d_loss_scale"], values["g_loss_scale"]) == (2**15, 2**16)
    assert (values["d_skipped"], values["g_skipped"]) == (2, 1)
    values = training.run(3)
    assert (values["d_loss_scale"], values["g_loss_scale"]) == (2**15, 2**16)
    assert (values["d_skipped"], values["g_skipped"]) == (2, 1)
    assert np.isfinite([values["d_loss"], values["g_loss"]]).all()
    # A check reads and clears the one flag that the device has, so they must come in their order.
    networks = [event["network"] for event in any_release.record.of("check")]
    assert networks == ["d_loss_scale", "g_loss_scale", "g_loss_scale"] * 5


@SCHEDULES
def test_both_updates_of_the_generator_count(graph, npu_bridge, fused):
    training = Training(Config(device="npu"), fused=fused)
    npu_bridge.device.injected.update([2, 3])
    values = training.run()
    assert (values["g_skipped"], values["g_loss_scale"]) == (2, 2**15)


def test_the_scale_grows_after_good_updates(graph, npu_bridge, monkeypatch):
    monkeypatch.setattr(loss_scale, "GOOD_UPDATES_TO_GROW", 4)
    values = Training(Config(device="npu")).run(4)
    assert (values["d_loss_scale"], values["g_loss_scale"]) == (2**17, 2**18)


def test_managers_are_made_as_the_reference_made_them(graph, any_release):
    Training(Config(device="npu"))
    for event in any_release.record.of("manager"):
        assert event["name"] == "ExponentialUpdateLossScaleManager"
        assert event["values"] == [2**16, 1000, 2, 2, 0.5]
        assert event["problems"] == []
    assert [event["network"] for event in any_release.record.of("optimizer")] == [
        "d_loss_scale",
        "g_loss_scale",
    ]


def test_variables_are_saved_ones_under_their_networks_scope(graph, any_release):
    training = Training(Config(device="npu"))
    expected = {
        f"{network}_loss_scale/{name}"
        for network in "dg"
        for name in ("loss_scale", "good_steps", "bad_steps", "updates_tried", "updates_applied")
    }
    assert set(training.variables("loss_scale/")) == expected
    state = training.d.state + training.g.state
    assert {variable.op.name for variable in state} == expected
    assert all(variable.dtype in (tf.float32, tf.int32, tf.int64) for variable in state)


@pytest.mark.parametrize("scale", others_slow("dynamic", "1024"))
@SCHEDULES
def test_without_overflow_nothing_changes(npu_bridge, fused, scale):
    """A scale that is a power of two only shifts exponents."""
    results = []
    for config in (Config(device="cpu"), Config(device="npu", loss_scale=scale)):
        with tf.Graph().as_default():
            training = Training(config, fused=fused)
            values = training.run(5)
            results.append(training.variables("generator/"))
    assert values["d_loss_scale"] == (2**16 if scale == "dynamic" else 1024)
    for name, value in results[0].items():
        np.testing.assert_allclose(results[1][name], value, rtol=1e-4, atol=1e-6, err_msg=name)


def test_a_fixed_scale_stays(graph, any_release):
    training = Training(Config(device="npu", loss_scale="1024"))
    any_release.device.injected.update([1, 4])
    before = training.variables("discriminator/")
    values = training.run(2)
    changed = moved(before, training.variables("discriminator/"))
    assert not changed & {v.op.name for v in tf.trainable_variables()}
    assert (values["d_loss_scale"], values["d_skipped"]) == (1024, 2)
    assert any_release.record.of("manager")[0]["values"] == [1024.0]


def test_gradients_that_overflow_by_themselves(graph, npu_bridge, monkeypatch):
    """No injection: the scale is too large for float32 itself, and falls until it is not."""
    monkeypatch.setattr(loss_scale, "INITIAL", 2.0**127)
    training = Training(Config(device="npu"))
    training.make_steep()
    values = training.run()
    assert values["d_skipped"] == 1
    values = training.run(60)
    skipped, scale = values["d_skipped"], values["d_loss_scale"]
    assert scale == 2.0 ** (127 - skipped // 2)
    values = training.run(3)
    assert (values["d_skipped"], values["d_loss_scale"]) == (skipped, scale)
    assert np.isfinite(values["d_loss"])


@pytest.mark.parametrize(
    "options",
    others_slow(
        dict(precision_mode="must_keep_origin_dtype"),
        dict(precision_mode="allow_mix_precision_bf16"),
        dict(precision_mode="allow_fp32_to_bf16"),
        dict(loss_scale="off"),
    ),
)
def test_modes_without_a_loss_scale(graph, npu_bridge, options):
    training = Training(Config(device="npu", **options))
    assert isinstance(training.d.optimizer, tf.train.AdamOptimizer)
    values = training.run()
    assert not [name for name in values if "scale" in name or "skipped" in name]
    assert training.step.readings == {} and training.d.state == ()
    assert npu_bridge.record.of("optimizer") == []


@pytest.mark.parametrize(
    "mode",
    others_slow(
        "allow_fp32_to_fp16",
        "force_fp16",
        "force_fp32",
        "cube_fp16in_fp32out",
        "allow_mix_precision_fp16",
    ),
)
def test_float16_modes_have_one(graph, npu_bridge, mode):
    assert Training(Config(device="npu", precision_mode=mode)).run()["g_loss_scale"] == 2**16


@pytest.mark.parametrize("scale", others_slow("1024", "dynamic"))
def test_every_mode_has_the_one_that_was_given(graph, npu_bridge, scale):
    config = Config(
        device="npu",
        precision_mode="must_keep_origin_dtype",
        loss_scale=scale,
        given=frozenset(["loss_scale"]),
    )
    expected = 2**16 if scale == "dynamic" else 1024
    assert Training(config).run()["g_loss_scale"] == expected


def test_averaging_goes_inside_the_loss_scaling(graph, any_release):
    Training(Config(device="npu"), ranks=HcclRanks(0, 2))
    for event in any_release.record.of("optimizer"):
        assert (event["inner"], event["distributed"]) == ("AveragingOptimizer", True)
    assert any_release.record.of("distributed") == []  # never two distributed wrappers


def test_one_device_is_not_distributed(graph, npu_bridge):
    Training(Config(device="npu"))
    assert [event["distributed"] for event in npu_bridge.record.of("optimizer")] == [False, False]


@pytest.fixture
def visible_gpu(monkeypatch):
    """TensorFlow's list of devices with a GPU; the steps run on the CPU all the same."""
    monkeypatch.setattr(tf.config.experimental, "list_physical_devices", lambda kind: ["GPU:0"])


@SCHEDULES
def test_tensorflows_own_scaling_on_a_gpu(graph, visible_gpu, monkeypatch, fused):
    monkeypatch.setattr(loss_scale, "INITIAL", 2.0**127)
    training = Training(Config(device="gpu"), fused=fused)
    training.make_steep()
    before = training.variables("discriminator/")
    values = training.run()
    changed = moved(before, training.variables("discriminator/"))
    assert not changed & {v.op.name for v in tf.trainable_variables()}
    assert (values["d_skipped"], values["d_loss_scale"]) == (1, 2.0**126)
    values = training.run(40)
    assert values["d_skipped"] == 127 - np.log2(values["d_loss_scale"]) < 40
    assert {variable.op.name for variable in training.d.state} == {
        "d_loss_scale/" + name
        for name in ("current_loss_scale", "good_steps", "updates_tried", "updates_applied")
    }


def test_a_fixed_scale_on_a_gpu(graph, visible_gpu):
    values = Training(Config(device="gpu", loss_scale="8")).run(2)
    assert (values["g_loss_scale"], values["g_skipped"]) == (8, 0)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("dynamic", loss_scale.LossScale(on=True)),
        ("off", loss_scale.OFF),
        ("1024", loss_scale.LossScale(on=True, fixed=1024)),
        ("1e3", loss_scale.LossScale(on=True, fixed=1000)),
    ],
)
def test_what_the_flag_says(text, expected):
    assert loss_scale.parse(text) == expected
    assert loss_scale.parse(str(expected)) == expected
