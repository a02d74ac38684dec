"""The launch scripts: their options, data, folders, failures and signals."""

import os
import re
import signal
import subprocess
import sys

import pytest
from launching import CASE, FULL, LAST, PERFORMANCE, Project, log_of, on_a_terminal, read, wait_for
from paths import ROOT


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path).training()


# ---- options ----


def test_what_main_is_started_with(project):
    assert project.run(PERFORMANCE).returncode == 0
    seen = project.seen()
    out = project.output()
    assert seen["argv"] == [
        "--train",
        "--dataset=mnist",
        "--data_dir=" + project.path("data"),
        "--epoch=1",
        "--out_dir=" + out,
        "--out_name=run",
        "--checkpoint_dir=" + os.path.join(out, "ckpt"),
        "--over_dump_path=" + os.path.join(out, "overflow"),
        "--data_dump_path=" + os.path.join(out, "data_dump"),
        "--sample_freq=200",  # a measurement is not interrupted more often than the reference
        "--summary_freq=200",
        "--ckpt_freq=200",
        "--data_save_path=" + os.path.join(out, "profiling"),
        "--progress=off",
    ]
    assert [seen["environment"][key] for key in ("RANK_SIZE", "RANK_ID", "ASCEND_DEVICE_ID")] == [
        "1",
        "0",
        "0",
    ]


def test_every_option_is_passed_on_as_it_is(project):
    given = [
        "--precision_mode=allow_mix_precision",
        "--modify_mixlist=a b.json",
        "--over_dump=True",
        "--over_dump_path=/o o",
        "--data_dump_flag=True",
        "--data_dump_step=0|5|10-20",
        "--data_dump_path=/d",
        "--profiling=True",
        "--data_save_path=/s",
    ]
    assert project.run(FULL, *(given + ["--", "--seed", "5", "--device=cpu"])).returncode == 0
    assert project.seen()["argv"][-13:] == given + ["--seed", "5", "--device=cpu", "--progress=off"]


def test_options_of_the_model_zoos_scripts(project):
    given = ["--train_epochs=3", "--batch_size=32", "--loss_scale=1024", "--device_id=5"]
    finished = project.run(FULL, *given, ASCEND_DEVICE_ID="2")
    assert finished.returncode == 0, finished.stderr
    seen = project.seen()
    assert "--epoch=3" in seen["argv"] and "3 epoch(s)" in finished.stderr + finished.stdout
    assert seen["argv"][-3:] == ["--batch_size=32", "--loss_scale=1024", "--progress=off"]
    assert seen["environment"]["ASCEND_DEVICE_ID"] == "5"
    assert os.path.exists(project.path("test", "output", "5", "train_5.log"))


@pytest.mark.parametrize("given, told", [({}, "10086"), ({"JOB_ID": "7"}, "7")])
def test_a_job_id_for_one_device_too(project, given, told):
    assert project.run(PERFORMANCE, **given).returncode == 0
    assert project.seen()["environment"]["JOB_ID"] == told


@pytest.mark.parametrize("script, epochs", [(FULL, "25 epoch"), (PERFORMANCE, "1 epoch")])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(project, script, epochs, flag):
    result = project.run(script, "--data_path=/nowhere", flag, DCGAN_PYTHON="/nowhere")
    assert (result.returncode, result.stderr) == (0, "")
    assert epochs in result.stdout
    for option in (
        "data_path",
        "precision_mode",
        "over_dump",
        "data_dump_flag",
        "data_dump_step",
        "profiling",
        "data_save_path",
        "bind_core",
    ):
        assert f"--{option}=" in result.stdout


@pytest.mark.parametrize(
    "arguments, named",
    [
        (["--bogus=1"], "--bogus"),
        (["--over_dump_pathx=1"], "--over_dump_pathx"),
        (["mnist"], "mnist"),
        (["--epoch=3"], "--epoch"),
        (["--over_dump"], "--over_dump"),
        (["--precision_mode="], "--precision_mode"),
        (["--bind_core=perhaps"], "--bind_core"),
        (["--data_path=/nowhere"], "--data_path=/nowhere"),
        (["--data_path=nowhere"], "--data_path=nowhere"),
        (["--autotune=True"], "--autotune: here it is --aoe_mode"),
        (["--ckpt_path=/c"], "--ckpt_path: the script writes its checkpoints to test/output"),
        (["--train_epochs=0"], "--train_epochs=0: must be a whole number"),
        (["--train_epochs=\u00b2"], "--train_epochs=\u00b2: must be a whole number"),
        (["--device_id=-1"], "--device_id=-1: must be a plain number"),
        (["--", "--out_name=mine"], "--out_name"),
        (["--", "-checkpoint_dir", "mine"], "--checkpoint_dir"),
        (["--", "--dataset=celebA"], "--dataset"),
    ],
)
def test_a_mistake_is_one_line_and_loses_nothing(project, arguments, named):
    kept = project.write("test/output/0/run/kept")
    result = project.run(PERFORMANCE, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(named) and result.stderr.count("\n") == 1
    assert os.path.exists(kept)


@pytest.mark.parametrize(
    "variable, value",
    [
        ("ASCEND_DEVICE_ID", ".."),
        ("ASCEND_DEVICE_ID", "0/../.."),
        ("ASCEND_DEVICE_ID", "-1"),
        ("ASCEND_DEVICE_ID", "0 1"),
        ("RANK_ID", "x"),
        ("RANK_ID", "1"),
        ("RANK_SIZE", "0"),
        ("RANK_SIZE", "1e3"),
    ],
)
def test_a_bad_variable_is_one_line_and_loses_nothing(project, variable, value):
    kept = [project.write("test/output/0/kept"), project.write("kept")]
    result = project.run(PERFORMANCE, **{variable: value})
    assert result.returncode == 2
    assert re.match(rf"RANK_ID=0: |{variable}={re.escape(value)}: ", result.stderr)
    assert result.stderr.count("\n") == 1
    assert all(os.path.exists(path) for path in kept)


# ---- data ----


@pytest.mark.parametrize(
    "made, given, name, data_dir, data_path",
    [
        ([], "synthetic", "synthetic", "project/data", None),
        ([], "celebA", "celebA", "project/data", None),
        (["project/data/faces/1.jpg"], "faces", "faces", "project/data", None),
        (["d/mnist/x"], "d/mnist", "mnist", "d", None),
        (["d/mnist/x"], "d/mnist/", "mnist", "d", None),
        (["d/mnist/x", "d/celebA/1.jpg"], "d", "mnist", "d", None),
        (["d/celebA/img_align_celeba.zip"], "d/celebA", "celebA", "d", None),
        (["d/celebA/img/1.jpg"], "./d", "celebA", "d", "d/celebA"),
        (["d/celebA/img/1.jpg"], "d/celebA", "celebA", "d", "d/celebA"),
        (
            ["d/train_data/data/celebA/1.jpg"],
            "d",
            "celebA",
            "d/train_data/data",
            "d/train_data/data/celebA",
        ),
        (["d/data/mnist/x"], "d", "mnist", "d/data", None),
        (["d/train_data/mnist/x"], "d/", "mnist", "d/train_data", None),
        (["d/lsun/bedroom_train_lmdb/data.mdb"], "d", "lsun", "d", "d/lsun"),
        (
            ["d/bedroom_val_lmdb/data.mdb"],
            "d/bedroom_val_lmdb",
            "bedroom_val_lmdb",
            "d",
            "d/bedroom_val_lmdb",
        ),
        (["d/my cats/1.PNG"], "d/my cats", "my cats", "d", "d/my cats"),
        (["d/a/b/1.webp"], "d", "d", ".", "d"),
        (["d/a/1.tif"], "d", "d", ".", "d"),
        (["d/faces.zip"], "d/faces.zip", "faces.zip", "d", "d/faces.zip"),
        (["d/raw/train-images-idx3-ubyte.gz"], "d/raw", "mnist", "d", "d/raw"),
        (
            ["d/FashionMNIST/t10k-labels-idx1-ubyte"],
            "d/FashionMNIST",
            "fashion_mnist",
            "d",
            "d/FashionMNIST",
        ),
        (
            ["d/cifar-10-batches-bin/data_batch_1.bin"],
            "d/cifar-10-batches-bin",
            "cifar10",
            "d",
            "d/cifar-10-batches-bin",
        ),
        (["d/cifar10/data_batch_1.bin"], "d", "cifar10", "d", None),
        (
            [f"d/cifar10/cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6)],
            "d",
            "cifar10",
            "d",
            "d/cifar10",
        ),
    ],
)
def test_data_path(project, made, given, name, data_dir, data_path):
    above = os.path.dirname(project.root)
    for path in made:
        project.write(os.path.join(above, path))
    result = project.run(PERFORMANCE, "--data_path=" + given, cwd=above)
    assert result.returncode == 0, result.stderr
    flags = ["--dataset=" + name, "--data_dir=" + os.path.normpath(os.path.join(above, data_dir))]
    flags += ["--data_path=" + os.path.join(above, data_path)] if data_path else []
    flags += ["--crop"] if name == "celebA" else []  # as the reference's documented command
    assert project.seen()["argv"][1 : len(flags) + 2] == flags + ["--epoch=1"]


def test_the_launcher_needs_no_package():
    words = ["check", "--script=x.sh", "--network=x", "--epochs=1", "--goal=perf", "--devices=one"]
    command = [sys.executable, "-S", "-E", os.path.join(ROOT, "launch"), *words, "--"]
    assert subprocess.run(command, cwd="/").returncode == 0


def test_a_folder_without_data(project):
    path = os.path.dirname(project.write("d/empty/notes.txt"))
    result = project.run(PERFORMANCE, "--data_path=" + path)
    assert result.returncode == 2
    assert result.stderr.startswith(f"--data_path={path}: holds no images")


# ---- the output folder ----


def test_only_the_devices_own_folder_is_emptied(project):
    old, other = project.write("test/output/3/run/old"), project.write("test/output/30/run/kept")
    beside = project.write("test/output/kept")
    assert project.run(PERFORMANCE, ASCEND_DEVICE_ID="3").returncode == 0
    assert project.seen()["left"] == [".lock", ".previous", "ckpt", "overflow", "train_3.log"]
    assert not os.path.exists(old) and os.path.exists(other) and os.path.exists(beside)
    assert ".previous" not in os.listdir(project.path("test", "output", "3"))


def test_options_that_main_refuses_leave_the_last_output_in_place(project):
    kept = project.write("test/output/0/run/kept", "as it was")
    project.training(errors="main.py: flag --precision_mode=no: unknown\n", code=2)
    result = project.run(PERFORMANCE, "--precision_mode=no")
    assert (result.returncode, result.stdout) == (2, "")
    assert "main.py: flag --precision_mode=no: unknown\n" in result.stderr
    assert read(kept) == "as it was"
    assert sorted(os.listdir(project.output())) == [".lock", "run"]
    assert os.listdir(project.output("run")) == ["kept"]


def test_a_training_that_ends_with_2_after_steps_keeps_its_own_output(project):
    project.write("test/output/0/run/old")
    project.training(log_of([1, 2]), errors="main.py: d_loss is no number\n", code=2)
    result = project.run(PERFORMANCE)
    assert (result.returncode, result.stdout) == (2, "")
    assert "d_loss is no number" in result.stderr
    assert sorted(os.listdir(project.output())) == [
        ".lock",
        "ckpt",
        "overflow",
        "run",
        "train_0.log",
    ]
    assert "old" not in os.listdir(project.output("run"))


def test_a_second_launch_on_the_same_device_is_refused(project):
    project.training(log_of([1]), wait=True)
    first = project.start(PERFORMANCE)
    wait_for(project.output("train_0.log"), "Epoch")
    second = project.run(PERFORMANCE)
    assert second.returncode == 2
    assert "ASCEND_DEVICE_ID=0: another launch uses" in second.stderr
    elsewhere = project.run(PERFORMANCE, "--bogus=1", ASCEND_DEVICE_ID="1")
    assert "--bogus" in elsewhere.stderr
    first.send_signal(signal.SIGTERM)
    first.communicate()
    assert first.returncode == 143


# ---- failures and signals ----


def test_a_crash_shows_the_end_of_the_log_and_no_result(project):
    project.training(log_of([1, 2]), code=3, errors="Traceback (most recent call last):\nBoom\n")
    result = project.run(PERFORMANCE)
    assert (result.returncode, result.stdout) == (3, "")
    assert "Boom" in result.stderr and "time: 2.0000" in result.stderr
    assert "Training failed with exit code 3." in result.stderr
    assert project.output("train_0.log") in result.stderr
    assert not os.path.exists(project.output(CASE + ".log"))


@pytest.mark.parametrize(
    "number, code",
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
        (signal.SIGHUP, 129),  # a terminal that closes
        (signal.SIGUSR1, 138),  # what schedulers send before the end
    ],
)
def test_a_signal_is_passed_on_once_and_its_code_returned(project, number, code):
    project.training(log_of([1]) + LAST, wait=True)
    script = project.start(PERFORMANCE)
    wait_for(project.output("train_0.log"), "Epoch")
    script.send_signal(number)
    output, errors = script.communicate()
    assert (script.returncode, output) == (code, "")
    assert project.seen()["signals"] == [number]
    assert "Training stopped by a signal" in errors


def test_on_a_terminal_the_bar_is_seen_and_the_log_holds_no_bar(project):
    bar = "\r 10%|#         | 1/10 [00:01<00:09,  1.0step/s, d_loss=1.2]"
    project.training(
        log_of([1]), code=1, errors=bar + bar + "\r" + " " * 60 + "\r" + bar + "Boom\n"
    )
    code, seen = on_a_terminal(project, PERFORMANCE)
    assert code == 1
    assert seen.count("10%|#") == 3
    log = read(project.output("train_0.log"))
    assert "Boom\n" in log and "%|" not in log and "\r" not in log
    assert project.seen()["argv"][-1] == "--progress=on"
    assert project.seen()["environment"]["COLUMNS"] == "91"


def test_control_c_on_a_terminal_reaches_the_training_once(project):
    project.training(log_of([1]), wait=True)
    code, seen = on_a_terminal(project, PERFORMANCE, typed=b"\x03")
    assert code == 130
    assert project.seen()["signals"] == [signal.SIGINT]
    assert "Final result" not in seen


def test_binding_to_a_share_of_the_cores(project):
    cores = sorted(os.sched_getaffinity(0))
    count = os.sysconf("SC_NPROCESSORS_ONLN")
    if count < 2 or cores != list(range(count)):
        pytest.skip(f"needs hardware: two cores and no binding of the test itself; has {cores}")
    result = project.run(PERFORMANCE, "--bind_core=True", RANK_SIZE="2", RANK_ID="1")
    assert result.returncode == 0
    assert project.seen()["cores"] == cores[count // 2 : 2 * (count // 2)]


def test_without_taskset_training_goes_on_unbound(project):
    os.remove(os.path.join(project.bin, "taskset"))
    result = project.run(PERFORMANCE, "--bind_core=True")
    assert result.returncode == 0
    assert "--bind_core: taskset is missing" in result.stderr


# ---- the real main.py ----

SMALL = [
    "--gf_dim=4",
    "--df_dim=4",
    "--gfc_dim=16",
    "--dfc_dim=16",
    "--batch_size=16",
    "--device=cpu",
]


@pytest.fixture
def real(tmp_path):
    """The scripts beside the real main.py, run by the interpreter of the tests."""
    made = Project(tmp_path)
    os.symlink(os.path.join(ROOT, "main.py"), made.path("main.py"))
    made.environment.update(DCGAN_PYTHON=sys.executable)
    return made


def test_a_real_training(real):
    result = real.run(PERFORMANCE, "--data_path=synthetic_mnist", "--", "--train_size=80", *SMALL)
    assert result.returncode == 0, result.stderr
    lines = dict(line.split(" : ") for line in result.stdout.splitlines() if " : " in line)
    assert float(lines["Final Performance images/sec"]) > 0
    log = read(real.output("train_0.log"))
    speed = lines["Final Performance images/sec"]
    assert f"images/s: {speed}\n" in log
    assert f"<td>{speed}</td>" in read(real.output("run", "index.html"))
    assert "Final accuracy d_loss {}\n".format(lines["Final Train Accuracy"]) in log
    assert log.count("Epoch:") == 5
    assert "\nBatchSize = 16\n" in read(real.output(CASE.replace("bs64", "bs16") + ".log"))
    assert os.path.exists(re.search("Sample grid: (.*)", result.stdout).group(1))
    assert any(name.endswith(".index") for name in os.listdir(real.output("ckpt")))


@pytest.mark.marathon
def test_a_signal_to_a_real_training_leaves_a_checkpoint(real):
    script = real.start(FULL, "--data_path=synthetic_mnist", "--", *SMALL)
    wait_for(real.output("train_0.log"), "Epoch:")
    script.send_signal(signal.SIGTERM)
    output, errors = script.communicate()
    assert (script.returncode, output) == (143, ""), errors
    assert any(name.endswith(".index") for name in os.listdir(real.output("ckpt")))
