"""What the measured costs are to be: one row for each promise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["GOALS", "Figures", "Goal", "Outcome", "outcomes"]

Figures: TypeAlias = Mapping[str, Mapping[str, float]]
"""For each case, what it cost each contender, by their names."""

NVIDIA = "langchain-nvidia-ai-endpoints"
OPENAI = "langchain-openai"
LIKE = "llama-index-llms-openai-like"
LANGCHAIN, LLAMAINDEX = "LangChain alone", "LlamaIndex alone"
HTTPX = "httpx alone"
_OURS = {"LangChain": "ChatNVCF", "LlamaIndex": "NVCF"}


@dataclass(frozen=True)
class Goal:
    """One promise: what a case costs us is at most `most`, as it is or set against something."""

    title: str
    framework: Literal["LangChain", "LlamaIndex"]
    case: str
    most: float
    against: str | None = None
    """The contender whose cost of the same case ours is divided by."""
    case_against: str | None = None
    """The case of our own whose cost it is divided by."""
    added: bool = False
    """Whether the other's cost is subtracted instead."""
    unit: str = "×"
    """What the figure is in: "×", "ms", or "kB"."""

    @property
    def scale(self) -> float:
        """What a cost is multiplied by to be in this unit."""
        return 0.001 if self.unit == "ms" else 1.0


@dataclass(frozen=True)
class Outcome:
    """What became of a goal."""

    goal: Goal
    found: float

    @property
    def met(self) -> bool:
        """Whether it is kept."""
        return self.found <= self.goal.most


def _beside(
    framework: Literal["LangChain", "LlamaIndex"], peer: str, **most: float
) -> Iterator[Goal]:
    """Goals that are ratios to a peer, by case."""
    for case, number in most.items():
        yield Goal(f"against {peer}", framework, case, number, against=peer)


GOALS: tuple[Goal, ...] = (
    *_beside(
        "LangChain", NVIDIA, call=0.42, acall=0.70, calls_at_once=0.9, burst_100=0.42, burst_3000=0.42,
        burst_10000=0.58, lone=0.8, alone=0.75, streams_at_once=0.6, tools=0.38, reasoning=0.48,
    ),
    *_beside("LangChain", OPENAI, call=0.35, acall=0.35),
    *_beside("LangChain", LANGCHAIN, burst_3000=1.1),
    Goal("against our own chunks", "LangChain", "events", 0.5, case_against="burst_3000"),
    *_beside(
        "LlamaIndex", LIKE, call=0.36, acall=0.34, burst_100=0.11, burst_10000=0.085, aburst_100=0.11,
        aburst_10000=0.085,
    ),
    *_beside("LlamaIndex", LLAMAINDEX, burst_100=1.0, burst_10000=1.0),
    Goal("against a burst of 100", "LlamaIndex", "burst_10000", 1.1, case_against="burst_100"),
    Goal("", "LlamaIndex", "talk_stream", 9.0, unit="ms"),
    Goal("", "LangChain", "talk_1000", 4.8, unit="ms"),
    Goal("", "LlamaIndex", "talk_1000", 6.0, unit="ms"),
    Goal("against 250 messages", "LangChain", "talk_1000", 4.0, case_against="talk_250"),
    Goal("against 250 messages", "LlamaIndex", "talk_1000", 4.0, case_against="talk_250"),
    Goal("", "LangChain", "new_object", 1.4, unit="ms"),
    Goal("", "LlamaIndex", "new_object", 1.4, unit="ms"),
    Goal("", "LangChain", "new_loop", 2.0, unit="ms"),
    Goal("", "LlamaIndex", "new_loop", 2.0, unit="ms"),
    Goal("", "LangChain", "after_peak", 1.1),
    Goal("", "LlamaIndex", "after_peak", 1.1),
    Goal("", "LangChain", "open_memory", 24.0, unit="kB"),
    Goal("", "LlamaIndex", "open_memory", 24.0, unit="kB"),
    Goal("", "LangChain", "open_time", 0.9, unit="ms"),
    Goal("", "LlamaIndex", "open_time", 0.9, unit="ms"),
    Goal("", "LangChain", "import", 50.0, unit="ms"),
    Goal("", "LlamaIndex", "import", 35.0, unit="ms"),
    Goal("added to httpx", "LangChain", "first_chunk", 0.3, against=HTTPX, added=True, unit="ms"),
    Goal("added to httpx", "LlamaIndex", "first_chunk", 0.3, against=HTTPX, added=True, unit="ms"),
    Goal("", "LangChain", "image", 3.9, unit="ms"),
)  # fmt: skip


def outcomes(figures: Figures) -> list[Outcome]:
    """What became of every goal whose cases were measured."""
    found = ((goal, _found(goal, figures)) for goal in GOALS)
    return [Outcome(goal, number) for goal, number in found if number is not None]


def _found(goal: Goal, figures: Figures) -> float | None:
    us = _OURS[goal.framework]
    ours = figures.get(goal.case, {}).get(us)
    if ours is None:
        return None
    if goal.against is not None:
        theirs = figures[goal.case].get(goal.against)
    elif goal.case_against is not None:
        theirs = figures.get(goal.case_against, {}).get(us)
    else:
        return ours * goal.scale
    if theirs is None:
        return None
    return (ours - theirs) * goal.scale if goal.added else ours / theirs
