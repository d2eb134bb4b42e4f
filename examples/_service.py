"""Which service an example talks to: NVIDIA's where there is a key, else a stand-in on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ANSWERS = Path(__file__).with_name("stand_in.yaml")
NOTICE = "No NVIDIA_API_KEY: the emulator answers, from stand_in.yaml; it is not a model."


@contextmanager
def connection() -> Iterator[dict[str, Any]]:
    """The keywords with which `ChatNVCF` and `NVCF` reach the service."""
    if os.environ.get("NVIDIA_API_KEY", "").strip():
        yield {}
        return
    print(NOTICE, end="\n\n")
    with stand_in() as service:
        yield service


@contextmanager
def stand_in(*models: str) -> Iterator[dict[str, Any]]:
    """The keywords with which they reach a stand-in, which serves further models if they are named."""
    from nvcf_emulator import Emulator  # Here, since nobody with a key needs it.

    with Emulator(models=models) as server:
        server.load_script(ANSWERS)
        yield {
            "base_url": server.base_url,
            "nvcf_url": server.nvcf_url,
            "api_key": server.api_key,
        }
