"""A process that has ``mailfs smtp`` loaded and forks for each call of it.

A command that runq starts for each message mostly ends in ``mailfs smtp``; what that
costs is the start of Python with all its modules.  Here it is started once: the verb
finds the socket named in its environment, hands its arguments, environment and
descriptors over (call.py), and waits for the exit status.  Without the socket it does
as ever.  What serves the calls is a verb's business: mailfs.cmd.preforked.
"""

import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping

BACKLOG = 128  # calls that wait to be taken up
ENDS = 2.0  # seconds it has to end in when it is no longer wanted


class Prefork:
    """The process, as runq has it; close it."""

    def __init__(self, env: Mapping[str, str]) -> None:
        """Start it.  Raises OSError."""
        # Nobody else may enter the directory, so nobody else can call.
        self._folder = tempfile.TemporaryDirectory(prefix="mailfs-smtp")
        self.path = f"{self._folder.name}/smtp"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path)
            listener.listen(BACKLOG)
            code = f"from mailfs.cmd.preforked import serve; serve({listener.fileno()})"
            self._process = subprocess.Popen(  # noqa: S603  # our own program
                [sys.executable, "-P", "-c", code],
                stdin=subprocess.PIPE,  # its end tells that we have ended
                stdout=subprocess.DEVNULL,
                env=dict(env),
                pass_fds=(listener.fileno(),),
                start_new_session=True,
            )

    def close(self) -> None:
        """End it; calls under way go on."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(ENDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()
