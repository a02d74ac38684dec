"""--compare: two runs of the same options, step by step and layer by layer; and --step_dump."""

import json
import os
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from programs import parsed, train_here
from small_runs import make_run

import main
import ops
from config import OPTIONS_FILE, RESULTS_FILE, Config
from config_checks import check_config
from datasets.registry import open_dataset
from devices.device import open_device
from devices.ranks import SINGLE_PROCESS
from inference import compare, comparison
from inference.comparison_plot import PLOT_FILE
from options import UserError
from training import step_dump
from training.graph import TrainGraph

THREE_STEPS = ("--device=cpu", "--train_size=48", "--epoch=1", "--seed=3", "--step_dump=2")
CHANNELS_OF_D_H1 = 14  # of the small run: --df_dim=4 and ten classes


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of three steps."""
    folder = tmp_path_factory.mktemp("trained")
    assert train_here(folder, *THREE_STEPS)[0] == 0
    return str(folder / "run")


def train_with(monkeypatch, folder, *, factor):
    """The folder of the same run, but with the product of d_h1_conv multiplied by a factor."""

    def changed(x, bias):
        return factor * x if bias.shape == [CHANNELS_OF_D_H1] else x

    return train_with_products(monkeypatch, folder, changed=changed)


def train_with_products(monkeypatch, folder, *, changed):
    """The folder of the same run, but with changed products: (product, bias) -> product."""
    bias_add = tf.nn.bias_add

    with monkeypatch.context() as patch:
        patch.setattr(ops.tf.nn, "bias_add", lambda x, bias: bias_add(changed(x, bias), bias))
        assert train_here(folder, *THREE_STEPS)[0] == 0
    return str(folder / "run")


def compared(capsys, a, b, *flags):
    """(exit code, lines on standard output) of comparing two folders."""
    capsys.readouterr()
    code = main.run(parsed(f"--compare={a},{b}", "--device=cpu", *flags))
    return code, capsys.readouterr().out.splitlines()


def copied(folder, to):
    shutil.copytree(folder, str(to))
    return str(to)


def test_identical_runs_have_no_difference(trained, tmp_path, capsys):
    a, b = copied(trained, tmp_path / "a"), copied(trained, tmp_path / "b")
    code, lines = compared(capsys, a, b)
    assert code == 0
    assert lines[-1] == "verdict: identical, difference 0"
    assert len([line for line in lines if line.startswith("what step")]) == 2
    assert len([line for line in lines if "cosine 1.000000, relative error 0" in line]) == 13
    assert os.path.isfile(os.path.join(a, PLOT_FILE))
    with open(os.path.join(a, "index.html"), encoding="utf-8") as page:
        assert "<h2>Accuracy alignment</h2>" in page.read()


@pytest.mark.slow
def test_a_page_that_cannot_be_written_leaves_the_verdict(trained, tmp_path, capsys):
    """metrics.json, which --evaluate writes and the page shows, is damaged."""
    a, b = copied(trained, tmp_path / "a"), copied(trained, tmp_path / "b$x_$")
    (tmp_path / "a" / RESULTS_FILE).write_text("{")
    code, lines = compared(capsys, a, b)
    assert (code, lines[-1]) == (0, "verdict: identical, difference 0")


@pytest.mark.slow
def test_a_fault_in_one_layer_is_named(trained, tmp_path, capsys, monkeypatch):
    faulty = train_with(monkeypatch, tmp_path, factor=1.1)
    code, lines = compared(capsys, copied(trained, tmp_path / "a"), faulty)
    assert code == 1
    assert lines[-1].startswith("verdict: different: step 1: discriminator/d_h1_conv (error ")


@pytest.mark.slow
def test_a_small_difference_is_within_tolerance(trained, tmp_path, capsys, monkeypatch):
    rounded = train_with(monkeypatch, tmp_path, factor=1.0001)
    code, lines = compared(capsys, copied(trained, tmp_path / "a"), rounded)
    assert (code, lines[-1]) == (0, "verdict: equal within tolerance")


@tf.custom_gradient
def as_float16(x):
    """x rounded to float16, and its gradient too, which a loss scale of 65,536 keeps from vanishing."""
    round_ = lambda value: tf.cast(tf.cast(value, tf.float16), tf.float32)  # noqa: E731
    return round_(x), lambda gradient: round_(65536 * gradient) / 65536


@pytest.mark.slow
def test_mixed_precision_is_within_tolerance_but_for_the_dumps(
    trained, tmp_path, capsys, monkeypatch
):
    """A CPU has no mixed precision: all products are rounded as those of float16 are."""
    rounded = train_with_products(
        monkeypatch, tmp_path, changed=lambda x, bias: as_float16(x) if x.shape.ndims else x
    )
    plain = copied(trained, tmp_path / "a")
    code, lines = compared(capsys, plain, rounded)
    (step_1,) = [line for line in lines if line.startswith("what step 1 computed")]
    error = float(step_1.split("largest relative error ")[1].split()[0])
    assert code == 1 and 1e-4 < error < 0.2  # the dumps show where it rounds
    shutil.rmtree(os.path.join(plain, "step_dump"))
    code, lines = compared(capsys, plain, rounded)
    assert (code, lines[-1]) == (0, "verdict: equal within tolerance")


def change_options(run, **options):
    path = os.path.join(run, OPTIONS_FILE)
    with open(path, encoding="utf-8") as file:
        saved = json.load(file)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(dict(saved, **options), file)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"seed": 4}, "--compare: seed is 3 in run, 4 in b"),
        ({"beta1": 0.9}, "--compare: beta1 is 0.5 in run, 0.9 in b"),
    ],
)
def test_runs_of_other_options_are_refused(trained, tmp_path, changes, reason):
    other = copied(trained, tmp_path / "b")
    change_options(other, **changes)
    with pytest.raises(UserError, match=f"^{reason}$"):
        main.run(parsed(f"--compare={trained},{other}", "--device=cpu"))


def test_precision_may_differ_and_out_dir_takes_the_plot(trained, tmp_path, capsys):
    copied(trained, tmp_path / "a")
    change_options(copied(trained, tmp_path / "b"), precision_mode="force_fp16", loss_scale="off")
    code, lines = compared(capsys, "a", "b", f"--out_dir={tmp_path}")
    assert (code, lines[-1]) == (0, "verdict: identical, difference 0")
    assert os.listdir(str(tmp_path / "comparison-a-b")) == [PLOT_FILE]


def test_runs_of_other_ranks_or_steps_are_refused(trained, tmp_path):
    for name, line, reason in (
        ("ranks", {"step": 1, "d_loss": 1.0, "g_loss": 1.0, "ranks": 8}, "by 1 ranks, ranks by 8"),
        ("steps", {"step": 9, "d_loss": 1.0, "g_loss": 1.0, "ranks": 1}, "no step in common"),
    ):
        other = copied(trained, tmp_path / name)
        with open(os.path.join(other, "metrics.jsonl"), "w", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        with pytest.raises(UserError, match=reason):
            main.run(parsed(f"--compare={trained},{other}", "--device=cpu"))


@pytest.mark.parametrize("runs", ["a", "a,", "a,b,c", "a,nowhere"])
def test_runs_that_are_not_there_are_one_line(runs, tmp_path):
    with pytest.raises(UserError, match="^--compare: [^\n]+$"):
        main.run(parsed(f"--compare={runs}", f"--out_dir={tmp_path}", "--device=cpu"))


def test_both_runs_are_drawn_with_one_kind_of_statistics(tmp_path):
    make_run(tmp_path, "mnist", batch_norm="estimated")
    (tmp_path / "run" / "metrics.jsonl").touch()
    for asked in ("moving", "batch"):
        config = Config(out_dir=str(tmp_path), batch_norm=asked, device="cpu")
        assert compare._read_run(config, "run").config.batch_norm == asked


def test_a_damaged_dump_is_one_line(trained, tmp_path):
    other = copied(trained, tmp_path / "b")
    with open(step_dump.path_of(other, 1), "wb") as file:
        file.write(b"PK nothing")
    with pytest.raises(UserError, match="^--compare: .*step_00000001.npz: cannot be read"):
        main.run(parsed(f"--compare={trained},{other}", "--device=cpu"))


def test_a_dump_holds_a_step_in_the_order_of_its_computation(trained):
    assert sorted(os.listdir(os.path.join(trained, step_dump.FOLDER))) == [
        "step_00000001.npz",
        "step_00000002.npz",
    ]
    with np.load(step_dump.path_of(trained, 1)) as file:
        names = file.files
        assert all(np.isfinite(file[name]).all() for name in names)
    expected = [
        "input/z",
        "generator/g_h0_lin",
        "generator/g_h3",
        "discriminator/d_h0_conv",
        "discriminator_1/d_h3_lin",
        "d_gradients/discriminator/d_h0_conv/w",
        "discriminator_2/d_h0_conv",
        "g1_gradients/generator/g_h0_lin/Matrix",
        "generator_1/g_h0_lin",
        "g2_gradients/generator/g_h0_lin/Matrix",
    ]
    places = [names.index(name) for name in expected]
    assert places == sorted(places)


@pytest.mark.slow
def test_without_step_dump_the_graph_is_the_same_and_nothing_is_written(tmp_path):
    code, _ = train_here(tmp_path, *THREE_STEPS, "--step_dump=0")
    assert code == 0 and not os.path.exists(str(tmp_path / "run" / step_dump.FOLDER))
    graphs = []
    for steps in (0, 2):
        config, dataset = open_dataset(
            parsed("--dataset=synthetic_mnist", "--gf_dim=4", "--df_dim=4", f"--step_dump={steps}")
        )
        config = config.replace(seed=3, device="cpu")
        with tf.Graph().as_default() as graph:
            TrainGraph(
                config=config, dataset=dataset, ranks=SINGLE_PROCESS, device=open_device(config)
            )
            graphs.append([(op.name, op.type) for op in graph.get_operations()])
    assert graphs[0] == graphs[1]


@pytest.mark.parametrize("flag", ["--nofused_step", "--iterations_per_loop=2"])
def test_a_dump_needs_the_fused_step(flag):
    with pytest.raises(UserError, match="^--step_dump: not with"):
        check_config(parsed("--train", "--step_dump=1", flag))


def test_rounding_of_a_gradient_that_is_nothing_but_rounding_is_no_fault():
    """The bias before a batch norm has no effect on the loss."""
    matrix = np.ones([8, 8], np.float32)
    a = {"d_gradients/d/Matrix": matrix, "d_gradients/d/bias": np.full([8], 1e-8, np.float32)}
    b = {"d_gradients/d/Matrix": matrix, "d_gradients/d/bias": np.full([8], -1e-8, np.float32)}
    assert comparison.compare_dump(1, a, b).fault == ""
    b["d_gradients/d/Matrix"] = 1.1 * matrix
    assert comparison.compare_dump(1, a, b).fault.startswith("step 1: d_gradients/d/Matrix")


def test_losses_differ_at_once_in_the_mean_or_by_nan():
    ones = {step: 1.0 for step in range(1, 101)}
    late = {**ones, **{step: 1.5 for step in range(51, 101)}}
    assert comparison.compare_losses("d_loss", ones, ones).equal
    assert "step 3" in comparison.compare_losses("d_loss", ones, {**ones, 3: 1.1}).fault
    assert comparison.compare_losses("d_loss", ones, {**ones, 50: 1.1}).fault == ""
    assert "mean" in comparison.compare_losses("d_loss", ones, late).fault
    assert "mean" in comparison.compare_losses("d_loss", ones, {**ones, 50: np.nan}).fault


def test_the_first_layer_in_forward_order_whose_weights_differ_is_named():
    random = np.random.RandomState(0)
    names = ("generator/g_h0_lin/Matrix", "generator/g_bn0/gamma", "generator/g_h10/w")
    a = {name: random.standard_normal([9, 9]) for name in names}
    a["g_optim/generator/g_bn0/gamma/Adam"] = np.zeros([9])
    b = dict(a, **{names[1]: -a[names[1]], names[2]: -a[names[2]]})
    found = comparison.compare_weights(7, a, b)
    assert [row[0].split("/")[-1] for row in found.rows] == ["g_h0_lin", "g_bn0", "g_h10"]
    assert found.fault == "weights of generator/g_bn0 at step 7 (cosine -1.0000)"


def test_weights_and_images_of_later_steps_are_not_judged():
    ones = {"generator/g_h0_lin/Matrix": np.ones([9, 9])}
    found = comparison.compare_weights(11, ones, {name: -x for name, x in ones.items()})
    assert not found.fault and not found.equal
    zeros = np.zeros([2, 4, 4, 1])
    assert not comparison.compare_images(11, zeros, zeros + 9).fault


def test_images_that_differ_visibly_are_a_fault():
    zeros = np.zeros([2, 4, 4, 1])
    assert comparison.compare_images(7, zeros, zeros + 1).fault == ""
    assert comparison.compare_images(7, zeros, zeros + 9).fault.startswith("images at step 7")
    assert comparison.compare_images(7, zeros, zeros + np.nan).fault
