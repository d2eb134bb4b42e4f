"""Structured extraction from an image: a photographed receipt becomes a checked Python object.

Needs: pip install "nvcf-adapters[langchain,emulator]"
"""

import base64
import sys
from pathlib import Path

from _service import connection
from langchain_core.messages import HumanMessage
from pydantic import BaseModel, Field

from langchain_nvcf import ChatNVCF

RECEIPT = Path(__file__).parent / "media" / "receipt.png"


class Item(BaseModel):
    """One line of a receipt."""

    name: str
    quantity: int = Field(ge=1)
    price: float = Field(description="For all of the quantity.")


class Receipt(BaseModel):
    """A receipt, as it is printed."""

    shop: str
    currency: str = Field(description="Three letters, such as EUR.", min_length=3, max_length=3)
    items: list[Item]
    total: float


def question(image: Path) -> HumanMessage:
    data = base64.b64encode(image.read_bytes()).decode()
    return HumanMessage(
        [
            {"type": "text", "text": "Read this receipt."},
            {"type": "image", "base64": data, "mime_type": "image/png"},
        ]
    )


if __name__ == "__main__":
    image = Path(sys.argv[1]) if len(sys.argv) > 1 else RECEIPT
    with connection() as service:
        model = ChatNVCF(model="nvidia/nemotron-3-nano-omni-30b-a3b-reasoning", **service)
        receipt = model.with_structured_output(Receipt).invoke([question(image)])
        print(receipt.model_dump_json(indent=2))
