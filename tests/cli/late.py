#!/usr/bin/env python3
"""Asks the supervisor of a container that has just ended to update it: late.py INSTANCE_DIR RUN_DIR

The lock of the configuration is held meanwhile, as by those who ask. The supervisor finds both at once, the end
first. Prints its answer, which is none when it hung up.
"""
import fcntl, json, os, signal, socket, sys, time

instance, run = sys.argv[1:]
with open(instance + "/state.json") as f:
    state = json.load(f)
supervisor, process = state["supervisorPid"], state["run"]["pid"]


def until(pid, letter):
    for _ in range(2000):
        with open(f"/proc/{pid}/stat") as f:
            if f.read().rpartition(") ")[2][0] == letter:
                return
        time.sleep(0.005)
    sys.exit(f"process {pid} does not come to state {letter}")


def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(f"/proc/self/fd/{directory}/ctl")
    return s


directory = os.open(run, os.O_PATH)
config = os.open(instance, os.O_RDONLY)
fcntl.flock(config, fcntl.LOCK_EX)
late, ping = connect(), connect()
ping.sendall(b'{"do":"ping"}\n')
ping.recv(100)  # so the first was accepted, too
os.kill(supervisor, signal.SIGSTOP)
try:
    until(supervisor, "T")
    os.kill(process, signal.SIGKILL)
    until(process, "Z")
    late.sendall(b'{"do":"update"}\n')
finally:
    os.kill(supervisor, signal.SIGCONT)
try:
    print(late.recv(4096).decode(), end="")
except ConnectionResetError:
    pass
