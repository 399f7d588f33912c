"""Signatures, by cosign: with a key (tests, mirrors) or without one, where the signature names the workflow that signs.

In: a file, a statement, or an image by digest. Out: a bundle beside the file, or a signature in the registry. A bundle is checked as
soon as it is made. It must not choose a registry or read a key itself.
"""
import dataclasses
import os
import pathlib
import shutil

from programs import Refused, run

# Nothing leaves this machine where a key signs: a list of servers in which there is none, no transparency log and no time stamps.
OFFLINE = ("--signing-config", str(pathlib.Path(__file__).resolve().parent / "offline.json"))
UNLOGGED = ("--insecure-ignore-tlog=true",)


def tool():
    found = shutil.which("cosign") or (pathlib.Path("target/tools/bin/cosign") if pathlib.Path("target/tools/bin/cosign").exists() else None)
    if not found:
        raise Refused("no cosign: scripts/setup release")
    return str(found)


@dataclasses.dataclass(frozen=True)
class Signer:
    """With a key, or keyless where it is empty."""
    key: str

    def words(self):
        return ("--key", self.key, *OFFLINE) if self.key else ()

    def blob(self, path):
        run(tool(), "sign-blob", "--yes", *self.words(), "--bundle", f"{path}.sigstore.json", path)

    def statement(self, path):
        """Signs an in-toto statement as it is."""
        run(tool(), "attest-blob", "--yes", *self.words(), "--statement", path, "--bundle", f"{path}.sigstore.json")

    def image(self, reference, insecure):
        run(tool(), "sign", "--yes", *self.words(), *registry(insecure), reference)

    def attest(self, reference, predicate, kind, insecure):
        run(tool(), "attest", "--yes", *self.words(), *registry(insecure), "--type", kind, "--predicate", predicate, reference)


def registry(insecure):
    return ("--allow-insecure-registry", "--allow-http-registry") if insecure else ()


def signer(key, keyless):
    """What signs, or None. A key that is not there, or a password that is not given, is refused before anything is built."""
    if key and keyless:
        raise Refused("--key or --keyless, not both")
    if key:
        if not pathlib.Path(key).is_file():
            raise Refused(f"no key {key}")
        if "COSIGN_PASSWORD" not in os.environ:
            raise Refused("COSIGN_PASSWORD is not set: the key's, or empty")
        # Opened once now, and not after what takes half an hour.
        run(tool(), "public-key", "--key", key)
        return Signer(str(pathlib.Path(key).resolve()))
    if keyless:
        tool()
        return Signer("")
    return None


@dataclasses.dataclass(frozen=True)
class Verifier:
    """By a public key, or by who signed without one: (issuer, pattern of the identity)."""
    words: tuple

    def blob(self, path):
        run(tool(), "verify-blob", *self.words, "--bundle", f"{path}.sigstore.json", path)

    def statement(self, path, subject):
        run(tool(), "verify-blob-attestation", *self.words, "--type", "slsaprovenance1", "--bundle", f"{path}.sigstore.json", subject)

    def image(self, reference, insecure):
        run(tool(), "verify", *self.words, *registry(insecure), reference)

    def attestation(self, reference, kind, insecure):
        run(tool(), "verify-attestation", *self.words, *registry(insecure), "--type", kind, reference)


def verifier(key, identity, issuer):
    if key:
        if not pathlib.Path(key).is_file():
            raise Refused(f"no public key {key}")
        return Verifier(("--key", str(key), *UNLOGGED))
    if identity and issuer:
        return Verifier(("--certificate-identity-regexp", identity, "--certificate-oidc-issuer", issuer))
    raise Refused("who signed? --key COSIGN.PUB, or --identity PATTERN and --issuer URL")
