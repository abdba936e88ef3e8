"""The POP3 server; pop3(8), RFC 1939.

session     the dialogue, pure: octets in, questions and octets out
text        messages stuffed and cut as RETR and TOP send them, pure
maildrop    what one session sees of a mailbox: a snapshot, and its end
server      a connection: a session's questions, put to keys and maildrop
"""
