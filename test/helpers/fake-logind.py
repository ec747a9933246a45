"""A systemd-logind of tests: gives out delay locks, and says that the machine will sleep when a line "sleep" comes on stdin.
Then it prints "slept" when the last lock was given back. "forge" sends the signal from another connection, "restart" gives up
the name and takes it again."""
import os
import sys

import dbus
import dbus.service
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

NAME, PATH, MANAGER = "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"


def say(text):
    print(text, flush=True)


class Manager(dbus.service.Object):
    @dbus.service.method(MANAGER, in_signature="ssss", out_signature="h")
    def Inhibit(self, what, who, why, mode):
        ours, theirs = os.pipe()
        GLib.io_add_watch(ours, GLib.IO_HUP, self.released)
        say(f"lock {what} {who} {mode}")
        given = dbus.types.UnixFd(theirs)
        os.close(theirs)
        return given

    def released(self, fd, _):
        os.close(fd)
        say("slept")
        return False

    @dbus.service.signal(MANAGER, signature="b")
    def PrepareForSleep(self, before):
        pass


DBusGMainLoop(set_as_default=True)
bus = dbus.bus.BusConnection(os.environ["DBUS_SYSTEM_BUS_ADDRESS"])
name = dbus.service.BusName(NAME, bus)
manager = Manager(bus, PATH)


def forge():
    """Straight to each connection, as any program may."""
    other = dbus.bus.BusConnection(os.environ["DBUS_SYSTEM_BUS_ADDRESS"])
    for each in bus.list_names():
        if each.startswith(":"):
            message = dbus.lowlevel.SignalMessage(PATH, MANAGER, "PrepareForSleep")
            message.append(True, signature="b")
            message.set_destination(each)
            other.send_message(message)
    other.flush()


def command(*_):
    line = sys.stdin.readline().strip()
    if line == "":
        loop.quit()
        return False
    if line == "sleep":
        manager.PrepareForSleep(True)
    elif line == "wake":
        manager.PrepareForSleep(False)
    elif line == "forge":
        forge()
    say(f"done {line}")
    return True


import dbus.lowlevel  # noqa: E402

GLib.io_add_watch(sys.stdin, GLib.IO_IN | GLib.IO_HUP, command)
loop = GLib.MainLoop()
say("ready")
loop.run()
