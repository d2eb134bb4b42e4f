"""What a batch asks and writes for each row: prompts, messages, media, schemas, errors, types."""

from __future__ import annotations

import io
import json
from base64 import b64decode, b64encode
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import BaseModel

from nvcf_cli import samples
from nvcf_core.errors import InvalidRequestError

OMNI = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"
GEMMA = "google/gemma-3n-e2b-it"
RESULTS = [
    "answer", "reasoning", "tool_calls", "parsed", "finish_reason", "prompt_tokens", "completion_tokens",
    "request_id", "error_type", "error", "tries", "seconds",
]  # fmt: skip


class City(BaseModel):
    name: str
    people: int | None
    districts: list[str]


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (6, 4)).save(file, "png")
    return file.getvalue()


def last(bench: Any) -> Any:
    """The content of the last message that arrived last."""
    return bench.server.chats[-1].body["messages"][-1]["content"]


def test_the_output_has_the_sources_columns_and_the_results_typed(bench: Any) -> None:
    bench.server.reply(text="Four.", reasoning="2 + 2")
    source = bench.source([{"id": 1, "text": "2 + 2?", "day": "2024-01-31", "deep": {"x": [1.5]}}])
    report = bench.run(source)
    assert (report.rows, report.answered, report.failed, report.skipped) == (1, 1, 0, 0)
    table = pq.read_table(bench.output)
    assert table.column_names == ["id", "text", "day", "deep", *RESULTS]
    types = dict(zip(table.column_names, table.schema.types, strict=True))
    assert types["day"] == pa.string()
    assert types["prompt_tokens"] == types["completion_tokens"] == pa.int64()
    assert types["seconds"] == pa.float64()
    (row,) = table.to_pylist()
    assert row["day"] == "2024-01-31"
    assert row["deep"] == {"x": [1.5]}
    assert (row["answer"], row["reasoning"], row["finish_reason"]) == ("Four.", "2 + 2", "stop")
    assert (row["tries"], row["error_type"], row["error"]) == (1, None, None)
    assert row["prompt_tokens"] == report.prompt_tokens > 0
    assert row["completion_tokens"] == report.completion_tokens > 0
    assert row["request_id"]
    assert row["seconds"] > 0


def test_a_template_takes_columns_as_they_are(bench: Any) -> None:
    rows = [{"a.b": "{a}", "n": 0.123456, "none": None, "x": "1"}, {"none": "2"}]
    bench.run(bench.source(rows[:1]), prompt="{{{a.b}}} {n:.2f} [{none}] {x}")
    assert last(bench) == "{{a}} 0.12 [] 1"


@pytest.mark.parametrize(
    ("keywords", "named"),
    [
        ({"prompt": "txt"}, "txt"),
        ({"prompt": "Say {wrd}"}, "wrd"),
        ({"prompt": "{text.__class__}"}, "text.__class__"),
        ({"messages": "talk"}, "talk"),
        ({"image": "picture"}, "picture"),
        ({"key": "number"}, "number"),
    ],
)
def test_a_column_that_does_not_exist_stops_the_run(
    bench: Any, keywords: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidRequestError, match=f"'{named}'.*'id', 'text'"):
        bench.run(bench.source(3), **keywords)
    assert not bench.server.requests
    assert not bench.output.exists()


@pytest.mark.parametrize(
    ("keywords", "named"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": "{}"}, "prompt"),
        ({"prompt": "{text"}, "prompt"),
        ({"schema": 3}, "schema"),
        ({"schema": {"type": "thing"}}, "schema"),
        ({"concurrency": 0}, "concurrency"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"settings": {"temperature": 9}}, "temperature"),
        ({"settings": {"nvidia_api_key": "nvapi-1"}}, "settings"),
    ],
)
def test_what_cannot_be_meant_stops_the_run(
    bench: Any, keywords: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        bench.run(bench.source(3), **keywords)
    assert caught.value.field == named
    assert not bench.server.requests


def test_a_column_with_the_name_of_a_result_is_refused(bench: Any) -> None:
    with pytest.raises(InvalidRequestError, match="'answer'"):
        bench.run(bench.source([{"text": "x", "answer": "y"}]))


def test_without_a_key_nothing_is_asked(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NVIDIA_API_KEY", raising=False)
    settings = {"base_url": None, "nvcf_url": None, "api_key": None}
    with pytest.raises(InvalidRequestError, match="NVIDIA_API_KEY"):
        bench.run(bench.source(3), settings=settings)


def test_source_files_that_are_not_there(bench: Any) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        bench.run(bench.folder / "nothing*.jsonl")
    (bench.folder / "in.csv").write_text("text\n")
    with pytest.raises(InvalidRequestError, match=r"parquet.*jsonl"):
        bench.run(bench.folder / "in.csv")


def test_a_glob_of_parquet_files(bench: Any) -> None:
    for part in range(2):
        table = pa.table({"id": [part], "text": [f"row {part}."]})
        pq.write_table(table, bench.folder / f"in-{part}.parquet")
    assert bench.run(f"{bench.folder}/in-*.parquet").answered == 2
    assert bench.asked() == {0: 1, 1: 1}


@pytest.mark.parametrize("as_text", [False, True], ids=["objects", "json"])
def test_messages_of_a_column(bench: Any, as_text: bool) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    talk = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "1 + 1?"}]},
        {"role": "assistant", "reasoning_content": "Add.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
    ]
    bench.run(
        bench.source([{"talk": json.dumps(talk) if as_text else talk, "text": "And?"}]),
        messages="talk",
    )
    sent = bench.server.chats[-1].body["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool", "user"]
    assert sent[2]["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a": 1}'}
    assert sent[2]["reasoning_content"] == "Add."
    assert sent[3]["tool_call_id"] == "c1"
    assert sent[4]["content"] == "And?"


def test_media_are_bytes_paths_urls_or_lists_of_them(bench: Any) -> None:
    (bench.folder / "a.png").write_bytes(png())
    table = pa.table(
        {
            "id": [0, 1, 2],
            "text": ["row 0.", "row 1.", "row 2."],
            "image": pa.array([png(), None, png()], pa.binary()),
            "path": [None, str(bench.folder / "a.png"), None],
            "urls": [[], ["https://example.com/a.png"], None],
        }
    )
    pq.write_table(table, bench.folder / "in.parquet")
    report = bench.run(bench.folder / "in.parquet", model=OMNI, image=["image", "path"])
    assert report.answered == 3
    for request in bench.server.chats:
        image, text = request.body["messages"][-1]["content"]
        assert image["image_url"]["url"].startswith("data:image/png;base64,")
        assert text["text"].startswith("row ")


@pytest.mark.parametrize(
    ("kind", "data", "ending", "mime"),
    [
        ("image", samples.IMAGE, "png", "image/png"),
        ("audio", samples.AUDIO, "wav", "audio/"),
        ("video", samples.VIDEO, "mp4", "video/mp4"),
    ],
)
def test_each_kind_of_media_is_bytes_or_a_path_or_a_url(
    bench: Any, kind: str, data: bytes, ending: str, mime: str
) -> None:
    path = bench.folder / f"media.{ending}"
    path.write_bytes(data)
    data_url = f"data:{mime}{'wav' if kind == 'audio' else ''};base64,{b64encode(data).decode()}"
    link = f"https://example.com/media.{ending}"
    table = pa.table(
        {
            "id": range(4),
            "text": [f"row {number}." for number in range(4)],
            "bytes": pa.array([data, None, None, None], pa.binary()),
            "text_of_it": [None, str(path), data_url, link],
        }
    )
    pq.write_table(table, bench.folder / "in.parquet")
    report = bench.run(
        bench.folder / "in.parquet", model=OMNI, concurrency=1, **{kind: ["bytes", "text_of_it"]}
    )
    rows = bench.rows()
    assert report.answered + report.failed == 4
    for row, request in zip(rows[:3], bench.server.chats[:3], strict=True):
        assert row["error"] is None
        (part,) = (p for p in request.body["messages"][-1]["content"] if p["type"] != "text")
        assert part["type"] == f"{kind}_url"
        url = part[f"{kind}_url"]["url"]
        assert url.startswith(f"data:{mime}")
        assert b64decode(url.partition(",")[2]) == data
    # A link reaches the service as it is, where the model takes links; else the row says so.
    sent = [request for request in bench.server.chats if link.encode() in request.raw]
    assert bool(sent) == (rows[3]["error"] is None)
    assert sent or kind in rows[3]["error"]


def test_large_media_are_uploaded_and_deleted_after_their_batch(bench: Any) -> None:
    file = io.BytesIO()
    Image.effect_noise((600, 600), 90).save(file, "png")
    assert len(file.getvalue()) > 200_000
    table = pa.table({"text": ["row 0."], "image": pa.array([file.getvalue()], pa.binary())})
    pq.write_table(table, bench.folder / "in.parquet")
    assert bench.run(bench.folder / "in.parquet", model=OMNI, image="image").answered == 1
    places = [request.place for request in bench.server.requests]
    assert places == ["create", "put", "ask", "delete"]


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({"text": None}, "text"),
        ({"text": "x", "image": "/nowhere/a.png"}, "/nowhere/a.png"),
        ({"text": "x", "image": "data:image/png;base64,AAAA"}, "image"),
    ],
)
def test_a_row_that_cannot_be_sent_is_a_row_with_an_error(
    bench: Any, row: dict[str, Any], named: str
) -> None:
    good = {"text": "row 7.", "image": None}
    source = bench.source([{"id": 0, "image": None, **row}, {"id": 1, **good}])
    report = bench.run(source, model=OMNI, image="image", prompt="text")
    assert (report.answered, report.failed) == (1, 1)
    failed, answered = bench.rows()
    assert failed["error_type"] == "InvalidRequestError"
    assert named in failed["error"]
    assert (failed["tries"], failed["answer"]) == (0, None)
    assert answered["error"] is None


def test_tries_are_counted_and_a_failed_row_says_why(bench: Any) -> None:
    bench.server.fail(503, times=2)
    bench.server.reply(text="Yes.")
    bench.server.fail(400)
    report = bench.run(bench.source(2), concurrency=1)
    answered, failed = bench.rows()
    assert (answered["answer"], answered["tries"]) == ("Yes.", 3)
    assert (failed["error_type"], failed["tries"]) == ("BadRequestError", 1)
    assert failed["request_id"]
    assert (report.answered, report.failed) == (1, 1)


def test_no_row_fails_for_what_others_met(bench: Any) -> None:
    """Each row is tried again by itself, also where more fail than the retries of a process may be elsewhere."""
    for number in range(150):
        bench.server.fail(503, when=f"row {number}.")
    report = bench.run(bench.source(150), concurrency=64)
    assert (report.answered, report.failed) == (150, 0)
    assert {row["tries"] for row in bench.rows()} == {2}


@pytest.mark.parametrize(
    "kind", ["reset", "close", "half-close", "garbage", "truncate", "stall-body"]
)
def test_an_answer_that_breaks_off_is_asked_for_again(bench: Any, kind: str) -> None:
    bench.server.fault(kind, times=1)
    bench.run(bench.source(1), settings={"timeout": 2})
    (row,) = bench.rows()
    assert (row["error"], row["tries"]) == (None, 2)


def test_tools_and_other_fields_of_the_body(bench: Any) -> None:
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    bench.server.reply(tool_calls=[{"name": "look_up", "arguments": {"a": 1}}])
    bench.run(bench.source(1), settings={"tools": [tool], "temperature": 0.25})
    (row,) = bench.rows()
    (call,) = row["tool_calls"]
    assert call["name"] == "look_up"
    assert json.loads(call["arguments"]) == {"a": 1}
    assert bench.server.chats[-1].body["temperature"] == 0.25


@pytest.mark.parametrize("model", ["moonshotai/kimi-k2.6", OMNI, GEMMA])
@pytest.mark.parametrize("schema", [City, City.model_json_schema()], ids=["class", "schema"])
def test_objects_of_a_schema_are_typed(bench: Any, model: str, schema: Any) -> None:
    city = {"name": "Rome", "people": None, "districts": ["Monti", "Trastevere"]}

    def answer(request: Any) -> Any:
        tools = request.body.get("tools")
        if tools:
            return {"tool_calls": [{"name": tools[0]["function"]["name"], "arguments": city}]}
        return f"```json\n{json.dumps(city)}\n```"

    bench.server.reply(answer, times=1)
    bench.run(bench.source(1), model=model, schema=schema)
    (row,) = bench.rows()
    assert row["error"] is None
    assert row["parsed"] == city
    kind = pq.read_schema(next(bench.output.glob("*.parquet"))).field("parsed").type
    assert kind.field("people").type == pa.int64()


@pytest.mark.parametrize("text", ["no JSON", '{"name": 3, "people": 1, "districts": []}', "{}"])
@pytest.mark.parametrize("schema", [City, City.model_json_schema()], ids=["class", "schema"])
def test_an_answer_that_does_not_fit_the_schema_is_an_error(
    bench: Any, text: str, schema: Any
) -> None:
    bench.server.reply(text=text)
    report = bench.run(bench.source(1), model=GEMMA, schema=schema)
    (row,) = bench.rows()
    assert report.failed == 1
    assert (row["error_type"], row["parsed"]) == ("InvalidResponseError", None)
    assert row["answer"] == text
    assert "schema" in row["error"]


def test_what_arrow_has_no_type_for_is_json_text(bench: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"any": {"anyOf": [{"type": "string"}, {"type": "integer"}]}, "map": {"type": "object"}},
    }  # fmt: skip
    bench.server.reply(text='{"any": 3, "map": {"a": 1}}')
    bench.run(bench.source(1), model=GEMMA, schema=schema)
    assert bench.rows()[0]["parsed"] == {"any": "3", "map": '{"a": 1}'}


def test_a_number_too_large_for_its_column_is_an_error_of_its_row(bench: Any) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    bench.server.reply(text='{"n": 99999999999999999999}')
    assert bench.run(bench.source(1), model=GEMMA, schema=schema).failed == 1
    assert bench.rows()[0]["error_type"] == "InvalidResponseError"


def test_columns_of_json_lines_whose_values_differ(bench: Any) -> None:
    rows = [
        {"id": 0, "text": "row 0.", "mixed": 1, "deep": {"a": 1}, "number": 1, "empty": {}},
        {"id": 1, "text": "row 1.", "mixed": [2], "deep": {"b": None}, "number": 0.5, "more": "x"},
    ]
    bench.run(bench.source(rows))
    first, second = bench.rows()
    assert (first["mixed"], second["mixed"]) == ("1", "[2]")
    assert first["deep"] == {"a": 1, "b": None}
    assert (first["number"], second["number"]) == (1.0, 0.5)
    assert (first["empty"], first["more"], second["more"]) == ("{}", None, "x")


@pytest.mark.parametrize("line", ["[1]", "{", "3"])
def test_a_line_that_is_not_an_object_is_named(bench: Any, line: str) -> None:
    path = bench.source(2)
    path.write_text(path.read_text() + "\n" + line)
    with pytest.raises(InvalidRequestError, match="line 4 is not"):
        bench.run(path)
    assert not bench.server.requests
