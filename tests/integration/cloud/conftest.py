"""The adapters of the transport port, with each of which its tests are run, and authorities for TLS of our own."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from http_server import ADAPTERS, MakeTransport


@pytest.fixture(params=list(ADAPTERS))
def make_transport(request: pytest.FixtureRequest) -> MakeTransport:
    return ADAPTERS[request.param]


def _key_and_name(name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Name]:
    return ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@pytest.fixture(scope="module")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """PEM files: `ca`, and of a certificate it signed for the name localhost `cert` and `key`; `other` knows nobody."""
    folder = tmp_path_factory.mktemp("tls")
    now = datetime.datetime.now(datetime.UTC)

    def certificate(
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        issuer: x509.Name,
        issuer_key: ec.EllipticCurvePrivateKey,
        is_ca: bool,
    ) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        if not is_ca:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    ca_key, ca_name = _key_and_name("test authority")
    other_key, other_name = _key_and_name("another authority")
    key, name = _key_and_name("localhost")
    contents = {
        "ca": certificate(ca_name, ca_key, ca_name, ca_key, True),
        "other": certificate(other_name, other_key, other_name, other_key, True),
        "cert": certificate(name, key, ca_name, ca_key, False),
        "key": key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    }
    for label, content in contents.items():
        (folder / f"{label}.pem").write_bytes(content)
    return {label: str(folder / f"{label}.pem") for label in contents}
