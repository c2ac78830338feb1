"""The certificate of a server of HTTPS, with its private key, out of a file that its owner alone may read."""

from __future__ import annotations

import os
import pathlib
import ssl
import stat

from lwm2m_lab.errors import BadInput

__all__ = ["serving_context", "trusting_context"]


def serving_context(path: str | os.PathLike[str]) -> ssl.SSLContext:
    """What a server of HTTPS shows: the certificates and the private key of a file in PEM, of mode 600.

    Raises
    ------
    BadInput
        Where it cannot be read, others may read it, it has no such things, or the key is locked by a password.

    Examples
    --------
    >>> serving_context("no-such.pem")
    Traceback (most recent call last):
    lwm2m_lab.errors.BadInput: the certificate no-such.pem cannot be read (No such file or directory); ...
    """
    wanted = "a file in PEM, of mode 600, with the certificate and its private key is expected"
    try:
        mode = stat.S_IMODE(pathlib.Path(path).stat().st_mode)
        if mode & 0o077:
            raise BadInput(f"{path} is open to others (mode {mode:o}); {wanted}: chmod 600 {path}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # An empty password, so that nobody is asked for one on the terminal.
        context.load_cert_chain(path, password="")
    except ssl.SSLError:
        raise BadInput(f"the certificate {path} has no certificate and key that belong together; {wanted}") from None
    except OSError as error:
        raise BadInput(f"the certificate {path} cannot be read ({error.strerror}); {wanted}") from None
    return context


def trusting_context(path: str | os.PathLike[str] | None) -> ssl.SSLContext:
    """Whom a device trusts over HTTPS: the authorities of a file in PEM alone, or those of the system.

    Raises
    ------
    BadInput
        Where the file cannot be read, or has none.

    Examples
    --------
    >>> trusting_context("no-such.pem")
    Traceback (most recent call last):
    lwm2m_lab.errors.BadInput: the authorities no-such.pem cannot be read (No such file or directory); ...
    """
    wanted = "a file of certificates in PEM is expected"
    try:
        return ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise BadInput(f"the authorities {path} have no certificate; {wanted}") from None
    except OSError as error:
        raise BadInput(f"the authorities {path} cannot be read ({error.strerror}); {wanted}") from None
