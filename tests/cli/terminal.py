#!/usr/bin/env python3
"""Runs a program on a terminal of its own and talks to it: terminal.py COMMAND [ARG...] <SCRIPT

A line of the script is one of: expect REGEX, send TEXT (with escapes like \\x10), resize ROWS COLUMNS,
signal NAME, raw yes|no (the terminal's mode), sleep SECONDS, close (hang up), status N (at the end;
a signal's death is 128 and its number). The first that is not so ends everything with status 1.
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

LIMIT = int(os.environ.get("EVENTUALLY", "15"))


def fail(text, seen):
    sys.exit(f"terminal: {text}; seen: {seen!r}")


def read(master, seen, wait):
    if not select.select([master], [], [], wait)[0]:
        return seen, True
    try:
        data = os.read(master, 65536)
    except OSError:
        data = b""
    return seen + data, bool(data)


def expect(master, seen, pattern):
    deadline = time.monotonic() + LIMIT
    regex = re.compile(pattern.encode(), re.S)
    while True:
        found = regex.search(seen)
        if found:
            return seen[found.end():]
        if time.monotonic() > deadline:
            fail(f"no {pattern!r}", seen)
        seen, alive = read(master, seen, 0.1)
        if not alive and not regex.search(seen):
            fail(f"ended without {pattern!r}", seen)


def check_raw(master, wanted, seen):
    deadline = time.monotonic() + LIMIT
    while (not termios.tcgetattr(master)[3] & termios.ICANON) != wanted:
        if time.monotonic() > deadline:
            fail(f"raw is not {wanted}", seen)
        time.sleep(0.02)


def end(pid, master, seen):
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if master >= 0:
            seen, _ = read(master, seen, 0.02)
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), seen
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    fail("does not end", seen)


def main():
    script = sys.stdin.read().splitlines()
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(sys.argv[1], sys.argv[1:])
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen = b""
    for line in script:
        verb, _, text = line.strip().partition(" ")
        if not verb or verb.startswith("#"):
            continue
        if verb == "expect":
            seen = expect(master, seen, text)
        elif verb == "send":
            os.write(master, text.encode().decode("unicode_escape").encode("latin-1"))
        elif verb == "resize":
            rows, columns = map(int, text.split())
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        elif verb == "signal":
            os.kill(pid, getattr(signal, text))
        elif verb == "raw":
            check_raw(master, text == "yes", seen)
        elif verb == "sleep":
            time.sleep(float(text))
        elif verb == "close":
            os.close(master)
            master = -1
        elif verb == "status":
            code, seen = end(pid, master, seen)
            if (code if code >= 0 else 128 - code) != int(text):
                fail(f"status {code}, not {text}", seen)
        else:
            fail(f"unknown verb {verb!r}", seen)


main()
