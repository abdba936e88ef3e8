"""The queue of mail that leaves this machine; qer(8), runq(8) in upas's qer(8) page."""
