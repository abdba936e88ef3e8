"""The SMTP client: smtp(8), RFC 5321.

client, fate    delivering a message, and what became of each recipient
route, dns, dane, sts   which servers take it, and what they must prove
dialogue, auth, session, pool   from a server's name to a session; connections kept
transfer, wire  one message over a session, octet by octet
letter, header, downgrade, dkim   the message in the form a server can take
options, path, make   smtp's flags, addresses in bang form, a client for a site
"""
