"""Small files that expand without end: archives of archives, expressions of expressions."""

import io
import zipfile


def zip_of(names: dict[str, bytes]) -> bytes:
    """An archive of these files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in names.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def nested_zip() -> bytes:
    """Some 4 KiB that unpack to 4 GiB of text, three archives deep."""
    inner = zip_of({f"{n}.txt": b"a b\n" * 250_000 for n in range(16)})
    middle = zip_of({f"{n}.zip": inner for n in range(16)})
    return zip_of({f"{n}.zip": middle for n in range(16)})


def deep_expression(depth: int = 100_000) -> bytes:
    """A line of Python and of TypeScript that overflows any recursive parser."""
    return b"x = " + b"[" * depth + b"]" * depth + b"\n"
