"""Safe work on files that other programs use too.

replace  the one atomic replace: temp, fsync, rename, fsync of the directory
lock     the locks that other mail programs honour
holder   whose a dotlock is, and whether that process lives
rights   acting as a user, where we are root
mounts   which file systems paths are on, and which may hang
inotify  which directories have changed
open     regular files only, nothing followed or waited for
descriptors  how many the process may have
"""
