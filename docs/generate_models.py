"""Writes the table of docs/models.md: what each model can do in each framework, read off the rows.

python docs/generate_models.py
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nvcf_core.messages import MediaKind
from nvcf_core.models.catalog import known_models
from nvcf_core.models.spec import ModelSpec

PAGE = Path(__file__).with_name("models.md")
NO = "–"
_BEGIN = "<!-- The table is written by docs/generate_models.py. -->"
_END = "<!-- The table ends. -->"
_TABLE = re.compile(f"(?<={_BEGIN}\n).*(?={_END})", re.DOTALL)

Cell = Callable[[ModelSpec], str]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    langchain: str
    """How a user of LangChain asks for it."""
    llamaindex: str
    """How a user of LlamaIndex does."""
    cell: Cell


def table() -> str:
    """The table, in Markdown."""
    models = known_models()
    head = ["", *(_short(spec.id) for spec in models), "in LangChain", "in LlamaIndex"]
    rows = [head, ["---"] * len(head)]
    rows += [
        [row.name, *(row.cell(spec) for spec in models), row.langchain, row.llamaindex]
        for row in ROWS
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def page(text: str) -> str:
    """The page with its table as the rows have it now."""
    return _TABLE.sub(lambda _: table(), text)


def _short(model: str) -> str:
    return model.partition("/")[2]


def _yes(able: bool) -> str:
    return "yes" if able else NO


def _formats(kind: MediaKind) -> Cell:
    def cell(spec: ModelSpec) -> str:
        if kind not in spec.media:
            return NO
        formats = spec.media[kind]
        return "any" if formats is None else ", ".join(sorted(formats))

    return cell


def _many(spec: ModelSpec) -> str:
    if not spec.media:
        return NO
    return "any" if spec.max_media is None else str(spec.max_media)


def _conversation(spec: ModelSpec) -> str:
    if spec.single_message:
        return "one question"
    if not spec.alternating:
        return "any"
    return "in turns, user first" if spec.first_roles else "in turns, user last"


def _system(spec: ModelSpec) -> str:
    if spec.single_message:
        return "put before the question"
    if spec.system_first:
        return "collected, first"
    return "joined, first" if spec.alternating else "yes"


def _one_call(spec: ModelSpec) -> str:
    if not spec.supports_tools:
        return NO
    return "by the service" if spec.documents("parallel_tool_calls") else "by the client"


def _structured(spec: ModelSpec) -> str:
    if spec.documents("response_format"):
        return "response format"
    return "tool" if spec.supports_tools else "prompt"


def _stop(spec: ModelSpec) -> str:
    return "by the service" if spec.documents("stop") else "by the client"


def _bound(name: str) -> Cell:
    def cell(spec: ModelSpec) -> str:
        if not spec.documents(name):
            return NO
        bound = spec.bounds[name]
        return f"{bound.low} to {bound.high}"

    return cell


def _usage(spec: ModelSpec) -> str:
    return "asked for" if spec.documents("stream_options") else "if sent"


def _numbers(name: str) -> Row:
    return Row(f"`{name}`", f"`{name}=`", f"`{name}=`", _bound(name))


ROWS = (
    Row("Conversation", "`list[BaseMessage]`", "`list[ChatMessage]`", _conversation),
    Row("System message", "`SystemMessage`", "`MessageRole.SYSTEM`", _system),
    Row("Images", "`image`, `image_url` blocks", "`ImageBlock`", _formats("image")),
    Row("Sounds", "`audio`, `input_audio` blocks", "`AudioBlock`", _formats("audio")),
    Row("Films", "`video`, `video_url` blocks", "`VideoBlock`", _formats("video")),
    Row("Media in a request", "blocks", "blocks", _many),
    Row(
        "Media by url",
        "a block's `url`",
        "a block's `url`",
        lambda spec: _yes(bool(spec.media) and spec.remote_urls),
    ),
    Row(
        "Large media, uploaded",
        "any block; `upload()`",
        "any block; `upload()`",
        lambda spec: _yes(bool(spec.media) and spec.assets),
    ),
    Row("Tools", "`bind_tools`", "`chat_with_tools`", lambda spec: _yes(spec.supports_tools)),
    Row(
        "One tool call at a time",
        "`parallel_tool_calls=False`",
        "`allow_parallel_tool_calls=False`",
        _one_call,
    ),
    Row("Structured answers by", "`with_structured_output`", "`structured_predict`", _structured),
    Row(
        "Thinking on and off",
        "`reasoning_effort=`",
        "`reasoning_effort=`",
        lambda spec: _yes(spec.supports_reasoning),
    ),
    Row(
        "Thoughts sent back",
        '`additional_kwargs["reasoning_content"]`',
        "`ThinkingBlock`",
        lambda spec: _yes("reasoning_content" in spec.message_keys),
    ),
    _numbers("reasoning_budget"),
    _numbers("max_tokens"),
    _numbers("temperature"),
    _numbers("top_p"),
    _numbers("frequency_penalty"),
    _numbers("presence_penalty"),
    _numbers("seed"),
    Row("`stop`", "`stop=`", "`stop=`", _stop),
    Row("`logprobs`", "`logprobs=True`", "`logprobs=True`", lambda s: _yes(s.documents("logprobs"))),
    Row("Usage in streams", "`usage_metadata`", "`additional_kwargs`", _usage),
    Row(
        "Context window",
        '`profile["max_input_tokens"]`',
        "`metadata.context_window`",
        lambda spec: f"{spec.context_window:,}",
    ),
)  # fmt: skip


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
