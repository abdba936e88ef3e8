"""The text of mail: octets in, values out; no input or output.

header, block, field   header blocks: found, cut by fields, written
envelope, decoded   what a message's files say of its header
address, date, param, word, fromline   what fields hold; RFC 5322, 2045, 2047
part, coding, charset   MIME: parts as offsets, transfer encodings, charsets
window      octets in pieces that a regular expression can search
escape      addresses that no shell understands
"""
