"""Runs verify.py over many spoiled copies of one bundle in one process.

    python3 flips.py VERIFY.PY BUNDLE.ZIP < CASES

A case is a line "offset bit"; "- 0" is the bundle as it is. For each case one line is printed: 1 or 0 for ok, and the
first wrong entry or "-". Pure functions of verify.py are cached, so that thousands of cases take seconds.
"""

import functools
import importlib.util
import io
import sys

spec = importlib.util.spec_from_file_location("verify", sys.argv[1])
verify = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verify)
for name in ("ed25519_verify", "decode_leaf", "leaf_hash", "node_hash"):
    setattr(verify, name, functools.lru_cache(maxsize=1 << 16)(getattr(verify, name)))
plain_key = verify.Key
verify.Key = functools.lru_cache(maxsize=4)(plain_key)

with open(sys.argv[2], "rb") as f:
    good = f.read()
for line in sys.stdin:
    offset, bit = line.split()
    data = bytearray(good)
    if offset != "-":
        data[int(offset)] ^= 1 << int(bit)
    report = verify.verify_zip(io.BytesIO(bytes(data)), len(data))
    first = report["first_bad"]
    print(int(report["ok"]), "-" if first is None or first["entry"] is None else first["entry"])
