#!/usr/bin/env python3
"""A registry between holm and a real one, which misbehaves as it is told.

	registry.py UPSTREAM PORTFILE         (UPSTREAM: http://127.0.0.1:PORT)

How is a line in the file PORTFILE.how, read for each request; "" passes everything on. N is the number of requests
for blobs so far.

	stop BYTES         the connection ends after that many bytes of a blob's body, and at once when it is resumed
	cut BYTES [TIMES]  the connection ends after that many bytes of a blob's body, the first TIMES times
	corrupt OFFSET     one byte of blobs is another one
	manifest FILE      manifests are this file
	short / long       blobs have a byte less or more than their manifest says
	endless            blobs never end
	status CODE [TIMES] for blobs, with Retry-After: 0
	loop               every blob redirects to itself
	elsewhere          blobs are at another host name of this server, which writes down what it is told (.told)
	away               blobs are at ftp://
	slow               blobs come a byte at a time
	range              a part of a blob that is asked for is said to be another one
	silent             nothing is answered to requests for blobs
	token              a bearer token is wanted, for user "me" with password "secret"
"""
import base64, http.client, http.server, json, os, socket, socketserver, sys, time, urllib.parse

UPSTREAM = urllib.parse.urlsplit(sys.argv[1])
FILE = sys.argv[2]


def read(name):
    try:
        with open(FILE + name) as f:
            return f.read().strip()
    except FileNotFoundError:
        return ""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    count = 0

    def log_message(self, *args):
        with open(FILE + ".log", "a") as f:
            f.write("%s %s %s\n" % (self.command, self.path, self.headers.get("Range", "")))

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def end(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def token(self):
        port = self.server.server_address[1]
        if self.path.startswith("/token"):
            given = self.headers.get("Authorization", "")
            if given != "Basic " + base64.b64encode(b"me:secret").decode():
                return self.answer(401, b"{}")
            with open(FILE + ".scopes", "a") as f:
                f.write(self.path + "\n")
            return self.answer(200, json.dumps({"token": "good"}).encode())
        if self.headers.get("Authorization") == "Bearer good":
            return None
        return self.answer(401, b"{}", [("WWW-Authenticate",
            'Bearer realm="http://127.0.0.1:%d/token",service="test"' % port)]) or True

    def upstream(self):
        c = http.client.HTTPConnection(UPSTREAM.hostname, UPSTREAM.port, timeout=30)
        length = int(self.headers.get("Content-Length") or 0)
        headers = {k: v for k, v in self.headers.items()
            if k.lower() in ("accept", "content-type", "range", "content-range", "host")}
        c.request(self.command, self.path, self.rfile.read(length), headers)
        return c.getresponse()

    def handle_one(self):
        how = read(".how").split()
        mode = how[0] if how else ""
        blob = "/blobs/sha256:" in self.path and self.command == "GET"
        if mode == "token" and (self.token() or self.path.startswith("/token")):
            return
        if mode == "elsewhere" and self.headers.get("Host", "").startswith("localhost"):
            with open(FILE + ".told", "a") as f:
                f.write("%s\n" % self.headers.get("Authorization"))
        if mode == "manifest" and "/manifests/" in self.path and self.command != "PUT":
            with open(how[1], "rb") as f:
                body = f.read()
            kind = json.loads(body).get("mediaType", "application/vnd.oci.image.manifest.v1+json")
            return self.answer(200, body, [("Content-Type", kind)])
        if blob and self.path.split(":")[-1] == read(".config"):
            blob = False
        if blob and self.misbehaves(mode, how):
            return
        r = self.upstream()
        body = r.read()
        headers = [(k, v) for k, v in r.getheaders()
            if k.lower() not in ("content-length", "transfer-encoding", "connection")]
        if blob and mode == "corrupt":
            body = bytearray(body)
            body[int(how[1]) % len(body)] ^= 1
        elif blob and mode == "range":
            headers = [(k, v.replace("bytes ", "bytes 1") if k.lower() == "content-range" else v) for k, v in headers]
        elif blob and mode == "short":
            body = body[:-1]
        elif blob and mode == "long":
            body = body + b"x"
        if self.command == "HEAD":
            self.send_response(r.status)
            for k, v in r.getheaders():
                self.send_header(k, v)
            self.end_headers()
            return
        if blob and mode in ("cut", "stop"):
            Handler.count += 1
            if mode == "stop" and self.headers.get("Range"):
                how[1] = "0"
            if len(how) < 3 or Handler.count <= int(how[2]):
                self.send_response(r.status)
                for k, v in headers:
                    self.send_header(k, v)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[:int(how[1])])
                self.wfile.flush()
                return self.end()
        self.answer(r.status, body, headers)

    def misbehaves(self, mode, how):
        port = self.server.server_address[1]
        if mode == "status":
            Handler.count += 1
            if len(how) < 3 or Handler.count <= int(how[2]):
                self.answer(int(how[1]), b'{"errors":[{"message":"as it was told"}]}',
                    [("Retry-After", "0")])
                return True
        elif mode == "loop":
            self.answer(307, b"", [("Location", self.path)])
            return True
        elif mode == "elsewhere" and not self.headers.get("Host", "").startswith("localhost"):
            self.answer(307, b"", [("Location", "http://localhost:%d%s" % (port, self.path))])
            return True
        elif mode == "away":
            self.answer(307, b"", [("Location", "ftp://127.0.0.1/x")])
            return True
        elif mode == "endless":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"\x1f\x8b" + b"x" * 65536)
            except OSError:
                pass
            self.close_connection = True
            return True
        elif mode == "slow":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"\x1f")
                    time.sleep(0.1)
            except OSError:
                pass
            self.close_connection = True
            return True
        elif mode == "silent":
            time.sleep(20)
            self.close_connection = True
            return True
        return False

    def do_GET(self):
        try:
            self.handle_one()
        except OSError:
            self.close_connection = True

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True


server = Server(("127.0.0.1", 0), Handler)
with open(FILE + ".new", "w") as f:
    f.write(str(server.server_address[1]))
os.rename(FILE + ".new", FILE)
server.serve_forever()
