"""The processes that train: one, one a device on NPUs, or those of horovodrun elsewhere."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import time
from typing import Dict, List, NamedTuple, Optional, Tuple

from devices import rank_table
from launch import binding
from launch.console import ROOT
from launch.display import ErrorDisplay
from launch.output import RANK_0_PID, Output
from launch.signals import PASSED_ON, SignalRelay, own_group

SECONDS_TO_END = 15  # what the other ranks have once one has failed
POLL_SECONDS = 0.2
STOPPED = tuple(128 + number for number in PASSED_ON)  # exit codes after a signal
HOROVODRUN_LOG = "horovodrun.log"
FIRST_FAILURE = re.compile(r"^Process (\d+) exit with status code (\d+)\.$", re.M)


class Job(NamedTuple):
    """What is to be trained.

    Attributes:
        python: the interpreter.
        command: the command that trains, without --progress.
        environment: its environment.
        outputs: the output folders, rank 0's first.
        size: number of ranks of this launch.
        bind_core: whether each rank is bound to its share of the cores.
    """

    python: str
    command: Tuple[str, ...]
    environment: Dict[str, str]
    outputs: Tuple[Output, ...]
    size: int
    bind_core: bool


class Ending(NamedTuple):
    """How a training ended.

    Attributes:
        code: the exit code, 128 + N after signal N.
        rank: the rank that failed first, or None.
    """

    code: int
    rank: Optional[int] = None


class OneProcess:
    """A training on one device."""

    def __init__(self, job: Job, *, relay: SignalRelay, display: ErrorDisplay):
        self._job, self._relay, self._display = job, relay, display

    def start(self) -> None:
        """Starts it; the relay is to be released after that."""
        job = self._job
        command = [*self._binding(), *job.command, f"--progress={self._display.bar}"]
        with _opened(job.outputs[0].log) as log, _opened(self._display.path) as errors:
            self._start(command, stdout=log, stderr=errors)

    def wait(self) -> Ending:
        """Waits until it has ended, whatever signals come meanwhile."""
        return Ending(_code(self._relay.processes[0].wait()))

    def resume_hint(self) -> str:
        """How a user goes on by hand with a training that was stopped."""
        device = self._job.environment["ASCEND_DEVICE_ID"]
        return ": " + self._by_hand([] if device == "0" else ["env", f"ASCEND_DEVICE_ID={device}"])

    def _by_hand(self, words: List[str]) -> str:
        return " ".join(map(shlex.quote, [*words, *self._job.command]))

    def _binding(self) -> List[str]:
        environment = self._job.environment
        if not self._job.bind_core:
            return []
        return binding.words(rank=int(environment["RANK_ID"]), size=int(environment["RANK_SIZE"]))

    def _start(self, command, *, stdout=None, stderr=None, **variables: str) -> None:
        job = self._job
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env={**job.environment, **self._display.environment, **variables},
            preexec_fn=own_group,
            pass_fds=[output.lock for output in job.outputs],
        )
        self._relay.processes.append(process)

    def _rank_command(self) -> List[str]:
        """The command of a rank; see rank.py."""
        bind = "bind" if self._job.bind_core else "free"
        words = [self._job.python, os.path.join(ROOT, "launch"), "rank", self._display.path, bind]
        return [*words, *self._job.command]


class NpuProcesses(OneProcess):
    """A training on several NPUs: the launcher starts a process a device."""

    def start(self) -> None:
        """Starts all of them; the relay is to be released after that."""
        job = self._job
        table = rank_table.read_table(job.environment["RANK_TABLE_FILE"], size=job.size)
        for rank in range(job.size):
            device = str(table.device_ids[rank])
            self._start(self._rank_command(), RANK_ID=str(rank), ASCEND_DEVICE_ID=device)

    def resume_hint(self) -> str:
        """See `OneProcess.resume_hint`."""
        environment = self._job.environment
        names = ("RANK_TABLE_FILE", "RANK_SIZE", "JOB_ID")
        words = ["env", *[f"{name}={environment[name]}" for name in names]]
        return (
            ", start this once for each rank N on its device D of the rank table: "
            + self._by_hand([*words, "RANK_ID=N", "ASCEND_DEVICE_ID=D"])
        )

    def wait(self) -> Ending:
        """Waits for all; where one fails the others are ended. Returns the first failure.

        After a stop that all have voted for, rank 0 is the last to end, and the only one whose exit
        code is not 0.
        """
        ending, deadline = Ending(0), 0.0
        running = dict(enumerate(self._relay.processes))
        while running:
            for rank, process in list(running.items()):
                if process.poll() is None:
                    continue
                del running[rank]
                if process.returncode and not ending.code:
                    ending = Ending(_code(process.returncode), rank)
                    deadline = time.monotonic() + SECONDS_TO_END
                    for other in running.values():
                        other.terminate()  # once: a second signal would stop one that is saving
            if ending.code and time.monotonic() >= deadline:
                for process in running.values():
                    process.kill()
            if running:
                time.sleep(POLL_SECONDS)
        return ending


class HorovodProcesses(OneProcess):
    """A training on several devices whose processes horovodrun starts."""

    def __init__(self, job: Job, *, relay: SignalRelay, display: ErrorDisplay):
        super().__init__(job, relay=relay, display=display)
        relay.only_term = True
        # The vote of the ranks stops all for one. horovodrun would kill them after five seconds.
        relay.leader = self._rank_0
        self._launcher = [
            job.python, "-m", "horovod.runner.launch", "-np", str(job.size), "--gloo"
        ]  # fmt: skip
        self._log = job.outputs[0].path(HOROVODRUN_LOG)
        self._pid_file = job.outputs[0].path(RANK_0_PID)

    def start(self) -> None:
        """Starts horovodrun; the relay is to be released after that."""
        self._forget_rank_0()
        with open(self._log, "wb") as log:
            self._start(
                [*self._launcher, *self._rank_command()], stdout=log, stderr=subprocess.STDOUT
            )

    def resume_hint(self) -> str:
        """See `OneProcess.resume_hint`."""
        return ": " + self._by_hand(self._launcher)

    def _rank_0(self) -> Optional[int]:
        """The number of rank 0's process, once it has written it down."""
        try:
            with open(self._pid_file) as file:
                return int(file.read())
        except (OSError, ValueError):
            return None

    def _forget_rank_0(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.remove(self._pid_file)

    def wait(self) -> Ending:
        """Waits for horovodrun, which ends the others where one fails."""
        ending = super().wait()
        self._forget_rank_0()
        if not ending.code:
            return ending
        with open(self._log, encoding="utf-8", errors="replace") as file:
            text = file.read()
        first = FIRST_FAILURE.search(text)
        if first is None:
            with open(self._job.outputs[0].log, "a", encoding="utf-8") as log:
                log.write(text)
            return ending
        rank, code = map(int, first.groups())
        # horovodrun ends its processes by SIGTERM whatever ended it.
        if code == 128 + signal.SIGTERM and self._relay.received is not None:
            code = 128 + self._relay.received
        return Ending(code, rank)


def _opened(path: str):
    """A file or a FIFO to append to."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666), "wb", 0)


def _code(status: int) -> int:
    """The exit code that a shell makes of a process's status."""
    return status if status >= 0 else 128 - status
