"""The web page in headless Chromium: what a user sees, and what arrives at the service."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nvcf_emulator import Emulator

api = pytest.importorskip("playwright.sync_api", reason="needs playwright (extra `browser`)")
expect: Any = api.expect

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium is installed, and CHROMIUM names none"
    ),
]

expect.set_options(timeout=30_000)  # Milliseconds. The machine may be busy.

OMNI = "nvidia/nemotron-3-nano-omni-30b-a3b-reasoning"

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser that knows nothing yet."""
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def wrong() -> list[Any]:
    """What went wrong in a page: exceptions, and errors in the console."""
    return []


@pytest.fixture
def open_page(browser: Any, address: str, wrong: list[Any]) -> Iterator[Open]:
    """Opens the page in a tab of its own. In the end nothing may have gone wrong in any."""
    contexts = []

    def opened(**settings: Any) -> Any:
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(error))
        page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
        page.goto(address)
        expect(page.locator("#model option")).not_to_have_count(0)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def page(open_page: Open) -> Any:
    """The page, opened."""
    return open_page()


def ask(page: Any, text: str) -> None:
    page.get_by_label("Message.").fill(text)
    page.keyboard.press("Enter")


def status(page: Any) -> Any:
    return page.get_by_role("status")


ENDLESS = 2000
"""Pieces of an answer that does not end before a test does."""


def test_an_answer_is_shown_while_it_comes(page: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.reply(text=["word "] * ENDLESS, chunk_delay=0.05)
    ask(page, "Talk")
    answer = page.locator("article.model")
    expect(answer).to_contain_text("word word")
    expect(answer).to_have_attribute("aria-busy", "true")
    expect(status(page)).to_have_text("Answering…")
    assert nvcf_emulator.streaming == 1
    page.keyboard.press("Escape")
    expect(answer).not_to_have_attribute("aria-busy", "true")


def test_thoughts_are_shown_while_they_come(page: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.reply(reasoning=["hm "] * ENDLESS, text="Never.", chunk_delay=0.05)
    ask(page, "Think")
    thoughts = page.locator("details.thoughts")
    expect(thoughts.locator("p")).to_contain_text("hm hm")
    expect(thoughts.locator("p")).to_be_visible()
    expect(status(page)).to_have_text("Thinking…")
    page.keyboard.press("Escape")
    expect(thoughts.locator("p")).to_be_hidden()


def test_thoughts_fold_away_when_the_answer_is_there(page: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.reply(reasoning=["Let me ", "think."], text=["One, ", "two."])
    ask(page, "Count")
    answer = page.locator("article.model")
    expect(status(page)).to_have_text("Done.")
    expect(answer.locator(":scope > p")).to_have_text("One, two.")
    thoughts = answer.locator("details.thoughts p")
    expect(thoughts).to_be_hidden()
    answer.get_by_text("Thoughts").click()
    expect(thoughts).to_be_visible()
    expect(thoughts).to_have_text("Let me think.")


def test_an_image(page: Any, nvcf_emulator: Emulator, media: Path) -> None:
    page.locator("#picker").set_input_files(media / "lake.png")
    item = page.get_by_role("listitem")
    expect(item).to_contain_text("lake.png")
    expect(status(page)).to_contain_text("Attached. Now ask about it.")
    expect(page.get_by_role("progressbar")).to_have_count(0)
    ask(page, "What is on it?")
    shown = page.get_by_role("img", name="lake.png")
    expect(shown).to_be_visible()
    assert shown.evaluate("image => image.naturalWidth") == 360
    expect(page.locator("article.model")).to_contain_text("image/png")
    expect(item).to_have_count(0)
    (asset,) = nvcf_emulator.assets.values()
    assert asset.sha256 in page.locator("article.model").inner_text() or asset.state == "stored"
    assert nvcf_emulator.chats[0].headers["nvcf-input-asset-references"] == asset.id


DROP = """
([selector, name, type]) => {
  const data = new DataTransfer();
  data.items.add(new File(["not a film"], name, {type}));
  for (const kind of ["dragover", "drop"])
    dispatchEvent(new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true}));
}
"""


def test_a_file_that_is_dropped_and_refused(page: Any, nvcf_emulator: Emulator) -> None:
    page.evaluate(DROP, ["body", "notes.txt", "text/plain"])
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("notes.txt was not attached.")
    expect(page.locator("#files li")).to_have_count(0)
    expect(page.get_by_text("Drop to attach")).to_be_hidden()
    assert not nvcf_emulator.assets


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 200, "body": '{"type": "progress", "share": 0.5}\n'}, "The upload broke off."),
        ({"status": 413}, "The server answered 413."),
    ],
)
def test_an_upload_that_the_server_does_not_finish(
    page: Any, media: Path, answer: dict[str, Any], words: str, wrong: list[Any]
) -> None:
    page.route("**/upload", lambda route: route.fulfill(**answer))
    page.locator("#picker").set_input_files(media / "lake.png")
    expect(page.get_by_role("alert")).to_contain_text(f"lake.png was not attached. {words}")
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
    wrong.clear()  # A browser complains of a 413 by itself.


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (lambda route: route.fulfill(status=422), "The server answered 422."),
        (lambda route: route.abort(), "The connection to the server broke off."),
        (
            lambda route: route.fulfill(status=200, body=""),
            "The connection to the server broke off.",
        ),
    ],
)
def test_a_server_that_fails(page: Any, failure: Any, words: str, wrong: list[Any]) -> None:
    page.route("**/chat", failure)
    ask(page, "Hello?")
    expect(page.get_by_role("alert")).to_contain_text(words)
    expect(page.get_by_label("Message.")).to_have_value("Hello?")
    wrong.clear()  # As above.


def test_an_upload_shows_its_progress_and_can_be_taken_back(
    page: Any, nvcf_emulator: Emulator, media: Path
) -> None:
    nvcf_emulator.fault("stall", on="put")
    page.locator("#picker").set_input_files(media / "lake.mp4")
    expect(page.get_by_role("progressbar", name="Uploading lake.mp4")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    page.get_by_role("button", name="Remove lake.mp4").click()
    expect(page.locator("#files li")).to_have_count(0)
    expect(page.get_by_role("button", name="Send")).to_be_enabled()


@pytest.mark.parametrize("way", ["button", "key"])
def test_stop(page: Any, nvcf_emulator: Emulator, way: str) -> None:
    nvcf_emulator.reply(text=["word "] * ENDLESS, chunk_delay=0.05)
    ask(page, "Talk")
    expect(page.locator("article.model")).to_contain_text("word word")
    assert nvcf_emulator.streaming == 1
    if way == "button":
        page.get_by_role("button", name="Stop").click()
    else:
        page.keyboard.press("Escape")
    expect(status(page)).to_have_text("Stopped.")
    assert nvcf_emulator.wait_until(
        lambda: nvcf_emulator.streaming == 0 and nvcf_emulator.open_connections == 0
    )
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    expect(page.get_by_label("Message.")).to_be_focused()
    expect(page.locator("article.model")).to_contain_text("word word")


def test_an_error_in_words(page: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.fail("overloaded")
    ask(page, "Hello?")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("503")
    expect(page.get_by_label("Message.")).to_have_value("Hello?")
    expect(page.locator("article.model")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(status(page)).to_have_text("Done.")


def test_a_model_that_cannot_see_says_so_and_the_picture_stays(
    page: Any, media: Path, nvcf_emulator: Emulator
) -> None:
    page.locator("#picker").set_input_files(media / "lake.wav")
    expect(status(page)).to_contain_text("Attached. Now ask about it.")
    expect(status(page)).to_contain_text(f"Switched to {OMNI}, which takes such files.")
    expect(page.get_by_label("Model")).to_have_value(OMNI)
    page.get_by_label("Model").select_option("moonshotai/kimi-k2.6")
    ask(page, "Listen")
    expect(page.get_by_role("alert")).to_contain_text("audio")
    page.get_by_label("Model").select_option(OMNI)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("article.model")).to_contain_text("audio/wav")
    assert len(nvcf_emulator.chats) == 1


def test_two_tabs_at_once(open_page: Open, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.reply(text=["slow "] * ENDLESS, chunk_delay=0.05, when="slowly")
    nvcf_emulator.reply(text="At once.", when="quickly")
    one, two = open_page(), open_page()
    ask(one, "slowly")
    expect(one.locator("article.model")).to_contain_text("slow slow")
    ask(two, "quickly")
    expect(two.locator("article.model")).to_contain_text("At once.")
    assert nvcf_emulator.streaming == 1
    expect(one.locator("article.model")).not_to_contain_text("At once.")
    ask(two, "And who was I?")
    expect(two.locator("article.model")).to_have_count(2)
    expect(status(two)).to_have_text("Done.")
    assert "slowly" not in str(nvcf_emulator.chats[-1].body)
    one.keyboard.press("Escape")
    expect(status(one)).to_have_text("Stopped.")


def test_a_tool_call_and_its_result(page: Any, nvcf_emulator: Emulator) -> None:
    arguments = {"first": "2026-02-01", "last": "2026-03-01"}
    nvcf_emulator.reply(
        reasoning="I count.", tool_calls=[{"name": "days_between", "arguments": arguments}]
    )
    nvcf_emulator.reply(reasoning="So.", text="28 days.")
    ask(page, "How long is February?")
    tool = page.locator("details.tool")
    expect(tool.locator("summary")).to_have_text("days_between")
    expect(tool.locator("dd")).to_have_text([re.compile("2026-02-01.*2026-03-01"), "28"])
    expect(page.locator("article.model > p")).to_have_text("28 days.")
    expect(page.locator("details.thoughts")).to_have_count(2)


def test_the_questions_that_the_page_proposes(page: Any, nvcf_emulator: Emulator) -> None:
    """Without a key the examples' stand-in answers: it knows them."""
    nvcf_emulator.load_script(ROOT / "examples" / "stand_in.yaml")
    page.get_by_role("button", name="How many days").click()
    expect(page.locator("article.model > p")).to_have_text(re.compile("28 days"))
    expect(page.locator("details.tool dd").last).to_have_text("28")
    page.get_by_role("button", name="New chat").click()
    expect(page.locator("article")).to_have_count(0)
    page.get_by_role("button", name="Why is the sky blue?").click()
    expect(page.locator("article.model > p")).to_contain_text("Air scatters short waves")
    expect(page.get_by_role("button", name="Why is the sky blue?")).to_be_hidden()
    assert len(nvcf_emulator.chats[-1].body["messages"]) == 1


def test_an_answer_is_text_and_never_markup(page: Any, nvcf_emulator: Emulator) -> None:
    markup = "<img src=x onerror=\"document.title='taken'\"><b>bold</b>"
    nvcf_emulator.reply(text=markup)
    ask(page, markup)
    expect(page.locator("article.model > p")).to_have_text(markup)
    assert page.locator("article img, article b").count() == 0
    assert page.title() == "Chat"


def test_code_and_what_is_bold(page: Any, nvcf_emulator: Emulator) -> None:
    nvcf_emulator.reply(text="Call `f` **now**:\n```python\nf(2 ** 3)\n```\nor 2 ** 3 ** 4.")
    ask(page, "How?")
    answer = page.locator("article.model > p")
    expect(status(page)).to_have_text("Done.")
    expect(answer.locator("strong")).to_have_text("now")
    expect(answer.locator("code")).to_have_text(["f", "f(2 ** 3)\n"])
    expect(answer).to_contain_text("or 2 ** 3 ** 4.")


def test_the_end_stays_in_sight_unless_one_scrolls_up(
    open_page: Open, nvcf_emulator: Emulator
) -> None:
    page = open_page(viewport={"width": 390, "height": 400})
    nvcf_emulator.reply(text=["a line\n"] * 60)
    ask(page, "Talk")
    expect(status(page)).to_have_text("Done.")
    at_end = "log.scrollHeight - log.scrollTop - log.clientHeight < 2"
    page.wait_for_function(at_end)
    page.evaluate("log.scrollTop = 0")
    page.wait_for_function("log.scrollTop === 0")
    page.get_by_label("Message.").fill("a\n" * 6)  # It grows, and the log shrinks.
    assert page.evaluate("log.scrollTop") == 0
    page.evaluate("log.scrollTop = log.scrollHeight")
    page.get_by_label("Message.").fill("")
    page.get_by_label("Message.").fill("a\n" * 6)
    page.wait_for_function(at_end)


def test_the_keyboard_alone(page: Any, nvcf_emulator: Emulator) -> None:
    expect(page.get_by_label("Message.")).to_be_focused()
    page.keyboard.type("One")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    page.keyboard.press("Enter")
    expect(status(page)).to_have_text("Done.")
    assert nvcf_emulator.chats[0].body["messages"][0]["content"] == "One\ntwo"
    expect(page.get_by_label("Message.")).to_be_focused()
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"model", "new", "attach", "text", "send", "log", "SUMMARY"} <= reached


NAMELESS = """
() => [...document.querySelectorAll("button, select, textarea, input:not([hidden])")]
  .filter(e => !e.hidden && !(e.ariaLabel || e.labels?.length || e.textContent.trim())).map(e => e.outerHTML)
"""


def test_everything_has_a_name_and_the_log_is_live(page: Any) -> None:
    assert page.evaluate(NAMELESS) == []
    expect(page.get_by_role("log", name="Conversation")).to_be_visible()
    assert page.get_by_role("status").count() == 1
    for landmark in ("banner", "main", "form"):
        assert page.get_by_role(landmark).count() == 1
    assert page.get_attribute("html", "lang") == "en"


CONTRAST = """
() => {
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).map((n) => n / 255)
      .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const back = (e) => {
    for (; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (color !== "rgba(0, 0, 0, 0)") return color;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("h1, h2, p, button, select, label, summary, dd, dt, #takes")]
    .filter((e) => e.checkVisibility() && e.textContent.trim() && !e.disabled)
    .map((e) => {
      const [a, b] = [light(getComputedStyle(e).color), light(back(e))].sort((x, y) => y - x);
      return [(a + 0.05) / (b + 0.05), e.outerHTML.slice(0, 80)];
    }).filter(([ratio]) => ratio < 4.5);
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_it_can_be_read_in_light_and_dark_narrow_and_wide(
    open_page: Open, nvcf_emulator: Emulator, tmp_path: Path, media: Path, scheme: str, width: int
) -> None:
    """Set SHOTS to a folder to look at it."""
    nvcf_emulator.reply(
        reasoning="The user wants a number of days; there is a tool for that.",
        tool_calls=[
            {
                "name": "days_between",
                "arguments": {"first": "2026-02-01", "last": "2026-03-01"},
            }
        ],
    )
    nvcf_emulator.reply(
        reasoning="28.",
        text="February 2026 has **28 days**, as in every year that is not a leap year. In Python:\n\n"
        "```python\ncalendar.monthrange(2026, 2)[1]\n```\n\n",
    )
    page = open_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.locator("#picker").set_input_files(media / "lake.png")
    expect(status(page)).to_contain_text("Attached. Now ask about it.")
    page.get_by_label("Model").select_option("moonshotai/kimi-k2.6")  # It sees, and calls tools.
    ask(page, "How many days has February 2026, and what is on this picture?")
    expect(status(page)).to_have_text("Done.")
    nvcf_emulator.fail("overloaded")
    ask(page, "And the next one?")
    expect(page.get_by_role("alert")).to_be_visible()
    page.locator("#picker").set_input_files(media / "lake.mp4")
    expect(status(page)).to_contain_text("Attached. Now ask about it.")
    shots = Path(os.environ.get("SHOTS", tmp_path))
    page.screenshot(path=shots / f"{scheme}-{width}.png")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing overflows"
    assert page.evaluate(CONTRAST) == []
