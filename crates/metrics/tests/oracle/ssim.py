"""PSNR and SSIM of two made-up images by scikit-image 0.26.0; prints the numbers in src/image.rs."""
import numpy as np
from skimage.metrics import structural_similarity

size = (13, 14, 17)
state = 1


def noise():
    global state
    state = (state * 1664525 + 1013904223) % 2**32
    return np.float32((state >> 8) / 2**24)


n = np.arange(np.prod(size))
truth = np.array([np.float32((i % 17) * (i // 17 % 14) + i // 238) + noise() for i in n], np.float32)
other = np.array([np.float32(0.9) * v + np.float32(20) * noise() for v in truth], np.float32)
truth, other = truth.reshape(size).astype(float), other.reshape(size).astype(float)
peak = 220.0
print("PSNR", 10 * np.log10(peak**2 / np.mean((truth - other) ** 2)))
_, full = structural_similarity(
    truth, other, data_range=peak, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, win_size=11, full=True
)
# Windows inside the image only.
print("SSIM", full[5:-5, 5:-5, 5:-5].mean())
