"""9P2000, for any file server: messages, sessions, a server and a client.

It knows nothing of mail.  ``mailfs.p9.ramfs`` is the worked example.
"""

from mailfs.p9.client import Client

__all__ = ["Client"]
