"""Signatures and encrypted thinking that a fake issues, and knows again only if they come back as they were."""

import base64
import hashlib
import hmac
import secrets

_SECRET = secrets.token_bytes(32)


def sign(purpose: str, text: str) -> str:
    """A signature (standard base64) over `text`, valid for one purpose only."""
    mac = hmac.new(_SECRET, f"{purpose}\0{text}".encode(), hashlib.sha256).digest()
    return base64.b64encode(b"\x12\xffsig" + mac).decode()


def signed(purpose: str, text: str, signature: str) -> bool:
    """Whether this process issued `signature` for exactly this text."""
    return hmac.compare_digest(sign(purpose, text).encode(), signature.encode())


def encrypt(purpose: str, text: str) -> str:
    """The text in a form that only this process can read (an imitation: it is authentic, not secret)."""
    plain = text.encode()
    mac = hmac.new(_SECRET, purpose.encode() + b"\0" + plain, hashlib.sha256).digest()
    return "gAAAA" + base64.urlsafe_b64encode(mac + plain[::-1]).decode()


def decrypt(purpose: str, data: str) -> str | None:
    """What was encrypted for this purpose; None where this process did not."""
    try:
        raw = base64.urlsafe_b64decode(data.removeprefix("gAAAA"))
    except ValueError:
        return None
    plain = raw[32:][::-1]
    mac = hmac.new(_SECRET, purpose.encode() + b"\0" + plain, hashlib.sha256).digest()
    return plain.decode() if data.startswith("gAAAA") and hmac.compare_digest(mac, raw[:32]) else None
