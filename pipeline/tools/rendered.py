"""A rendering tool's output as plain values, with one meaning for every later reader.

Helm, kustomize and the cluster read YAML by different rules, so text that they could take for
different values is refused, and everything else is written again with quotes where needed. Aliases
and duplicate keys are refused: an alias can make a small stream enormous, and readers disagree on
which of two equal keys counts.
"""

from __future__ import annotations

import re
from typing import cast

import yaml

from pipeline.documents.yaml12 import NumberRefused, Scalar, resolve_plain
from pipeline.errors import Unrenderable

_TEXT, _MAP, _LIST = (f"tag:yaml.org,2002:{name}" for name in ("str", "map", "seq"))
_MAXIMUM_DEPTH = 64
# A cluster accepts objects of at most 1.5 MiB (etcd, "System limits").
MAX_STREAM_BYTES = 4 * 1024**2
# A node takes a kilobyte of memory, and none comes without one of these characters before it.
_MAX_NODES = 400_000
_BEFORE_NODES = (b"\n", b",", b":", b"-", b"[", b"{")
_QUOTED = ("'", '"', "|", ">")
# 0644 is 420 to some readers and 644 to others.
_OLD_OCTAL = re.compile(r"[-+]?0[0-9_]+\Z")


def parse_rendered(stream: bytes) -> list[dict[str, object]]:
    """The objects of a stream of YAML documents, in order; empty documents are left out.

    Raises Unrenderable, naming the line, for anything that readers could disagree on.
    """
    if len(stream) > MAX_STREAM_BYTES or sum(map(stream.count, _BEFORE_NODES)) > _MAX_NODES:
        raise Unrenderable(
            f"it is too large: {MAX_STREAM_BYTES:,} bytes and {_MAX_NODES:,} values are read"
        )
    try:
        text = stream.decode("utf-8")
        nodes = list(yaml.compose_all(text, yaml.CBaseLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Unrenderable(f"it is not valid YAML: {_first_line(error)}") from error
    objects = []
    for node in nodes:
        value = _value(node, set(), 0)
        if value is None:
            continue
        if not isinstance(value, dict):
            raise _refused(node, "a document is not a mapping")
        objects.append(cast("dict[str, object]", value))
    return objects


def _value(node: yaml.Node, seen: set[int], depth: int) -> object:
    # An alias gives the same node object as its anchor.
    if id(node) in seen:
        raise _refused(node, "aliases are refused: write the value twice")
    seen.add(id(node))
    if depth > _MAXIMUM_DEPTH:
        raise _refused(node, f"more than {_MAXIMUM_DEPTH} levels")
    if isinstance(node, yaml.MappingNode) and node.tag == _MAP:
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = _value(key_node, seen, depth + 1)
            if not isinstance(key, str):
                raise _refused(key_node, "a key is not text: put it in quotes")
            if key in mapping:
                raise _refused(key_node, f"the key `{key}` occurs twice")
            if key == "<<" and key_node.style not in _QUOTED:
                raise _refused(key_node, "merge keys are refused: write the values out")
            mapping[key] = _value(value_node, seen, depth + 1)
        return mapping
    if isinstance(node, yaml.SequenceNode) and node.tag == _LIST:
        return [_value(item, seen, depth + 1) for item in node.value]
    if isinstance(node, yaml.ScalarNode) and node.tag == _TEXT:
        return _scalar(node)
    raise _refused(node, f"the tag `{node.tag}` is refused")


def _scalar(node: yaml.ScalarNode) -> Scalar:
    text: str = node.value
    if node.style in _QUOTED:
        return text
    if _OLD_OCTAL.match(text):
        raise _refused(
            node, f"`{text}` is a number of base 8 to some: write it in base 10 or quote it"
        )
    try:
        return resolve_plain(text)
    except NumberRefused as error:
        raise _refused(node, f"`{text}`: {error}") from error


def _refused(node: yaml.Node, why: str) -> Unrenderable:
    return Unrenderable(f"line {node.start_mark.line + 1}: {why}")


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
