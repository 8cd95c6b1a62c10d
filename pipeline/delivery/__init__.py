"""Delivery tools: what Argo CD and Flux say of what runs, and the manifests that they are given.

Nothing outside this folder knows either tool. All of it is pure but `argocd_api`, which asks Argo
CD over HTTP. What comes from a cluster is hostile: it is bounded, parsed strictly, and shown with
its control characters made visible.

- `objects`: bytes of `kubectl get -o json` or `-o yaml` as plain objects;
- `argocd`, `flux`, `pods`: those objects as `Observation`s;
- `belonging`: which draft and environment an application says it is;
- `argocd_api`: Argo CD's own API;
- `reports`: any of these, and the report that `pipeline run --observations` reads;
- `forms`: the manifest that an environment's `delivery` asks for.
"""
