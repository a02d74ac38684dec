"""A timeline of some warm training runs, in the format of Chrome's trace viewer."""

import contextlib
import datetime
import os
from typing import Any, Callable, ContextManager, Dict, Iterator, Optional

import tensorflow.compat.v1 as tf
from tensorflow.python.client import timeline

import utils
from config import Config
from devices.device import Device

WARM_RUNS = 10
TRACED_RUNS = 6


def traced_run(
    session: tf.Session,
    *,
    config: Config,
    device: Device,
    say: Callable[[str], None] = utils.say,
    rank: int = 0,
) -> ContextManager[Callable[..., Any]]:
    """What to run training steps with: `session.run`, or a tracing version of it.

    Args:
        session: `tf.Session`.
        config: `Config`; with `profiling`, a few runs are traced once the session is warm, and
            written to `data_save_path`, unless the device profiles itself.
        device: `devices.device.Device`.
        say: called with the line that names the timeline, or says why there is none.
        rank: of this process; rank 0 alone writes a timeline.

    Returns:
        A context manager of a function to call like `session.run`.
    """
    if not config.profiling or device.profiles_itself or rank != 0:
        return contextlib.nullcontext(session.run)
    return _traced(session, config.data_save_path, say)


@contextlib.contextmanager
def _traced(
    session: tf.Session, folder: str, say: Callable[[str], None]
) -> Iterator[Callable[..., Any]]:
    tracer = _Tracer(session, folder, say)
    try:
        yield tracer.run
    finally:
        tracer.write()


class _Tracer:
    """Runs a session; traces some of its runs once it is warm."""

    def __init__(self, session: tf.Session, folder: str, say: Callable[[str], None]) -> None:
        self._session = session
        self._folder = folder
        self._say = say
        self._runs = 0
        self._stats = tf.RunMetadata().step_stats
        self._written = False

    def run(self, fetches: Any, feed_dict: Optional[Dict[Any, Any]] = None) -> Any:
        """As `session.run`."""
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

    def write(self) -> None:
        """Writes what was traced, once; a failure is a warning and ends no training."""
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


def _append(stats: Any, more: Any) -> None:
    """Appends one run's events, each device's to its own row."""
    rows = {device.device: device for device in stats.dev_stats}
    for device in more.dev_stats:
        if device.device in rows:
            rows[device.device].node_stats.extend(device.node_stats)
        else:
            stats.dev_stats.add().CopyFrom(device)
