"""The verbs of the command: one module each, imported when it is called.

main        ``mailfs VERB ...``: finds the module, keeps promises about errors and exits
args, tty, net, door, gate, filter   what several verbs take as arguments, and ask
synopses    what every verb takes, for the manual and for shells
A verb parses its arguments, calls down, and has nothing of its own to say about mail.
"""
