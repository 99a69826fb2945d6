#!/usr/bin/env python3
"""Waits at a socket for the descriptor that a runtime sends there: receive.py SOCKET tty|SIGNAL|N

N: prints so many datagrams that are sent there, instead.
tty: prints the name that came with it, then all that is written on the terminal until it is closed.
SIGNAL (its name): sends it to the process that the descriptor stands for, and prints the name.
"""
import os
import signal
import socket
import sys

path, what = sys.argv[1:]
kind = socket.SOCK_DGRAM if what.isdigit() else socket.SOCK_STREAM
listener = socket.socket(socket.AF_UNIX, kind)
# Whole at the first sight of it, for whoever waits for the file to be there.
listener.bind(path + ".new")
if not what.isdigit():
    listener.listen()
os.rename(path + ".new", path)
listener.settimeout(60)
if what.isdigit():
    for _ in range(int(what)):
        print(listener.recv(4096).decode(), end="", flush=True)
    sys.exit()
connection = listener.accept()[0]
name, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
print(name.decode(), flush=True)
fd = descriptors[0]
if what == "tty":
    try:
        while data := os.read(fd, 4096):
            sys.stdout.buffer.write(data)
    except OSError:
        pass  # EIO: nobody has the other end any more
else:
    signal.pidfd_send_signal(fd, getattr(signal, what))
