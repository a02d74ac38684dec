"""Training images without their finest details, for --blur."""

import numpy as np


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    """Images blurred by a Gaussian; what lies beyond an edge is as its nearest pixel.

    Args:
        images: uint8 [N, H, W, C].
        sigma: the Gaussian's standard deviation in pixels; 0 changes nothing.

    Returns:
        uint8 [N, H, W, C].
    """
    if sigma == 0:
        return images
    from scipy import ndimage  # not above: without --blur it is not needed

    widths = (0, sigma, sigma, 0)  # neither across images nor across colors
    smooth = ndimage.gaussian_filter(images.astype(np.float32), widths, mode="nearest")
    return np.rint(smooth).astype(np.uint8)
