"""Mail made from a text and files, and handed over to be sent; marshal(1).

draft, author, recipients   what the sender wrote, who it is, who gets it
reply       the message that is answered
content, attachment, kind, entity, pgp   what stands below the header
compose     all of it together: a message
dispatch, filing, unfiled   handing it over, and the copies that are kept
"""
