"""The key agent: keys, the protocols that use them, and the files that serve both.

factotum(4) is the manual; the protocols are one file each below proto.
"""
