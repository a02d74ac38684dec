"""Networks that no memory can hold are one line before a graph is built."""

import pytest
import tensorflow.compat.v1 as tf

import model
from config import Config
from options import UserError
from system import memory
from training import fits
from training.network_cost import COSTS

MNIST = Config(architecture="mnist", num_classes=10, output_height=28, output_width=28, channels=1)
IMAGE = Config(architecture="image", num_classes=0, output_height=64, output_width=48, channels=3)


@pytest.mark.parametrize(
    "config",
    [
        MNIST.replace(gf_dim=5, df_dim=6, gfc_dim=70, dfc_dim=90, z_dim=11),
        MNIST.replace(num_classes=0, channels=3, output_height=20),
        MNIST.replace(gf_dim=5, df_dim=6, g_h2_dim=8, d_h0_dim=9, d_h1_dim=7),
        IMAGE.replace(gf_dim=7, df_dim=9, z_dim=13),
        IMAGE.replace(num_classes=6, output_height=33),
    ],
    ids=["mnist", "mnist without labels", "mnist widths", "image", "image with labels"],
)
def test_weights_and_activations_are_those_of_the_graph(graph, config):
    sizes = model.sizes_of(config)
    networks = model.build_networks(config.architecture, sizes)
    y = tf.zeros([2, sizes.num_classes]) if sizes.num_classes else None
    networks.discriminator(networks.generator(tf.zeros([2, sizes.z_dim]), y, True), y, True)
    shapes = [variable.shape.as_list() for variable in tf.trainable_variables()]
    weights = sum(tf.TensorShape(shape).num_elements() for shape in shapes if len(shape) > 1)
    assert COSTS[config.architecture].num_weights(sizes) == weights
    layers = [
        op.outputs[0].shape.num_elements() // 2
        for op in graph.get_operations()
        if op.type == "BiasAdd" and "gradients" not in op.name
    ]
    assert COSTS[config.architecture].num_activations(sizes) == sum(layers)


@pytest.mark.parametrize("free_gb", [1, 30])
@pytest.mark.parametrize("flag, value", [("gf_dim", 4096), ("df_dim", 4096), ("batch_size", 65536)])
def test_the_flag_that_costs_the_most_is_named(monkeypatch, flag, value, free_gb):
    monkeypatch.setattr(memory, "available_bytes", lambda: free_gb * 10**9)
    fits.check_fits(IMAGE)
    with pytest.raises(UserError, match=f"^--{flag}: {value} is too much: .* are free$"):
        fits.check_fits(IMAGE.replace(**{flag: value}))


def test_a_large_side_is_named(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10**9)
    with pytest.raises(UserError, match="^--output_width: 4096 is too much"):
        fits.check_fits(IMAGE.replace(output_width=4096))


def test_the_defaults_fit_into_a_gigabyte(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10**9)
    for config in (MNIST, IMAGE):
        fits.check_fits(config)


@pytest.mark.parametrize(
    "limit, use, statistics, expected",
    [
        ("max", "5", "", 2048),
        ("1500", "500", "", 1000),
        ("1500", "2000", "", 0),
        ("9999", "1", "", 2048),
        ("1500", "1400", "anon 700\ninactive_file 500\nactive_file 200\n", 800),
        ("1500", "1400", "inactive_file 1\ntotal_inactive_file 9\ntotal_active_file 1\n", 110),
        ("1500", "1400", "inactive_file many\n", 100),
    ],
)
def test_memory_of_a_container(tmp_path, monkeypatch, limit, use, statistics, expected):
    (tmp_path / "meminfo").write_text("MemTotal: 8 kB\nMemAvailable:       2 kB\n")
    (tmp_path / "max").write_text(limit + "\n")
    (tmp_path / "current").write_text(use + "\n")
    monkeypatch.setattr(memory, "_MEMINFO", str(tmp_path / "meminfo"))
    (tmp_path / "stat").write_text(statistics)
    paths = tuple(str(tmp_path / name) for name in ("max", "current", "stat"))
    monkeypatch.setattr(memory, "_CGROUPS", (3 * ("/nowhere",), paths))
    assert memory.available_bytes() == expected


def test_memory_without_the_files_of_linux(monkeypatch):
    monkeypatch.setattr(memory, "_MEMINFO", "/nowhere")
    monkeypatch.setattr(memory, "_CGROUPS", ())
    assert memory.available_bytes() > 1 << 28
