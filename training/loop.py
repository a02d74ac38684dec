"""The training of one run, from its options to its last picture."""

import functools

import tensorflow.compat.v1 as tf

import utils
from datasets import pipeline
from training import report, samples, timeline
from training.checkpointer import Checkpointer, is_sound
from training.graph import build_train_graph, run_steps, steps_of_run, with_loop
from training.signals import Interruption


def train(*, config, dataset, device, ranks):
    """Trains in the folder `config.run_dir(config)` up to `config.epoch` epochs.

    A run that stands there already is taken up where it stopped.

    Args:
        config: with every field filled in (`training.run.opened_run`).
        dataset: `datasets.pipeline.Dataset`.
        device: `devices.device.Device`.
        ranks: `devices.ranks.Ranks`.

    Returns:
        The number of the signal that ended it early, or None.

    Raises:
        UserError: a checkpoint cannot be written, or the losses are no numbers any more.
        tf.errors.OpError: a step failed, as it does where another rank has ended.
    """
    steps_per_epoch = functools.partial(_steps_per_epoch, config, dataset)
    with tf.Graph().as_default() as graph:
        program = build_train_graph(config=config, dataset=dataset, ranks=ranks, device=device)
        with tf.Session(config=device.session_config) as session, timeline.training_run(
            session, config=config, device=device, say=print, rank=ranks.rank
        ) as run:
            program = with_loop(program, session, device)
            graph.finalize()
            checkpointer = Checkpointer(
                config=config,
                program=program,
                ranks=ranks,
                steps_per_epoch=steps_per_epoch,
                warn=utils.warn,
            )
            progress = checkpointer.restore(session)
            reporter = report.open_reporter(
                config=config,
                steps_per_epoch=steps_per_epoch(ranks.size),
                progress=progress,
                ranks=ranks,
            )
            with reporter, Interruption(say=reporter.warn) as interruption:
                stopped_by = _loop(
                    session,
                    run,
                    program,
                    progress,
                    checkpointer,
                    reporter,
                    interruption,
                    config=config,
                    steps=config.epoch * steps_per_epoch(ranks.size),
                )
                program.wait_for_first(session)
    reporter.summarize()
    return stopped_by


def _loop(session, run, program, progress, checkpointer, reporter, interruption, *, config, steps):
    _start(session, program, progress, reporter)
    saved_step, values, stopped_by = progress.step, None, None
    while progress.step < progress.offset + steps and stopped_by is None:
        last_step = progress.offset + steps
        step = progress.step + steps_of_run(program, progress.step, last_step)
        program.vote.cast(session, interruption.signal_number)
        try:
            values = run_steps(
                run,
                program,
                steps=step - progress.step,
                with_summary=step % config.summary_freq == 0,
            )
        except pipeline.InputError:
            if progress.step > saved_step and step == progress.step + 1:  # or nobody knows the step
                checkpointer.save(session, progress)
            raise
        progress = progress._replace(step=step, seconds=reporter.seconds())
        reporter.step(step, values)
        if not (is_sound(values["d_loss"]) and is_sound(values["g_loss"])):
            progress = checkpointer.roll_back(session, progress, values)
            saved_step = progress.step
            _start(session, program, progress, reporter)
            continue
        if step % config.sample_freq == 0 or step == last_step:
            reporter.grid(step, functools.partial(samples.draw, session, program.grid))
        if step % config.ckpt_freq == 0:
            checkpointer.save(session, progress)
            saved_step = step
        stopped_by = program.vote.result(values, interruption.signal_number)
    if values is None:
        reporter.say(f"the run has its {config.epoch} epochs already; a larger --epoch goes on")
    if progress.step > saved_step:
        checkpointer.save(session, progress)
    if progress.step == progress.offset + steps and values is not None:
        reporter.finished(values)
    return stopped_by


def _start(session, program, progress, reporter):
    program.pipeline.start(session, progress.step, progress.draw, offset=progress.offset)
    reporter.begin(progress, session.run(program.step.readings))


def _steps_per_epoch(config, dataset, ranks_size):
    return pipeline.steps_per_epoch(
        dataset, batch_size=config.batch_size, ranks_size=ranks_size, train_size=config.train_size
    )
