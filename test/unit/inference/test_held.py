"""Checkpoints are held while they are read: a training beside it may delete and replace them."""

import os
import time

import pytest
from small_runs import make_run

import checkpoint
import utils
from inference import held
from inference.held import held_checkpoints


@pytest.fixture
def folder(tmp_path):
    """The checkpoint folder of a run with the checkpoints of the steps 3 and 7."""
    make_run(tmp_path, "image", steps=(3, 7))
    return str(tmp_path / "run" / "checkpoint")


def delete_checkpoints(folder):
    for name in os.listdir(folder):
        if name.startswith(checkpoint.PREFIX):
            os.remove(os.path.join(folder, name))


@pytest.mark.slow
def test_held_checkpoints_outlive_the_training_s(folder):
    with held_checkpoints(folder) as links:
        delete_checkpoints(folder)
        found = list(checkpoint.sound(links, warn=pytest.fail))
        assert [each.step for each in found] == [7, 3]
    assert [name for name in os.listdir(folder) if name.startswith(".")] == []


def test_a_checkpoint_that_is_deleted_while_it_is_linked_is_left_out(folder, monkeypatch):
    link = os.link

    def link_beside_a_training(path, target):
        if path.endswith("model-3.index"):
            for name in os.listdir(folder):
                if name.startswith("DCGAN.model-3"):
                    os.remove(os.path.join(folder, name))
        link(path, target)

    monkeypatch.setattr(os, "link", link_beside_a_training)
    with held_checkpoints(folder) as links:
        assert [each.step for each in checkpoint.kept(links, warn=pytest.fail)] == [7]
        assert not [name for name in os.listdir(links) if "model-3" in name]


def test_a_file_system_without_hard_links_is_read_directly(folder, monkeypatch):
    def refuse(path, target):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with held_checkpoints(folder) as links:
        assert links == folder
    assert [name for name in os.listdir(folder) if name.startswith(".")] == []


def test_links_of_a_killed_reader_are_removed_and_those_of_others_are_not(folder):
    old = time.time() - 2 * held.ABANDONED_AFTER
    killed, alive, young = [os.path.join(folder, held.LINKS + name) for name in "abc"]
    for path in (killed, alive, young):
        os.mkdir(path)
    with utils.lock_folder(alive):
        for path in (killed, alive):
            os.utime(path, (old, old))
        with held_checkpoints(folder):
            assert not os.path.exists(killed)
            assert os.path.exists(alive) and os.path.exists(young)
