"""OpenSSF model signing of the repaired weights, offline, with an elliptic-curve key."""

import tempfile
from pathlib import Path
from typing import Any

from etiology.core.errors import EvidenceError, KeyFileError
from etiology.disclose.bundle.signing import MISSING, pem_of

SIGNATURE, KEY = "weights.sig", "weights-key.pem"
MAKE = "make one with: openssl ecparam -name prime256v1 -genkey -noout -out weights.pem"


def signed(weights: Path, key: Path, canary: str) -> dict[str, bytes]:
    """The signature of a file or folder of weights, and the public key to check it with. The weights stay in place."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    signing = _library("signing")
    try:
        private = load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as problem:
        raise KeyFileError(f"{key}: no unencrypted private key in PEM; {MAKE}") from problem
    if not isinstance(private, EllipticCurvePrivateKey):
        raise KeyFileError(f"{key}: weights are signed with an elliptic-curve key (P-256); {MAKE}")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / SIGNATURE
        signing.Config().use_elliptic_key_signer(private_key=key).sign(weights, out)
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return {SIGNATURE: out.read_bytes(), KEY: canary.encode() + b"\n" + public}


def check(weights: Path, bundle: Path) -> None:
    """Raise unless the bundle's signature is of these weights."""
    verifying = _library("verifying")
    signature, key = bundle / SIGNATURE, bundle / KEY
    if not signature.exists() or not key.exists():
        raise EvidenceError(f"{bundle}: holds no signature of weights; ask for a bundle made with --sign-weights")
    if not weights.exists():
        raise EvidenceError(f"{weights}: no such file or folder")
    try:
        with tempfile.NamedTemporaryFile(suffix=".pem") as bare:
            Path(bare.name).write_bytes(pem_of(key.read_bytes()))
            verifying.Config().use_elliptic_key_verifier(public_key=Path(bare.name)).verify(weights, signature)
    except Exception as problem:  # the library raises whatever its parts raise
        raise EvidenceError(f"{weights}: not the weights that {signature} was made for") from problem


def _library(part: str) -> Any:  # noqa: ANN401 - a module without types
    """A part of model-signing. It imports OpenSSL without requiring it, so that both can be what is missing."""
    import importlib

    try:
        return importlib.import_module(f"model_signing.{part}")
    except ImportError as problem:
        raise KeyFileError(f"model-signing (with pyOpenSSL) {MISSING}") from problem
