"""The sealed tier: raw evidence for verifiers, in one tar file encrypted with age."""

import gzip
import io
import tarfile
from collections.abc import Mapping
from typing import Any

from etiology.core.errors import EvidenceError, KeyFileError
from etiology.disclose.bundle.signing import MISSING

LARGEST = 4 << 30
"""Bytes that an opened tier may take: a small file can't fill a disk."""


def sealed(files: Mapping[str, bytes], recipient: str) -> bytes:
    """The files, readable only to who holds the identity of ``recipient`` (an ``age1…`` public key)."""
    pyrage = _pyrage()
    try:
        key = pyrage.x25519.Recipient.from_str(recipient)
    except pyrage.RecipientError as problem:
        raise KeyFileError(f"{recipient!r}: no age recipient; make one with: age-keygen -o verifier.key") from problem
    return bytes(pyrage.encrypt(_packed(files), [key]))


def unsealed(content: bytes, identity: str, where: str) -> dict[str, bytes]:
    """What was sealed. ``identity`` is the text of an age key file."""
    pyrage = _pyrage()
    lines = [line for line in identity.splitlines() if line.startswith("AGE-SECRET-KEY-")]
    try:
        keys = [pyrage.x25519.Identity.from_str(line.strip()) for line in lines]
        packed = pyrage.decrypt(content, keys)
    except (pyrage.DecryptError, pyrage.IdentityError) as problem:
        raise EvidenceError(f"{where}: this identity does not open it, or it was changed") from problem
    return _unpacked(packed, where)


def _packed(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as squeezed, tarfile.open(fileobj=squeezed, mode="w") as tar:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def _unpacked(packed: bytes, where: str) -> dict[str, bytes]:
    """Read in memory, so that no name in the archive can lead anywhere."""
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
            entries = [entry for entry in tar if entry.isfile()]
            if sum(entry.size for entry in entries) > LARGEST:
                raise EvidenceError(f"{where}: holds more than {LARGEST >> 30} GiB; not opened")
            return {entry.name: b"".join(tar.extractfile(entry) or ()) for entry in entries}
    except (tarfile.TarError, OSError, EOFError) as problem:
        raise EvidenceError(f"{where}: damaged inside") from problem


def _pyrage() -> Any:  # noqa: ANN401 - a module without types
    try:
        import pyrage
    except ImportError as problem:
        raise KeyFileError(f"pyrage {MISSING}") from problem
    return pyrage
