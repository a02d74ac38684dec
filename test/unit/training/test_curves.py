"""The curves of metrics.jsonl: what counts, and that a file of any length is read in little memory."""

import json
import os
import tracemalloc

from config import METRICS_FILE
from training import curves


def write(folder, lines):
    with open(os.path.join(str(folder), METRICS_FILE), "w") as file:
        file.writelines(
            line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines
        )


def test_every_line_of_a_short_file_counts(tmp_path):
    lines = [{"step": step, "seconds": step / 4, "d_loss": 2.0 * step} for step in range(1, 900)]
    lines[5]["d_loss"] = None
    lines[6] = [1]
    write(tmp_path, [*lines, '{"step": 900, "d_lo'])
    points = curves.read(str(tmp_path), ["d_loss", "g_loss"])
    steps = [step for step in range(1, 900) if step not in (6, 7)]
    assert points["d_loss"] == (tuple(steps), tuple(2.0 * step for step in steps))
    assert points["g_loss"] == ((), ())


def test_a_run_without_a_file_has_no_points(tmp_path):
    assert curves.read(str(tmp_path), ["d_loss"]) == {"d_loss": ((), ())}


def test_steps_undone_by_a_rollback_do_not_count(tmp_path):
    first = [{"step": step, "d_loss": 1.0} for step in range(1, 101)]
    again = [{"step": step, "d_loss": 2.0} for step in range(51, 61)]
    write(tmp_path, first + again)
    steps, values = curves.read(str(tmp_path), ["d_loss"])["d_loss"]
    assert steps == tuple(range(1, 61))
    assert values == (1.0,) * 50 + (2.0,) * 10


def test_a_long_file_is_thinned_in_little_memory(tmp_path):
    """Lines of 100,000 steps, with a sample grid every 100 steps; the last line is always there."""
    count, losses = 100000, {"d_loss": 1.25, "g_loss": 0.75, "other": "x" * 60}
    with open(str(tmp_path / METRICS_FILE), "w") as file:
        for step in range(1, count + 1):
            file.write(json.dumps(dict(step=step, seconds=0.1 * step, **losses)) + "\n")
            if step % 100 == 0:
                file.write(json.dumps({"step": step, "sample_spread": step / 10}) + "\n")
    tracemalloc.start()
    try:
        points = curves.read(str(tmp_path), ["seconds", "d_loss", "sample_spread"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20
    for name in ("seconds", "d_loss"):
        steps, _ = points[name]
        assert curves.WINDOWS * 0.9 < len(steps) <= curves.WINDOWS + 1
        assert steps[-1] == count and list(steps) == sorted(steps)
    steps, values = points["sample_spread"]
    assert 900 < len(steps) <= 1000 and values[-1] == count / 10


def test_no_more_than_a_window_is_read_at_a_place(tmp_path, monkeypatch):
    """However long the file and its lines are."""
    monkeypatch.setattr(curves, "WINDOWS", 10)
    monkeypatch.setattr(curves, "WINDOW_BYTES", 1000)
    write(
        tmp_path, [{"step": step, "d_loss": 1.0, "x": "y" * (step % 3000)} for step in range(9000)]
    )
    read = []

    class Counted:
        def __init__(self, file):
            self.fileno, self.seek = file.fileno, file.seek
            self._file = file

        def readline(self, limit):
            line = self._file.readline(limit)
            read.append(len(line))
            return line

    with open(str(tmp_path / METRICS_FILE), "rb") as file:
        list(curves._values(Counted(file), ["absent"]))
    assert max(read) <= 1000 and sum(read) <= 11 * 3 * 1000


def test_a_plot_is_drawn_again_only_after_new_lines(tmp_path):
    write(tmp_path, [{"step": step, "d_loss": 1.0, "g_loss": 2.0} for step in range(9)])
    points = curves.read(str(tmp_path), curves.LOSSES.names)
    path = curves.plot(str(tmp_path), curves.LOSSES, points)
    drawn = os.stat(path).st_ino
    assert os.path.basename(path) == "loss.png"
    curves.plot(str(tmp_path), curves.LOSSES, points)
    assert os.stat(path).st_ino == drawn
    newer = os.path.getmtime(path) + 1
    os.utime(str(tmp_path / METRICS_FILE), (newer, newer))
    with open(path, "rb") as held:  # so that its inode is not used again
        curves.plot(str(tmp_path), curves.LOSSES, points)
        assert os.fstat(held.fileno()).st_ino == drawn != os.stat(path).st_ino
