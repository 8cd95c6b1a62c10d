"""What this primitive is called, and what its template was filled in with."""

from __future__ import annotations

from typing import Final

PRIMITIVE: Final = ${{ values.primitive_id | dump }}
# Tenants may share a Temporal namespace: the tenant's id keeps their queues apart.
TASK_QUEUE: Final = "${{ values.tenant_id }}.${{ values.task_queue }}"
DEFINITION_REF: Final = ${{ values.definition_ref | dump }}
MAX_CONCURRENCY_PER_TENANT: Final = ${{ values.max_concurrency_per_tenant }}
