"""The training of one run, from its options to its last picture."""

import sys

import tensorflow.compat.v1 as tf

import config as options
import utils
from datasets import pipeline
from training import report, samples, timeline
from training.interrupt import Interruption
from training.keeper import Keeper, Progress, is_sound
from training.program import build_program, run_steps, steps_of_run, with_loop


def train(*, config, dataset, device, ranks):
    """Trains in the folder `config.run_dir(config)` up to `config.epoch` epochs.

    A run that stands there already is taken up where it stopped.

    Args:
        config: with every field filled in (`training.start.opened_run`).
        dataset: `datasets.pipeline.Dataset`.
        device: `devices.session.Device`.
        ranks: `devices.ranks.Ranks`.

    Returns:
        The number of the signal that ended it early, or None.

    Raises:
        UserError: a checkpoint cannot be written, or the losses are no numbers any more.
    """
    steps_per_epoch = pipeline.steps_per_epoch(
        dataset, batch_size=config.batch_size, ranks_size=ranks.size, train_size=config.train_size)
    folder = options.run_dir(config)
    with tf.Graph().as_default() as graph:
        program = build_program(config=config, dataset=dataset, ranks=ranks, device=device)
        with tf.Session(config=device.session_config) as session, \
                timeline.training_run(session, config=config, device=device, say=print) as run:
            program = with_loop(program, session, device)
            graph.finalize()
            keeper = Keeper(config=config, program=program, warn=_warn)
            progress = keeper.restore(session)
            ranks.broadcast(session)
            with report.Reporter(config=config, folder=folder, steps_per_epoch=steps_per_epoch,
                                 progress=progress) as reporter, \
                    Interruption(say=reporter.warn) as interruption:
                _loop(session, run, program, progress, keeper, reporter, interruption,
                      config=config, last_step=config.epoch * steps_per_epoch)
    _summarize(folder, config)
    return interruption.signal_number


def _loop(session, run, program, progress, keeper, reporter, interruption, *, config, last_step):
    _start(session, program, progress, reporter)
    saved_step = progress.step
    values = None
    while progress.step < last_step and interruption.signal_number is None:
        steps = steps_of_run(program, progress.step, last_step)
        step = progress.step + steps
        try:
            values = run_steps(run, program, steps=steps,
                               with_summary=step % config.summary_freq == 0)
        except pipeline.InputError:
            if progress.step > saved_step and steps == 1:   # within a loop nobody knows the step
                keeper.save(session, progress)
            raise
        progress = Progress(step, reporter.seconds(), progress.draw)
        reporter.step(step, values)
        if not (is_sound(values["d_loss"]) and is_sound(values["g_loss"])):
            progress = keeper.roll_back(session, progress, values)
            _start(session, program, progress, reporter)
            continue
        if step % config.sample_freq == 0 or step == last_step:
            _draw(session, program, step, reporter, config)
        if step % config.ckpt_freq == 0:
            keeper.save(session, progress)
            saved_step = step
    if values is None and interruption.signal_number is None:
        reporter.say("the run has its {} epochs already; a larger --epoch goes on".format(config.epoch))
    if progress.step > saved_step:
        keeper.save(session, progress)
    if progress.step == last_step and values is not None:
        reporter.finished(values)


def _start(session, program, progress, reporter):
    program.pipeline.start(session, progress.step, progress.draw)
    reporter.begin(progress.step, session.run(program.step.readings))


def _draw(session, program, step, reporter, config):
    """Draws and files the sample grid; a disk that refuses it does not end the training."""
    pixels, d_loss, g_loss = samples.draw(session, program.grid)
    spread = samples.spread(pixels)
    reporter.sample(step, d_loss=d_loss, g_loss=g_loss, spread=spread)
    try:
        utils.write_png(samples.grid_path(options.sample_dir(config), step), utils.grid(pixels))
    except OSError as error:
        reporter.warn("sample grid of step {} not written: {}".format(step, error))


def _warn(line):
    print(line, file=sys.stderr, flush=True)


def _summarize(folder, config):
    """The run's loss curve and the film of its grids; a disk that refuses them ends nothing."""
    try:
        print("loss curve: {}".format(report.draw_curves(folder)))
        film = samples.animate(options.sample_dir(config))
        print("sample grids: {}".format(film))
    except OSError as error:
        _warn("--out_dir: loss curve or film not written: {}".format(error))
