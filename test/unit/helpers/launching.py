"""A small project in a temporary folder: the real scripts, a made-up main.py and interpreters.

The interpreters are this one behind a wrapper that hides its installed packages and shows empty
modules instead, so that the scripts' own `import tensorflow` really runs, in no time and without
TensorFlow.
"""

import fcntl
import json
import os
import pty
import shutil
import stat
import struct
import subprocess
import sys
import termios
import time

from paths import ROOT

SCRIPTS = os.path.join(ROOT, "test")
# Of the project, besides its scripts: the launcher, and what it imports.
LINKED = (
    "launch",
    "config.py",
    "config_npu.py",
    "options.py",
    "datasets",
    "devices",
    "system",
    "training",
)
MODULES = ("numpy", "PIL", "imageio", "matplotlib", "absl", "tqdm", "requests", "jinja2")
TOOLS = [
    "awk",
    "basename",
    "bash",
    "cat",
    "cksum",
    "cp",
    "date",
    "dirname",
    "env",
    "find",
    "flock",
    "getconf",
    "grep",
    "head",
    "ls",
    "ln",
    "mkdir",
    "mkfifo",
    "mv",
    "rm",
    "sed",
    "sleep",
    "sort",
    "stdbuf",
    "stty",
    "tail",
    "taskset",
    "tee",
    "timeout",
    "touch",
    "tr",
    "true",
    "uname",
]

FULL, PERFORMANCE = "train_full_1p.sh", "train_performance_1p.sh"
PERFORMANCE_8P = "train_performance_8p.sh"
CASE = "DCGAN_ID0686_for_TensorFlow_bs64_1p_perf"
LINE = "[%8d Epoch: %2d/%2d %4d/%4d time: %4.4f, d_loss: %.8f  g_loss: %.8f\n"
SAMPLE = "[Sample] d_loss: 1.00000000, g_loss: 2.00000000\n"
LAST = "Final accuracy d_loss 1.25000000\n"

MAIN = """
import json, os, re, signal, sys, time

out = next(a for a in sys.argv if a.startswith("--out_dir="))[len("--out_dir="):]
say = json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "say.json")))
seen = {"argv": sys.argv[1:], "cores": sorted(os.sched_getaffinity(0)), "signals": [],
        "environment": dict(os.environ), "left": sorted(os.listdir(out))}


rank = os.environ["RANK_ID"]


def note():
    for name in ("seen.json", "seen_by_{}.json".format(rank)):
        with open(os.path.join(out, os.pardir, name), "w") as file:
            json.dump(seen, file)


def receive(number, frame):
    seen["signals"].append(number)


for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, receive)
os.makedirs(os.path.join(out, "run", "samples"), exist_ok=True)
for name in ("train_00000200.png", "train_00000400.png"):
    open(os.path.join(out, "run", "samples", name), "w").close()
with open(os.path.join(out, "run", "FLAGS.json"), "w") as file:
    json.dump(dict(say["options"]), file, indent=1)
if rank == "0":
    with open(os.path.join(out, "run", "metrics.jsonl"), "w") as file:
        for line in say["log"].splitlines():
            told = re.match(r"\\[ *(\\d+) Epoch: *(\\d+)/.* time: (\\S+), ", line)
            if told:
                step, epoch, seconds = int(told[1]), int(told[2]), float(told[3])
                value = {"epoch": epoch, "ranks": int(os.environ["RANK_SIZE"])}
            elif line.startswith("[Sample]"):
                value = {"sample_spread": 9.0}
            else:
                continue
            file.write(json.dumps(dict(value, step=step, seconds=seconds)) + "\\n")
note()
sys.stderr.write(say["errors"])
sys.stderr.flush()
print(say["log"], end="", flush=True)
deadline = time.time() + 60
while say["wait"] and not seen["signals"] and time.time() < deadline:
    time.sleep(0.01)
if say["wait"]:
    time.sleep(0.3)         # long enough for a signal that is passed on twice
    note()
    sys.exit(128 + seen["signals"][0] if rank == "0" else 0)
code = say["codes"].get(rank, say["code"])
while say["codes"] and not code and time.time() < deadline:     # the rank that failed ends this one
    code = 128 + seen["signals"][0] if seen["signals"] else 0
    time.sleep(0.01)
sys.exit(code)
"""

# What horovodrun does: a process a rank, until one fails.
HOROVODRUN = """
import os, signal, subprocess, sys, time

size = int(sys.argv[sys.argv.index("-np") + 1])
words = sys.argv[sys.argv.index("--gloo") + 1:]
ended = []
processes = [subprocess.Popen(words, env=dict(os.environ, HOROVOD_RANK=str(rank)))
             for rank in range(size)]


def end(*unused):
    for process in processes if not ended else ():
        process.terminate()
    ended.append(True)


for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, end)
running = set(range(size))
while running:
    for rank in sorted(running):
        if processes[rank].poll() is not None:
            running.remove(rank)
            if processes[rank].returncode:
                print("Process %d exit with status code %d." % (rank, processes[rank].returncode % 256))
                end()
    time.sleep(0.01)
sys.exit(1 if ended else 0)
"""


class Project:
    """The scripts at `root`, and the environment they are run with."""

    def __init__(self, folder):
        """Args: folder: an empty one, as str or a path."""
        folder = str(folder)
        self.root = os.path.join(folder, "project")
        self.home = os.path.join(folder, "home")
        self.bin = os.path.join(folder, "bin")
        for made in (self.home, self.bin, os.path.join(self.root, "test")):
            os.makedirs(made)
        for name in os.listdir(SCRIPTS):
            if name.endswith(".sh"):
                shutil.copy(os.path.join(SCRIPTS, name), os.path.join(self.root, "test"))
        for name in LINKED:
            os.symlink(os.path.join(ROOT, name), os.path.join(self.root, name))
        for tool in TOOLS:
            if shutil.which(tool):
                os.symlink(shutil.which(tool), os.path.join(self.bin, tool))
        self.environment = {"PATH": self.bin, "HOME": self.home}

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def write(self, path, text=""):
        """Writes a file, with the folders above it; returns its path."""
        path = self.path(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path

    def program(self, path, text):
        """Writes an executable; returns its path."""
        path = self.write(path, text)
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        return path

    def interpreter(self, path, tensorflow="1.15.5", lacking=()):
        """Makes an interpreter that has (an empty) TensorFlow and the modules, but those lacking."""
        modules = self.path("modules-of-" + os.path.abspath(self.path(path)).replace("/", "-"))
        for name in MODULES:
            if name not in lacking:
                self.write(os.path.join(modules, name + ".py"))
        self.write(
            os.path.join(modules, "tensorflow.py"),
            f"__version__ = {tensorflow!r}"
            if tensorflow
            else "raise ImportError('No TensorFlow here')",
        )
        return self.program(
            path, f'#!/bin/sh\nPYTHONPATH="{modules}" exec "{sys.executable}" -S "$@"\n'
        )

    def training(self, log="", code=0, errors="", wait=False, codes=None, **options):
        """Says what the made-up main.py prints, how it ends, and the options it files; returns self.

        Args:
            codes: {rank: its exit code}; the others wait to be ended.
        """
        self.write("main.py", MAIN)
        options = dict({"batch_size": 64, "ckpt_freq": 200}, **options)
        self.write(
            "say.json",
            json.dumps(
                {
                    "log": log,
                    "code": code,
                    "errors": errors,
                    "wait": wait,
                    "options": options,
                    "codes": codes or {},
                }
            ),
        )
        python = self.interpreter("python-of-the-tests")
        # The options are checked by any Python there is, also where DCGAN_PYTHON names none.
        self.environment.update(DCGAN_PYTHON=python, DCGAN_BASE_PYTHON=python)
        return self

    def module(self, name, text=""):
        """Gives the interpreter of `training` another module; a dot in its name is a package."""
        folder = self.path("modules-of-" + self.environment["DCGAN_PYTHON"].replace("/", "-"))
        parts = name.split(".")
        for depth in range(1, len(parts)):
            self.write(os.path.join(folder, *(parts[:depth] + ["__init__.py"])))
        self.write(os.path.join(folder, *parts) + ".py", text)

    def seen(self, name="seen.json"):
        """What main.py was started with."""
        with open(self.path("test", "output", name)) as file:
            return json.load(file)

    def output(self, *parts):
        return self.path("test", "output", "0", *parts)

    def run(self, script, *arguments, cwd="/", **environment):
        """Runs a script to its end; a `subprocess.CompletedProcess` with text."""
        return subprocess.run(
            ["bash", self.path("test", script)] + list(arguments),
            cwd=cwd,
            text=True,
            env=dict(self.environment, **environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )

    def start(self, script, *arguments):
        """Starts a script in a session of its own; a `subprocess.Popen`."""
        return subprocess.Popen(
            ["bash", self.path("test", script)] + list(arguments),
            cwd="/",
            text=True,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )


def log_of(times, first_step=1, epoch=0, stride=1, extra=None):
    """Log lines at these times; `extra` maps a step to what is printed after its line."""
    lines = []
    for index, seconds in enumerate(times):
        step = first_step + index * stride
        lines.append(LINE % (step, epoch, 25, index, 1093, seconds, 1.5 - step / 1e4, 0.7))
        lines.append((extra or {}).get(step, ""))
    return "".join(lines)


def read(path):
    with open(path) as file:
        return file.read()


def wait_for(path, text):
    """Waits until a file holds a text."""
    deadline = time.time() + 600
    while not (os.path.exists(path) and text in read(path)):
        assert time.time() < deadline, f"{text} never came into {path}"
        time.sleep(0.02)


def on_a_terminal(project, script, typed=None):
    """(exit code, what is seen) of a script on a terminal of 91 columns; types once it trains."""
    terminal, other_end = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 91, 0, 0))
    take_terminal = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        "os.execvp('bash', ['bash', sys.argv[1]])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", take_terminal, project.path("test", script)],
        cwd="/",
        env=project.environment,
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
        start_new_session=True,
    )
    os.close(other_end)
    if typed:
        wait_for(project.output("train_0.log"), "Epoch")
        os.write(terminal, typed)
    seen = b"".join(iter(lambda: read_terminal(terminal), b""))
    os.close(terminal)
    return process.wait(), seen.decode()


def read_terminal(terminal):
    """What has been written to a terminal; nothing once its other end is closed."""
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux's way of saying so
        return b""
