"""What a run tells: the log line, a progress bar, metrics.jsonl, TensorBoard, curves.

The log line is an interface that other people's scripts parse; the rest are for other eyes. A
report that cannot be written is said once and left out: it never ends a training.
"""

import json
import math
import os
import sys
import time

import tensorflow.compat.v1 as tf

import utils
from config import METRICS_FILE
from training import samples, throughput
from training.signals import WISHES
from training.step import UPDATES

LOG_LINE = "[%8d Epoch: %2d/%2d %4d/%4d time: %4.4f, d_loss: %.8f  g_loss: %.8f"
SAMPLE_LINE = "[Sample] d_loss: %.8f, g_loss: %.8f"
LAST_LINE = "Final accuracy d_loss %.8f"
COLLAPSED_SPREAD = 1.0  # distance of the grid's pictures, in pixel units of 0 to 255
EVENTS_FOLDER = "events"
_NETWORKS = (("d", "the discriminator"), ("g", "the generator"))


def open_reporter(*, config, steps_per_epoch, progress, ranks):
    """A rank's reporter, a context manager; see `Reporter` for the arguments."""
    if ranks.rank != 0:
        return SilentReporter()
    return Reporter(
        config=config, steps_per_epoch=steps_per_epoch, progress=progress, ranks_size=ranks.size
    )


class SilentReporter:
    """What a rank other than 0 tells of the run: nothing but warnings. Rank 0 has a `Reporter`."""

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        pass

    def _nothing(self, *unused, **more):
        pass

    begin = say = step = grid = finished = summarize = _nothing

    def seconds(self):
        """Nobody asks this rank."""
        return 0.0

    def warn(self, line):
        """Prints a line on standard error."""
        utils.warn(line)


class Reporter:
    """Everything that is told of one run; a context manager that closes its files."""

    def __init__(self, *, config, steps_per_epoch, progress, ranks_size):
        """Args:
        config: `Config`.
        steps_per_epoch: steps.
        progress: `training.checkpointer.Progress` at the start; counter and time go on from it.
        ranks_size: number of ranks; a step trains on that many batches.
        """
        self._config = config
        self._folder = folder = config.run_dir
        self._steps_per_epoch = steps_per_epoch
        self._ranks_size = ranks_size
        self._offset = progress.offset
        self._start = time.time() - progress.seconds
        self._broken = set()
        self._skipped = {}
        self._collapsed = False
        self._metrics = self._tolerant(METRICS_FILE, _open_metrics, folder, progress.step)
        self._events = self._tolerant(
            "TensorBoard", tf.summary.FileWriter, os.path.join(folder, EVENTS_FOLDER)
        )
        self._bar = utils.progress_bar(
            config.progress,
            total=config.epoch * steps_per_epoch,
            initial=progress.step - progress.offset,
            unit="step",
        )

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self._bar.close()
        if self._metrics:
            self._tolerant(METRICS_FILE, self._metrics.close)
        if self._events:
            self._tolerant("TensorBoard", self._events.close)

    def begin(self, progress, readings):
        """To be called before the first step and after each return to an earlier one.

        TensorBoard is to forget what it was told of steps after that: they come (again) now.

        Args:
            progress: `training.checkpointer.Progress`.
            readings: the optimizers' readings at that step (see `TrainStep`).
        """
        step, self._offset = progress.step, progress.offset
        self._skipped = _skipped(readings)
        self._advance(step)
        if self._events:
            self._tolerant(
                "TensorBoard",
                self._events.add_session_log,
                tf.SessionLog(status=tf.SessionLog.START),
                step + 1,
            )

    def seconds(self):
        """Seconds of training so far, those before a resume included."""
        return time.time() - self._start

    def say(self, line):
        """Prints a line on standard output without breaking the progress bar."""
        self._tolerant("the log", self._print, line)

    def warn(self, line):
        """Prints a line on standard error without breaking the progress bar."""
        utils.warn(line)

    def step(self, step, values):
        """Tells one step (counted from 1) with its fetched values."""
        self._warn_of_skipped(step, values)
        self._advance(step)
        self._bar.set_postfix(
            refresh=False,
            d_loss="{:.3f}".format(values["d_loss"]),
            g_loss="{:.3f}".format(values["g_loss"]),
        )
        if step % self._config.log_freq == 0:
            epoch, index = divmod(step - 1 - self._offset, self._steps_per_epoch)
            self.say(
                LOG_LINE
                % (
                    step,
                    epoch,
                    self._config.epoch,
                    index,
                    self._steps_per_epoch,
                    self.seconds(),
                    values["d_loss"],
                    values["g_loss"],
                )
            )
            self._add_line(step, epoch=epoch, ranks=self._ranks_size, **_scalars(values))
        if step % self._config.summary_freq == 0:
            self._summarize(step, values)

    def grid(self, step, draw):
        """Draws and files the sample grid; a disk that refuses it does not end the training.

        Args:
            draw: `() -> (pixels uint8 [N, H, W, C], d_loss, g_loss)`.
        """
        pixels, d_loss, g_loss = draw()
        self._sample(step, d_loss=d_loss, g_loss=g_loss, spread=samples.spread(pixels))
        try:
            utils.write_png(samples.grid_path(self._config.sample_path, step), utils.grid(pixels))
        except OSError as error:
            self.warn(f"sample grid of step {step} not written: {error}")

    def summarize(self):
        """Prints the speed, makes the loss curve and the film of the grids; a disk that refuses them ends nothing."""
        try:
            speed = throughput.of_run(self._folder)
            if speed:
                print(f"images/s: {throughput.text(speed.images_per_second)}")
            print(f"loss curve: {draw_curves(self._folder)}")
            film = samples.animate(self._config.sample_path)
            if film:
                print(f"sample grids: {film}")
        except OSError as error:
            self.warn(f"--out_dir: loss curve or film not written: {error}")

    def _sample(self, step, *, d_loss, g_loss, spread):
        self.say(SAMPLE_LINE % (d_loss, g_loss))
        if spread < COLLAPSED_SPREAD and not self._collapsed:
            self.warn(
                f"step {step}: the grid's pictures are all but one (spread {spread:.2f} of 255): the "
                "generator has collapsed, or not begun to learn"
            )
        self._collapsed = spread < COLLAPSED_SPREAD
        self._add_line(step, sample_d_loss=d_loss, sample_g_loss=g_loss, sample_spread=spread)
        self._add_scalars(
            step, {"sample/d_loss": d_loss, "sample/g_loss": g_loss, "sample/spread": spread}
        )

    def _add_line(self, step, **values):
        """Adds one line to metrics.jsonl; a value that is no number becomes null."""
        if self._metrics:
            values = {
                name: value if math.isfinite(value) else None for name, value in values.items()
            }
            line = json.dumps(dict(step=step, seconds=round(self.seconds(), 4), **values))
            self._tolerant(METRICS_FILE, self._metrics.write, line + "\n")

    def finished(self, values):
        """Tells the end of a whole training."""
        self._bar.close()
        self.say(LAST_LINE % values["d_loss"])

    def _advance(self, step):
        self._bar.update(step - self._offset - self._bar.n)

    def _print(self, line):
        if self._bar.disable:
            print(line, flush=True)
        else:
            self._bar.write(line, file=sys.stdout)
            sys.stdout.flush()

    def _warn_of_skipped(self, step, values):
        skipped = _skipped(values)
        news = [
            "{} of {} (loss scale now {:g})".format(
                skipped[name] - self._skipped[name], network, values[name + "_loss_scale"]
            )
            for name, network in _NETWORKS
            if skipped.get(name) != self._skipped.get(name)
        ]
        if news:
            self.warn(
                "step {}: updates skipped, their gradients overflowed: {}".format(
                    step, ", ".join(news)
                )
            )
        self._skipped = skipped

    def _summarize(self, step, values):
        if self._events and "summary" in values:
            self._tolerant("TensorBoard", self._events.add_summary, values["summary"], step)
        self._add_scalars(step, _scalars(values))

    def _add_scalars(self, step, values):
        if self._events:
            summary = tf.Summary(
                value=[
                    tf.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()
                ]
            )
            self._tolerant("TensorBoard", self._events.add_summary, summary, step)

    def _tolerant(self, what, action, *arguments):
        """Does it; a failure is said, once where one follows another, and what failed is left out."""
        try:
            result = action(*arguments)
            self._broken.discard(what)
            return result
        except (
            OSError,
            tf.errors.OpError,
            RuntimeError,
        ) as error:  # 2.x's FileWriter: RuntimeError
            if what not in self._broken:
                self._broken.add(what)
                self.warn(f"{what}: cannot be written, left out meanwhile: {error}")
            return None


def summary_op(watched, *, value_range, with_images):
    """The op of TensorBoard's histograms and, if asked for, pictures."""
    for name in ("z", "d_real", "d_fake"):
        tf.summary.histogram(name, watched[name])
    if with_images:
        lowest, highest = value_range
        pixels = tf.cast(255 * (watched["images"] - lowest) / (highest - lowest), tf.uint8)
        tf.summary.image("G", pixels, max_outputs=8)
    return tf.summary.merge_all()


def draw_curves(folder):
    """Draws the loss curves of a run from its metrics.jsonl; returns the PNG's path."""
    curves = utils.read_curves(os.path.join(folder, METRICS_FILE), ["d_loss", "g_loss"])
    path = os.path.join(folder, "loss.png")
    utils.plot_curves(path, curves, xlabel="step", ylabel="loss", title=os.path.basename(folder))
    return path


def _skipped(values):
    """How many updates each network has skipped so far; empty where none can be."""
    return {
        name: int(values[name + "_skipped"]) for name, _ in _NETWORKS if name + "_skipped" in values
    }


def _scalars(values):
    return {
        name: float(value)
        for name, value in values.items()
        if name not in UPDATES + ("summary", WISHES)
    }


def _open_metrics(folder, first_step):
    """Opens metrics.jsonl for appending, without the lines of steps that are about to be redone."""
    path = os.path.join(folder, METRICS_FILE)
    if os.path.exists(path):
        lines = [
            line
            for line in utils.read_json_lines(path)
            if isinstance(line, dict)
            and utils.is_number(line.get("step"))
            and line["step"] <= first_step
        ]
        utils.write_text(path, "".join(json.dumps(line) + "\n" for line in lines))
    return open(path, "a", encoding="utf-8", buffering=1)
