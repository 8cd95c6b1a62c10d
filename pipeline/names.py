"""Every derived name and its limit: namespaces, repositories, branches, applications, images.

A name that would be too long or ill-formed is refused before anything exists, never cut
(docs/model.md §4). All mappings are injective together, for three reasons: ids and names of
environments match `[a-z][a-z0-9]*(-[a-z0-9]+)*`, so they never contain `--`, which separates the
parts of joined names; a platform's name may not look like a tenant's (`tenant` or `tenant-…`); and
no two pairs of tenant and environment have the same namespace: `clash_of` finds such pairs and
validation refuses them.
`tests/property/test_names.py` proves it by brute force and hypothesis.

Limits: DNS-1123 label 63, Helm release 53, Argo CD Application 53 (the release name defaults
to it), label value 63, repository 100. Sources: Kubernetes, "Object Names and IDs", "Labels and
Selectors"; Helm, "Release name".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial

from pipeline.models.draft_id import DraftId
from pipeline.models.draft_state import STAGES
from pipeline.models.requests import CodeOrigin, EnvironmentName, Sku

PLATFORM_TENANT = "platform"
LABEL_MAX = 63
RELEASE_MAX = 53
REPO_MAX = 100

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")


class NameRefused(ValueError):
    """A derived name would break its limit; says which name, its length and the limit."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """One kind of derived name: what it is called, and its maximum length."""

    what: str
    limit: int


NAMESPACE = Scheme("namespace", LABEL_MAX)
REPOSITORY = Scheme("repository", REPO_MAX)
INSTANCE = Scheme("Helm release", RELEASE_MAX)
APPLICATION = Scheme("Argo CD application", RELEASE_MAX)
PROJECT = Scheme("Argo CD project", LABEL_MAX)
IMAGE_SEGMENT = Scheme("image path segment", 128)


def _checked(scheme: Scheme, name: str) -> str:
    if len(name) > scheme.limit:
        raise NameRefused(
            f"{scheme.what} `{name}` would have {len(name)} characters; at most {scheme.limit} fit"
        )
    if not _DNS_LABEL.match(name):
        raise NameRefused(f"{scheme.what} `{name}` is not a DNS-1123 label")
    return name


def is_platform_name(platform: str) -> bool:
    """Whether this may be a platform's name: an id that no tenant-derived name can equal."""
    return (
        bool(_ID.match(platform))
        and platform.split("-")[0] != "tenant"
        and platform.rsplit("-", 1)[-1] not in (*STAGES, "base", "cust")
    )


def is_tenant_id(tenant_id: str) -> bool:
    """Whether this may be a tenant's id, the reserved `platform` included."""
    return bool(_ID.match(tenant_id))


def namespace(
    platform: str, tenant_id: str, sku: Sku, origin: CodeOrigin, environment: EnvironmentName
) -> str:
    """The namespace that a primitive runs in (docs/model.md §4.1).

    Raises NameRefused if it would exceed 63 characters.
    """
    if origin is not CodeOrigin.PLATFORM:
        return _checked(NAMESPACE, f"tenant-{tenant_id}-{environment}-cust")
    if sku is Sku.SHARED:
        return _checked(NAMESPACE, f"{platform}-{environment}")
    return _checked(NAMESPACE, f"tenant-{tenant_id}-{environment}-base")


def clash_of(
    tenant_id: str,
    environment: str,
    tenant_ids: Collection[str],
    environments: Collection[str],
) -> tuple[str, str] | None:
    """Another tenant and environment with the same namespaces as this pair; None if there is none.

    `a` in `b-c` and `a-b` in `c` both run in `tenant-a-b-c-cust`. All other namespaces differ: they
    begin with the platform's name, or end otherwise.
    """
    parts = f"{tenant_id}-{environment}".split("-")
    for at in range(1, len(parts)):
        tenant, name = "-".join(parts[:at]), "-".join(parts[at:])
        if tenant != tenant_id and tenant in tenant_ids and name in environments:
            return tenant, name
    return None


def is_shared_namespace(platform: str, name: str) -> bool:
    """Whether `name` belongs to the shared plane `{platform}-*`."""
    return name == platform or name.startswith(f"{platform}-")


def controllers_repo(platform: str, tenant_id: str, origin: CodeOrigin) -> str:
    """The repository that holds the primitive's code (docs/model.md §11)."""
    if origin is CodeOrigin.PLATFORM:
        return _checked(REPOSITORY, f"{platform}-platform")
    return _checked(REPOSITORY, f"tenant-{tenant_id}-controllers")


def gitops_repo(platform: str, tenant_id: str, origin: CodeOrigin) -> str:
    """The repository that holds the primitive's overlays (docs/model.md §11)."""
    if origin is CodeOrigin.PLATFORM:
        return _checked(REPOSITORY, f"{platform}-gitops")
    return _checked(REPOSITORY, f"tenant-{tenant_id}-gitops")


def instance(tenant_id: str, primitive_id: str, origin: CodeOrigin) -> str:
    """The primitive's name inside its repository and namespace: folder and Helm release.

    Platform-owned code of several tenants shares a repository, so it carries the tenant.
    """
    if origin is CodeOrigin.PLATFORM and tenant_id != PLATFORM_TENANT:
        return _checked(INSTANCE, f"{tenant_id}--{primitive_id}")
    return _checked(INSTANCE, primitive_id)


def application(tenant_id: str, primitive_id: str, environment: EnvironmentName) -> str:
    """The Argo CD application of one primitive in one environment."""
    return _checked(APPLICATION, f"{tenant_id}--{primitive_id}--{environment}")


def project(platform: str, tenant_id: str, origin: CodeOrigin) -> str:
    """The Argo CD project that a primitive's application belongs to: its GitOps repository's."""
    if origin is CodeOrigin.PLATFORM:
        return _checked(PROJECT, platform)
    return _checked(PROJECT, f"tenant-{tenant_id}")


def parse_application(name: str) -> tuple[str, str, str] | None:
    """The tenant, primitive and environment in an application's name; None if it has none."""
    parts = name.split("--")
    if len(parts) != 3 or not all(map(_ID.match, parts)):
        return None
    return parts[0], parts[1], parts[2]


def image_repository(prefix: str, tenant_id: str, primitive_id: str) -> str:
    """The image's repository, below the tenant's path."""
    tenant = _checked(IMAGE_SEGMENT, f"tenant-{tenant_id}")
    return f"{prefix}/{tenant}/{_checked(IMAGE_SEGMENT, primitive_id)}"


def state_branch(tenant_id: str) -> str:
    """The branch of the control repo with a tenant's facts."""
    return f"state/{tenant_id}"


def draft_branch(instance_name: str, key: str) -> str:
    """The feature branch of a draft; `key` is the effect's idempotency key."""
    return f"draft/{instance_name}/{key[:12]}"


def promotion_branch(environment: EnvironmentName, instance_name: str, key: str) -> str:
    """The branch of a GitOps repository that proposes one overlay."""
    return f"promote/{environment}/{instance_name}/{key[:12]}"


def restore_branch(key: str) -> str:
    """The branch of a GitOps repository that restores what was promoted."""
    return f"restore/{key[:12]}"


def primitive_folder(instance_name: str) -> str:
    """The folder of a primitive's code in its repository."""
    return f"primitives/{instance_name}"


def overlay_folder(environment: EnvironmentName, instance_name: str) -> str:
    """The folder of a primitive's overlay in its GitOps repository."""
    return f"environments/{environment}/{instance_name}"


def parse_overlay_folder(repo: str, folder: str) -> tuple[str, str, str] | None:
    """The tenant, primitive and environment of the overlay at this folder of a GitOps repository.

    None for any other folder. The platform's name does not matter here.
    """
    root, _, rest = folder.partition("/")
    environment, _, name = rest.partition("/")
    owner = repo.removesuffix("-gitops")
    if root != "environments" or owner == repo or not _ID.match(environment):
        return None
    tenant = owner.removeprefix("tenant-")
    parts = [tenant, name] if tenant != owner else name.split("--")
    if len(parts) == 1:
        parts = [PLATFORM_TENANT, *parts]
    if len(parts) != 2 or not all(map(_ID.match, parts)):
        return None
    return parts[0], parts[1], environment


def check_all_names(
    platform: str,
    registry_prefix: str,
    tenant_id: str,
    sku: Sku,
    primitive_id: str,
    origin: CodeOrigin,
    environments: Iterable[EnvironmentName],
) -> tuple[str, ...]:
    """Why names derived for a primitive are refused; empty if all of them fit."""
    derivations: list[Callable[[], str]] = [
        partial(controllers_repo, platform, tenant_id, origin),
        partial(gitops_repo, platform, tenant_id, origin),
        partial(instance, tenant_id, primitive_id, origin),
        partial(image_repository, registry_prefix, tenant_id, primitive_id),
    ]
    for env in environments:
        derivations.append(partial(namespace, platform, tenant_id, sku, origin, env))
        derivations.append(partial(application, tenant_id, primitive_id, env))
    return _problems(derivations)


def check_environment_names(
    platform: str,
    tenant_ids: Iterable[str],
    drafts: Iterable[DraftId],
    environment: EnvironmentName,
) -> tuple[str, ...]:
    """Why names derived for an environment are refused, with any of these tenants and drafts."""
    of_platform = (Sku.SHARED, CodeOrigin.PLATFORM)
    derivations: list[Callable[[], str]] = [
        partial(namespace, platform, PLATFORM_TENANT, *of_platform, environment)
    ]
    derivations += [
        partial(namespace, platform, tenant, Sku.SHARED, CodeOrigin.TENANT, environment)
        for tenant in sorted(tenant_ids)
    ]
    derivations += [
        partial(application, draft.tenant, draft.primitive, environment) for draft in drafts
    ]
    return _problems(derivations)


def _problems(derivations: Iterable[Callable[[], str]]) -> tuple[str, ...]:
    problems = []
    for derive in derivations:
        try:
            derive()
        except NameRefused as refused:
            problems.append(str(refused))
    return tuple(problems)
