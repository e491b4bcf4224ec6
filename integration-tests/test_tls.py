"""Whole services with certificates on every wire: gRPC with certificates of both sides and a token, HTTPS, and
NATS at a tls:// address. Who lacks the right certificate or the token gets nothing."""

import pathlib
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import grpc
import pytest

from backends import NATS, Backends, free_port, port_open, wait
from pb import Client, message


class Authority:
    """A CA and certificates for this machine, by openssl."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.ca = folder / "ca.pem"
        self._openssl("req", "-x509", *self._key("ca"), "-out", self.ca, "-subj", "/CN=test authority", "-days", "2")

    def _openssl(self, *args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)

    def _key(self, name):
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.folder / f"{name}.key")

    def issue(self, name):
        request, cert, extra = (self.folder / f"{name}.{e}" for e in ("csr", "pem", "ext"))
        extra.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n")
        self._openssl("req", *self._key(name), "-out", request, "-subj", f"/CN={name}")
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.folder / "ca.key", "-days", "2",
                      "-extfile", extra, "-out", cert)
        return cert, self.folder / f"{name}.key"


@pytest.fixture(scope="module")
def servers():
    with tempfile.TemporaryDirectory(prefix="aceso-it-") as tmp:
        tmp = pathlib.Path(tmp)
        b = Backends(tmp)
        try:
            b.ours, b.theirs = Authority(tmp / "ours"), Authority(tmp / "theirs")
            cert, key = b.ours.issue("nats")
            (tmp / "nats.conf").write_text(f'tls {{ cert_file: "{cert}", key_file: "{key}", ca_file: "{b.ours.ca}", verify: true }}\n'
                                           f'jetstream {{ store_dir: "{tmp}/tls-js" }}\n')
            port = free_port()
            b.plain_nats, b.nats = b.nats, f"tls://127.0.0.1:{port}"
            b.start([NATS, "-c", str(tmp / "nats.conf"), "-a", "127.0.0.1", "-p", str(port)])
            wait("nats with TLS", lambda: port_open(port))
            (tmp / "tokens").write_text("# of this test\nopen-sesame\n")
            b.cert = {"ours": b.ours.issue("service"), "theirs": b.theirs.issue("service")}
            yield b
        finally:
            b.stop()


def flags(b, who="ours"):
    cert, key = b.cert[who]
    ca = (b.ours if who == "ours" else b.theirs).ca
    return (f"--tls-cert={cert}", f"--tls-key={key}", f"--tls-ca={ca}", f"--token-file={b.tmp}/tokens", "--http-tls")


def credentials(b, who):
    cert, key = (p.read_bytes() for p in b.cert[who]) if who else (None, None)
    return grpc.ssl_channel_credentials(b.ours.ca.read_bytes(), key, cert)


def fetch(b, url, who="ours"):
    context = ssl.create_default_context(cafile=b.ours.ca)
    if who:
        context.load_cert_chain(*b.cert[who])
    try:
        with urllib.request.urlopen(url, context=context, timeout=10) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def ssl_nats(host, port, context):
    """NATS begins in the clear with INFO and goes over to TLS."""
    s = socket.create_connection((host, port), 10)
    assert s.recv(4096).startswith(b"INFO")
    return context.wrap_socket(s, server_hostname=host)


@pytest.fixture(scope="module")
def running(servers):
    b = servers
    rca, rca_at = b.service("rca", "--collector-addr=127.0.0.1:1", *flags(b))
    responder, at = b.service("responder", f"--rca-addr={rca_at['grpc']}", "--kubeconfig=/nonexistent", "--settle=300ms",
                              "--retry=200ms", *flags(b))
    yield rca_at, at
    for p in (responder, rca):
        p.send_signal(signal.SIGTERM)
    assert (responder.wait(15), rca.wait(15)) == (0, 0)


def test_only_the_right_certificate_and_token_are_let_in(servers, running):
    b, (_, at) = servers, running
    policy = Client(at["grpc"], credentials(b, "ours"), "open-sesame")("Incidents/GetPolicy", namespace="hotel-1")
    assert not policy.act and policy.max_actions == 4
    for client, code in ((Client(at["grpc"], credentials(b, "ours")), grpc.StatusCode.UNAUTHENTICATED),
                         (Client(at["grpc"], credentials(b, "ours"), "guess"), grpc.StatusCode.UNAUTHENTICATED),
                         (Client(at["grpc"], credentials(b, "theirs"), "open-sesame"), grpc.StatusCode.UNAVAILABLE),
                         (Client(at["grpc"], credentials(b, None), "open-sesame"), grpc.StatusCode.UNAVAILABLE),
                         (Client(at["grpc"], None, "open-sesame"), grpc.StatusCode.UNAVAILABLE)):
        with pytest.raises(grpc.RpcError) as e:
            client("Incidents/GetPolicy", namespace="hotel-1")
        assert e.value.code() == code


def test_https(servers, running):
    b, (_, at) = servers, running
    assert fetch(b, f"https://{at['http']}/healthz") == (200, "ok\n")
    assert fetch(b, f"https://{at['http']}/metrics", "theirs")[0] == 403
    with pytest.raises((OSError, ValueError)):  # no plain HTTP
        urllib.request.urlopen(f"http://{at['http']}/healthz", timeout=10)


def test_services_speak_to_each_other_and_to_nats(servers, running):
    """An alert over NATS with TLS becomes an incident; the responder asks rca over gRPC with TLS, and the console
    sees both."""
    b, (rca_at, at) = servers, running
    console, page = b.service("console", "--probe=200ms", f"--responder-addr={at['grpc']}", f"--rca-addr={rca_at['grpc']}",
                              f"--responder-http-addr={at['http']}", *flags(b))
    alert = message("Alert", meta={"id": "t1"}, sequence=1, namespace="hotel-1", state="open", reason="it rose",
                    series={"component": "frontend", "metric": "errors"}, started_ns=time.time_ns())
    cert, key = b.cert["ours"]
    context = ssl.create_default_context(cafile=b.ours.ca)
    context.load_cert_chain(cert, key)
    host, port = b.nats.removeprefix("tls://").split(":")
    with ssl_nats(host, int(port), context) as s:
        data = alert.SerializeToString()
        s.sendall(b'CONNECT {"verbose":false,"tls_required":true}\r\n' +
                  b"PUB aceso.alerts.hotel-1 %d\r\n%s\r\nPING\r\n" % (len(data), data))
        while b"PONG" not in s.recv(4096):
            pass
    client = Client(at["grpc"], credentials(b, "ours"), "open-sesame")
    got = wait("an incident that rca was asked about", lambda: [
        i for i in client("Incidents/List", namespace="hotel-1").incidents if i.state == "needs_human"], 40)
    assert got[0].alerts[0].reason == "it rose"
    asked = [l for l in fetch(b, f"https://{rca_at['http']}/metrics")[1].splitlines() if l.startswith("aceso_rca_")]
    assert any(float(l.split()[-1]) > 0 for l in asked if "_total" in l), asked

    def services():
        status, text = fetch(b, f"https://{page['http']}/api/services")
        assert status == 200
        return text

    wait("the console's view", lambda: services().count('"state":"healthy"') == 5)
    wait("the version, by HTTPS", lambda: '"name":"responder"' in services() and services().count('"version":"0.') >= 2)
    assert '"it rose"' in fetch(b, f"https://{page['http']}/api/incidents")[1]
    console.send_signal(signal.SIGTERM)
    assert console.wait(15) == 0


def test_a_service_of_another_authority_gets_nothing(servers, running):
    b, (rca_at, _) = servers, running
    nats, b.nats = b.nats, b.plain_nats  # so that it starts at all
    console, page = b.service("console", "--probe=200ms", f"--rca-addr={rca_at['grpc']}",
                              *(f for f in flags(b, "theirs") if f != "--http-tls"))
    b.nats = nats
    try:
        wait("rca is down for it", lambda: b'"state":"down"' in urllib.request.urlopen(
            f"http://{page['http']}/api/services", timeout=10).read())
    finally:
        console.send_signal(signal.SIGTERM)
        assert console.wait(15) == 0


def test_wrong_files_are_named(servers):
    b = servers
    cert, key = b.cert["ours"]
    for args, text in (((f"--tls-cert={cert}",), "--tls-key"), ((f"--tls-cert={cert}", "--tls-key=/nonexistent"), "/nonexistent"),
                       ((f"--tls-cert={b.tmp}/tokens", f"--tls-key={key}"), "no PEM")):
        with pytest.raises(AssertionError, match=text):
            b.service("rca", "--collector-addr=127.0.0.1:1", *args)
        (b.tmp / "rca.log").unlink()
    with pytest.raises(AssertionError, match="NATS|nats"):  # a NATS that wants a certificate, and none is given
        b.service("rca", "--collector-addr=127.0.0.1:1")
