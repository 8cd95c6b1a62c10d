"""The rendered agent as a process, with a scripted model instead of the provider's.

Started as `python agent_driver.py PACKAGE` in the rendered project. The model does what the
person's last message says: a JSON list of steps, each an answer or a list of tool calls.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys

from primitive_sdk.settings import read_settings
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.usage import RequestUsage

package = sys.argv[1]
models = importlib.import_module(f"{package}.models")
service = importlib.import_module(f"{package}.service")
settings = importlib.import_module(f"{package}.settings")


async def scripted(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """The next step of the script in the person's last message; the last one is repeated."""
    started = max(
        index
        for index, message in enumerate(messages)
        if isinstance(message, ModelRequest)
        and any(isinstance(part, UserPromptPart) for part in message.parts)
    )
    [prompt] = [p for p in messages[started].parts if isinstance(p, UserPromptPart)]
    steps = json.loads(str(prompt.content))
    answered = messages[started + 1 :]
    step = steps[min(sum(isinstance(m, ModelResponse) for m in answered), len(steps) - 1)]
    usage = RequestUsage(input_tokens=90, output_tokens=10)
    if step == "what the tools said":
        told = [str(p.content) for m in answered for p in m.parts if p.part_kind == "tool-return"]
        return ModelResponse(parts=[TextPart(" | ".join(told))], usage=usage)
    if step == "sleep":
        await asyncio.sleep(600)
    if isinstance(step, str):
        return ModelResponse(parts=[TextPart(step)], usage=usage)
    return ModelResponse(parts=[ToolCallPart(n, a) for n, a in step], usage=usage)


read = read_settings(settings.Settings, os.environ)
asyncio.run(service.serve(read, models.ProviderModel(FunctionModel(scripted))))
