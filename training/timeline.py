"""A timeline of some warm training runs, as Chrome's trace viewer reads it."""

import contextlib
import datetime
import os

import tensorflow.compat.v1 as tf
from tensorflow.python.client import timeline

import utils

WARM_RUNS = 10
TRACED_RUNS = 6


def training_run(session, *, config, device, say, rank=0):
    """What to run training steps with.

    Args:
        session: `tf.Session`.
        config: `Config`; with `profiling`, a few runs are traced once the session is warm, and
            written to `data_save_path`, unless the device profiles itself.
        device: `devices.device.Device`.
        say: called with the line that tells where the timeline is, or why there is none.
        rank: of this process; rank 0 alone writes a timeline.

    Returns:
        A context manager of a function to call like `session.run`.
    """
    if not config.profiling or device.profiles_itself or rank != 0:
        return contextlib.nullcontext(session.run)
    return _traced(session, config.data_save_path, say)


@contextlib.contextmanager
def _traced(session, folder, say):
    tracer = _Tracer(session, folder, say)
    try:
        yield tracer.run
    finally:
        tracer.write()


class _Tracer:
    def __init__(self, session, folder, say):
        self._session = session
        self._folder = folder
        self._say = say
        self._runs = 0
        self._stats = tf.RunMetadata().step_stats
        self._written = False

    def run(self, fetches, feed_dict=None):
        self._runs += 1
        if self._runs <= WARM_RUNS or self._written:
            return self._session.run(fetches, feed_dict)
        options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
        metadata = tf.RunMetadata()
        values = self._session.run(fetches, feed_dict, options=options, run_metadata=metadata)
        _append(self._stats, metadata.step_stats)
        if self._runs == WARM_RUNS + TRACED_RUNS:
            self.write()
        return values

    def write(self):
        """Writes what was traced, once; a disk that refuses it does not end the training."""
        if self._written:
            return
        self._written = True
        if not self._stats.dev_stats:
            self._say(
                f"--profiling: no timeline, the training ended within its {WARM_RUNS} warm-up runs"
            )
            return
        path = os.path.join(self._folder, f"timeline-{datetime.datetime.now():%Y%m%d-%H%M%S}.json")
        trace = timeline.Timeline(self._stats).generate_chrome_trace_format(show_dataflow=False)
        try:
            utils.write_text(path, trace)
            self._say(f"timeline: {path} (open it in chrome://tracing)")
        except OSError as error:
            self._say(f"--data_save_path: timeline not written: {error}")


def _append(stats, more):
    """Adds one run's events, each device's to its own row."""
    rows = {device.device: device for device in stats.dev_stats}
    for device in more.dev_stats:
        if device.device in rows:
            rows[device.device].node_stats.extend(device.node_stats)
        else:
            stats.dev_stats.add().CopyFrom(device)
