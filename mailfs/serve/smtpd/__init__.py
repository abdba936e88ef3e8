"""The SMTP server; smtpd(8), RFC 5321, and LMTP, RFC 2033.

grammar  a command line taken apart; pure
text     a message as DATA carries it: line ends, dots, sizes; pure
session  one dialogue: octets in; replies and questions out; pure
conf     mail/lib/smtpd.conf
blocked  mail/lib/blocked: what becomes of networks and senders
lists    names.blocked, senders, the greylist's whitelist
grey     who has called before
policy   all of these asked for one connection, sender, recipient
intake   recipients resolved, messages handed to send
spool    a message while it comes in
server   a connection: the session's questions put to policy and intake
"""
