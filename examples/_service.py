"""Which service an example talks to: NVIDIA's where there is a key, else a stand-in on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def connection() -> Iterator[dict[str, Any]]:
    """The keywords with which `ChatNVCF` and `NVCF` reach the service."""
    if os.environ.get("NVIDIA_API_KEY", "").strip():
        yield {}
        return
    from nvcf_emulator import Emulator  # Here, since nobody with a key needs it.

    with Emulator() as server:
        print(
            "No NVIDIA_API_KEY: the emulator answers. It is no model, and says what it was sent.\n"
        )
        yield {
            "base_url": server.base_url,
            "nvcf_url": server.nvcf_url,
            "api_key": server.api_key,
        }
