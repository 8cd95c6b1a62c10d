"""The agent's definition: read and checked once, at start; a faulty one stops the start."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from .primitive import RiskTier

TIERS: Final[tuple[RiskTier, ...]] = ("LOW", "MEDIUM", "HIGH")

ToolName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
ServerName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class InvalidDefinition(ValueError):
    """The definition cannot be used; `problems` names everything that is wrong with it."""

    def __init__(self, problems: Collection[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True
    )


class ToolGrant(_Part):
    """One tool that the agent may call: `server` says where it lives, none means in this process.

    `side_effects` is true unless the definition says otherwise, whatever a tool server claims.
    """

    name: ToolName
    server: ServerName | None = None
    side_effects: bool = True
    timeout_s: float = Field(30.0, gt=0, le=600)


class Budgets(_Part):
    """What one run may use; a run is all that follows from one message."""

    steps: int = Field(ge=1, le=200)
    tokens: int = Field(ge=1, le=10_000_000)
    wall_time_s: float = Field(gt=0, le=3600)


class AgentDefinition(_Part):
    """What the agent is told, with which tools, how risky it is and what it may use."""

    ref: Annotated[str, StringConstraints(pattern=r"^agent-definition/[a-z0-9-]+@[0-9]+$")]
    # Lines of text.
    instructions: list[str] = Field(min_length=1)
    # `provider:model`; the primitive's default when it is empty.
    model: str = ""
    risk_tier: RiskTier
    tools: list[ToolGrant] = []
    budgets: Budgets
    # Prompts, outputs and arguments are tenants' data: they are logged only on request.
    log_prompts: bool = False
    emit_tokens: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """What the platform allows: the tools, the reference and the least risk tier."""

    definition_ref: str
    allowed_tools: tuple[str, ...]
    risk_tier: RiskTier


def read_definition(path: Path, limits: Limits) -> AgentDefinition:
    """The definition in the file. Raises InvalidDefinition with all problems."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InvalidDefinition([f"{path}: {error.strerror}"]) from error
    return parse_definition(text, limits)


def parse_definition(text: bytes, limits: Limits) -> AgentDefinition:
    """The definition in JSON `text`. Raises InvalidDefinition with all problems."""
    try:
        definition = AgentDefinition.model_validate_json(text)
    except ValidationError as error:
        # The input itself stays out of the message: it may be long, and it is somebody's text.
        raise InvalidDefinition(
            [
                f"{'.'.join(str(part) for part in fault['loc']) or 'definition'}: {fault['msg']}"
                for fault in error.errors(include_input=False, include_url=False)
            ]
        ) from error
    problems = list(_problems_of(definition, limits))
    if problems:
        raise InvalidDefinition(problems)
    return definition


def _problems_of(definition: AgentDefinition, limits: Limits) -> list[str]:
    problems = []
    if definition.ref != limits.definition_ref:
        problems.append(
            f"ref: `{definition.ref}`, but this primitive is for {limits.definition_ref}"
        )
    if TIERS.index(definition.risk_tier) < TIERS.index(limits.risk_tier):
        problems.append(
            f"riskTier: {definition.risk_tier} is below the platform's {limits.risk_tier}"
        )
    if definition.log_prompts and definition.risk_tier == "HIGH":
        problems.append("logPrompts: an agent of tier HIGH logs no prompts")
    names = [grant.name for grant in definition.tools]
    problems += [f"tools: `{name}` stands there twice" for name in sorted(_twice(names))]
    return problems


def _twice(names: list[str]) -> set[str]:
    return {name for name in names if names.count(name) > 1}


def granted_tools(definition: AgentDefinition, limits: Limits) -> dict[str, ToolGrant]:
    """The tools that both the definition and the platform allow, by name."""
    return {g.name: g for g in definition.tools if g.name in limits.allowed_tools}
