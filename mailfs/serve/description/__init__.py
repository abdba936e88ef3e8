"""What servers keep of a message for clients: size, ENVELOPE, BODY, BODYSTRUCTURE.

message     a message described, and the sizes of many
structure   its parts, as BODY and BODYSTRUCTURE
envelope, address   its header, as ENVELOPE
string      octets as these write them
"""
