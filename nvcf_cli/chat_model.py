"""A chat model without a framework: the core's own, asked by messages."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from nvcf_core import BaseNVCF, Chunk, Media, Message, ModelSpec
from nvcf_core.config.endpoints import Endpoints
from nvcf_core.errors import AssetUploadError, NVCFWarning

__all__ = ["ChatModel"]


class ChatModel(BaseNVCF):
    """A model with the settings of `BaseNVCF`. Usable as a context manager."""

    @property
    def spec(self) -> ModelSpec:
        """The model spec."""
        return self._spec()

    @property
    def endpoints(self) -> Endpoints:
        """The roots of the chat API and of the asset API."""
        return Endpoints.resolve(self.base_url, self.nvcf_url, self.spec.base_url)

    def complete(self, messages: Sequence[Message], **given: Any) -> Chunk:
        """Return one whole answer.

        Args:
            messages: the conversation.
            given: keywords of this call alone.

        Raises:
            NVCFError: whatever goes wrong.
        """
        return self._client.complete(self._build_request(messages, given, stream=False))

    def stream(self, messages: Sequence[Message], **given: Any) -> Iterator[Chunk]:
        """Return one answer as it arrives. Closing the iterator closes the connection.

        Args:
            messages: the conversation.
            given: keywords of this call alone.

        Raises:
            NVCFError: whatever goes wrong; `StreamInterruptedError` once the answer has begun.
        """
        return self._client.stream(self._build_request(messages, given, stream=True))

    def upload(self, path: Path, progress: Callable[[int, int], None] | None = None) -> Media:
        """Upload a file as an asset, deleted when the model is closed, and return what refers to it.

        Args:
            path: a file of any size.
            progress: called with the bytes sent so far and the total bytes.

        Raises:
            InvalidRequestError: the file cannot be read or is not an image, audio or video, or the
                service has no asset API.
            AssetUploadError: the service did not take it.
        """
        return self._upload_media(path, None, progress)

    def delete_uploads(self) -> None:
        """Delete the assets that were uploaded, and close the connections.

        Raises:
            AssetUploadError: an asset could not be deleted, which `close` merely warns of.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("error", NVCFWarning)
            try:
                self.close()
            except NVCFWarning as left:
                raise AssetUploadError(str(left), stage="delete") from None
