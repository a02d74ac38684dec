"""TensorBoard's events of a run."""

import io
import os
from typing import Any, Dict, Optional

import tensorflow.compat.v1 as tf

import utils
from config import OPTIONS, Config
from training import samples
from training.graph import StepResult
from training.progress import Progress
from training.sink import RunInfo, Sink

EVENTS_FOLDER = "events"
LOSSES = ("d_loss", "g_loss")
# The sections of the options that TensorBoard's HPARAMS shows.
HPARAMS = ("The networks", "Training")


class TensorBoard(Sink):
    """Losses at every step of the log; scalars, histograms and the learning rates every
    `--summary_freq` steps; the sample grids; the options.
    """

    def __init__(self, run: RunInfo) -> None:
        """See `Sink`."""
        super().__init__(run)
        self._folder = os.path.join(run.config.run_dir, EVENTS_FOLDER)
        self._writer = self._opened()
        self._measured: Optional[Progress] = None  # where images/s are counted from

    def start(self, progress: Progress, readings: Dict[str, Any]) -> None:
        """Makes TensorBoard drop what it was given of later steps: they come again."""
        started = tf.SessionLog(status=tf.SessionLog.START)
        self._writer.add_session_log(started, progress.step + 1)
        self._measured = None

    def step(self, progress: Progress, result: StepResult) -> None:
        """Adds the losses of a logged step, and all else where it was asked for."""
        scalars: Dict[str, float] = {}
        if progress.step % self._run.config.log_freq == 0:
            scalars = {name: result.scalars[name] for name in LOSSES}
        if result.summary is not None:
            self._writer.add_summary(result.summary, progress.step)
            scalars = dict(result.scalars, **self._speed(progress))
        if scalars:
            self._add_scalars(progress, scalars)
        if self._measured is None:  # the first step takes longer
            self._measured = progress

    def sample(self, progress: Progress, grid: samples.DrawnGrid) -> None:
        """Adds a grid, its losses and its spread."""
        self._add_scalars(
            progress,
            {
                "sample/d_loss": grid.d_loss,
                "sample/g_loss": grid.g_loss,
                "sample/spread": grid.spread,
            },
        )
        pixels = utils.grid(grid.pixels)
        height, width, channels = pixels.shape
        file = io.BytesIO()
        utils.pillow_image(pixels).save(file, "PNG")
        image = tf.Summary.Image(
            height=height,
            width=width,
            colorspace=channels,
            encoded_image_string=file.getvalue(),
        )
        value = tf.Summary.Value(tag="sample/grid", image=image)
        self._writer.add_summary(tf.Summary(value=[value]), progress.step)

    def reopen(self) -> None:
        """Begins a new file if the folder was removed."""
        if not os.path.isdir(self._folder):
            removed, self._writer = self._writer, self._opened()
            removed.close()

    def _opened(self) -> tf.summary.FileWriter:
        writer = tf.summary.FileWriter(self._folder)
        options = hparams(self._run.config)
        if options is not None:
            writer.add_summary(options)
        return writer

    def _speed(self, progress: Progress) -> Dict[str, float]:
        """Images/s of all ranks since the last call; empty where too little is known."""
        since, self._measured = self._measured, progress
        if since is None or progress.seconds <= since.seconds:
            return {}
        images = self._run.ranks * self._run.config.batch_size * (progress.step - since.step)
        return {"images_per_second": images / (progress.seconds - since.seconds)}

    def _add_scalars(self, progress: Progress, scalars: Dict[str, float]) -> None:
        values = [tf.Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._writer.add_summary(tf.Summary(value=values), progress.step)

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()


def hparams(config: Config) -> Optional[tf.Summary]:
    """The options of `HPARAMS` for TensorBoard's plugin of that name; None without TensorBoard."""
    try:
        from tensorboard.plugins.hparams import summary_v2
    except ImportError as error:
        utils.warn(f"TensorBoard: no HPARAMS: {error}")
        return None
    options = {
        name: getattr(config, name)
        for name, option in OPTIONS.items()
        if name == "dataset" or option.section in HPARAMS
    }
    plain = {
        name: value for name, value in options.items() if isinstance(value, (bool, int, float, str))
    }
    summary = summary_v2.hparams_pb(plain, trial_id=config.out_name)
    return tf.Summary.FromString(summary.SerializeToString())  # TensorBoard's class is its own
