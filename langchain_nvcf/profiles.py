"""LangChain's model profiles, made from the model specs."""

from __future__ import annotations

from langchain_core.language_models import ModelProfile

from nvcf_core.models.spec import ModelSpec
from nvcf_core.request.structured import structured_method


def profile_of(spec: ModelSpec) -> ModelProfile | None:
    """The profile of a documented model, None for any other: what it can do is not known."""
    if not spec.documented:
        return None
    media = spec.media
    profile = ModelProfile(
        name=spec.id,
        max_input_tokens=spec.context_window,
        text_inputs=True,
        image_inputs="image" in media,
        image_url_inputs="image" in media and spec.remote_urls,
        audio_inputs="audio" in media,
        video_inputs="video" in media,
        pdf_inputs=False,
        # What a tool returns as a picture is sent as the user's, right after the results.
        image_tool_message="image" in media and spec.supports_tools,
        pdf_tool_message=False,
        attachment=bool(media),
        text_outputs=True,
        image_outputs=False,
        audio_outputs=False,
        video_outputs=False,
        reasoning_output=spec.supports_reasoning,
        tool_calling=spec.supports_tools,
        tool_choice=spec.documents("tool_choice"),
        tool_call_streaming=spec.supports_tools,
        # Agents use a tool for structured output where this is False. Without tools, the schema goes into the prompt.
        structured_output=structured_method(spec) != "tool",
        temperature=spec.documents("temperature"),
    )
    if spec.max_output_tokens is not None:
        profile["max_output_tokens"] = spec.max_output_tokens
    if spec.reasoning_efforts is not None:
        profile["reasoning_effort_levels"] = list(spec.reasoning_efforts)
    return profile
