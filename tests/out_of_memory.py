"""How torch, CUDA and its libraries say that memory ran out."""

import torch


def accelerator_error(text: str, code: int | None = None) -> RuntimeError:
    """What torch raises where CUDA gives a code."""
    error = torch.AcceleratorError(text)
    if code is not None:
        error.error_code = code
    return error


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    accelerator_error("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported", 2),
    accelerator_error("CUDA error: out of memory"),
    accelerator_error("words that another version of torch may choose", 2),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
]
