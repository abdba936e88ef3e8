"""secstore: files only their owner can read, kept by a server that cannot.

The password opens the connection (PAK) and, by another way, the files.  The old
cryptography is here for Plan 9's programs; what we store ourselves is encrypted anew.

client, edit    what the verb does; a secret edited in memory only
server, account, shelf   what is kept for people, and how it is served
conn, sconn, pak, kdf, seal   records, the login, files as they are stored
"""
