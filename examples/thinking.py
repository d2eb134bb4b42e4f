"""Reasoning shown live in the terminal: what the model thinks above, what it answers below.

Needs: pip install "nvcf-adapters[langchain,emulator]" rich
"""

from _service import connection
from langchain_core.messages import AIMessageChunk
from rich.console import Group
from rich.live import Live
from rich.markdown import Markdown
from rich.panel import Panel
from rich.text import Text

from langchain_nvcf import ChatNVCF

QUESTION = (
    "A bat and a ball cost 1.10 together. The bat costs 1 more than the ball. What is the ball?"
)


def screen(answer: AIMessageChunk) -> Group:
    thought = "".join(
        block["reasoning"] for block in answer.content_blocks if block["type"] == "reasoning"
    )
    return Group(Panel(Text(thought, style="dim"), title="thinking"), Markdown(answer.text))


if __name__ == "__main__":
    with connection() as service, Live(refresh_per_second=20) as live:
        model = ChatNVCF(
            model="nvidia/nemotron-3-super-120b-a12b", reasoning_effort="high", **service
        )
        answer = AIMessageChunk(content="")
        for chunk in model.stream(QUESTION):
            answer += chunk
            live.update(screen(answer))
