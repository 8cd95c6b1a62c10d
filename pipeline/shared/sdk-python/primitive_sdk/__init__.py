"""What every primitive needs to be safe across tenants and observable, and nothing else.

The tenant of a request comes from its verified token and from nowhere else (`identity`). It is
bound to the running request (`tenancy`), from where the database (`postgres`), the client for
other services (`outbound`) and telemetry (`telemetry`) read it. So a handler never passes a tenant
along, and cannot pass a wrong one.

The pipeline owns this folder: it is delivered as it is and closed to patches. Modules import a
library only if they are about it, so a primitive installs what it uses.
"""
