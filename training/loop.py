"""The training loop."""

from typing import Optional

from config import Config
from datasets.dataset import Dataset
from devices.device import Device
from devices.ranks import Ranks
from training.run import open_training
from training.run_lock import RunLock


def train(
    config: Config, dataset: Dataset, device: Device, *, ranks: Ranks, lock: RunLock
) -> Optional[int]:
    """Trains in the run's folder up to `config.epoch` epochs. An existing run is resumed.

    Args:
        config: with every field filled in (`training.run_folder.open_run_folder`).
        dataset: `datasets.dataset.Dataset`.
        device: `devices.device.Device`.
        ranks: `devices.ranks.Ranks`.
        lock: of the run's folders.

    Returns:
        The number of the signal that ended it early, or None.

    Raises:
        UserError: a checkpoint cannot be written, input cannot be read, or training has diverged.
        tf.errors.OpError: a step failed, as it does when another rank has died.
    """
    with open_training(config, dataset, device, ranks=ranks, lock=lock) as run:
        while not run.finished and run.stop_signal is None:
            result = run.step()  # one step, or as many as the device loops
            if result.trouble:
                run.roll_back(result.trouble)
                continue
            last = run.finished or run.stop_signal is not None
            if run.due(config.sample_freq) or run.finished:
                run.draw_samples()
            if run.due(config.ckpt_freq) or last:
                run.save()
            elif run.save_due:  # by the clock
                run.save(interim=True)
    return run.stop_signal
