"""Whom to trust over TLS, and how to dial them; the keys and certificates of our own.

Nothing here knows mail beyond the names and ports of its services.

trust       the decision whether this is the peer we meant
thumb, store, vouch   thumbprints, the files that list them, the system's authorities
dial, starttls, service, ninep   peers checked before our first octet
cert, keypair, rsa, der, pem   keys and certificates of our own, and their forms
clients     who may come by which certificate
describe, names   a certificate in words
"""
