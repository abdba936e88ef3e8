"""Octets fetched from servers, kept within a bound; losing them loses nothing.

pack     the cache: pieces of messages by owner and key, each under a CRC
packdb   where each piece lies
segment  the files that hold them
outage   a disk that takes nothing for a while
"""
