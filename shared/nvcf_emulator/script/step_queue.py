"""The steps that wait for requests: which of them the next request meets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from nvcf_emulator.script.chat_request import ChatRequest
from nvcf_emulator.script.conditions import Condition, When, condition_of
from nvcf_emulator.script.steps import Place, Raw, Reply, Step

__all__ = ["Pending", "ScriptError", "ScriptedStep", "StepQueue", "Wanted", "anything"]

Wanted = Callable[[Step], bool]


class ScriptError(AssertionError):
    """What a test scripted does not go with the request that it was used for."""


def anything(_: Step) -> bool:
    """Want any step."""
    return True


@dataclass(frozen=True)
class Pending:
    """A step that was scripted and is not used up.

    Attributes:
        method: The method that scripted it: `reply`, `fail`, …
        keywords: What that method was given, apart from `times` and `when`.
        times: How many requests it still waits for.
        when: Which requests it is for, as it was given; None for any.
    """

    method: str
    keywords: Mapping[str, Any]
    times: int
    when: When | None = None

    def __str__(self) -> str:
        said = [f"{name}={value!r}" for name, value in self.keywords.items()]
        if self.when is not None:
            said.append(f"when={condition_of(self.when)}")
        left = "" if self.times == 1 else f", {self.times} times"
        return f"{self.method}({', '.join(said)}){left}"


@dataclass(eq=False)
class ScriptedStep:
    """One step and what goes with it.

    Attributes:
        place: Which kind of requests it is for.
        step: The step.
        times: How many requests it still waits for; None for any number.
        condition: Which requests of that kind it is for; None for any.
        method: The method that scripted it.
        keywords: What that method was given, apart from `times` and `when`.
    """

    place: str
    step: Step
    times: int | None
    condition: Condition | None
    method: str
    keywords: Mapping[str, Any]

    def pending(self) -> Pending:
        """Return what is left of it."""
        when = self.condition.when if self.condition else None
        return Pending(self.method, self.keywords, self.times or 0, when)


class StepQueue:
    """The steps that wait, and what went wrong with those that were used.

    A request meets first the steps whose condition it fits, then those without one, in the order
    in which they were added.

    Attributes:
        changed: Is notified whenever something happens.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._steps: list[ScriptedStep] = []
        self._errors: list[BaseException] = []
        self._verdicts: WeakKeyDictionary[ChatRequest, dict[ScriptedStep, bool]] = (
            WeakKeyDictionary()
        )

    @property
    def pending(self) -> list[Pending]:
        """What was scripted and is not used up, in order; a new list."""
        with self.changed:
            return [item.pending() for item in self._steps if item.times is not None]

    @property
    def errors(self) -> list[BaseException]:
        """What went wrong with scripted functions and replies, in order; a new list."""
        with self.changed:
            return list(self._errors)

    def add(self, item: ScriptedStep) -> None:
        """Let a step wait behind the others."""
        with self.changed:
            self._steps.append(item)

    def forget_steps(self) -> None:
        """Forget the steps that wait."""
        with self.changed:
            self._steps.clear()

    def forget_errors(self) -> None:
        """Forget what went wrong."""
        with self.changed:
            self._errors.clear()

    def fail_test(self, error: BaseException) -> None:
        """Keep an error, which is raised again by the `with` block and the fixture."""
        with self.changed:
            self._errors.append(error)
            self.changed.notify_all()

    def take(
        self, place: Place, wanted: Wanted = anything, request: ChatRequest | None = None
    ) -> Step | None:
        """Return and use up the next step for a request, if there is one and it is wanted."""
        return self.take_in_turn(place, request, wanted)[0]

    def take_in_turn(
        self, place: Place, request: ChatRequest | None, *wanted: Wanted
    ) -> list[Step | None]:
        """Return and use up the next steps for a request that go together.

        Args:
            place: What the request asks for.
            request: The request, if it asks a model.
            wanted: What each of the steps has to be; one that is not there is left out.

        Returns:
            For each of `wanted` the step, or None.

        Raises:
            ScriptError: A predicate raised.
        """
        taken: list[Step | None] = []
        with self.changed:
            candidates = iter(self._candidates(place, request))
            item = next(candidates, None)
            for is_wanted in wanted:
                if item is None or not is_wanted(item.step):
                    taken.append(None)
                    continue
                taken.append(item.step)
                self._use(item)
                item = next(candidates, None)
            self.changed.notify_all()
        return taken

    def has_answer(self, request: ChatRequest) -> bool:
        """Tell whether an answer to a request is scripted."""
        with self.changed:
            candidates = self._candidates("ask", request)
            return any(isinstance(item.step, Reply | Raw) for item in candidates)

    def _use(self, item: ScriptedStep) -> None:
        if item.times is None:
            return
        item.times -= 1
        if item.times == 0:
            self._steps.remove(item)

    def _candidates(self, place: Place, request: ChatRequest | None) -> list[ScriptedStep]:
        """Return the steps that a request may meet: those made for it, then those for any."""
        here = [item for item in self._steps if item.place in (place, "any")]
        fitting = [item for item in here if item.condition and self._fits(item, request)]
        return fitting + [item for item in here if item.condition is None]

    def _fits(self, item: ScriptedStep, request: ChatRequest | None) -> bool:
        if item.condition is None or request is None:
            return False
        # Each predicate is asked once for a request, since it may count.
        verdicts = self._verdicts.setdefault(request, {})
        try:
            if item not in verdicts:
                verdicts[item] = item.condition.fits(request)
            return verdicts[item]
        except Exception as error:
            self.fail_test(error)
            self._steps.remove(item)
            raise ScriptError(f"the predicate {item.condition} raised {error!r}") from error
