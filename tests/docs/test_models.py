"""The table of docs/models.md: up to date, and every cell of it true in both frameworks."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from nvcf_core.errors import BadRequestError, InvalidRequestError, NVCFWarning
from nvcf_core.models.catalog import known_models
from nvcf_emulator import Emulator

DOCS = Path(__file__).parents[2] / "docs"
NO = "–"


def _cells() -> dict[str, list[str]]:
    """The cells of each line of the page's table, by the line's name."""
    lines = (DOCS / "models.md").read_text(encoding="utf-8").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return {row[0].strip("`"): row[1:-2] for row in rows[2:]}


CELLS = _cells()
MODELS = [spec.id for spec in known_models()]


def test_the_table_is_as_the_rows_are(load: Callable[[Path], ModuleType]) -> None:
    text = (DOCS / "models.md").read_text(encoding="utf-8")
    generator = load(DOCS / "generate_models.py")
    assert generator.page(text) == text, "run: python docs/generate_models.py"


def test_every_line_of_the_table_is_checked() -> None:
    assert set(CELLS) == set(CHECKS)
    assert all(len(cells) == len(MODELS) for cells in CELLS.values())


@dataclass
class Case:
    """One cell, in one framework."""

    cell: str
    id: str
    framework: Any
    make: Callable[..., Any]
    server: Emulator
    samples: dict[str, dict[str, Any]]
    said: Any

    @property
    def body(self) -> dict[str, Any]:
        """The last request's."""
        return self.server.chats[-1].body

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self.body["messages"]

    def user(self, *parts: Any) -> list[Any]:
        return [self.said("user", parts)]

    def ask(self, *parts: Any, **given: Any) -> Any:
        return self.talk(self.user(*parts), **given)

    def talk(self, conversation: list[Any], **given: Any) -> Any:
        return self.framework.chat(self.make(self.id), conversation, **given)

    def refused(self, *parts: Any, **given: Any) -> None:
        """Asking so is refused, and nothing is sent."""
        before = len(self.server.requests)
        with pytest.raises(InvalidRequestError):
            self.ask(*parts, **given)
        assert len(self.server.requests) == before

    def undocumented(self, field: str, value: Any) -> None:
        """A field that the page lacks is sent with a warning, for the service to judge."""
        with pytest.warns(NVCFWarning), suppress(BadRequestError):
            self.ask("Hello", **{field: value})
        assert self.body[field] == value

    def any_medium(self) -> Any:
        """A medium of the first kind that the model takes; a picture, if it takes none."""
        kind = next((name for name in ("image", "audio", "video") if self.takes(name)), "image")
        return next(iter(self.samples[kind].values()))

    def takes(self, kind: str) -> bool:
        column = MODELS.index(self.id)
        return CELLS[{"image": "Images", "audio": "Sounds", "video": "Films"}[kind]][column] != NO


def conversation(case: Case) -> None:
    turns = [case.said("user", ("One",)), case.said("user", ("Two",))]
    turned = [*case.user("One"), case.said("assistant", ("Two",))]
    if case.cell == "one question":
        case.ask("One")
        with pytest.raises(InvalidRequestError):
            case.talk([*turned, *case.user("Three")])
        assert len(case.messages) == 1
        return
    case.talk(turns)
    if case.cell in ("in turns, user first", "in turns, user last"):
        assert [message["role"] for message in case.messages] == ["user"]
        assert case.messages[0]["content"].split() == ["One", "Two"]
        with pytest.raises(InvalidRequestError):
            case.talk(turned if case.cell.endswith("last") else turned[::-1])
    else:
        assert case.cell == "any"
        assert [message["content"] for message in case.messages] == ["One", "Two"]
        case.talk(turned)
        assert [message["role"] for message in case.messages] == ["user", "assistant"]


def system_message(case: Case) -> None:
    case.talk([case.said("system", ("Be brief.",)), *case.user("One")])
    roles = [message["role"] for message in case.messages]
    if case.cell == "put before the question":
        assert roles == ["user"]
        assert case.messages[0]["content"].split() == ["Be", "brief.", "One"]
        return
    assert roles == ["system", "user"]
    assert case.messages[0]["content"] == "Be brief."
    if case.cell in ("joined, first", "collected, first"):
        system = case.said("system", ("Be kind.",))
        case.talk([case.said("system", ("Be brief.",)), system, *case.user("One"), system])
        assert [message["role"] for message in case.messages] == ["system", "user"]
        late = ["Be", "kind."]
        collected = late if case.cell == "collected, first" else []
        assert case.messages[0]["content"].split() == ["Be", "brief.", *late, *collected]
        assert case.messages[1]["content"].split() == ["One", *([] if collected else late)]


def formats(kind: str) -> Callable[[Case], None]:
    def check(case: Case) -> None:
        allowed = case.cell.split(", ")
        for name, medium in case.samples[kind].items():
            if case.cell == "any" or name in allowed:
                with suppress(BadRequestError if case.cell == "any" else ()):  # The service judges.
                    case.ask("What is this?", medium)
                assert base64.b64encode(medium.data) in case.server.chats[-1].raw
            else:
                case.refused("What is this?", medium)

    return check


def media_in_a_request(case: Case) -> None:
    medium = case.any_medium()
    if case.cell == NO:
        case.refused("Compare.", medium)
        return
    case.ask("What is this?", medium)
    if case.cell == "1":
        case.refused("Compare.", medium, medium)
        return
    assert case.cell == "any"
    case.ask("Compare.", *[medium] * 3)
    assert case.server.chats[-1].raw.count(base64.b64encode(medium.data)) == 3


def media_by_url(case: Case) -> None:
    medium = replace(case.any_medium(), data=b"", mime="", url="https://example.com/a.bin")
    if case.cell == NO:
        case.refused("What is this?", medium)
        return
    assert case.cell == "yes"
    case.ask("What is this?", medium)
    assert b'"https://example.com/a.bin"' in case.server.chats[-1].raw


def large_media(case: Case) -> None:
    file = io.BytesIO()
    Image.frombytes("RGB", (250, 250), os.urandom(250 * 250 * 3)).save(file, "png")
    medium = replace(case.samples["image"]["png"], data=file.getvalue())
    if case.cell == NO:
        case.refused("What is this?", medium)
        return
    assert case.cell == "yes"
    case.ask("What is this?", medium)
    [asset_id] = case.server.assets
    assert case.server.chats[-1].headers["nvcf-input-asset-references"] == asset_id
    assert f"asset_id,{asset_id}".encode() in case.server.chats[-1].raw


def tools(case: Case) -> None:
    if case.cell == NO:
        with pytest.warns(NVCFWarning), pytest.raises(BadRequestError):
            case.framework.call_tools(case.make(case.id), "lookup 'sun'")
        return
    assert case.cell == "yes"
    answer = case.framework.call_tools(case.make(case.id), "lookup 'sun'")
    assert answer.calls == ["lookup"]
    assert [tool["function"]["name"] for tool in case.body["tools"]] == ["lookup"]


def one_tool_call(case: Case) -> None:
    if case.cell == NO:
        with pytest.warns(NVCFWarning), pytest.raises(BadRequestError):
            case.framework.call_tools(case.make(case.id), "lookup 'sun'", parallel=False)
        return
    call = {"name": "lookup", "arguments": {"key": "sun"}}
    if case.cell == "by the client":
        case.server.reply(tool_calls=[call, call])
    answer = case.framework.call_tools(case.make(case.id), "lookup 'sun'", parallel=False)
    assert answer.calls == ["lookup"]
    expected = {"by the service": False, "by the client": "absent"}[case.cell]
    assert case.body.get("parallel_tool_calls", "absent") == expected


def structured(case: Case) -> None:
    if case.cell == "prompt":
        case.server.reply(text='{"name": "Ada"}')
    person = case.framework.structured(case.make(case.id), "Who is 'Ada'?")
    assert person.name == "Ada"
    wire = {
        "response format": case.body.get("response_format", {}).get("type") == "json_schema",
        "tool": case.body.get("tool_choice", {}) not in ("auto", "none", {}),
        "prompt": '"properties"' in str(case.messages),
    }
    assert [way for way, used in wire.items() if used] == [case.cell]


def thinking(case: Case) -> None:
    if case.cell == NO:
        with pytest.warns(NVCFWarning):
            answer = case.ask("Hello", reasoning_effort="high")
        assert not answer.reasoning
        assert not {"chat_template_kwargs", "reasoning_effort"} & set(case.body)
        return
    assert case.cell == "yes"
    assert case.ask("Hello", reasoning_effort="high").reasoning
    assert not case.ask("Hello", reasoning_effort="none").reasoning


def thoughts_sent_back(case: Case) -> None:
    turns = [
        *case.user("One"),
        case.said("assistant", ("Two",), reasoning="Hm."),
        *case.user("Three"),
    ]
    if CELLS["Conversation"][MODELS.index(case.id)] == "one question":
        assert case.cell == NO
        with pytest.raises(InvalidRequestError):
            case.talk(turns)
        return
    case.talk(turns)
    sent = case.messages[1].get("reasoning_content", NO)
    assert sent == {"yes": "Hm.", NO: NO}[case.cell]
    assert ("Hm." in str(case.body)) == (case.cell == "yes")


def numbers(field: str) -> Callable[[Case], None]:
    def check(case: Case) -> None:
        if case.cell == NO:
            case.undocumented(field, 1)
            return
        low, high = (int(end) for end in case.cell.split(" to "))
        for value in (low, high):
            case.ask("Hello", **{field: value})
            assert case.body[field] == value
        for value in (low - 1, high + 1):
            case.refused("Hello", **{field: value})

    return check


def stop(case: Case) -> None:
    case.server.reply(text="one two three")
    answer = case.ask("Count.", stop=["two"])
    if case.cell == "by the service":
        assert case.body["stop"] == ["two"]
    else:
        assert case.cell == "by the client"
        assert answer.text == "one "
        assert "stop" not in case.body


def logprobs(case: Case) -> None:
    if case.cell == NO:
        case.undocumented("logprobs", True)
        return
    assert case.cell == "yes"
    assert case.ask("Hello", logprobs=True).logprobs
    assert case.body["logprobs"] is True


def usage_in_streams(case: Case) -> None:
    answer = case.framework.stream(case.make(case.id), case.user("Hello"))
    asked = case.body.get("stream_options") == {"include_usage": True}
    assert answer.usage == asked == (case.cell == "asked for")
    if not asked:
        assert "stream_options" not in case.body
        case.server.shape = "usage-in-finish"
        assert case.framework.stream(case.make(case.id), case.user("Hello")).usage


def context_window(case: Case) -> None:
    assert f"{case.framework.window(case.make(case.id)):,}" == case.cell


NUMBERS = (
    "reasoning_budget",
    "max_tokens",
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "seed",
)
CHECKS: dict[str, Callable[[Case], None]] = {
    "Conversation": conversation,
    "System message": system_message,
    "Images": formats("image"),
    "Sounds": formats("audio"),
    "Films": formats("video"),
    "Media in a request": media_in_a_request,
    "Media by url": media_by_url,
    "Large media, uploaded": large_media,
    "Tools": tools,
    "One tool call at a time": one_tool_call,
    "Structured answers by": structured,
    "Thinking on and off": thinking,
    "Thoughts sent back": thoughts_sent_back,
    **{field: numbers(field) for field in NUMBERS},
    "stop": stop,
    "logprobs": logprobs,
    "Usage in streams": usage_in_streams,
    "Context window": context_window,
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", CELLS)
def test_cell(
    name: str,
    model: str,
    framework: Any,
    make: Callable[..., Any],
    nvcf_emulator: Emulator,
    samples: dict[str, dict[str, Any]],
    said: Any,
) -> None:
    cell = CELLS[name][MODELS.index(model)]
    CHECKS[name](Case(cell, model, framework, make, nvcf_emulator, samples, said))
