"""Whom to trust over TLS, and how to dial them; the keys and certificates of our own.

Nothing here knows mail beyond the names and ports of its services.
"""
