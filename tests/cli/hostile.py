#!/usr/bin/env python3
"""Archives that mean harm, for the suites.

hostile.py rootfs OUT PROBE [NAME=TARGET]...
    the root file system of an image for `holm import`: /bin/probe, /bin/sh that is a link to it, and these
    symbolic links, whose targets are taken as they are
hostile.py layer KIND VICTIM OUT
    one layer alone, for `holm import`
hostile.py image KIND VICTIM OUT
    the same layer upon a harmless one, as `docker save` would put it, for `holm load`
VICTIM is a directory of the host with a file in it, which the layer tries to reach.
"""
import hashlib
import io
import json
import os
import sys
import tarfile


class Layer:
    def __init__(self):
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name, type=tarfile.REGTYPE, data=b"", link="", mode=0o755, pax=None, device=(0, 0)):
        t = tarfile.TarInfo(name)
        t.type, t.linkname, t.mode, t.size = type, link, mode, len(data)
        t.pax_headers = pax or {}
        t.devmajor, t.devminor = device
        self.tar.addfile(t, io.BytesIO(data))

    def directory(self, name):
        self.add(name, tarfile.DIRTYPE)

    def symlink(self, name, target):
        self.add(name, tarfile.SYMTYPE, link=target)

    def hardlink(self, name, target):
        self.add(name, tarfile.LNKTYPE, link=target)

    def close(self):
        self.tar.close()
        return self.bytes.getvalue()


UP = "../" * 24


def climb(layer, victim):
    layer.add(UP + victim.lstrip("/") + "/made", data=b"evil")


def climb_inside(layer, victim):
    layer.directory("a")
    layer.add("a/" + UP + victim.lstrip("/") + "/made", data=b"evil")


def climb_directory(layer, victim):
    layer.directory(UP + victim.lstrip("/") + "/made")


def absolute(layer, victim):
    layer.add(victim + "/made", data=b"evil")


def through_link(layer, victim):
    layer.symlink("d", victim)
    layer.add("d/made", data=b"evil")


def through_relative_link(layer, victim):
    layer.symlink("d", UP + victim.lstrip("/"))
    layer.add("d/made", data=b"evil")


def over_link(layer, victim):
    layer.symlink("d", victim + "/file")
    layer.add("d", data=b"evil")


def hardlink_absolute(layer, victim):
    layer.hardlink("h", victim + "/file")


def hardlink_climb(layer, victim):
    layer.hardlink("h", UP + victim.lstrip("/") + "/file")


def hardlink_through_link(layer, victim):
    layer.symlink("d", victim)
    layer.hardlink("h", "d/file")


def hardlink_to_link(layer, victim):
    layer.symlink("s", victim + "/file")
    layer.hardlink("h", "s")
    layer.add("h", data=b"evil")


def whiteout_through_link(layer, victim):
    layer.symlink("d", victim)
    layer.add("d/.wh.file")


def opaque_through_link(layer, victim):
    layer.symlink("d", victim)
    layer.add("d/.wh..wh..opq")


def whiteout_climb(layer, victim):
    layer.add(UP + victim.lstrip("/") + "/.wh.file")


def whiteout_dots(layer, victim):
    layer.directory("a")
    layer.add("a/.wh...")


def attribute(layer, victim):
    layer.directory("d")
    layer.add("d/f", data=b"x", pax={
        "SCHILY.xattr.trusted.overlay.redirect": victim,
        "SCHILY.xattr.trusted.overlay.metacopy": "",
        "SCHILY.xattr.user.overlay.redirect": victim,
    })
    layer.add("e", tarfile.DIRTYPE, pax={"SCHILY.xattr.trusted.overlay.opaque": "y",
                                         "SCHILY.xattr.trusted.overlay.redirect": victim})


KINDS = {k: v for k, v in list(globals().items()) if callable(v) and k.islower() and k != "main"}


def plain():
    layer = Layer()
    layer.directory("bin")
    layer.directory("d")
    layer.add("d/file", data=b"mine")
    return layer.close()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def image(layers, out):
    config = json.dumps({
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
        "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest(b) for b in layers]},
    }).encode()
    files = {"%d/layer.tar" % n: b for n, b in enumerate(layers)}
    files[digest(config) + ".json"] = config
    files["manifest.json"] = json.dumps([{
        "Config": digest(config) + ".json", "RepoTags": ["hostile:1"],
        "Layers": ["%d/layer.tar" % n for n in range(len(layers))],
    }]).encode()
    with tarfile.open(out, "w") as t:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))


def rootfs(out, probe, links):
    layer = Layer()
    with open(probe, "rb") as f:
        layer.directory("bin")
        layer.add("bin/probe", data=f.read())
    layer.symlink("bin/sh", "probe")
    for link in links:
        layer.symlink(*link.split("=", 1))
    with open(out, "wb") as f:
        f.write(layer.close())


def main(argv):
    if argv[:1] == ["kinds"]:
        print("\n".join(k for k in KINDS if k not in ("plain", "digest", "image", "rootfs")))
    elif argv[0] == "rootfs":
        rootfs(argv[1], argv[2], argv[3:])
    else:
        layer = Layer()
        KINDS[argv[1]](layer, argv[2])
        data = layer.close()
        if argv[0] == "layer":
            with open(argv[3], "wb") as f:
                f.write(data)
        else:
            image([plain(), data], argv[3])


main(sys.argv[1:])
