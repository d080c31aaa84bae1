"""Ways to registries, as whoever runs a command has set them up."""

import ssl

from transship.errors import NeedsHuman, Reason
from transship.registry.network import Network
from transship.registry.transport import Transport


def open_transport(network: Network) -> Transport:
    """A transport.

    Raises:
        NeedsHuman: InvalidRequest: the authorities cannot be read, or the proxies not be understood.
    """
    try:
        return Transport(network)
    except OSError as error:
        why = "they are no PEM" if isinstance(error, ssl.SSLError) else error.strerror or "they are no PEM"
        raise NeedsHuman(
            Reason.INVALID_REQUEST, f"the certificate authorities in {network.ca_file} cannot be read ({why})"
        ) from error
    except ValueError:  # its text may hold a password
        raise NeedsHuman(
            Reason.INVALID_REQUEST, "HTTPS_PROXY or HTTP_PROXY is no URL of a proxy; write http://host:port"
        ) from None
