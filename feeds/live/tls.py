"""Encryption of a connection, from its configuration."""

from __future__ import annotations

import ssl

from engine.base.errors import UsageError
from feeds.live.address import FeedSecurity


def ssl_context(security: FeedSecurity) -> ssl.SSLContext | None:
    """What both clients take; None where the connection is not encrypted.

    Raises:
        UsageError: If a certificate or key cannot be read.
    """
    if not security.tls:
        return None
    context = ssl.create_default_context()
    if not security.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    reading = security.ca_file
    try:
        if security.ca_file is not None:
            context.load_verify_locations(security.ca_file)
        reading = security.cert_file
        if security.cert_file is not None:
            context.load_cert_chain(security.cert_file, security.key_file)
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(
            "cannot use a certificate or its key",
            where=str(reading),
            expected="PEM files that can be read",
            found=error.strerror or str(error),
        ) from error
    return context
