"""The models that the service lists."""

from __future__ import annotations

from pydantic_core import from_json

from nvcf_core.errors import InvalidResponseError
from nvcf_core.exchange import Flow, Request, Response

from .retry import RetryPolicy, send_with_retries

__all__ = ["list_models"]


def list_models(base_url: str, retry: RetryPolicy) -> Flow[list[str]]:
    """The ids that `/models` lists, sorted, each once.

    Raises:
        NVCFError: the request failed, or the response is not a model list.
    """
    request = Request("models", "GET", f"{base_url}/models", {"accept": "application/json"})
    response: Response = yield from send_with_retries(request, retry)
    try:
        body = from_json(response.body)
    except ValueError:
        body = None
    rows = body.get("data") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise InvalidResponseError("the service's list of models is not a list", body=response.body)
    return sorted(
        {row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)}
    )
