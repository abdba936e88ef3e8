"""From files that are written to mail that moves: keys, servers, units, a test."""

from dataclasses import dataclass, field

from mailfs.fuse import mountpoint
from mailfs.setup import answer, arrival, daemon, keep
from mailfs.setup.change import FileChange
from mailfs.setup.daemon import FACTOTUM, FS, MOUNT, RUNQ, Daemons
from mailfs.setup.login import Logins
from mailfs.setup.person import YES, Interview
from mailfs.setup.plan import Settings
from mailfs.setup.world import SetupWorld
from mailfs.site import site as sites


@dataclass(slots=True)
class Launch:
    """Brings settings to life; done is what it has changed."""

    world: SetupWorld
    interview: Interview
    told: Settings
    kept: keep.Kept
    logins: Logins
    done: list[str] = field(default_factory=list)
    _mount: str = ""  # the directory

    @property
    def servers(self) -> Daemons:
        """The servers, with the flags that tell the factotum its keys."""
        world = self.world
        return Daemons(world.root, world.user, self.kept.flags, self._mount)

    @property
    def names(self) -> list[str]:
        """Those that the settings need, in the order of their start."""
        told = self.told
        rows = (
            (FACTOTUM, True),
            (FS, bool(told.spec)),
            (RUNQ, told.sending),
            (MOUNT, self._mount),
        )
        return [name for name, needed in rows if needed]

    def run(self) -> int:
        """Do all; return the exit status: 1 if the test mail has not arrived."""
        say = self.interview.say
        if self.servers.running(FACTOTUM):
            self._tell()  # it reads no file again
        self._mount = self._mountpoint()
        servers = self.servers
        self._units()
        missing = [name for name in self.names if not servers.running(name)]
        if missing:
            asked = f"Start {', '.join(missing)} now?"
            if not self.interview.agree("start", asked, usual=True):
                say("To start what is missing:")
                for name in missing:
                    say(f"  {' '.join(servers.words(name))} &")
                return 0
            for name in missing:
                self._start(name)
        if self.told.spec:
            if FS not in missing:
                daemon.open_box(self.told.mailbox, self.told.spec)
            say(f"Your mail: mailfs 9p ls upasfs/{self.told.mailbox}")
            if self._mount:
                say(f"  and below {self._mount}; fusermount3 -u unmounts it")
            elif mountpoint.missing() is None:
                say("  and as files: mailfs mount --readonly ~/mail")
        return self._test()

    def _mountpoint(self) -> str:
        """Ask where the mail is mounted, if it can be; empty for nowhere."""
        given = "mount" in self.interview.given
        lack = mountpoint.missing() if self.told.spec else "there is no mailbox"
        if lack is not None:
            if given and self.interview.given.pop("mount") != answer.NONE:
                self.interview.say(f"no mount: {lack}")
            return ""
        asked = "Mount your mail, read-only, on the directory"
        return self.interview.text("mount", asked, answer.NONE, answer.mountpoint)

    def _tell(self) -> None:
        """Give the factotum that runs the keys."""
        with self.world.keys() as agent:
            for line in self.logins.lines:
                agent.control(line.text())

    def _start(self, name: str) -> None:
        servers = self.servers
        servers.start(name)
        if name == FACTOTUM and not self.kept.flags:
            self._tell()
        self.done.append(f"{name} started")
        self.interview.say(f"{name} started; its complaints are in {servers.log(name)}")

    def _units(self) -> None:
        """Write units if they are wanted, and have systemd start them."""
        interview, servers = self.interview, self.servers
        asked = "Write systemd units that keep them running?"
        if not interview.agree("units", asked, usual=False):
            return
        alone = bool(self.kept.flags)
        if not alone:
            interview.say("The factotum has to be given its keys: no unit for it.")
        for change in daemon.units(servers, self.world.units, factotum=alone):
            if change.needed and self._may(change):
                change.apply()
                self.done.append(str(change.path))
                interview.say(f"written: {change.path}")
        wanted = [n for n in self.names if alone or n != FACTOTUM]
        listed = " ".join(map(daemon.unit, wanted))
        command = f"systemctl --user enable --now {listed}"
        free = not any(servers.running(name) for name in wanted)
        if free and interview.agree("start", f"{command}?", usual=True):
            why = daemon.enable(wanted)
            if not why:
                for name in wanted:
                    daemon.ready(servers, name)
                return
            interview.say(f"systemd does not run them: {why}")
            interview.given["start"] = YES  # that was agreed to
        interview.say(f"To have systemd run them: {command}")

    def _may(self, change: FileChange) -> bool:
        if not change.overwrites or not self.interview.person.present:
            return not change.overwrites
        return self.interview.confirm(f"Replace lines of {change.path}?", usual=True)

    def _test(self) -> int:
        """Send a mail around, if it is wanted and can be."""
        told, say = self.told, self.interview.say
        if told.sending is None or not told.spec:
            return 0
        asked = f"Send a test mail to {told.address}?"
        if not self.interview.agree("test", asked, usual=True):
            return 0
        site = sites.here(self.world.root, self.world.user)
        watch, since = arrival.ArrivalWatch(told.mailbox), arrival.mark(site)
        subject = arrival.send(site, told.address)
        limit = f"at most {arrival.WAIT:.0f} s"
        say(f"Sent {subject!r} to {told.address}; waiting for it, {limit}")
        show = self.interview.person.progress
        came = arrival.wait(site, watch, subject, say, since=since, progress=show)
        show("")
        if came is not None:
            say(f"It came after {came.seconds:.1f} s: mailfs 9p read {came.path}/body")
            return 0
        say("It has not come.  mailfs queue shows what waits; from smtp.fail:")
        for line in arrival.failed(site, since):
            say(f"  {line}")
        return 1
