"""Runs verify.py over many bundles in one process: paths come on standard input, one verdict line goes out for each."""

import functools
import importlib.util
import sys

spec = importlib.util.spec_from_file_location("verify", sys.argv[1])
verify = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verify)
for name in ("ed25519_verify", "decode_leaf", "leaf_hash", "node_hash"):
    setattr(verify, name, functools.lru_cache(maxsize=1 << 16)(getattr(verify, name)))
for path in sys.stdin:
    report = verify.verify(path.rstrip("\n"))
    first = report["first_bad"]
    if report["ok"]:
        print("ok", flush=True)
    else:
        print("bad", "-" if first["entry"] is None else first["entry"], flush=True)
