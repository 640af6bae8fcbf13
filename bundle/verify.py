#!/usr/bin/env python3
"""Verify an evidence bundle of Leitplanke without Leitplanke.

    python3 verify.py [--trust FILE] [--json] BUNDLE        (a .zip file or a folder)

Exit 0: every entry, hash, signature and sealed part checks.
Exit 1: something is wrong; the first wrong entry is named.
Exit 2: the path is missing or the call is wrong.

Only the standard library of Python 3.8 or later is used; there is no network and nothing is written. The program is a
second, independent implementation of the checks of the Go package "bundle", so that one bug does not hide in both. It
checks, in this order:

 1. the container: every byte of the zip that is not content is recomputed and compared,
 2. manifest.json, its limits, its one spelling and its signature in manifest.sig,
 3. that exactly the files are there that the manifest lists and the format asks for,
 4. every entry: hash, canonical encoding, sealed part, one end for each call, order of epochs,
 5. every tile and every signed checkpoint against the entries (Merkle tree of RFC 6962),
 6. that an entry explains whatever is missing,
 7. length and SHA-256 of all files.

What was found in steps 2, 3 and 7 is reported only if no entry can be named.
"""

import base64
import bisect
import hashlib
import json
import os
import re
import stat
import struct
import sys
import zlib

FORMAT = "leitplanke.bundle/v1"
WIDTH = 256                 # hashes in a full tile, entries in a full entry bundle
HASH = 32                   # bytes of a hash
MAX_LEAF = (1 << 16) - 1
MAX_FILES = 1 << 20
MAX_MANIFEST = 256 << 20
MAX_SEALED = 256 << 20
MAX_SMALL = 1 << 20
MAX_NUMBER = 1 << 62


class Bad(Exception):
    """Something is wrong with the bundle; the text says what."""


# --- Ed25519 (RFC 8032), verification only ---------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def _recover_x(y, sign):
    """The x coordinate of a point, None where there is none."""
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if x2 == 0:
        return None if sign else 0
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * SQRT_M1 % P
    if (x * x - x2) % P:
        return None
    return P - x if x & 1 != sign else x


def _add(p, q):
    """Sum of two points in extended coordinates (X, Y, Z, T)."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _mul(k, p):
    q = (0, 1, 1, 0)
    while k:
        if k & 1:
            q = _add(q, p)
        p = _add(p, p)
        k >>= 1
    return q


def _decompress(b):
    y = int.from_bytes(b, "little")
    sign = y >> 255
    y &= (1 << 255) - 1
    x = _recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


_BY = 4 * pow(5, P - 2, P) % P
_BX = _recover_x(_BY, 0)
BASE = (_BX, _BY, 1, _BX * _BY % P)


def ed25519_verify(public, message, signature):
    """Whether the signature of 64 bytes is that of the message under the public key of 32 bytes."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a = _decompress(public)
    s = int.from_bytes(signature[32:], "little")
    if a is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    # R = sB - hA, compared in its one encoding
    x, y, z, _ = _add(_mul(s, BASE), _mul(h, (P - a[0], a[1], a[2], P - a[3])))
    inv = pow(z, P - 2, P)
    x, y = x * inv % P, y * inv % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


# --- signed notes and checkpoints (C2SP signed-note, tlog-checkpoint) ------------------------------------------------

def strict_base64(s):
    """Bytes of a base64 text in its one spelling, None where it is another."""
    try:
        b = base64.b64decode(s.encode("ascii"), validate=True)
    except (ValueError, UnicodeEncodeError):
        return None
    return b if base64.b64encode(b).decode() == s else None


def usable_name(name):
    return name != "" and "+" not in name and not any(c.isspace() for c in name)


class Key:
    """A note verifier key: name+hash+base64(1 byte algorithm, public key)."""

    def __init__(self, vkey):
        part = vkey.split("+", 2)
        if len(part) != 3 or not re.fullmatch("[0-9a-f]{8}", part[1]) or not usable_name(part[0]):
            raise Bad("the log key cannot be read")
        raw = strict_base64(part[2])
        if raw is None or len(raw) != 33 or raw[0] != 1:
            raise Bad("the log key is not an Ed25519 key")
        self.name, self.text, self.public = part[0], vkey, raw[1:]
        self.hash = hashlib.sha256(self.name.encode() + b"\n" + raw).digest()[:4]
        if self.hash.hex() != part[1]:
            raise Bad("the log key does not have the hash that it says")
        digest = hashlib.sha256(self.public).hexdigest()
        self.fingerprint = " ".join(digest[i:i + 4] for i in range(0, 64, 4))


def open_note(data, key):
    """Text of a signed note, if the key signed it and every byte is in its one spelling."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Bad("signature: it is not UTF-8")
    if any(ord(c) < 0x20 and c != "\n" for c in text):
        raise Bad("signature: malformed note")
    at = text.rfind("\n\n")
    if at < 0 or not text.endswith("\n"):
        raise Bad("signature: malformed note")
    body, lines = text[:at + 1], text[at + 2:-1].split("\n")
    if len(lines) > 100:
        raise Bad("signature: too many signatures")
    for i, line in enumerate(lines):
        part = line.split(" ")
        sig = strict_base64(part[2]) if len(part) == 3 else None
        if sig is None or part[0] != "\u2014" or not usable_name(part[1]) or len(sig) < 5 or line in lines[:i]:
            raise Bad("signature: not the one spelling of a signature")
        own = part[1] == key.name and sig[:4] == key.hash
        if own != (i == 0):
            raise Bad("signature: the first, and no other, has to be that of the log key")
        if own and not ed25519_verify(key.public, body.encode(), sig[4:]):
            raise Bad("signature: it is not that of the key")
    return body


def decimal(s, limit=MAX_NUMBER):
    """A number in its one decimal spelling, None where it is another."""
    if not re.fullmatch("0|[1-9][0-9]{0,19}", s) or int(s) >= limit:
        return None
    return int(s)


class Checkpoint:
    def __init__(self, text):
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] != "":
            raise Bad("checkpoint: it has three lines")
        self.origin, self.size, self.root = lines[0], decimal(lines[1]), strict_base64(lines[2])
        if self.size is None or self.root is None or len(self.root) != HASH:
            raise Bad("checkpoint: size or root is not one")


# --- the tree (RFC 6962) ---------------------------------------------------------------------------------------------

def sha256(b):
    return hashlib.sha256(b).digest()


def leaf_hash(leaf):
    return sha256(b"\x00" + leaf)


def node_hash(left, right):
    return sha256(b"\x01" + left + right)


def subtree_root(hashes):
    while len(hashes) > 1:
        hashes = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
    return hashes[0]


class Peaks:
    """Roots of the perfect subtrees of a growing tree."""

    def __init__(self):
        self.size, self.hashes = 0, []

    def add(self, h):
        n = self.size
        while n & 1:
            h = node_hash(self.hashes.pop(), h)
            n >>= 1
        self.hashes.append(h)
        self.size += 1

    def root(self):
        if not self.hashes:
            return sha256(b"")
        h = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            h = node_hash(left, h)
        return h


# --- paths (C2SP tlog-tiles) -----------------------------------------------------------------------------------------

def tile_number(n, width):
    s = "%03d" % (n % 1000)
    n //= 1000
    while n:
        s = "x%03d/" % (n % 1000) + s
        n //= 1000
    return s if width == WIDTH else s + ".p/%d" % width


def tile_path(level, n, width):
    return "tile/%d/%s" % (level, tile_number(n, width))


def entries_path(n, width):
    return "tile/entries/" + tile_number(n, width)


def sealed_path(n, width):
    return "payloads/sealed/" + tile_number(n, width)


def parse_tile_number(s):
    """The number in a path; the caller compares the whole path with its one spelling."""
    m = re.fullmatch(r"((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/[0-9]{1,3})?", s)
    return int(m.group(1).replace("x", "").replace("/", "")) if m and len(s) < 60 else None


def check_path(p):
    if not re.fullmatch(r"[A-Za-z0-9._/-]{1,200}", p) or any(part == "" or part[0] == "." for part in p.split("/")):
        raise Bad("%r is not a path of a bundle" % p[:200])


# --- the leaf (deterministic CBOR, RFC 8949 section 4.2.1) -----------------------------------------------------------

# Key in the map, name, kind. A field that is zero or empty is not written; key 3 is the only number that may be 0.
UINT, TEXT, BYTES, TEXTS, COUNTS, RANS, SPANS = range(7)
FIELDS = {
    0: ("version", UINT), 1: ("type", TEXT), 2: ("event", BYTES), 3: ("ref", UINT), 4: ("epoch", UINT), 5: ("kind", TEXT),
    6: ("time", UINT), 7: ("instance", TEXT), 8: ("system", TEXT), 9: ("policy", TEXT), 10: ("policy_hash", BYTES),
    11: ("model", TEXT), 12: ("provider", TEXT), 13: ("verdict", TEXT), 14: ("rules", TEXTS), 15: ("findings", COUNTS),
    16: ("tokens_in", UINT), 17: ("tokens_out", UINT), 18: ("estimated", UINT), 19: ("class", TEXT), 20: ("key", TEXT),
    21: ("c_request", BYTES), 22: ("c_outbound", BYTES), 23: ("c_response", BYTES), 24: ("c_meta", BYTES),
    25: ("h_sealed", BYTES), 26: ("code", TEXT), 27: ("coverage", RANS), 28: ("object", TEXT), 29: ("revision", UINT),
    30: ("c_row", BYTES), 31: ("entries", SPANS), 32: ("keys", TEXTS), 33: ("digest", BYTES), 34: ("prior_log", TEXT),
    35: ("prior_size", UINT), 36: ("prior_root", BYTES), 37: ("found_size", UINT),
}
MAJOR_UINT, MAJOR_BYTES, MAJOR_TEXT, MAJOR_ARRAY, MAJOR_MAP = 0, 2, 3, 4, 5
ROWS = {COUNTS: (TEXT, UINT), RANS: (TEXT, UINT, UINT, UINT, UINT), SPANS: (UINT, UINT)}


class Decoder:
    def __init__(self, b):
        self.b, self.at = b, 0

    def head(self, major):
        if self.at >= len(self.b):
            raise Bad("leaf: data ends too early")
        first = self.b[self.at]
        self.at += 1
        if first >> 5 != major:
            raise Bad("leaf: value of another type expected")
        info = first & 0x1F
        if info < 24:
            return info
        if info > 27:
            raise Bad("leaf: value of another type expected")
        n = 1 << (info - 24)
        raw = self.take(n)
        v = int.from_bytes(raw, "big")
        if v < 24 or (n > 1 and v < 1 << (4 * n)):
            raise Bad("leaf: not the shortest spelling")
        return v

    def take(self, n):
        if n > len(self.b) - self.at:
            raise Bad("leaf: data ends too early")
        self.at += n
        return self.b[self.at - n:self.at]

    def count(self, major, limit):
        n = self.head(major)
        if n > limit or n > len(self.b) - self.at:
            raise Bad("leaf: too many items")
        return n

    def value(self, kind):
        if kind == UINT:
            return self.head(MAJOR_UINT)
        if kind == BYTES:
            return self.take(self.head(MAJOR_BYTES))
        if kind == TEXT:
            try:
                return self.take(self.head(MAJOR_TEXT)).decode("utf-8")
            except UnicodeDecodeError:
                raise Bad("leaf: text is not UTF-8")
        items = []
        for _ in range(self.count(MAJOR_ARRAY, 4096)):
            if kind == TEXTS:
                items.append(self.value(TEXT))
                continue
            if self.count(MAJOR_ARRAY, 4096) != len(ROWS[kind]):
                raise Bad("leaf: wrong length")
            items.append([self.value(k) for k in ROWS[kind]])
        return items


def decode_leaf(b):
    """The fields of a leaf by name. Only the one spelling that the format allows is read."""
    d = Decoder(b)
    leaf = {"epoch": 0, "type": "", "system": "", "key": "", "h_sealed": b"", "ref": None, "entries": [], "keys": []}
    last = -1
    for _ in range(d.count(MAJOR_MAP, 64)):
        key = d.head(MAJOR_UINT)
        if key <= last:
            raise Bad("leaf: map keys out of order")
        last = key
        if key not in FIELDS:
            raise Bad("leaf: unknown map key")
        name, kind = FIELDS[key]
        leaf[name] = v = d.value(kind)
        if not v and key != 3 or key == 18 and v != 1 or key == 2 and len(v) != 16:
            raise Bad("leaf: field %d is not written like that" % key)
    if d.at != len(b):
        raise Bad("leaf: bytes after the end")
    if leaf.get("version") != 1:
        raise Bad("leaf: version %s is not known here" % leaf.get("version", 0))
    if "event" not in leaf:
        raise Bad("leaf: no event")
    return leaf


# --- the container ---------------------------------------------------------------------------------------------------

def zip_local(name, size, crc):
    return struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 33, crc, size, size, len(name), 0) + name


def zip_central(name, size, crc, at):
    return struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 33, crc, size, size, len(name), 0, 0, 0, 0, 0, at) + name


def zip_end(files, start, size):
    return struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, files, files, size, start, 0)


class Zip:
    """A zip in the one spelling of the format: stored, sorted, without dates, extra fields and comments."""

    def __init__(self, f, size):
        self.f, self.size = f, size
        self.sizes, self.at, self.crc = {}, {}, {}
        if size > 2**32 - 2:
            raise Bad("zip: %d bytes are too many" % size)
        records, at, last, name = [], 0, "the beginning", ""
        while True:
            head = self.get(at, 30)
            if len(head) < 30:
                raise Bad("zip: it ends after " + last)
            if head[:4] == b"PK\x01\x02":
                break
            if head[:4] != b"PK\x03\x04":
                raise Bad("zip: no header of a file after " + last)
            crc, n_bytes, n_name = struct.unpack("<I4xIH2x", head[14:])
            if not 0 < n_name <= 200 or size - at - 30 < n_name + n_bytes or len(records) >= 2**16 - 2:
                raise Bad("zip: the header after %s does not fit" % last)
            raw = self.get(at + 30, n_name)
            try:
                this = raw.decode("ascii")
                check_path(this)
            except (UnicodeDecodeError, Bad):
                this = ""
            if this <= name:
                raise Bad("zip: the file after %s has a name that is wrong or out of order" % last)
            name = last = this
            if head + raw != zip_local(raw, n_bytes, crc):
                raise Bad("zip: the header of %s is not what it has to be" % name)
            self.sizes[name], self.at[name], self.crc[name] = n_bytes, at + 30 + n_name, crc
            records.append((name, zip_central(raw, n_bytes, crc, at)))
            at += 30 + n_name + n_bytes
        start = at
        for name, want in records:
            if self.get(at, len(want)) != want:
                raise Bad("zip: the directory record of %s is not what it has to be" % name)
            at += len(want)
        end = zip_end(len(records), start, at - start)
        if size - at != len(end) or self.get(at, len(end)) != end:
            raise Bad("zip: the end record is not what it has to be")

    def get(self, at, n):
        self.f.seek(at)
        return self.f.read(n)

    def read(self, name):
        b = self.get(self.at[name], self.sizes[name])
        if len(b) != self.sizes[name]:
            raise Bad("%s cannot be read to its end" % name)
        return b

    def chunks(self, name):
        at, left = self.at[name], self.sizes[name]
        while left > 0:
            b = self.get(at, min(left, 1 << 20))
            if not b:
                raise Bad("%s cannot be read to its end" % name)
            at, left = at + len(b), left - len(b)
            yield b


class Folder:
    """A folder with the files of a bundle."""

    def __init__(self, path):
        self.path, self.sizes, self.crc = path, {}, {}
        todo, seen = [""], 0
        while todo:
            folder = todo.pop()
            with os.scandir(os.path.join(path, folder)) as entries:
                for e in entries:
                    name = folder + "/" + e.name if folder else e.name
                    seen += 1
                    if seen > 2 * MAX_FILES:
                        raise Bad("the folder has too many files")
                    check_path(name)
                    info = e.stat(follow_symlinks=False)
                    if stat.S_ISDIR(info.st_mode):
                        todo.append(name)
                    elif stat.S_ISREG(info.st_mode):
                        self.sizes[name] = info.st_size
                    else:
                        raise Bad("%s is not a plain file" % name)

    def chunks(self, name):
        left = self.sizes[name]
        with open(os.path.join(self.path, *name.split("/")), "rb") as f:
            while left > 0:
                b = f.read(min(left, 1 << 20))
                if not b:
                    raise Bad("%s cannot be read to its end" % name)
                left -= len(b)
                yield b

    def read(self, name):
        return b"".join(self.chunks(name))


# --- the bundle ------------------------------------------------------------------------------------------------------

MANIFEST = ["format", "origin", "size", "root", "from", "to", "from_time", "to_time", "system", "reduced", "created",
            "version", "settings", "files"]


def decode_json(b):
    """JSON in the one spelling of the format."""
    try:
        v = json.loads(b.decode("utf-8"))
        again = json.dumps(v, indent=1, ensure_ascii=False).encode("utf-8") + b"\n"
    except (ValueError, RecursionError):
        raise Bad("it is not the JSON that a bundle holds")
    if again != b:
        raise Bad("not the shortest spelling")
    return v


def is_number(v):
    return type(v) is int and 0 <= v <= MAX_NUMBER


def is_plain(s):
    return (isinstance(s, str) and len(s.encode("utf-8", "replace")) <= 1000
            and not any(c < " " or c in "\x7f\u2028\u2029\ufffd" for c in s))


def decode_manifest(b):
    m = decode_json(b)
    if not isinstance(m, dict) or list(m) != MANIFEST:
        raise Bad("it is not the JSON that a bundle holds")
    if m["format"] != FORMAT:
        raise Bad("the format is not known here")
    if not all(is_number(m[k]) for k in ("size", "from", "to")) or not 0 < m["size"] or not m["from"] <= m["to"] <= m["size"]:
        raise Bad("size or period is not one")
    if type(m["reduced"]) is not bool or not m["reduced"] and (m["from"] or m["to"] != m["size"] or m["system"]):
        raise Bad("a part of the log that does not say so")
    if not isinstance(m["settings"], list) or len(m["settings"]) > 100 or not isinstance(m["files"], list) or not 0 < len(m["files"]) <= MAX_FILES:
        raise Bad("the list of settings or files is missing or too long")
    texts = [m[k] for k in ("origin", "root", "from_time", "to_time", "system", "created", "version")]
    for s in m["settings"]:
        if not isinstance(s, dict) or list(s) != ["name", "value"]:
            raise Bad("it is not the JSON that a bundle holds")
        texts += s.values()
    if not all(is_plain(s) for s in texts):
        raise Bad("a text is too long or has control characters")
    last = ""
    for f in m["files"]:
        if not isinstance(f, dict) or list(f) != ["path", "bytes", "sha256"] or not isinstance(f["path"], str) or not isinstance(f["sha256"], str):
            raise Bad("it is not the JSON that a bundle holds")
        check_path(f["path"])
        if f["path"] <= last or f["path"] in ("manifest.json", "manifest.sig"):
            raise Bad("the file %r is listed out of order" % f["path"])
        last = f["path"]
        if not re.fullmatch("[0-9a-f]{64}", f["sha256"]) or not is_number(f["bytes"]):
            raise Bad("%s has no SHA-256 or no length" % f["path"])
    return m


class Spans:
    """A set of numbers, made of ranges [from, to)."""

    def __init__(self):
        self.raw, self.starts, self.merged = [], None, []

    def add(self, a, b):
        if a < b:
            if self.raw and self.raw[-1][1] == a:
                self.raw[-1][1] = b
            else:
                self.raw.append([a, b])
            self.starts = None

    def __contains__(self, n):
        if self.starts is None:
            self.merged = []
            for a, b in sorted(self.raw):
                if self.merged and a <= self.merged[-1][1]:
                    self.merged[-1][1] = max(self.merged[-1][1], b)
                else:
                    self.merged.append([a, b])
            self.starts = [s[0] for s in self.merged]
        i = bisect.bisect_right(self.starts, n) - 1
        return i >= 0 and n < self.merged[i][1]


class Verifier:
    """One verification. The report has the fields of the Go verifier."""

    def __init__(self, container, trust=None):
        self.c, self.trust = container, trust
        self.report = {
            "ok": True, "entries": 0, "size": 0, "root": "", "checkpoints": 0, "first_bad": None, "trusted": False,
            "origin": "", "fingerprint": "", "sealed": 0, "erased": 0, "open": 0, "stops": 0, "epoch": 0, "covered": 0,
            "reduced": False,
        }
        self.changed = None         # the first file that does not have the hash of the manifest
        self.looked = set()
        self.outer = None           # what is wrong outside the log

    # reporting

    def bad(self, n, what):
        """Entry n is wrong; the smallest one is kept."""
        self.report["ok"] = False
        first = self.report["first_bad"]
        if first is None or first["entry"] is None or n < first["entry"]:
            self.report["first_bad"] = {"entry": n, "what": str(what)}

    def bad_file(self, what):
        self.report["ok"] = False
        if self.report["first_bad"] is None:
            self.report["first_bad"] = {"entry": None, "what": str(what)}

    # files

    def small(self, name, limit=MAX_SMALL):
        if name not in self.c.sizes:
            raise Bad("%s is missing" % name)
        if self.c.sizes[name] > limit:
            raise Bad("%s has %d bytes, at most %d are read" % (name, self.c.sizes[name], limit))
        return self.c.read(name)

    def read(self, name):
        """A whole file of the manifest; its hash is compared."""
        b = self.c.read(name)
        self.compare(name, hashlib.sha256(b).hexdigest(), zlib.crc32(b))
        return b

    def compare(self, name, digest, crc):
        self.looked.add(name)
        if self.changed is None:
            if digest != self.info[name]["sha256"]:
                self.changed = "%s does not have the SHA-256 that the manifest says" % name
            elif self.c.crc.get(name, crc) != crc:
                self.changed = "%s does not have the checksum that the zip says" % name

    # the run

    def run(self):
        try:
            self.before()
        except Bad as e:
            self.bad_file(e)
            return self.report
        outer, self.report["first_bad"], self.report["ok"] = self.report["first_bad"], None, True
        self.check_log()
        r = self.report
        fits = r["ok"]
        if outer and (r["ok"] or r["first_bad"]["entry"] is None):
            r["ok"], r["first_bad"] = False, outer
        if r["ok"]:
            try:
                self.rest()
            except Bad as e:
                self.bad_file(e)
        r["trusted"] = r["ok"] and (self.confirmed or fits and len(self.trusted) > 0)
        return r

    def before(self):
        """Everything up to the entries. What ends the run is raised, other findings are noted."""
        text = self.small("manifest.json", MAX_MANIFEST)
        try:
            self.m = m = decode_manifest(text)
        except Bad as e:
            raise Bad("manifest.json: %s" % e)
        self.size = m["size"]
        self.report.update(origin=m["origin"], size=m["size"], reduced=m["reduced"],
                           period={"from": m["from"], "to": m["to"]}, settings=m["settings"])
        self.layout()
        try:
            k = decode_json(self.small("keys.json"))
            if not isinstance(k, dict) or list(k) != ["origin", "vkey", "fingerprint"] or not all(isinstance(v, str) for v in k.values()):
                raise Bad("it is not the JSON that a bundle holds")
            self.key = Key(k["vkey"])
            if k["fingerprint"] != self.key.fingerprint:
                raise Bad("the fingerprint is not that of the key")
            if k["origin"] != m["origin"] or self.key.name != m["origin"]:
                raise Bad("the key is for another log than the manifest")
        except Bad as e:
            raise Bad("keys.json: %s" % e)
        try:
            try:
                signed = open_note(self.small("manifest.sig"), self.key)
            except Bad as e:
                raise Bad("manifest.sig: %s" % e)
            if signed != FORMAT + "\n" + hashlib.sha256(text).hexdigest() + "\n":
                raise Bad("manifest.json is not the one that was signed")
        except Bad as e:
            self.bad_file(e)
        latest = self.small("checkpoint")
        try:
            cp = Checkpoint(open_note(latest, self.key))
        except Bad as e:
            raise Bad("checkpoint: %s" % e)
        if cp.origin != m["origin"] or cp.size != m["size"] or base64.b64encode(cp.root).decode() != m["root"]:
            raise Bad("checkpoint: it is not of the log, size and root that the manifest says")
        self.confirmed, self.trusted = False, []
        try:
            self.confirm()
        except Bad as e:
            self.confirmed, self.trusted = False, []
            self.bad_file(e)
        self.checkpoints = [(n, "checkpoint", self.small("checkpoints/%d" % n)) for n in sorted(self.older)]
        self.checkpoints.append((self.size, "checkpoint", latest))
        self.checkpoints += self.trusted
        self.checkpoints.sort(key=lambda c: c[0])

    def confirm(self):
        """Compare the log key with the trusted ones, and take up the trusted checkpoints of this log."""
        if not self.trust or not (self.trust[0] or self.trust[1]):
            return
        keys, notes = self.trust
        self.confirmed = any(k.public == self.key.public for k in keys)
        if not self.confirmed and any(k.name == self.key.name for k in keys):
            raise Bad("the log key is not the trusted key of %s" % self.key.name)
        for data in notes:
            if data.split(b"\n", 1)[0].decode("utf-8", "replace") != self.m["origin"]:
                continue
            try:
                cp = Checkpoint(open_note(data, self.key))
            except Bad as e:
                raise Bad("the trusted checkpoint was not signed by this log: %s" % e)
            self.trusted.append((cp.size, "trusted checkpoint", data))
        if not self.confirmed and not self.trusted:
            raise Bad("the trusted keys and checkpoints are of other logs than %s" % self.key.name)

    def width(self, level, n):
        """How many hashes the n-th tile of a level has; 0 where the log has no such tile."""
        return max(0, min((self.size >> (8 * level)) - n * WIDTH, WIDTH))

    def layout(self):
        """Exactly the files are there that the manifest lists and the format asks for."""
        m, c = self.m, self.c
        self.info = {}
        for f in m["files"]:
            if f["path"] not in c.sizes:
                raise Bad("%s is listed in the manifest and is not in the bundle" % f["path"])
            if c.sizes[f["path"]] != f["bytes"]:
                raise Bad("%s has %d bytes, the manifest says %d" % (f["path"], c.sizes[f["path"]], f["bytes"]))
            self.info[f["path"]] = f
        for p in sorted(c.sizes):
            if p not in self.info and p not in ("manifest.json", "manifest.sig"):
                raise Bad("%s is in the bundle and not in the manifest" % p)
        self.older, self.bundles, sealed, tiles = [], set(), set(), 0
        fixed = {"README.txt", "checkpoint", "keys.json", "verify.py"}
        for p, f in self.info.items():
            part, stranger = p.split("/"), Bad("%s does not belong to a log of %d entries" % (p, self.size))
            if p in fixed:
                if f["bytes"] > MAX_SMALL:
                    raise Bad("%s has %d bytes, at most %d are read" % (p, f["bytes"], MAX_SMALL))
            elif part[0] == "checkpoints" and len(part) == 2:
                n = decimal(part[1])
                if n is None or n >= self.size or f["bytes"] > MAX_SMALL:
                    raise stranger
                self.older.append(n)
            elif len(part) > 2 and part[:2] == ["tile", "entries"] or len(part) > 2 and part[:2] == ["payloads", "sealed"]:
                n = parse_tile_number("/".join(part[2:]))
                width = 0 if n is None else self.width(0, n)
                entries = part[0] == "tile"
                if not width or p != (entries_path if entries else sealed_path)(n, width) or entries and f["bytes"] > width * (2 + MAX_LEAF):
                    raise stranger
                (self.bundles if entries else sealed).add(n)
            elif len(part) > 2 and part[0] == "tile" and part[1] in "01234567" and part[1]:
                n = parse_tile_number("/".join(part[2:]))
                width = 0 if n is None else self.width(int(part[1]), n)
                if not width or p != tile_path(int(part[1]), n, width) or f["bytes"] != width * HASH:
                    raise stranger
                tiles += 1
            else:
                raise stranger
        if not fixed <= set(self.info):
            raise Bad("README.txt, checkpoint, keys.json or verify.py is missing")
        want, level = 0, 0
        while self.size >> (8 * level):
            want += ((self.size >> (8 * level)) + WIDTH - 1) // WIDTH
            level += 1
        if tiles != want:
            raise Bad("%d tiles are here, a log of %d entries has %d" % (tiles, self.size, want))
        if sealed != self.bundles:
            raise Bad("entries without their sealed parts, or sealed parts without their entries")
        if m["from"] < m["to"]:
            for n in range(m["from"] // WIDTH, (m["to"] - 1) // WIDTH + 1):
                if n not in self.bundles:
                    raise Bad("%s is missing" % entries_path(n, self.width(0, n)))
        if not m["reduced"] and len(self.bundles) != (self.size + WIDTH - 1) // WIDTH:
            raise Bad("entries are missing, and the manifest does not say so")

    # the log

    def check_log(self):
        r = self.report
        self.report["fingerprint"] = self.key.fingerprint
        self.peaks, self.tiles, self.next = Peaks(), [[] for _ in range(8)], 0
        self.epoch, self.least = 0, 0           # epoch 0: not known; least: the newest that was seen
        self.open, self.ended = set(), set()
        self.outside, self.gone, self.retained = Spans(), Spans(), Spans()
        self.unsealed, self.erased, self.shredded = {}, {}, set()
        self.check_checkpoints()
        n = 0
        self.cut, self.doubt = False, False     # doubt: an entry is as it was written, but does not fit those before
        while n * WIDTH < self.size and not self.cut:
            self.bundle(n)
            n += 1
        if r["ok"]:
            self.check_end()
        elif self.doubt and not self.cut:
            self.unexplained_leaf()
        r["root"] = base64.b64encode(self.peaks.root()).decode()

    def bundle(self, n):
        """The entries of one entry bundle. Where they cannot be read to their end, self.cut is set."""
        width, first = self.width(0, n), n * WIDTH
        try:
            tile = self.read(tile_path(0, n, width))
            hashes = [tile[i:i + HASH] for i in range(0, len(tile), HASH)]
            if n not in self.bundles:
                for i, h in enumerate(hashes):
                    if not self.fine_below(first + i):
                        self.after(first + i, None, h)
                        continue
                    self.outside.add(first + i, first + i + 1)
                    self.epoch = 0
                    self.take(first + i, h)
                return
            name, path = entries_path(n, width), sealed_path(n, width)
            leaves, sealed, pos = self.read(name), Sealed(self, path), 0
            for i, h in enumerate(hashes):
                leaf, pos = self.leaf(name, leaves, pos, h)
                part = sealed.next(self.m["system"])
                if not self.fine_below(first + i):
                    self.after(first + i, leaf, h)
                    continue
                try:
                    self.entry(first + i, leaf, part, h)
                except Bad as e:
                    self.bad(first + i, e)
                    continue
                self.take(first + i, h)
            if pos != len(leaves):
                raise Bad("%s has %d bytes after its last entry" % (name, len(leaves) - pos))
            sealed.close()
        except Bad as e:
            self.cut = True
            if self.report["ok"]:
                self.bad(self.peaks.size, e)

    def fine_below(self, n):
        """Whether no entry below n is wrong so far."""
        return self.report["ok"] or self.report["first_bad"]["entry"] >= n

    def leaf(self, name, b, pos, want):
        """The next leaf of an entry bundle: its length in two bytes, then the leaf. A destroyed leaf has length 0."""
        if len(b) - pos < 2:
            raise Bad("%s ends before this entry" % name)
        n = b[pos] << 8 | b[pos + 1]
        pos += 2
        if n > len(b) - pos:
            raise Bad("%s ends within this entry" % name)
        if n == 0:
            k = 1
            while self.changed and k <= min(len(b) - pos, MAX_LEAF):
                if leaf_hash(b[pos:pos + k]) == want:
                    raise Bad("the length of the leaf was changed to 0 in %s" % name)
                k *= 2
            return None, pos
        return b[pos:pos + n], pos + n

    def entry(self, n, leaf, part, want):
        state, digest = part
        if leaf is None:
            if state != "-":
                raise Bad("a sealed part without its leaf")
            if not any(want):  # no leaf hashes to zeros: the exporter found no entry
                raise Bad("the entry is missing")
            self.gone.add(n, n + 1)
            return
        if leaf_hash(leaf) != want:
            raise Bad("the leaf does not have the hash that is stored for it")
        f = decode_leaf(leaf)
        if not f["h_sealed"]:
            if state != "-":
                raise Bad("a sealed part that the leaf does not know")
        elif state == "-":
            self.unsealed.setdefault((f["key"], f["system"]), Spans()).add(n, n + 1)
        elif state == "S":
            if digest != f["h_sealed"]:
                raise Bad("the sealed part was changed: its hash is not the one in the leaf")
            self.report["sealed"] += 1
        try:
            self.rules(n, f)
        except Bad:
            self.doubt = True
            raise
        self.report["entries"] += 1

    def rules(self, n, f):
        """What the entries say together: epochs rise one by one, each call has one end."""
        kind, epoch = f["type"], f["epoch"]
        if kind.startswith("change.") or kind.startswith("stop."):
            if self.epoch and epoch != self.epoch + 1 or epoch <= self.least:
                raise Bad("a change of what is allowed with epoch %d after epoch %d" % (epoch, self.least))
            self.saw(epoch)
            self.report["stops"] += 1
        elif kind == "call.open":
            if self.epoch and epoch != self.epoch or epoch < self.least:
                raise Bad("a call opened under the rules of epoch %d after epoch %d had begun" % (epoch, self.least))
            self.saw(epoch)
            self.open.add(n)
        elif kind in ("call.close", "call.abort"):
            ref = f["ref"]
            if ref is None or ref >= n:
                raise Bad("the end of a call that names no opening before it")
            if ref in self.open:
                self.open.remove(ref)
            elif ref not in self.ended and (ref in self.gone or ref in self.outside):
                self.ended.add(ref)
            else:
                raise Bad("a second end of call %d, or the end of an entry that opened none" % ref)
        elif kind in ("erase", "retain"):
            self.explanation(f)
        elif n == 0 and kind in ("log.start", "log.fork"):
            self.saw(epoch)

    def explanation(self, f):
        """What an erase or retain entry says is gone."""
        spans = self.retained if f["type"] == "retain" and not f["system"] else self.erased.setdefault(f["system"], Spans())
        for a, b in f["entries"]:
            spans.add(a, b)
        self.shredded.update(f["keys"])

    def after(self, n, leaf, h):
        """An entry after a wrong one: the tree goes on, and so do the explanations of what is missing."""
        if n == self.peaks.size:
            self.peaks.add(h)
            self.tile(0, n, h)
        try:
            if leaf is not None and leaf_hash(leaf) == h and decode_leaf(leaf)["type"] in ("erase", "retain"):
                self.explanation(decode_leaf(leaf))
        except Bad:
            pass

    def saw(self, epoch):
        self.epoch = self.least = self.report["epoch"] = epoch

    def take(self, n, h):
        """The tree grows by one hash."""
        self.peaks.add(h)
        self.tile(0, n, h)
        self.check_checkpoints()

    def tile(self, level, index, h):
        """A hash goes into the tile of its level; a full tile is compared with the stored one."""
        row = self.tiles[level]
        row.append(h)
        if len(row) < WIDTH:
            return
        n = index // WIDTH
        self.tiles[level] = []
        if level > 0 and not self.same_tile(level, n, row):
            return
        self.tile(level + 1, n, subtree_root(row))

    def same_tile(self, level, n, row):
        path, below = tile_path(level, n, len(row)), 1 << (8 * level)
        stored = self.read(path)
        for i, h in enumerate(row):
            if stored[i * HASH:(i + 1) * HASH] != h:
                self.bad((n * WIDTH + i) * below, "%s holds another hash than the leaves give" % path)
                return False
        return True

    def check_checkpoints(self):
        while self.next < len(self.checkpoints) and self.checkpoints[self.next][0] <= self.peaks.size:
            self.next += 1
            self.check_checkpoint(*self.checkpoints[self.next - 1])

    def check_checkpoint(self, size, what, data):
        last = max(size, 1) - 1     # the last entry that it covers
        try:
            cp = Checkpoint(open_note(data, self.key))
        except Bad as e:
            self.bad(last, "%s for %d entries: %s" % (what, size, e))
            return
        if cp.origin != self.m["origin"]:
            self.bad(last, "%s for %d entries belongs to the log %s" % (what, size, cp.origin))
        elif cp.size != size:
            self.bad(min(last, cp.size), "%s filed for %d entries was signed for %d" % (what, size, cp.size))
        elif cp.size != self.peaks.size:
            self.bad(self.peaks.size, "%s was signed for %d entries, the log ends before" % (what, size))
        elif cp.root != self.peaks.root():
            self.bad(last, "%s for %d entries was signed for another root than the entries give" % (what, size))
        else:
            self.report["checkpoints"] += 1
            self.report["covered"] = max(self.report["covered"], size)

    def check_end(self):
        """What can only be said after the last entry."""
        r = self.report
        if self.next < len(self.checkpoints):
            self.check_checkpoint(*self.checkpoints[self.next])
            return
        for level in range(1, 8):
            if self.tiles[level] and not self.same_tile(level, self.size >> (8 * level + 8), self.tiles[level]):
                return
        if self.unexplained():
            r["open"] = len(self.open)

    def unexplained(self):
        """Whether an entry says why each missing leaf and sealed part is gone."""
        self.unexplained_leaf()
        for (key, system), spans in self.unsealed.items():
            why = [self.retained] + [self.erased[s] for s in (system, "") if s in self.erased]
            for a, b in spans.raw if key not in self.shredded else []:
                lost = next((n for n in range(a, b) if not any(n in w for w in why)), None)
                if lost is not None:
                    self.bad(lost, "the sealed part is gone and no entry says why")     # the smallest one is kept
        self.report["erased"] = sum(b - a for spans in [self.gone, *self.unsealed.values()] for a, b in spans.raw)
        return self.report["ok"]

    def unexplained_leaf(self):
        """The first leaf that is gone without an entry that says why. Its absence can make a later entry look wrong."""
        lost = next((n for a, b in self.gone.raw for n in range(a, b) if n not in self.retained), None)
        if lost is not None:
            self.bad(lost, "the leaf is gone and no entry says why")

    def rest(self):
        """The files that the check of the log did not read."""
        for name in self.info:
            if name not in self.looked:
                h, crc = hashlib.sha256(), 0
                for b in self.c.chunks(name):
                    h.update(b)
                    crc = zlib.crc32(b, crc)
                self.compare(name, h.hexdigest(), crc)
        for name in ("manifest.json", "manifest.sig"):
            crc = zlib.crc32(self.small(name, MAX_MANIFEST))
            if self.c.crc.get(name, crc) != crc:
                raise Bad("%s does not have the checksum that the zip says" % name)
        if self.changed:
            raise Bad(self.changed)


class Sealed:
    """The records of a file in payloads/sealed, one for each entry: "-" for none, "O" for one that was left out, or "S",
    length of the salt in 1 byte, salt, length of the ciphertext in 4 bytes, ciphertext."""

    def __init__(self, verifier, name):
        self.v, self.name, self.parts, self.buf, self.left = verifier, name, verifier.c.chunks(name), b"", verifier.info[name]["bytes"]
        self.hash, self.crc = hashlib.sha256(), 0

    def fill(self):
        self.buf = next(self.parts, b"")
        self.hash.update(self.buf)
        self.crc = zlib.crc32(self.buf, self.crc)
        if not self.buf:
            raise Bad("%s cannot be read" % self.name)

    def take(self, n, into=None):
        """The next n bytes; with into they are only hashed, a piece at a time."""
        if n > self.left:
            raise Bad("%s ends within this entry's sealed part" % self.name)
        self.left -= n
        out = []
        while n > 0:
            if not self.buf:
                self.fill()
            piece, self.buf = self.buf[:n], self.buf[n:]
            n -= len(piece)
            into.update(piece) if into else out.append(piece)
        return b"".join(out)

    def next(self, system):
        state = self.take(1)
        if state == b"S":
            h = hashlib.sha256()
            self.take(self.take(1)[0], h)
            n = int.from_bytes(self.take(4), "big")
            if n > MAX_SEALED:
                raise Bad("%s has a sealed part of %d bytes" % (self.name, n))
            self.take(n, h)
            return "S", h.digest()
        if state == b"O":
            if not system:
                raise Bad("%s leaves a part out, and the manifest does not say so" % self.name)
            return "O", None
        if state != b"-":
            raise Bad("%s has an unknown record" % self.name)
        return "-", None

    def close(self):
        if self.left:
            raise Bad("%s has %d bytes after its last part" % (self.name, self.left))
        self.v.compare(self.name, self.hash.hexdigest(), self.crc)


def parse_trust(data):
    """Keys and signed checkpoints of a trust file: verifier keys, one a line, and signed notes, in any order."""
    try:
        lines = data.decode("utf-8").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        raise Bad("the trust file is not UTF-8")
    keys, notes, i = [], [], 0
    while i < len(lines):
        if lines[i] == "" or lines[i][0] == "#":
            i += 1
            continue
        try:
            keys.append(Key(lines[i]))
            i += 1
            continue
        except Bad:
            pass
        end = i + 4
        while end < len(lines) and lines[end].startswith("\u2014 "):
            end += 1
        if end == i + 4 or lines[i + 3] != "":
            raise Bad("line %d: neither a verifier key nor the beginning of a signed checkpoint" % (i + 1))
        Checkpoint("\n".join(lines[i:i + 3]) + "\n")
        notes.append(("\n".join(lines[i:end]) + "\n").encode())
        i = end
    return keys, notes


def failed(what):
    v = Verifier(None)
    v.bad_file(what)
    return v.report


def verify_zip(f, size, trust=None):
    try:
        return Verifier(Zip(f, size), trust).run()
    except Bad as e:
        return failed(e)


def verify(path, trust=None):
    """The report on a bundle. OSError where the path cannot be opened."""
    if os.path.isdir(path):
        try:
            return Verifier(Folder(path), trust).run()
        except Bad as e:
            return failed(e)
    info = os.stat(path)
    if not stat.S_ISREG(info.st_mode):
        return failed("neither a file nor a folder")
    with open(path, "rb") as f:
        return verify_zip(f, info.st_size, trust)


def main(args):
    as_json, trust, paths = False, None, []
    try:
        while args:
            a = args.pop(0)
            if a == "--json":
                as_json = True
            elif a == "--trust" and args:
                with open(args.pop(0), "rb") as f:
                    trust = parse_trust(f.read(MAX_SMALL))
            elif a.startswith("-"):
                raise Bad(__doc__.split("\n\n")[1].strip())
            else:
                paths.append(a)
        if len(paths) != 1:
            raise Bad(__doc__.split("\n\n")[1].strip())
        r = verify(paths[0], trust)
    except (Bad, OSError) as e:
        print(e, file=sys.stderr)
        return 2
    if as_json:
        print(json.dumps(r, ensure_ascii=False))
    elif r["ok"]:
        print("OK: %d of %d entries of %s, %d checkpoints, %d sealed parts, %d destroyed with an entry that says so, %d calls without an end"
              % (r["entries"], r["size"], r["origin"], r["checkpoints"], r["sealed"], r["erased"], r["open"]))
        if r["reduced"]:
            print("This bundle is a part of the log: it says nothing of the content of the other entries.")
    else:
        n = r["first_bad"]["entry"]
        print("WRONG: %s%s" % ("" if n is None else "entry %d: " % n, r["first_bad"]["what"]))
    if not as_json and r["fingerprint"]:
        print("log key SHA256: %s %s" % (r["fingerprint"], "(confirmed)" if r["trusted"] else "(NOT confirmed: compare it with /transparenz, or use --trust)"))
    return 0 if r["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
