"""Hydrate: render a source tree's chart into the files of `base/`, and judge a whole overlay.

Shell around helm, kustomize, kubeconform and podcheck. Results depend only on exact bytes and
pinned tools, so they are kept in memory by key, within a bound: a release is hydrated once for all
its environments. The tools are imported when the first release is hydrated: most runs have none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.diagnostics import Finding
from pipeline.errors import Unrenderable
from pipeline.machine.lru import LruCache
from pipeline.releases.folder import check_overlay_files
from pipeline.releases.judge import Bound
from pipeline.releases.overlays import Overlay, render_base
from pipeline.releases.rules import Target, check_objects

CHART = "chart/"
_MAX_SCHEMA_BYTES = 1024**2  # for schemas read here, outside the sandbox

# Of each kind of result: the releases of some thousand drafts at 10 KiB a base. A run goes through
# tenants one after the other and asks for a draft's results while it is at that draft.
_MOST_BYTES = 32 * 1024**2
_ENTRY_BYTES = 512  # added to each entry's own texts


def _size_of_files(files: Mapping[str, bytes]) -> int:
    return _ENTRY_BYTES + sum(len(path) + len(content) for path, content in files.items())


def _size_of_findings(findings: Sequence[Finding]) -> int:
    return _ENTRY_BYTES + sum(_ENTRY_BYTES + len(finding.message) for finding in findings)


def _size_of_texts(texts: Sequence[str]) -> int:
    return _ENTRY_BYTES + sum(map(len, texts))


@dataclass
class Hydrator:
    """Runs the rendering tools; one per process, so that equal work is done once."""

    _bases: LruCache[tuple[str, str], dict[str, bytes]] = field(
        default_factory=lambda: LruCache(_MOST_BYTES, _size_of_files)
    )
    _judged: LruCache[tuple[str, Target], tuple[Finding, ...]] = field(
        default_factory=lambda: LruCache(_MOST_BYTES, _size_of_findings)
    )
    # Key → message and help of an input that could not be rendered.
    _refused: LruCache[object, tuple[str, str]] = field(
        default_factory=lambda: LruCache(_MOST_BYTES, _size_of_texts)
    )

    def read_base(
        self,
        source_tree: str,
        source: Mapping[str, bytes],
        *,
        release: str,
        image: str,
        kubernetes_version: str,
    ) -> dict[str, bytes]:
        """The files of `base/` for a source tree. Raises Unrenderable if its chart does not render.

        `image` is the release's reference by digest, so `base/` belongs to one release.
        """
        key = (source_tree, f"{release} {image} {kubernetes_version}")
        base = self._bases.get(key)
        if base is None:
            chart = {p.removeprefix(CHART): c for p, c in source.items() if p.startswith(CHART)}
            if "Chart.yaml" not in chart:
                raise Unrenderable(
                    "the primitive has no chart/Chart.yaml, so there is nothing to deploy",
                    help="restore the chart of the golden template",
                )
            with self._remembering(key):
                forms = read_forms(
                    chart, release=release, image=image, kubernetes_version=kubernetes_version
                )
            base = self._bases.put(key, render_base(*forms.values()))
        return base

    def read_findings(self, overlay: Overlay, image: str) -> tuple[Finding, ...]:
        """Findings of the overlay as a delivery tool would apply it: files, rules, schemas, pods.

        Raises Unrenderable if it cannot be built, CouldNotCheck if a tool fails.
        """
        words = {
            **dict(overlay.bound.words),
            "namespace": overlay.namespace,
            "image": f"{image}@{overlay.release.digest}",
        }
        target = Target(overlay.folder, Bound.of(words))
        key = (overlay.tree, target)
        found = self._judged.get(key)
        if found is None:
            # Files beside the manifests may change the result, so they are judged first.
            with self._remembering(key):
                found = tuple(check_overlay_files(overlay)) or _judged(overlay, target)
            self._judged.put(key, found)
        return found

    @contextmanager
    def _remembering(self, key: object) -> Iterator[None]:
        """Remember refusals like results: an input that takes a minute to refuse takes it once."""
        refused = self._refused.get(key)
        if refused is not None:
            raise Unrenderable(refused[0], help=refused[1])
        try:
            yield
        except Unrenderable as error:
            self._refused.put(key, (error.message, error.help))
            raise


def _judged(overlay: Overlay, target: Target) -> tuple[Finding, ...]:
    # 30 ms for all tools of this module: most runs hydrate nothing.
    from pipeline.tools.kubeconform import run_kubeconform
    from pipeline.tools.kustomize import run_kustomize_build
    from pipeline.tools.podcheck import run_podcheck
    from pipeline.tools.rendered import parse_rendered

    files = {f"{overlay.folder}/{p}": c for p, c in overlay.files.items()}
    manifests = run_kustomize_build(files, overlay.folder)
    objects = parse_rendered(manifests)
    return (
        *check_objects(objects, target),
        *run_kubeconform(manifests, file=overlay.folder),
        *run_podcheck(objects, file=overlay.folder),
    )


def read_forms(
    chart: Mapping[str, bytes], *, release: str, image: str, kubernetes_version: str
) -> dict[str, dict[str, bytes]]:
    """Runtime → objects by file name: as plain workload, and for an operator if the chart can.

    Raises Unrenderable, naming the runtime if there are two.
    """
    # 30 ms, as above.
    from pipeline.tools.helm import run_helm_template

    # A chart with one form has no value `runtime`, and its schema may refuse it.
    known = read_runtimes(chart)
    forms = {}
    for form in ("workload", *(["operator"] if "operator" in known else [])):
        try:
            forms[form] = run_helm_template(
                chart,
                release=release,
                values={"image": {"ref": image}} | ({"runtime": form} if known else {}),
                kubernetes_version=kubernetes_version,
            )
        except Unrenderable as error:
            said = f"as {form}: {error.message}" if known else error.message
            raise Unrenderable(said, help=error.help) from error
    return forms


def read_runtimes(chart: Mapping[str, bytes]) -> frozenset[str]:
    """The values of `runtime` that a chart's own schema allows; none if it has no such value."""
    content = chart.get("values.schema.json", b"{}")
    try:
        schema = json.loads(content) if len(content) <= _MAX_SCHEMA_BYTES else None
    except (ValueError, RecursionError):
        return frozenset()  # helm reads it too, and reports what is wrong
    for key in ("properties", "runtime", "enum"):
        schema = schema.get(key) if isinstance(schema, dict) else None
    return (
        frozenset(v for v in schema if isinstance(v, str))
        if isinstance(schema, list)
        else frozenset()
    )
