"""Servers and lines that tests of network mailboxes use: real, scripted, bad."""
