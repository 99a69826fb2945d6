#!/usr/bin/env python3
"""listing.py BASE.tar IMAGE.tar CONFIG.json: what an image has that its base has not, and its configuration, as lines
that do not depend on when it was built."""
import json
import sys
import tarfile

TYPES = {tarfile.REGTYPE: "-", tarfile.AREGTYPE: "-", tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l",
         tarfile.FIFOTYPE: "p", tarfile.CHRTYPE: "c", tarfile.BLKTYPE: "b"}


def tree(path):
    entries, first = {}, {}
    with tarfile.open(path) as tar:
        for m in tar:
            name = m.name.strip("/")
            name = name[2:] if name.startswith("./") else name
            if name in ("", "."):
                continue
            if m.islnk():
                target = m.linkname.strip("/")
                target = target[2:] if target.startswith("./") else target
                first.setdefault(target, target)
                entries[name] = entries[target]
                continue
            line = "%s%04o %d:%d" % (TYPES.get(m.type, "?"), m.mode & 0o7777, m.uid, m.gid)
            if m.issym():
                line = "l     %d:%d -> %s" % (m.uid, m.gid, m.linkname)
            elif m.isreg():
                data = tar.extractfile(m).read()
                line += " " + (repr(data.decode()) if len(data) < 80 and data.isascii() else "%d bytes" % len(data))
            xattrs = sorted(k for k in m.pax_headers if k.startswith("SCHILY.xattr."))
            entries[name] = line + "".join(" " + k[13:] for k in xattrs)
    return entries


def config_lines(c):
    for key in ("User", "WorkingDir", "StopSignal"):
        if c.get(key):
            yield "%s %s" % (key, c[key])
    for key in ("Env", "Cmd", "Entrypoint", "Shell", "OnBuild"):
        if c.get(key):
            yield "%s %s" % (key, json.dumps(c[key]))
    for key in ("ExposedPorts", "Volumes"):
        if c.get(key):
            yield "%s %s" % (key, " ".join(sorted(c[key])))
    for key, value in sorted((c.get("Labels") or {}).items()):
        if not key.startswith("io.buildah."):
            yield "Label %s=%s" % (key, value)
    health = {k: v for k, v in (c.get("Healthcheck") or {}).items() if v}
    if health:
        yield "Healthcheck %s" % json.dumps(health, sort_keys=True)


def main():
    base, image = tree(sys.argv[1]), tree(sys.argv[2])
    for name in sorted(image):
        if base.get(name) != image[name]:
            print("%s %s" % (name, image[name]))
    for name in sorted(set(base) - set(image)):
        print("%s gone" % name)
    with open(sys.argv[3]) as f:
        for line in config_lines(json.load(f)):
            print(line)


main()
