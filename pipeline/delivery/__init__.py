"""Delivery tools: the reports of Argo CD and Flux on what runs, and the manifests for them.

Nothing outside this folder knows either tool. All of it is pure except `argocd_api`, which calls
Argo CD over HTTP. Data from a cluster is hostile: it is bounded, parsed strictly, and shown with
control characters made visible.

- `objects`: bytes of `kubectl get -o json` or `-o yaml` as plain objects;
- `argocd`, `flux`, `pods`: those objects as `Observation`s;
- `belonging`: the draft and environment that an application claims;
- `argocd_api`: Argo CD's own API;
- `reports`: any of these, and the report that `pipeline run --observations` reads;
- `forms`: the manifest for an environment's `delivery`.
"""
