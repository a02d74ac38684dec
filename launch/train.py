"""A launch: options, data, output folders, the training, its result."""

import importlib.util
import os
import sys
import time
from typing import Dict, List, Tuple, Type

from datasets.registry import DATASETS
from devices import rank_table
from launch import arguments, results
from launch.arguments import Options, Script
from launch.console import ROOT, say
from launch.display import ErrorDisplay
from launch.output import Output, open_outputs
from launch.processes import (
    STOPPED,
    Ending,
    HorovodProcesses,
    Job,
    NpuProcesses,
    OneProcess,
)
from launch.signals import SignalRelay
from options import UserError
from training import throughput

LAST_LINES = 20  # of the log, shown after a failure
JOB_ID = "10086"
# A measurement of the speed pauses for grids and checkpoints no more often than the reference's.
PERFORMANCE_FLAGS = ("--sample_freq=200", "--summary_freq=200", "--ckpt_freq=200")


def train(words: List[str]) -> int:
    """Trains on one or several devices and files the result; returns the training's exit code.

    Args:
        words: what the launch script says, `--`, the user's options.

    Raises:
        UserError: the options, the rank table or the output folder; nothing is lost.
    """
    script, given = arguments.split(words)
    options = arguments.parse(script, given)
    kind, variables = _choose(script, options)
    relay = SignalRelay()
    outputs = open_outputs(_devices(options))
    location = options.dataset
    where = f"--data_path={location.data_path}" if location.data_path else f"in {location.data_dir}"
    say(f"Training: {location.dataset} ({where}), {options.epochs} epoch(s); log: {outputs[0].log}")
    job = Job(
        python=script.python,
        command=_command(script, options, outputs[0]),
        environment={**os.environ, **variables},
        outputs=tuple(outputs),
        size=options.np or 1,
        bind_core=options.bind_core,
    )
    start = int(time.monotonic())
    display = ErrorDisplay(outputs[0], python=script.python)
    training = kind(job, relay=relay, display=display)
    training.start()
    relay.release()
    ending = training.wait()
    display.close()
    if ending.code:
        _report_failure(ending, outputs, resume_hint=training.resume_hint())
    else:
        seconds = int(time.monotonic()) - start
        results.report(outputs[0], script=script, ranks=variables["RANK_SIZE"], seconds=seconds)
    for output in outputs:
        output.forget_previous()
    return ending.code


def _choose(script: Script, options: Options) -> Tuple[Type[OneProcess], Dict[str, str]]:
    """(how the processes are started, the environment's variables for them)."""
    job_id = os.environ.get("JOB_ID") or JOB_ID
    if options.np is None:
        return OneProcess, dict(options.variables, JOB_ID=job_id)
    table = options.rank_table or os.environ.get("RANK_TABLE_FILE")
    if importlib.util.find_spec("npu_bridge") is None:
        if table:
            say("--rank_table: without npu_bridge it has no effect")
        return HorovodProcesses, options.variables
    own_table = os.path.join(ROOT, "configs", "rank_table_8p.json")
    if not table and rank_table.is_filled_in(own_table):
        say(f"Rank table: {own_table}")
        table = own_table
    if not table:
        raise UserError(
            "--rank_table: must name the devices' addresses (template: configs/rank_table_8p.json)"
        )
    table = os.path.join(os.getcwd(), table)
    if rank_table.read_table(table, size=options.np).servers > 1:
        raise UserError(
            f"--np: the {options.np} ranks of {table} are on several servers, and this script starts "
            "those of one; docs/distributed.md says how to start them by hand"
        )
    return NpuProcesses, dict(options.variables, RANK_TABLE_FILE=table, JOB_ID=job_id)


def _devices(options: Options) -> List[int]:
    """The numbers of the devices, rank 0's first."""
    if options.np is None:
        return [int(options.variables["ASCEND_DEVICE_ID"])]
    return list(range(options.np))


def _command(script: Script, options: Options, output: Output) -> Tuple[str, ...]:
    """The command that trains, without --progress; its run lies in rank 0's folder."""
    location = options.dataset
    data_path = (f"--data_path={location.data_path}",) if location.data_path else ()
    dumps = [
        f"--over_dump_path={output.path('overflow')}",
        f"--data_dump_path={output.path('data_dump')}",
    ]
    if any(flag.startswith("--data_save_path=") for flag in options.flags):
        dumps = []  # it moves them too
    row = DATASETS.get(location.dataset)
    crop = ("--crop",) if row and row.crop else ()  # as the reference's documented command has it
    return (
        script.python,
        "-u",
        os.path.join(ROOT, "main.py"),
        "--train",
        f"--dataset={location.dataset}",
        f"--data_dir={location.data_dir}",
        *data_path,
        *crop,
        f"--epoch={options.epochs}",
        f"--out_dir={output.folder}",
        "--out_name=run",
        f"--checkpoint_dir={output.path('ckpt')}",
        *dumps,
        *(PERFORMANCE_FLAGS if script.goal == "perf" else ()),
        f"--data_save_path={output.path('profiling')}",
        *options.flags,
    )


def _report_failure(ending: Ending, outputs: List[Output], *, resume_hint: str) -> None:
    """Says what happened; a training that refused its options leaves the last output in place.

    Args:
        resume_hint: how to go on by hand.
    """
    output = outputs[ending.rank or 0]
    text = results.read_log(output.log)
    if _refused(ending, outputs[0]):
        if not (os.isatty(2) and output is outputs[0]):  # a terminal has shown it
            sys.stderr.write(text)
        for each in outputs:
            each.restore()
        return
    if ending.code in STOPPED:
        say(f"Training stopped by a signal. To go on{resume_hint}")
    else:
        rank = "" if ending.rank is None else f" in rank {ending.rank}"
        say(f"Training failed with exit code {ending.code}{rank}. The last lines of its log:")
        say("\n".join(text.splitlines()[-LAST_LINES:]))
    say(f"Log: {output.log}")


def _refused(ending: Ending, output: Output) -> bool:
    """Whether main.py refused what it was asked for: a user error before the first step."""
    return (
        ending.code == 2
        and not results.d_losses(results.read_log(output.log))
        and not throughput.has_steps(output.path("run"))
        and not [name for name in os.listdir(output.path("ckpt")) if not name.startswith(".")]
    )
