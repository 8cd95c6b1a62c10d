"""The golden templates that come with the pipeline: one folder each, read once per process."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from pipeline.errors import NotFound
from pipeline.templating import Template, TemplateError, parse_template

_ROOT = Path(__file__).parent


# No parameter: one value per process.
@lru_cache(maxsize=1)
def list_builtin_templates() -> tuple[str, ...]:
    """The names of the built-in templates, sorted."""
    return tuple(sorted(path.parent.name for path in _ROOT.glob("*/template.yaml")))


def read_builtin_template(name: str, version: str | None = None) -> Template:
    """The built-in template with this name, in exactly this version if one is given.

    Raises NotFound if there is no such template or it has another version, TemplateError if the
    installed folder is malformed.
    """
    if name not in list_builtin_templates():
        known = ", ".join(f"`{known}`" for known in list_builtin_templates())
        raise NotFound(f"there is no template `{name}`", help=f"templates are {known}")
    template = _read(name)
    if version is not None and version != template.version:
        raise NotFound(
            f"template `{name}` has no version {version} here",
            help=f"this pipeline holds `{name}@{template.version}`",
        )
    return template


def template_folder(name: str) -> Path:
    """The folder of the built-in template with this name."""
    return _ROOT / name


# One per built-in template; there are four.
@lru_cache(maxsize=16)
def _read(name: str) -> Template:
    files = read_folder(_ROOT / name)
    shared = SharedFolders(_ROOT.parent / "shared")
    # Modes are not read: how a package is installed must not change a template's digest.
    # Tests check the skeletons, not every process.
    return parse_template(name, files, shared=shared, check_skeleton=False)


class SharedFolders(Mapping[str, Mapping[str, bytes]]):
    """The folders that several templates take files from, each read on demand."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __getitem__(self, name: str) -> Mapping[str, bytes]:
        folder = self.root / name
        if not folder.is_dir():
            raise KeyError(name)
        return read_folder(folder)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(path.name for path in self.root.iterdir() if path.is_dir()))

    def __len__(self) -> int:
        return len(list(iter(self)))


def read_folder(folder: Path) -> dict[str, bytes]:
    """Path → bytes of every file of a template's folder, sorted; compiled Python is left out.

    Raises TemplateError for links and anything else that is not a plain file: no link is followed.
    """
    files: dict[str, bytes] = {}
    reasons = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        kind = path.lstat().st_mode
        if "__pycache__" in path.parts or stat.S_ISDIR(kind):
            continue
        if stat.S_ISREG(kind):
            files[name] = path.read_bytes()
        else:
            what = "a symbolic link" if stat.S_ISLNK(kind) else "not a plain file"
            reasons.append(f"{name}:1: is {what}")
    if reasons:
        raise TemplateError(folder.name, reasons)
    return files


class LazyTemplates(Mapping[str, Template]):
    """The built-in templates by name, each read on demand."""

    def __getitem__(self, name: str) -> Template:
        if name not in list_builtin_templates():
            raise KeyError(name)
        return _read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(list_builtin_templates())

    def __len__(self) -> int:
        return len(list_builtin_templates())
