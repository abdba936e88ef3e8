"""The mail warlock: from a few answers to mail that is read and sent.

warlock    the conversation, from the first question to the mail that arrives
person     who answers: somebody at a terminal, or options alone
provider   what is known of providers; lookup, srv, autoconfig find out the rest
server     one server: service, host, port
trial      logging in before anything is written
text       the files' new texts, pure; plan what to write, change how
keyfile    where keys stay; daemon what keeps running; arrival the test mail
mailboxes  the list of what ``mailfs fs`` opens
"""
