"""--evaluate on small runs: what it writes, that it is reproducible, and what it refuses."""

import json
import os
import sys
import types

import image_files
import numpy as np
import pytest
from mnist_files import FILES, idx
from programs import run_main
from small_runs import make_run

import main
import utils
from config import RESULTS_FILE
from datasets import synthetic
from inference import classifier, eval_data, evaluate, html_report, results
from inference.trained_run import open_run
from options import UserError

COUNTS = {"train": 600, "test": 200}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def mnist_run(tmp_path):
    """A run with two checkpoints on a small set in MNIST's format, whose digits are discs."""
    folder = tmp_path / "data"
    folder.mkdir()
    discs = synthetic.LabelledDiscs()
    for part, first in (("train", 0), ("test", COUNTS["train"])):
        images, labels = discs.read(np.arange(first, first + COUNTS[part]))
        for name, items in zip(FILES[part], (images[..., 0], labels.argmax(1))):
            (folder / name).write_bytes(idx(items))
    asked = make_run(
        tmp_path / "out",
        "mnist",
        steps=(3, 7),
        dataset="mnist",
        data_path=str(folder),
        mnist_split="train",
    )
    return asked.replace(dataset="mnist", evaluate="last", eval_samples=150, progress="off")


def results_of(tmp_path):
    return json.loads((tmp_path / "out" / "run" / RESULTS_FILE).read_text())


def test_every_checkpoint_is_measured_and_the_figures_are_reproducible(mnist_run, tmp_path, capsys):
    assert main.run(mnist_run.replace(evaluate="all")) == 0
    first = results_of(tmp_path)
    assert [entry["step"] for entry in first["checkpoints"]] == [3, 7]
    names = {"one_nn_error", "frechet", "kid", "label_agreement", *results.KEYS}
    assert all(set(entry) == names for entry in first["checkpoints"])
    assert first["checkpoints"][0]["frechet"] != first["checkpoints"][1]["frechet"]
    (real,) = first["real"]
    assert real["frechet"] < min(entry["frechet"] for entry in first["checkpoints"])
    assert real["one_nn_error"] < min(entry["one_nn_error"] for entry in first["checkpoints"])
    assert os.path.getsize(str(tmp_path / "out" / "run" / results.CURVE_FILE)) > 1000
    assert "test images too" not in capsys.readouterr().out
    assert main.run(mnist_run.replace(evaluate="all")) == 0
    assert results_of(tmp_path) == first
    main.run(mnist_run)
    assert results_of(tmp_path) == first  # the last one is measured again, the other one is kept
    main.run(mnist_run.replace(eval_samples=100))
    more = results_of(tmp_path)
    assert [(entry["step"], entry["samples"]) for entry in more["checkpoints"]] == [
        (7, 100),
        (3, 150),
        (7, 150),
    ]
    assert more["checkpoints"][1:] == first["checkpoints"] and more["real"][1:] == first["real"]
    text = open(html_report.write_page(mnist_run), encoding="utf-8").read()
    assert "one nn error (%)" in text and "step 7, 100 samples" in text


@pytest.mark.slow
def test_a_run_that_saw_the_test_images_has_a_note(mnist_run, tmp_path, capsys, monkeypatch):
    path = tmp_path / "out" / "run" / "FLAGS.json"
    path.write_text(path.read_text().replace('"mnist_split": "train"', '"mnist_split": "all"'))
    monkeypatch.setattr("inference.trained_run._check_same_run", lambda *unused: None)
    evaluate.evaluate(mnist_run)
    assert "trained on the test images too (--mnist_split=all)" in capsys.readouterr().out
    evaluate.evaluate(mnist_run.replace(evaluate="features"))
    assert "(--mnist_split=all); the accuracy is not that of unseen" in capsys.readouterr().out


@pytest.mark.slow
def test_a_damaged_checkpoint_is_skipped(mnist_run, tmp_path, capsys):
    part = tmp_path / "out" / "run" / "checkpoint" / "DCGAN.model-3.data-00000-of-00001"
    part.write_bytes(part.read_bytes()[:-1])
    evaluate.evaluate(mnist_run.replace(evaluate="all"))
    assert [entry["step"] for entry in results_of(tmp_path)["checkpoints"]] == [7]
    assert "DCGAN.model-3" in capsys.readouterr().err


@pytest.mark.slow
def test_the_classifier_is_saved_and_a_damaged_file_is_not_used(mnist_run, tmp_path):
    with open_run(mnist_run) as run:
        train, test = eval_data.labeled_splits(run)
    first = classifier.open_classifier(
        "mnist", train=train, test=test, session_config=None, progress="off"
    )
    assert first.test_error < 80  # chance: 90
    (path,) = (tmp_path / "cache" / "dcgan").iterdir()
    written = path.read_bytes()
    assert classifier._digest(classifier._read(str(path))) == first.digest
    for position in (len(written) // 3, len(written) // 2):
        path.write_bytes(
            written[:position] + bytes([written[position] ^ 16]) + written[position + 1 :]
        )
        assert classifier._read(str(path)) is None
    path.write_bytes(written[:1000])
    again = classifier.open_classifier(
        "mnist", train=train, test=test, session_config=None, progress="off"
    )
    assert classifier._digest(classifier._read(str(path))) == again.digest


@pytest.mark.slow
def test_features_of_the_discriminator(mnist_run, tmp_path, capsys):
    assert main.run(mnist_run.replace(evaluate="features")) == 0
    (found,) = results_of(tmp_path)["features"]
    assert found["step"] == 7 and found["dimensions"] == 16 * (1 + 10 + 4 + 10)
    assert 20 < found["accuracy"] <= 100  # chance: 10
    assert "a linear SVM on 400 features" in capsys.readouterr().out
    evaluate.evaluate(mnist_run)
    assert results_of(tmp_path)["features"] == [found]  # one evaluation does not forget another's
    assert "linear SVM" in open(html_report.write_page(mnist_run), encoding="utf-8").read()


@pytest.mark.slow
def test_held_out_images_are_said_and_kept_apart(mnist_run, tmp_path, capsys):
    """By the same classifier, so that figures of seeds with other held-out images compare."""
    path = tmp_path / "out" / "run" / "FLAGS.json"
    path.write_text(path.read_text().replace('"train_size": null', '"train_size": 400'))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inference.trained_run._check_same_run", lambda *unused: None)
        held_out = mnist_run.replace(eval_split="held_out")
        for asked in (mnist_run, held_out):
            evaluate.evaluate(asked)
            evaluate.evaluate(asked.replace(evaluate="features"))
    assert "of the 200 held_out images" in capsys.readouterr().out
    found = results_of(tmp_path)
    for name in ("checkpoints", "real", "features"):
        assert [entry["split"] for entry in found[name]] == ["held_out", "test"]
    assert len({entry["network"] for entry in found["checkpoints"]}) == 1
    page = open(html_report.write_page(mnist_run), encoding="utf-8").read()
    assert "% of the held_out images" in page and "% of the test images" in page


def test_other_sets_have_no_held_out_images(tmp_path):
    asked = make_run(tmp_path, "image").replace(evaluate="last", eval_split="held_out")
    with pytest.raises(UserError, match="^--eval_split: held_out needs mnist or fashion_mnist"):
        evaluate.evaluate(asked)


def test_real_images_are_of_all_classes(tmp_path):
    """The images of a folder of classes come one class after the other."""
    for name, color in (("a", 0), ("b", 80), ("c", 160), ("d", 240)):
        for number in range(10):
            image_files.write(
                tmp_path / "set" / name / f"{number}.png", np.full((16, 16, 3), color, np.uint8)
            )
    asked = make_run(
        tmp_path,
        "image",
        dataset="set",
        data_path=str(tmp_path / "set"),
        labels="folder",
        output_height=16,
        output_width=16,
    )
    with open_run(asked.replace(eval_samples=20)) as run:
        data = eval_data.ImageData(run)
        parts = [np.concatenate(list(data._real_blocks(first))) for first in (0, 20)]
    for part in parts:
        assert len(part) == 20 and len(np.unique(part[:, 0, 0, 0])) == 4


def test_so_many_samples_need_classes(mnist_run):
    with open_run(mnist_run.replace(eval_samples=200_001)) as run:
        run.sizes = run.sizes._replace(num_classes=0)
        with pytest.raises(UserError, match="^--eval_samples: beyond 200,000 only the 1-NN error"):
            eval_data.LabeledData(run)


def test_more_classes_than_the_classifier_knows(mnist_run, monkeypatch):
    """EMNIST's letters may be trained as `mnist`: they are measured like any images, or refused."""
    with open_run(mnist_run.replace(eval_samples=20)) as run:
        real = eval_data._read_split

        def letters(run, split):
            images, labels = real(run, split)
            return images, labels + 1

        monkeypatch.setattr(eval_data, "_read_split", letters)
        with pytest.raises(UserError, match="^--evaluate: the classifier for mnist knows ten"):
            eval_data.open_eval_data(run)
        run.sizes = run.sizes._replace(num_classes=26)
        assert isinstance(eval_data.open_eval_data(run), eval_data.ImageData)


def test_images_are_written_for_the_fields_own_tools(tmp_path, monkeypatch, capsys):
    asked = make_run(tmp_path / "out", "image").replace(evaluate="last", eval_samples=70)
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)  # as if it were not installed
    evaluate.evaluate(asked)
    assert "-m pip install torch-fidelity; fidelity " in capsys.readouterr().out
    evaluate.evaluate(asked.replace(eval_samples=66))  # fewer: none of the earlier stay
    seen = []

    def calculate_metrics(**arguments):
        seen.append((arguments["input1"], arguments["input2"]))
        return {"frechet_inception_distance": 12.5}

    monkeypatch.setitem(
        sys.modules, "torch_fidelity", types.SimpleNamespace(calculate_metrics=calculate_metrics)
    )
    evaluate.evaluate(asked.replace(eval_samples=66))
    folders = [
        tmp_path / "out" / "run" / eval_data.FOLDER / name
        for name in ("generated_00000005", "real")
    ]
    assert seen == [tuple(map(str, folders))]
    for folder in folders:
        assert len(list(folder.iterdir())) == 66
        assert utils.read_png(str(folder / "00000065.png")).shape == (16, 24, 3)
    entry, earlier = results_of(tmp_path)["checkpoints"]
    assert (entry["samples"], earlier["samples"]) == (66, 70)
    assert set(entry) == {"frechet", "kid", "frechet_inception_distance", *results.KEYS}
    assert entry["frechet_inception_distance"] == 12.5
    assert results_of(tmp_path)["real"][0]["frechet"] < entry["frechet"]


@pytest.mark.parametrize("error", [ValueError("no\nKID"), KeyError(), RuntimeError("boom")])
def test_what_torch_fidelity_raises_is_one_line(tmp_path, monkeypatch, capsys, error):
    def calculate_metrics(**arguments):
        assert arguments["kid_subset_size"] <= 8  # not more than there are images
        raise error

    library = types.SimpleNamespace(calculate_metrics=calculate_metrics)
    monkeypatch.setitem(sys.modules, "torch_fidelity", library)
    asked = make_run(tmp_path / "out", "image").replace(evaluate="last", eval_samples=8)
    evaluate.evaluate(asked)
    (line,) = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith("FID, KID and IS")
    ]
    assert "not measured (" in line
    assert results_of(tmp_path)["checkpoints"][0]["frechet"] > 0  # the rest is kept


@pytest.mark.slow
def test_a_training_that_deletes_checkpoints_does_not_end_an_evaluation(
    mnist_run, tmp_path, monkeypatch
):
    """Both checkpoints are deleted and another is saved while the first one is measured."""
    folder = tmp_path / "out" / "run" / "checkpoint"
    measured = results.add

    def add_beside_a_training(run_dir, found):
        for path in folder.glob("DCGAN.model-*"):
            path.unlink()
        measured(run_dir, found)

    monkeypatch.setattr(results, "add", add_beside_a_training)
    evaluate.evaluate(mnist_run.replace(evaluate="all"))
    assert [entry["step"] for entry in results_of(tmp_path)["checkpoints"]] == [3, 7]
    assert list(folder.glob(".reading-*")) == []


@pytest.mark.slow
def test_figures_measured_before_a_failure_are_kept(mnist_run, tmp_path, monkeypatch):
    measured = evaluate.measure
    calls = []

    def fails_at_last(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return measured(*arguments, **options)

    monkeypatch.setattr(evaluate, "measure", fails_at_last)
    with pytest.raises(KeyboardInterrupt):
        evaluate.evaluate(mnist_run.replace(evaluate="all"))
    found = results_of(tmp_path)
    assert len(found["real"]) == 1 and [e["step"] for e in found["checkpoints"]] == [3]


def test_results_of_earlier_versions_are_kept(tmp_path):
    old = {
        "samples": 150,
        "real": {"kid": 0.5},
        "checkpoints": [{"step": 3, "kid": 1.5}],
        "features": {"step": 7, "accuracy": 80.0},
        "notes": ["a note"],
    }
    (tmp_path / RESULTS_FILE).write_text(json.dumps(old))
    results.add(str(tmp_path), {"checkpoints": [{"step": 3, "samples": 99, "kid": 2.5}]})
    found = results.read(str(tmp_path))
    assert found["real"] == [{"kid": 0.5, "samples": 150}]
    assert [(e["samples"], e["kid"]) for e in found["checkpoints"]] == [(99, 2.5), (150, 1.5)]
    assert found["features"] == [old["features"]] and found["notes"] == ["a note"]


def test_features_need_labeled_test_images(tmp_path):
    asked = make_run(tmp_path / "out", "image")
    with pytest.raises(UserError, match="^--evaluate: features needs mnist or fashion_mnist"):
        evaluate.evaluate(asked.replace(evaluate="features"))


def test_figures_on_the_features_of_two_networks_are_told_apart():
    found = {"real": [], "features": [], "notes": []}
    entries = [{"step": 7, "samples": 9, "network": name, "kid": 1.0} for name in ("one", "two")]
    labels = [label for label, _ in results.table(dict(found, checkpoints=entries))["rows"]]
    assert labels == ["step 7, 9 samples, one", "step 7, 9 samples, two"]
    (label,) = [row[0] for row in results.table(dict(found, checkpoints=entries[:1]))["rows"]]
    assert label == "step 7, 9 samples"


def test_values_that_are_no_figures_are_left_out(tmp_path):
    entries = [{"kid": 1.0, "network": []}, {"step": 5, "kid": "low"}, {"step": 6, "kid": 2.0}]
    (tmp_path / RESULTS_FILE).write_text(json.dumps({"checkpoints": entries}))
    results.add(str(tmp_path), {"checkpoints": [{"step": 7, "kid": 1.5}]})
    found = results.read(str(tmp_path))
    assert {"kid": 1.0} in found["checkpoints"] and len(results.table(found)["rows"]) == 4


def test_one_evaluation_of_a_run_at_a_time(mnist_run, tmp_path, monkeypatch):
    folders = []
    monkeypatch.setattr(
        evaluate.utils,
        "lock_folder",
        lambda folder, **_: folders.append(folder) or open(os.devnull),
    )
    evaluate.evaluate(mnist_run)
    assert str(tmp_path / "out" / "run" / "evaluation") in folders


def test_one_image_is_too_few(tmp_path, monkeypatch):
    asked = make_run(tmp_path, "image").replace(evaluate="last")
    with open_run(asked) as run:
        monkeypatch.setattr(
            eval_data,
            "open_dataset",
            lambda config: (config, types.SimpleNamespace(num_examples=1)),
        )
        with pytest.raises(
            UserError, match="^--evaluate: .* holds one image; it takes at least two"
        ):
            eval_data.ImageData(run)


def test_an_earlier_result_that_cannot_be_read_is_kept_beside_the_new_one(
    mnist_run, tmp_path, capsys
):
    path = tmp_path / "out" / "run" / RESULTS_FILE
    path.write_text("{")
    evaluate.evaluate(mnist_run)
    assert len(results_of(tmp_path)["checkpoints"]) == 1
    assert path.with_name("metrics.json.damaged").read_text() == "{"
    assert "metrics.json.damaged, a new one is begun" in capsys.readouterr().err


def test_without_a_run_it_is_one_line(tmp_path):
    done = run_main("--dataset=mnist", "--evaluate=last", "--out_dir=" + str(tmp_path / "none"))
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "--out_dir" in done.stderr
