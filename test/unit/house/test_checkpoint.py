"""Checkpoints are complete or not used; a damaged one is named, and the one before it is used."""

import json
import os
import shutil
import tempfile

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import checkpoint
import utils


@pytest.fixture
def trained(graph, tmp_path):
    """(session, saver, variable, folder) with checkpoints of the steps 1 to 3 in the folder."""
    variable = tf.get_variable("w", initializer=np.arange(500, dtype=np.float32), use_resource=True)
    add = variable.assign_add(tf.ones_like(variable), read_value=False)
    saver = checkpoint.Saver([variable])
    folder = str(tmp_path / "checkpoint")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for step in (1, 2, 3):
            session.run(add)
            saver.save(session, folder, step=step, state={"seconds": step * 1.5}, max_to_keep=3)
        yield session, saver, variable, folder


def test_save_and_restore(trained):
    session, saver, variable, folder = trained
    variable.load(np.zeros(500), session)
    found = saver.restore_newest(session, folder, warn=pytest.fail)
    assert found.step == 3 and found.state == {"seconds": 4.5}
    assert session.run(variable)[0] == 3
    assert tf.train.latest_checkpoint(folder) == found.prefix


def test_at_least_two_are_kept_and_no_more_than_asked(trained):
    session, saver, _, folder = trained
    saver.save(session, folder, step=4, state={}, max_to_keep=1)
    assert [found.step for found in checkpoint.kept(folder)] == [4, 3]
    assert sorted(os.listdir(folder)) == sorted(
        ["checkpoint"]
        + [
            f"DCGAN.model-{step}{part}"
            for step in (3, 4)
            for part in (".json", ".index", ".data-00000-of-00001")
        ]
    )


NAMES = [*"[*?\\'\"#%&~\t ", "a[1]", "{a,b}", "a b", "é", "$HOME", "x.zip", "-x", "a:b", "a;b|c"]


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_any_name_is_restored(graph, tmp_path, name):
    """Seen: TensorFlow takes the path for a glob, so `--out_name 'a[1]'` was never found again."""
    variable = tf.get_variable("w", initializer=np.arange(5, dtype=np.float32), use_resource=True)
    saver = checkpoint.Saver([variable])
    folder = str(tmp_path / name / "q")
    with tf.Session() as session:
        session.run(variable.initializer)
        saver.save(session, folder, step=1, state={}, max_to_keep=3)
        variable.load(np.zeros(5), session)
        assert saver.restore_newest(session, folder, warn=pytest.fail).step == 1
        assert session.run(variable)[4] == 4
        tf.train.Saver([variable]).save(
            session, os.path.join(folder, "t[h]eirs"), write_state=False
        )
        found = checkpoint.newest_foreign(folder)
        variable.load(np.zeros(5), session)
        saver.restore(session, found)
        assert session.run(variable)[4] == 4


def test_links_to_a_checkpoint_do_not_stay(trained, tmp_path, monkeypatch):
    session, saver, _, folder = trained
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    os.rename(folder, folder + "[1]")
    assert saver.restore_newest(session, folder + "[1]", warn=pytest.fail).step == 3
    assert os.listdir(str(tmp_path)) == ["checkpoint[1]"]


@pytest.mark.parametrize("part", [".json", ".index", ".data-00000-of-00001"])
def test_a_pipe_in_place_of_a_file_does_not_block(trained, part):
    """Seen: a FIFO was opened for reading, which waits for a writer for ever."""
    session, saver, _, folder = trained
    path = os.path.join(folder, "DCGAN.model-3" + part)
    os.remove(path)
    os.mkfifo(path)
    lines = []
    assert saver.restore_newest(session, folder, warn=lines.append).step == 2
    assert len(lines) == 1 and "DCGAN.model-3" in lines[0]
    if part != ".json":  # a foreign checkpoint has no manifest
        with pytest.raises(checkpoint.Damaged, match="not a regular file"):
            saver.restore(session, checkpoint.Checkpoint(path[: -len(part)], 3, {}))


def damage_truncate(path):
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) // 2)


def damage_flip(path):
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 4]))


@pytest.mark.parametrize(
    "damage", [damage_truncate, damage_flip, os.remove], ids=["truncated", "flipped", "removed"]
)
@pytest.mark.parametrize("part", [".json", ".index", ".data-00000-of-00001"])
def test_a_damaged_checkpoint_is_named_and_skipped(trained, damage, part):
    session, saver, variable, folder = trained
    path = os.path.join(folder, "DCGAN.model-3" + part)
    damage(path)
    lines = []
    assert saver.restore_newest(session, folder, warn=lines.append).step == 2
    assert session.run(variable)[0] == 2
    assert len(lines) == 1 and "DCGAN.model-3" in lines[0]


def test_a_checkpoint_of_another_network_is_skipped(trained):
    session, saver, _, folder = trained
    with tf.Graph().as_default(), tf.Session() as other:
        variable = tf.get_variable("w", [7], use_resource=True)
        other.run(variable.initializer)
        checkpoint.Saver([variable]).save(other, folder, step=9, state={}, max_to_keep=9)
    lines = []
    assert saver.restore_newest(session, folder, warn=lines.append).step == 3
    assert len(lines) == 1 and "DCGAN.model-9" in lines[0]


def test_a_manifest_under_another_steps_name_is_skipped(trained):
    session, saver, _, folder = trained
    for part in (".json", ".index", ".data-00000-of-00001"):
        shutil.copy(
            os.path.join(folder, "DCGAN.model-1" + part),
            os.path.join(folder, "DCGAN.model-99" + part),
        )
    lines = []
    assert saver.restore_newest(session, folder, warn=lines.append).step == 3
    assert "DCGAN.model-99.json: is the manifest of step 1" in lines[0]


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"step": "3"},
        {"step": True},
        {"state": None},
        {"files": 7},
        {"files": {}},
        {"files": {"/../../../etc/passwd": {}}},
    ],
    ids=str,
)
def test_an_invented_manifest_is_named_and_skipped(trained, content):
    session, saver, _, folder = trained
    path = os.path.join(folder, "DCGAN.model-3.json")
    if content:
        with open(path, encoding="utf-8") as file:
            content = dict(json.load(file)["content"], **content)
    checkpoint._write_manifest(path[: -len(".json")], content)
    lines = []
    assert saver.restore_newest(session, folder, warn=lines.append).step == 2
    assert lines == [f"{path}: not a checkpoint's manifest: skipped"]


def test_damaged_checkpoints_do_not_push_out_what_is_saved_beside_them(trained):
    """Seen: a run resumed before two damaged checkpoints, keeping two, deleted its own."""
    session, saver, _, folder = trained
    for step in (2, 3):
        damage_flip(os.path.join(folder, f"DCGAN.model-{step}.data-00000-of-00001"))
    assert saver.restore_newest(session, folder, warn=lambda line: None).step == 1
    saver.save(session, folder, step=1, state={}, max_to_keep=2)
    assert checkpoint.newest(folder, warn=lambda line: None).step == 1


def test_a_checkpoint_is_on_the_disk_before_its_index_and_that_before_others_go(
    trained, monkeypatch
):
    """A power cut used to leave a manifest beside an empty file; a kill, an index without one."""
    session, saver, _, folder = trained
    events = []

    def noted(name, function):
        def call(target, *rest):
            path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else target
            events.append((name, os.path.basename(rest[0] if rest else path)))
            return function(target, *rest)

        return call

    for name in ("fsync", "replace", "remove"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    saver.save(session, folder, step=4, state={}, max_to_keep=1)
    data, index = "DCGAN.model-4.data-00000-of-00001", "DCGAN.model-4.index"
    moved = [events.index(("replace", name)) for name in (data, "DCGAN.model-4.json", index)]
    for part in checkpoint._PARTS:
        assert events.index(("fsync", "DCGAN.model" + part)) < moved[0]
    flushed = [i for i, event in enumerate(events) if event == ("fsync", os.path.basename(folder))]
    assert moved[0] < moved[1] < flushed[0] < moved[2] < flushed[1]
    assert flushed[1] < events.index(("remove", "DCGAN.model-1.json"))


@pytest.mark.parametrize("kept_names", [1, 2])
def test_a_first_save_that_was_killed_is_begun_again(trained, kept_names):
    """Its files have their names one after the other, the index last."""
    session, saver, _, folder = trained
    ends = (".data-00000-of-00001", ".json", ".index")
    for name in os.listdir(folder):
        if not name.endswith(ends[:kept_names]) or "-3." not in name:
            os.remove(os.path.join(folder, name))
    assert len(os.listdir(folder)) == kept_names and not checkpoint.kept(folder)
    assert saver.restore_newest(session, folder, warn=lambda line: None) is None


def test_checkpoints_whose_indexes_are_lost_are_not_begun_anew(trained):
    session, saver, _, folder = trained
    for step in (1, 2, 3):
        os.remove(os.path.join(folder, f"DCGAN.model-{step}.index"))
    with pytest.raises(checkpoint.Damaged, match="none of which"):
        saver.restore_newest(session, folder, warn=lambda line: None)


def test_without_a_sound_checkpoint_nothing_starts_anew_silently(trained):
    session, saver, _, folder = trained
    for step in (1, 2, 3):
        damage_flip(os.path.join(folder, f"DCGAN.model-{step}.index"))
    with pytest.raises(checkpoint.Damaged, match="none of which"):
        saver.restore_newest(session, folder, warn=lambda line: None)
    assert saver.restore_newest(session, folder + "2", warn=pytest.fail) is None


def test_a_failing_save_leaves_the_others_intact(trained, monkeypatch):
    session, saver, _, folder = trained
    before = {name: os.path.getmtime(os.path.join(folder, name)) for name in os.listdir(folder)}

    def full(*args, **kwargs):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device\nat frame 0")

    monkeypatch.setattr(saver._all, "save", full)
    with pytest.raises(OSError, match="No space left on device$"):
        saver.save(session, folder, step=4, state={}, max_to_keep=3)
    after = {name: os.path.getmtime(os.path.join(folder, name)) for name in os.listdir(folder)}
    assert after == before


def test_what_a_killed_save_left_is_removed(trained):
    folder = trained[3]
    os.mkdir(os.path.join(folder, ".saving-abc"))
    utils.clear_staging(folder)
    assert ".saving-abc" not in os.listdir(folder)
    assert len(checkpoint.kept(folder)) == 3


def test_checkpoints_of_the_reference_are_found_and_told_apart(trained, tmp_path):
    session, _, variable, folder = trained
    tf.train.Saver([variable]).save(
        session, str(tmp_path / "theirs" / "DCGAN.model"), global_step=77, write_meta_graph=False
    )
    found = checkpoint.newest_foreign(str(tmp_path / "theirs"))
    assert found.step == 77 and found.state == {}
    assert checkpoint.newest_foreign(folder) is None


def test_every_flipped_byte_is_harmless_or_detected(trained):
    """50 random bytes of a checkpoint's three files, one at a time; prints what came of them."""
    session, saver, variable, folder = trained
    expected = session.run(variable)
    paths = [
        os.path.join(folder, "DCGAN.model-3" + part)
        for part in (".json", ".index", ".data-00000-of-00001")
    ]
    random = np.random.RandomState(5)
    detected = harmless = 0
    for path in random.choice(paths, 50):
        with open(path, "rb") as file:
            whole = file.read()
        flipped = bytearray(whole)
        flipped[random.randint(len(whole))] ^= 1 << random.randint(8)
        with open(path, "wb") as file:
            file.write(flipped)
        lines = []
        found = saver.restore_newest(session, folder, warn=lines.append)
        if found.step == 2:
            detected += 1
            assert "DCGAN.model-3" in lines[0]
        else:
            harmless += 1
            assert np.array_equal(session.run(variable), expected)
            assert found.state == {"seconds": 4.5}
        with open(path, "wb") as file:
            file.write(whole)
    print(f"bytes flipped: 50, detected: {detected}, harmless: {harmless}, wrong: 0")
    assert detected + harmless == 50


@pytest.mark.parametrize("part", [".index", ".data-00000-of-00001"])
def test_flipped_bytes_of_a_foreign_checkpoint_end_in_one_line_or_nothing(trained, tmp_path, part):
    """Without a manifest there are only TensorFlow's own checksums; they must hold."""
    session, saver, variable, _ = trained
    expected = session.run(variable)
    prefix = tf.train.Saver([variable]).save(
        session, str(tmp_path / "theirs" / "model"), write_meta_graph=False
    )
    with open(prefix + part, "rb") as file:
        whole = file.read()
    random = np.random.RandomState(3)
    for _ in range(40):
        flipped = bytearray(whole)
        flipped[random.randint(len(whole))] ^= 1 << random.randint(8)
        with open(prefix + part, "wb") as file:
            file.write(flipped)
        try:
            saver.restore(session, checkpoint.Checkpoint(prefix, 0, {}))
            assert np.array_equal(session.run(variable), expected)
        except checkpoint.Damaged as damage:
            assert prefix in str(damage) and "\n" not in str(damage)


def test_the_manifest_is_readable_json(trained):
    with open(os.path.join(trained[3], "DCGAN.model-3.json")) as file:
        manifest = json.load(file)
    assert manifest["content"]["step"] == 3
    assert set(manifest["content"]["files"]) == {".index", ".data-00000-of-00001"}
