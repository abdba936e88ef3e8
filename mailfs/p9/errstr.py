"""The error texts of the protocol itself; those of files are in mailfs.errors.

A text is interface: Linux v9fs looks error texts up whole in a fixed table
(net/9p/error.c), plan9port's 9pfuse by substring, 9front's clients by substring.
"""

EBADFID = "fid unknown or out of range"
EFIDUSE = "fid already in use"
EOPEN = "file already open for I/O"
EBADUSE = "bad use of fid"
EOFFSET = "illegal offset"
EDIROFFSET = "bad offset in directory read"
EMODE = "illegal mode"
ECOUNT = "i/o count too large"
EWSTAT = "wstat prohibited"
ESTAT = "bogus wstat buffer"
EAUTH = "authentication failed"
ENOAUTH = "authentication not required"
EBADTYPE = "bad fcall type"
EPROTO = "protocol botch"
EINTERRUPTED = "Interrupted system call"
