"""`nvcf chat`: ask a model from a terminal or in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from nvcf_cli.chat_model import ChatModel
from nvcf_cli.options import NVCFURL, AsJSON, BaseURL, complete_model, service_settings
from nvcf_cli.output import CommandError, Output
from nvcf_core import Chunk, Media, MediaKind, Message, Part
from nvcf_core.errors import InvalidRequestError, NVCFError
from nvcf_core.media.delivery import INLINE_LIMIT
from nvcf_core.media.formats import detect_media_type
from nvcf_core.media.sources import base64_length, open_source
from nvcf_core.models.spec import ReasoningEffort

__all__ = ["Conversation", "chat"]

_STANDARD_INPUT = "-"

_EFFORTS: tuple[str, ...] = get_args(ReasoningEffort)


def _complete_effort(incomplete: str) -> list[str]:
    return [effort for effort in _EFFORTS if effort.startswith(incomplete)]


@dataclass
class Conversation:
    """A conversation with one model, which remembers its messages.

    Args:
        model: the model.
        output: where its answers are shown.
        show_reasoning: whether its reasoning is shown, too.
        messages: what was said before; a system message, say.
        given: keywords of every call.
    """

    model: ChatModel
    output: Output
    show_reasoning: bool
    messages: list[Message] = field(default_factory=list[Message])
    given: dict[str, Any] = field(default_factory=dict[str, Any])

    def ask(self, *messages: Message) -> Chunk:
        """Say something, show the answer as it comes, and return it whole.

        Raises:
            NVCFError: whatever goes wrong; the conversation is then as it was.
        """
        asked = [*self.messages, *messages]
        answer = Chunk()
        shown = ""
        try:
            for chunk in self.model.stream(asked, **self.given):
                answer += chunk
                shown = self._show(chunk, shown)
        finally:
            if shown:
                self.output.line()
        self._finish(answer)
        said = (answer.text,) if answer.text else ()
        self.messages = [
            *asked,
            Message(
                role="assistant",
                parts=said,
                tool_calls=answer.tool_calls,
                reasoning=answer.reasoning or None,
            ),
        ]
        return answer

    def _show(self, chunk: Chunk, shown: str) -> str:
        """Show a piece; return what was shown last, `reasoning` or `text`."""
        if chunk.reasoning and self.show_reasoning:
            self.output.piece(chunk.reasoning, "dim")
            shown = "reasoning"
        if chunk.text:
            self.output.piece("\n\n" if shown == "reasoning" else "")
            self.output.piece(chunk.text)
            shown = "text"
        return shown

    def _finish(self, answer: Chunk) -> None:
        for call in answer.tool_calls:
            self.output.line(f"{call.name}({call.arguments})", "cyan")
        if answer.refusal:
            self.output.line(f"The model declined: {answer.refusal}", "yellow")
        if answer.finish_reason not in (None, "stop", "tool_calls"):
            self.output.note(f"The answer ended early: {answer.finish_reason}")


def chat(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Id of the model.", autocompletion=complete_model),
    ],
    text: Annotated[
        str | None,
        typer.Argument(metavar="[TEXT|-]", help="What to ask; - reads the standard input."),
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option("--image", metavar="FILE", help="An image; may be repeated."),
    ] = None,
    audio: Annotated[
        list[Path] | None,
        typer.Option("--audio", metavar="FILE", help="An audio; may be repeated."),
    ] = None,
    video: Annotated[
        list[Path] | None, typer.Option("--video", metavar="FILE", help="A video; may be repeated.")
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", metavar="TEXT", help="The system message.")
    ] = None,
    tool: Annotated[
        list[Path] | None,
        typer.Option(
            "--tool",
            metavar="FILE",
            help="JSON file with a tool's definition, or a list of them; its calls are shown, not run.",
        ),
    ] = None,
    effort: Annotated[
        str | None,
        typer.Option(
            "--reasoning-effort",
            metavar="|".join(_EFFORTS),
            help="How much the model thinks.",
            autocompletion=_complete_effort,
        ),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", metavar="N", help="The most tokens of the answer.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", metavar="N", help="Sampling temperature.")
    ] = None,
    reasoning: Annotated[
        bool | None,
        typer.Option(
            "--show-reasoning/--hide-reasoning",
            help="Whether reasoning is printed. Default: in a terminal only.",
        ),
    ] = None,
    base_url: BaseURL = None,
    nvcf_url: NVCFURL = None,
    as_json: AsJSON = False,
) -> None:
    """Ask a model and show its answer as it comes. Without TEXT, in a terminal: a conversation."""
    output = Output(as_json=as_json)
    tools = [definition for path in tool or () for definition in _tools_of(path)]
    files = _files(image, audio, video)
    question = _question(text, as_json=as_json)
    settings = {
        **service_settings(base_url, nvcf_url),
        "reasoning_effort": effort,
        "max_tokens": max_tokens,
        "temperature": temperature,
    }
    with output.failures(), ChatModel(model=model, **settings) as asked:
        conversation = Conversation(
            asked,
            output,
            show_reasoning=output.is_terminal if reasoning is None else reasoning,
            messages=[Message(role="system", parts=(system,))] if system else [],
            given={"tools": tools} if tools else {},
        )
        media = _media(files, asked, output)
        if question is None:
            _converse(conversation, media)
            return
        parts: tuple[Part, ...] = (*media, *((question,) if question else ()))
        answer = conversation.ask(Message(role="user", parts=parts))
        output.document(_document(model, answer))


def _question(text: str | None, *, as_json: bool) -> str | None:
    """Return the text to send, None for a conversation."""
    if text == _STANDARD_INPUT or (text is None and not sys.stdin.isatty()):
        return sys.stdin.read().strip()
    if text is None and (as_json or not sys.stdout.isatty()):
        raise typer.BadParameter(
            "a conversation needs a terminal: give TEXT, or - for the standard input"
        )
    return text


def _files(
    image: list[Path] | None, audio: list[Path] | None, video: list[Path] | None
) -> list[tuple[MediaKind, Path]]:
    kinds: tuple[tuple[MediaKind, list[Path] | None], ...] = (
        ("image", image),
        ("audio", audio),
        ("video", video),
    )
    found = [(kind, path) for kind, paths in kinds for path in paths or ()]
    for kind, path in found:
        if not path.is_file():
            raise typer.BadParameter(f"there is no such file: {path}", param_hint=f"--{kind}")
    return found


def _tools_of(path: Path) -> list[dict[str, Any]]:
    """The tools of a file: OpenAI's form, or the bare function of it; one or a list."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"cannot read {path}: {error}", param_hint="--tool") from None
    tools = found if isinstance(found, list) else [found]
    for tool in tools:
        function = tool.get("function", tool) if isinstance(tool, dict) else {}
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise typer.BadParameter(
                f"{path} is not a tool's definition: a JSON object with name, description and parameters",
                param_hint="--tool",
            )
    return [
        tool if "function" in tool else {"type": "function", "function": tool} for tool in tools
    ]


def _media(
    files: Sequence[tuple[MediaKind, Path]], model: ChatModel, output: Output
) -> tuple[Media, ...]:
    """The media of files; those that are too large to go inline are uploaded, with progress."""
    return tuple(_medium(kind, path, model, output) for kind, path in files)


def _medium(kind: MediaKind, path: Path, model: ChatModel, output: Output) -> Media:
    source = open_source(path, field=f"--{kind}")
    found, mime = detect_media_type(source, None, field=f"--{kind}")
    if found != kind:
        raise InvalidRequestError(f"{path} is not {kind}, but {mime}", field=f"--{kind}")
    uploads = model.spec.assets and model.endpoints.nvcf_url is not None
    if uploads and base64_length(source.length) > INLINE_LIMIT:
        return _uploaded(path, model, output)
    return Media(kind=kind, source=source)


def _uploaded(path: Path, model: ChatModel, output: Output) -> Media:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = output.progress_console
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"uploading {path.name}")
        return model.upload(
            path, lambda sent, total: progress.update(task, completed=sent, total=total)
        )


def _converse(conversation: Conversation, media: tuple[Media, ...]) -> None:
    """Ask what is typed, until the end of the input."""
    with suppress(ImportError):  # Line editing, where the platform has it.
        import_module("readline")
    output = conversation.output
    output.note("An empty line is skipped; Ctrl-C stops an answer, Ctrl-D ends the conversation.")
    waiting: tuple[Part, ...] = media
    for line in _typed("> "):
        before = conversation.messages
        try:
            answer = conversation.ask(Message(role="user", parts=(*waiting, line)))
            waiting = ()
            while answer.tool_calls:
                answer = conversation.ask(*_tool_results(answer))
        except NVCFError as error:
            conversation.messages = before  # A call whose result was refused must not stay.
            output.complain(str(error))
        except KeyboardInterrupt:
            conversation.messages = before
            output.note("stopped")


def _typed(prompt: str) -> Iterator[str]:
    """The lines that a person types."""
    while True:
        try:
            line = input(prompt)
        except (EOFError, KeyboardInterrupt):
            return
        if line.strip():
            yield line


def _tool_results(answer: Chunk) -> list[Message]:
    """What a person says that the tools returned."""
    results = []
    for call in answer.tool_calls:
        try:
            result = input(f"result of {call.name}: ")
        except EOFError:
            raise CommandError(f"no result was given for the call of {call.name}") from None
        results.append(Message(role="tool", parts=(result,), tool_call_id=call.id, name=call.name))
    return results


def _document(model: str, answer: Chunk) -> dict[str, Any]:
    usage = None if answer.usage is None else asdict(answer.usage)
    if usage is not None:
        usage.pop("raw")
    return {
        "model": answer.model or model,
        "text": answer.text,
        "reasoning": answer.reasoning or None,
        "tool_calls": [
            {"id": call.id, "name": call.name, "arguments": call.arguments}
            for call in answer.tool_calls
        ],
        "refusal": answer.refusal or None,
        "finish_reason": answer.finish_reason,
        "usage": usage,
        "request_id": answer.request_id,
    }
