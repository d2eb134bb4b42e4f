"""The probes of one model, held against the documentation, the emulator and a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from nvcf_core import ModelSpec

from .exchange import Connection, ProbeObservation
from .outcomes import describe_details
from .probes import Probe

__all__ = ["Reference", "Result", "compare", "estimated_cost"]

_PROMPT_TOKENS = 120
"""About what the question of a probe costs, media included."""

_STOPPING = (401, 402, 403, 404, 410)
"""Statuses of the first probe after which the other probes are pointless."""


class Reference(Protocol):
    """The emulator, as far as it is needed here."""

    @property
    def base_url(self) -> str:
        """The root that ends in `/v1`."""

    @property
    def nvcf_url(self) -> str:
        """The root of the asset API."""

    @property
    def api_key(self) -> str:
        """The key that it accepts."""

    @property
    def accept(self) -> Callable[..., None]:
        """Make it answer the next request with a 202 first."""


@dataclass(frozen=True)
class Result:
    """One line of the comparison.

    Attributes:
        model: the id of the model.
        probe: what was asked about.
        documented: the outcome that the documentation promises; None where it says nothing.
        emulator: the outcome at the emulator.
        observed: the outcome at the server.
        deviates: whether the server does something else than is documented, or where that says
            nothing, than the emulator does.
        detail: the server's own words where it did not answer.
    """

    model: str
    probe: str
    documented: str | None
    emulator: str
    observed: str
    deviates: bool
    detail: str = ""


def estimated_cost(probes: Sequence[Probe]) -> int:
    """Tokens that the probes use at most, if all are answered to their limit."""
    return sum(probe.tokens + _PROMPT_TOKENS for probe in probes)


def compare(
    spec: ModelSpec, probes: Sequence[Probe], server: Connection, reference: Reference
) -> Iterator[Result]:
    """Yield the result of each probe; of the first alone where the server does not serve the model.

    Args:
        spec: the model.
        probes: what to ask, the plain question first.
        server: the server in question.
        reference: a running emulator.
    """
    with Connection(reference.base_url, reference.nvcf_url, reference.api_key) as emulator:
        for number, probe in enumerate(probes):
            if probe.polled:
                reference.accept(polls=1)
            expected = probe.outcome(probe.send(emulator))
            observed = probe.send(server)
            yield _result(spec, probe, expected, observed)
            if number == 0 and (observed.problem or observed.status in _STOPPING):
                return


def _result(spec: ModelSpec, probe: Probe, emulator: str, observed: ProbeObservation) -> Result:
    outcome = probe.outcome(observed)
    wanted = emulator if probe.documented is None else probe.documented
    return Result(
        model=spec.id,
        probe=probe.name,
        documented=probe.documented,
        emulator=emulator,
        observed=outcome,
        deviates=outcome != wanted,
        detail=describe_details(observed),
    )
