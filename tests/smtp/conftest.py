"""What tests of the client share: certificates, a root, a factotum."""

from tests.factotum.conftest import served
from tests.tls.conftest import our_ca, pki, s_server

__all__ = ["our_ca", "pki", "s_server", "served"]
