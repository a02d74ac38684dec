"""Which options do not go together."""

import importlib.util

from config import OPTIONS, Config
from options import UserError
from system.interpreter import install_command


def check_config(config: Config) -> None:
    """Raises `UserError`, naming the flag, where two options do not go together.

    What one option may hold is declared in `Config`; `devices/` checks what the device takes, and
    `datasets/` what the data allow.
    """
    jobs = config.jobs
    if config.train and jobs:
        raise UserError(f"--{OPTIONS[jobs[0]].flag}: not together with --train")
    if config.generate and config.seeds is not None:
        raise UserError("--seeds: not together with --generate (which takes the seeds 0, 1, ...)")
    if config.resume and not config.train:
        raise UserError("--resume: only together with --train")
    if config.init_optimizers and config.init_from is None:
        raise UserError("--init_optimizers: only together with --init_from")
    if config.pad and not config.crop:
        raise UserError("--pad: only together with --crop (it fills what the crop lacks)")
    if config.channels == 2:
        raise UserError("--channels: 1 (gray) or 3 (color), not 2")
    if config.updates == "alternating" and config.batch_size % 2:
        raise UserError(
            f"--batch_size: {config.batch_size} is odd; --updates=alternating halves it"
        )
    if config.step_dump and (config.iterations_per_loop > 1 or not config.fused_step):
        raise UserError("--step_dump: not with --nofused_step or --iterations_per_loop")
    if config.train and config.film == "mp4" and importlib.util.find_spec("imageio_ffmpeg") is None:
        raise UserError(
            "--film: mp4 needs the package imageio-ffmpeg; install it with: "
            + install_command("-r requirements-optional.txt")
        )
    if config.blur and importlib.util.find_spec("scipy") is None:
        raise UserError("--blur: needs scipy; install it with: " + install_command("scipy"))
    if config.iterations_per_loop > 1:
        _check_loop_intervals(config)


def _check_loop_intervals(config: Config) -> None:
    if not config.fused_step:
        raise UserError("--iterations_per_loop: needs the fused step (drop --nofused_step)")
    for name in ("sample_freq", "ckpt_freq", "summary_freq", "log_freq"):
        interval = getattr(config, name)
        if interval % config.iterations_per_loop:
            raise UserError(
                f"--{name}: {interval} is not a multiple of "
                f"--iterations_per_loop={config.iterations_per_loop}"
            )
