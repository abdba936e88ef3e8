"""The client side of POP3; RFC 1939 and 2449.

account     where a maildrop is: the SPEC of upasfs(4)
wire, reader   commands sent ahead, answers and texts read, with bounds
login       AUTH, APOP, USER and PASS
session     one logged-in connection: what the rest of mailfs asks of
error       what a server refused
"""
