# ruff: noqa: E501
"""A fuzzer for the restricted unpickler: whatever a pickle says, the process lives, stays small and is not changed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from openpair.datasets.navsim.unpickle import loads_plain
from openpair.errors import OpenPairError

EXAMPLES = int(os.environ.get("OPENPAIR_FUZZ_EXAMPLES", "2000"))
"""Programs to try; 17 s of CPU. OPENPAIR_FUZZ_EXAMPLES=1000000 for a long run."""

NDARRAY = b"cnumpy\nndarray\n"


def pair(count: int) -> bytes:
    """A tuple of two tuples of two tuples ...: its hash takes 2**count steps."""
    return b")q\x00" + b"h\x00h\x00\x86q\x00" * count


ATTACKS = {
    "memo of 2**27 places": b"\x80\x04Nr\x00\x00\x00\x08.",
    "memo by a line": b"Np99999999\n.",
    "array over foreign bytes": NDARRAY + b"(K\x01cnumpy\ndtype\n(VO8\nK\x00K\x01tRC\x08AAAAAAAAtR.",
    "ndarray called": NDARRAY + b"((J\xff\xff\xff\x7ftVu1\ntR.",
    "state for a function": b"c_codecs\nencode\n}Vx\nK\x01sb.",
    "state for a class": b"cnumpy\ndtype\nN}Vx\nK\x01s\x86b.",
    "slow hash": b"}" + pair(60) + b"Ns.",
    "deep hash": b"}" + b")" + b"\x85" * 200_000 + b"Ns.",
    "equal hashes": b"}("
    + b"".join(b"\x8a\x0a" + ((2**61 - 1) * i).to_bytes(10, "little") + b"N" for i in range(1, 500))
    + b"u.",
    "length beyond the file": b"\x80\x04\x8e\x00\x00\x00\x00\x10\x00\x00\x00.",
    "frame beyond the file": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.",
    "append to an object": b"c__builtin__\nset\n)RNa.",
    "sets without end": b"(" + b"\x8f" * 3_000_000 + b"t.",
    "one text a million times": b"X\x00\x00\x10\x00"
    + b"a" * 2**20
    + b"q\x00"
    + b"c_codecs\nencode\nq\x01"
    + b"h\x01h\x00\x85R" * 2000
    + b".",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_known_attacks_are_refused_at_once(attack: str) -> None:
    with pytest.raises(OpenPairError):
        loads_plain(ATTACKS[attack], "log")


FUZZER = """
    import pickle, resource, sys
    import numpy as np
    from hypothesis import HealthCheck, Phase, given, seed, settings, strategies as st
    from openpair.datasets.navsim import metric_cache, skim, synthetic, unpickle
    from openpair.errors import OpenPairError

    unpickle.loads_plain(b"N.", "log")  # compiles the scan
    KINDS = (unpickle.PlainUnpickler, synthetic.SceneUnpickler, metric_cache.MetricCacheUnpickler)
    NAMES = [("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"), ("builtins", "set"), ("os", "system"),
             ("builtins", "frozenset"), ("numpy.core.multiarray", "_reconstruct"), ("numpy.core.multiarray", "scalar"),
             ("numpy.core.numeric", "_frombuffer"), ("builtins", "eval"), ("pathlib", "PosixPath"),
             ("shapely.io", "from_wkb"), *metric_cache._ADMITTED, *synthetic._ADMITTED]
    name = st.sampled_from(NAMES).map(lambda n: b"c" + n[0].encode() + b"\\n" + n[1].encode() + b"\\n")
    small = st.integers(0, 12).map(lambda n: bytes([n]))
    value = st.one_of(
        st.sampled_from([b"N", b"\\x88", b"\\x89", b")", b"]", b"}", b"\\x8f", b"(", b"K\\x00", b"K\\x01", b"Vf8\\n",
                         b"VO8\\n", b"VU9\\n", b"V|\\n", b"J\\xff\\xff\\xff\\x7f", b"G?\\xf0\\0\\0\\0\\0\\0\\0", b"K\\x03"]),
        st.binary(max_size=24).map(lambda b: b"C" + bytes([len(b)]) + b),
        st.binary(max_size=12).map(lambda b: b"\\x8a" + bytes([len(b)]) + b),
        st.text(max_size=6).map(lambda t: b"X" + len(t.encode("utf-8", "replace")).to_bytes(4, "little")
                                + t.encode("utf-8", "replace")),
        name)
    step = st.one_of(value, value, st.sampled_from([bytes([o]) for o in b"tRb\\x85\\x86\\x87ausde10R\\x81\\x90\\x91\\x93l2"]),
                     small.map(lambda n: b"q" + n), small.map(lambda n: b"h" + n), st.just(b"\\x94"),
                     st.binary(max_size=4))
    array = st.tuples(st.sampled_from([b"K\\x01", b"K\\x02", b"J\\xff\\xff\\xff\\x7f"]),
                      st.sampled_from([b"Vf8\\n", b"VO8\\n", b"VU4\\n", b"Vi4\\n"]), st.binary(max_size=16)).map(
        lambda p: b"cnumpy.core.multiarray\\n_reconstruct\\ncnumpy\\nndarray\\nK\\x00\\x85C\\x01b\\x87R(K\\x01" + p[0]
        + b"\\x85cnumpy\\ndtype\\n" + p[1] + b"\\x89\\x88\\x87R\\x89C" + bytes([len(p[2])]) + p[2] + b"tb")
    program = st.lists(st.one_of(step, step, step, array), max_size=40).map(lambda parts: b"".join(parts) + b".")

    def state():
        watched = [unpickle.Record, unpickle._PlainDtype, unpickle._PlainArray, unpickle.Admitted, set, np.ndarray]
        functions = [f for f in (*metric_cache._ADMITTED.values(), *synthetic._ADMITTED.values(), skim.SKIP)]
        return (sorted(sys.modules), [sorted(map(str, vars(c))) for c in watched],
                [sorted(getattr(f, "__dict__", {})) for f in functions], [getattr(f, "__defaults__", 0) for f in functions])

    tried = read = 0

    @seed(int(sys.argv[2]))
    @settings(max_examples=int(sys.argv[1]), deadline=None, database=None, suppress_health_check=list(HealthCheck),
              phases=[Phase.generate])
    @given(program)
    def run(data):
        global tried, read
        for kind in KINDS:
            tried += 1
            try:
                unpickle.check_extent([unpickle.loads_plain(data, "log", kind)], "log", 100_000)
                read += 1
            except OpenPairError:
                pass

    try:
        pickle.loads(pickle.dumps(np.zeros(2)))
        unpickle.loads_plain(b"N.", "log")
        before, small = state(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (500 << 20), resource.RLIM_INFINITY))
        run()
    finally:
        print(tried, read, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - small) // 1024, "MB")
    after = state()
    new = [m for m in after[0] if m not in before[0] and not m.startswith(("hypothesis", "encodings"))]
    assert after[1:] == before[1:], "classes or functions were changed"
    assert not {m for m in new if m.split(".")[0] in ("os", "nuplan", "navsim", "subprocess")}, new
"""


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux alone")
def test_no_program_crashes_grows_or_changes_the_process() -> None:
    command = [sys.executable, "-c", textwrap.dedent(FUZZER), str(EXAMPLES), os.environ.get("OPENPAIR_FUZZ_SEED", "0")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"status {done.returncode}: {done.stdout[-300:]} {done.stderr[-2000:]}"
    tried, read, grown, _ = done.stdout.split()[-4:]
    assert int(tried) >= EXAMPLES and int(read) > 0 and int(grown) < 500
