"""in-toto statements in DSSE envelopes, signed with an Ed25519 key; and keys that are read from files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etiology.core.errors import EvidenceError, KeyFileError

if TYPE_CHECKING:
    from securesystemslib.signer._crypto_signer import CryptoSigner
    from securesystemslib.signer._key import SSlibKey

PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
MISSING = "is not installed; install it with: pip install 'etiology[disclose]'"


def dumped(value: object) -> bytes:
    """JSON with one spelling for each value."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", errors="backslashreplace")


@dataclass(frozen=True)
class Signer:
    """Signs with one private key."""

    key: "CryptoSigner"
    public: bytes
    """The public key as PEM."""

    def envelope(self, statement: Mapping[str, Any], canary: str) -> bytes:
        """The statement in a signed envelope. Ed25519 is deterministic: the same statement gives the same bytes."""
        from securesystemslib.dsse import Envelope

        envelope = Envelope(dumped(statement), PAYLOAD, {})
        envelope.sign(self.key)
        return dumped({**envelope.to_dict(), "canary": canary})


def signer(path: Path) -> Signer:
    """An Ed25519 private key in PEM (``openssl genpkey -algorithm ed25519``)."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
        from securesystemslib.signer._crypto_signer import CryptoSigner
    except ImportError as problem:
        raise KeyFileError(f"securesystemslib {MISSING}") from problem
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as problem:
        raise KeyFileError(f"{path}: no unencrypted private key in PEM; {MAKE}") from problem
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: not an Ed25519 key; {MAKE}")
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return Signer(CryptoSigner(key), public)


MAKE = "make one with: openssl genpkey -algorithm ed25519 -out key.pem"


def public_key(pem: bytes, where: str) -> "SSlibKey":
    """An Ed25519 public key from PEM, named as its owner's signatures name it."""
    try:
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        from securesystemslib.signer._key import SSlibKey
    except ImportError as problem:
        raise KeyFileError(f"securesystemslib {MISSING}") from problem
    try:
        return SSlibKey.from_crypto(load_pem_public_key(pem_of(pem)))
    except (ValueError, TypeError) as problem:
        raise KeyFileError(f"{where}: no public key in PEM") from problem


def pem_of(content: bytes) -> bytes:
    """The key in a file that says something else, such as the canary, above it."""
    return content[max(0, content.find(b"-----BEGIN")) :]


def opened(content: bytes, key: "SSlibKey", where: str) -> dict[str, Any]:
    """The statement of an envelope that ``key`` signed.

    Errors: EvidenceError when the envelope is damaged, or signed by another key.
    """
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError

    try:
        envelope = Envelope.from_dict(json.loads(content))
        envelope.verify([key], 1)
        statement: dict[str, Any] = json.loads(envelope.payload)
    except VerificationError as problem:
        raise EvidenceError(f"{where}: not signed by the expected key, or changed since; don't trust it") from problem
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise EvidenceError(f"{where}: no signed statement; the bundle is damaged") from problem
    return statement
