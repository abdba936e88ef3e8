"""Looking for what keeps mail from being read and sent; nothing is ever changed.

checks      the table of all that is looked at, in order; a new check is a row there
rounds      running them side by side, each for a limited time
finding     one line, and the command that mends it
world       where the doctor looks, and how long it waits
local, fuse, services, agent, trust, clock   this machine, what runs on it, its keys
account, box, visit, imap, pop, smtp, sending   accounts, servers, the way out
"""
