"""The machine: processor, memory, disk through psutil, GPUs through NVML or else GPUtil, with a short history.

The only place that knows these three libraries. No GPU and no driver is a state, told in one sentence
(`Sample.gpu_note`), never an error.
"""

from monitor.sources.resources.gpus import NO_DEVICE, NO_GPU
from monitor.sources.resources.sampler import ResourceSampler

__all__ = ["NO_DEVICE", "NO_GPU", "ResourceSampler"]
