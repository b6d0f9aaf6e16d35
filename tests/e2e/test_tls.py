"""One port serves https and wss."""

import ssl
from pathlib import Path

import httpx
import trustme
from openai import OpenAI

from e2e.gateway import GatewayProcess
from fakes.realtime import RealtimeFake


def test_with_a_certificate_https_and_wss_are_served(tmp_path: Path) -> None:
    ca = trustme.CA()
    certificate = ca.issue_cert("localhost", "127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)
    server = {"tls_cert": f"file:{tmp_path / 'cert.pem'}", "tls_key": f"file:{tmp_path / 'key.pem'}"}
    with RealtimeFake() as fake:
        account = {"name": "a", "provider": "openai", "key": "sk-fake", "base_url": fake.base_url}
        with GatewayProcess(server=server, accounts=[account]) as gateway:
            assert gateway.url.startswith("https://")
            with httpx.Client(verify=trusting) as client:
                assert client.get(f"{gateway.url}/healthz").status_code == 200
            client = OpenAI(api_key="any", base_url=f"{gateway.url}/v1")
            options = {"ssl": trusting}
            with client.realtime.connect(model="openai/gpt-realtime", websocket_connection_options=options) as talk:
                talk.response.create()
                assert next(event for event in talk if event.type == "response.done").response.status == "completed"
            rows = gateway.rows()
            assert [(row["target"], row["account"]) for row in rows] == [("openai/gpt-realtime", "a")]
            assert rows[0]["cost_usd"] > 0
