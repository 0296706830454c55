"""TLS for the sandbox, with an authority of its own: Microsoft's clients refuse plain http."""

import ssl
from pathlib import Path


class TrustmeMissingError(Exception):
    """The package trustme, which makes the certificate, is not installed."""


def server_context(ca_file: Path) -> ssl.SSLContext:
    """A context for 127.0.0.1 and localhost; the authority's certificate is written to the file.

    Raises:
        TrustmeMissingError: with the cure.
    """
    try:
        import trustme  # noqa: PLC0415 - only this option needs it, and it is in the dev extra alone.
    except ImportError:
        raise TrustmeMissingError("--tls needs the package trustme: pip install trustme") from None
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context
