"""Makes the pickles beside it: `python3 make.py`. Python 3.11's standard library, nothing else; what is in refused.json is never loaded."""
import array
import collections
import copyreg
import datetime
import decimal
import enum
import fractions
import functools
import io
import json
import os
import pathlib
import pickle
import pickletools
import random
import struct
import types
import uuid

HERE = pathlib.Path(__file__).parent
HIGHEST = 5
PROTOCOLS = (2, 3, 4, 5)


def read_alike(rows):
    """Python has three readers; what they do not agree on is nobody's plain data."""
    for row in rows:
        data = bytes.fromhex(row["hex"])
        for value in (pickle.loads(data), pickle.Unpickler(io.BytesIO(data)).load(), pickle._loads(data)):
            assert compact(value) == row["json"], row["why"]
        yield row


def put(name, rows):
    text = ",\n".join(json.dumps(row) for row in rows)
    (HERE / name).write_text("[\n%s\n]\n" % text, encoding="ascii")


def compact(value):
    return json.dumps(value, separators=(",", ":"))


# What a gateway writes: `pickle.dumps(json.loads(text), protocol)`.

WORDS = ["", "a", "é", "ÿ", "Ā", "漢", "\U0001f600", "\ud800", "\udfff", "\ufffd", "\x00", "ab", "key", "user info", "x" * 255, "é" * 128, "y" * 256]


def random_value(rng, depth=0):
    kind = rng.randrange(9 if depth < 4 else 6)
    if kind == 0:
        return rng.choice(WORDS)
    if kind == 1:
        return rng.choice([0, 1, 255, 256, 65535, 65536, -1, -128, -129, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**53, -(2**63), 2**63, 10**30])
    if kind == 2:
        return rng.choice([0.0, -0.0, 1.0, 1e5, 1e16, 1e15, 123456789012345680.0, 1e-4, 1e-5, 5e-324, 1.7976931348623157e308, 0.1, float("inf"), float("-inf"), float("nan")])
    if kind == 3:
        return rng.choice([None, True, False])
    if kind < 6:
        return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789 ", k=rng.randrange(1, 20)))
    if kind < 8:
        return {rng.choice(WORDS[:14]): random_value(rng, depth + 1) for _ in range(rng.randrange(5))}
    return [random_value(rng, depth + 1) for _ in range(rng.randrange(5))]


def sessions():
    rng = random.Random(20260417)
    django = json.loads((HERE.parent / "django-sessions.json").read_text(encoding="ascii"))
    yield from (row["json"] for row in django["rows"])
    yield '{"k":"k","":"","v":["","k","\\u00e9","\\u00e9"],"\\u00e9":"\\u0100","\\u0100":"\\u0100"}'
    yield '{"long key":"long key","inner":{"long key":1,"other":{"long key":2}}}'
    yield '{"twice":{"a":1,"b":2,"a":3},"\\ud83d\\ude00":"\\ud83d\\ude00","low first":"\\ude00\\ud83d"}'
    yield '{"i":[-0,0,255,256,65535,65536,-1,2147483647,2147483648,-2147483648,-2147483649,%d,-%d]}' % (2**2039, 10**700)
    yield '{"f":[1.0,-0.0,1E5,1e400,-1e400,NaN,Infinity,-Infinity,1e-400,0.1,5e-324]}'
    for count in (256, 257, 258, 300):
        yield compact({str(i): [] for i in range(count)} | {"again": {"255": 1, str(count - 1): 2}})
    yield compact({"deep": functools.reduce(lambda inner, _: [inner], range(30), [])})
    for length in (255, 256):
        yield compact({"s": "s" * length, "e": "é" * (length // 2), "k" * length: {"k" * length: 1}})
    for _ in range(40):
        yield compact({rng.choice(WORDS): random_value(rng) for _ in range(rng.randrange(8))})


def session_rows():
    for text in sessions():
        value = json.loads(text)
        yield {"json": text, **{"pickle%d" % p: pickle.dumps(value, p).hex() for p in PROTOCOLS}}


# Other plain data, in other spellings: what Django has put together itself.

def plain():
    shared, word = [1, {"a": 2}], "".join(["wo", "rd"])
    yield "tuples of every length", {"t": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ((), [()])]}
    yield "one list in several places", {"a": shared, "b": shared, "c": [shared, shared]}
    yield "one string as key and value", {word: word, "inner": {word: [word]}}
    yield "one tuple in several places", {"a": (t := (1, "x")), "b": [t, t]}
    yield "equal keys that are not one", {"outer": 1, "inner": {"".join(["out", "er"]): 2}}
    yield "integers of every width", {"i": [2**n + d for n in (7, 8, 15, 16, 31, 32, 53, 63, 64, 2031, 2040) for d in (-1, 0, 1)] + [-(2**n) + d for n in (7, 8, 15, 16, 31, 32, 53, 63, 64, 2031, 2040) for d in (-1, 0, 1)]}
    yield "floats as Python spells them", {"f": [1e16, 1e15, 9999999999999998.0, 1.5e300, 1e-4, 1e-5, 1.5e-7, 123456.75, -2.5e-10, 1e22, 1e21, 5e-324]}
    yield "an OrderedDict turned dict", dict(collections.OrderedDict(b=1, a=2))
    yield "what Django keeps", {"_auth_user_id": "1", "_auth_user_backend": "django.contrib.auth.backends.ModelBackend", "_session_expiry": "2030-01-01T00:00:00+00:00", "_messages": [["success", "ok"]]}


def bare(body, protocol=5):
    return b"\x80" + bytes([protocol]) + body


def text(value):
    encoded = value.encode("utf-8", "surrogatepass")
    return b"\x8c" + bytes([len(encoded)]) + encoded


def plain_rows():
    for why, value in plain():
        wanted = compact(value)
        for protocol in PROTOCOLS:
            c_made = pickle.dumps(value, protocol)
            yield {"why": "%s, protocol %d" % (why, protocol), "json": wanted, "hex": c_made.hex()}
            yield {"why": "%s, protocol %d, by the pickler in Python" % (why, protocol), "json": wanted, "hex": pickle._dumps(value, protocol).hex()}
            yield {"why": "%s, protocol %d, optimized" % (why, protocol), "json": wanted, "hex": pickletools.optimize(c_made).hex()}
    key = text("k")
    spelled = [
        ("without a frame", b"}" + key + b"K\x01s.", '{"k":1}'),
        ("bytes behind the STOP", b"}" + key + b"K\x01s." + b"\x00cos\nsystem\n", '{"k":1}'),
        ("a frame that ends early", b"\x95" + struct.pack("<Q", 1) + b"}" + key + b"Ns.", '{"k":null}'),
        ("two frames", b"\x95" + struct.pack("<Q", 1) + b"}\x95" + struct.pack("<Q", 5) + key + b"Ns.", '{"k":null}'),
        ("a key that comes twice", b"}(" + key + b"K\x01" + text("l") + b"K\x02" + key + b"K\x03u.", '{"k":3,"l":2}'),
        ("an empty batch", b"}(u(u.", "{}"),
        ("LONG1 of no bytes, with zeros too many, with ones too many", b"}" + key + b"](\x8a\x00\x8a\x03\x01\x00\x00\x8a\x03\xff\xff\xff\x8b\x02\x00\x00\x00\x00\x80es.", '{"k":[0,1,-1,-32768]}'),
        ("a text with eight bytes of length", b"}\x8d" + struct.pack("<Q", 1) + b"k" + b"Ns.", '{"k":null}'),
        ("memo of four bytes, places left out", b"}r\x05\x00\x00\x00(" + key + b"q\x07j\x07\x00\x00\x00u.", '{"k":"k"}'),
        ("MEMOIZE after BINPUT", b"}q\x00(" + key + b"\x94h\x01u.", '{"k":"k"}'),
        ("a list that grows after it was put into the dict", b"}(" + key + b"]\x94K\x01a" + text("l") + b"h\x00K\x02au.", '{"k":[1,2],"l":[1,2]}'),
        ("a NaN with a payload", b"}" + key + b"G\xff\xf8\x00\x00\x00\x00\x00\x01s.", '{"k":NaN}'),
        ("surrogates that meet", b"}" + key + b"\x8c\x06\xed\xa0\xbd\xed\xb8\x80s.", '{"k":"\\ud83d\\ude00"}'),
        ("U+FFFD beside a lone surrogate", b"}" + key + b"\x8c\x06\xef\xbf\xbd\xed\xa0\x80s.", '{"k":"\\ufffd\\ud800"}'),
        ("32 levels", b"}" + key + b"]" * 31 + b"a" * 30 + b"s.", '{"k":' + "[" * 31 + "]" * 31 + "}"),
        ("an integer of 4300 digits", b"}" + key + pickle.dumps(10**4300 - 1, 2)[2:-1] + b"s.", '{"k":' + "9" * 4300 + "}"),
    ]
    for why, body, wanted in spelled:
        yield {"why": why, "json": wanted, "hex": bare(body).hex()}


# What is no session: code, objects, what JSON has no form for, what is broken.

class Runs:
    def __reduce__(self):
        return os.system, ("touch /tmp/sessiongate-pickle-ran",)


class Plain:
    def __init__(self):
        self.a = 1


class Slots:
    __slots__ = ("a",)

    def __init__(self):
        self.a = 1


class WithArguments:
    def __new__(cls, *, a):
        return object.__new__(cls)

    def __getnewargs_ex__(self):
        return (), {"a": 1}


class Text(str):
    pass


class Number(int):
    pass


class Items(list):
    pass


class Color(enum.Enum):
    RED = "red"


Point = collections.namedtuple("Point", "x y")


class Registered:
    pass


def objects():
    yield "a call of os.system", Runs()
    yield "an instance", Plain()
    yield "an instance with slots", Slots()
    yield "an instance with arguments of __new__", WithArguments(a=1)
    yield "a subclass of str", Text("x")
    yield "a subclass of int", Number(1)
    yield "a subclass of list", Items([1])
    yield "an enum", Color.RED
    yield "a named tuple", Point(1, 2)
    yield "a class", Plain
    yield "a function", os.system
    yield "a builtin", eval
    yield "a datetime", datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
    yield "a timedelta", datetime.timedelta(1)
    yield "a Decimal", decimal.Decimal("1.5")
    yield "a Fraction", fractions.Fraction(1, 2)
    yield "a UUID", uuid.UUID(int=1)
    yield "a set", {1}
    yield "an empty set", set()
    yield "a frozenset", frozenset([1])
    yield "bytes", b"x"
    yield "no bytes", b""
    yield "long bytes", b"x" * 300
    yield "a bytearray", bytearray(b"x")
    yield "a complex number", 1j
    yield "a range", range(3)
    yield "a slice", slice(1)
    yield "Ellipsis", ...
    yield "an OrderedDict", collections.OrderedDict(a=1)
    yield "a defaultdict", collections.defaultdict(list, a=1)
    yield "a deque", collections.deque([1])
    yield "an array", array.array("i", [1])
    yield "a namespace", types.SimpleNamespace(a=1)
    yield "a partial", functools.partial(print, 1)
    yield "an exception", ValueError("x")


def persistent(protocol):
    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return "id" if isinstance(value, Plain) else None

    file = io.BytesIO()
    Pickler(file, protocol).dump({"k": Plain()})
    return file.getvalue()


def refused_rows():
    for why, value in objects():
        for protocol in PROTOCOLS:
            yield why + " as a value, protocol %d" % protocol, pickle.dumps({"k": value}, protocol)
            yield why + " alone, protocol %d" % protocol, pickle.dumps(value, protocol)
    for protocol in PROTOCOLS:
        yield "a persistent id, protocol %d" % protocol, persistent(protocol)
        for code in (0x7F, 0x7FFF, 0x7FFFFFF):
            copyreg.add_extension(Registered.__module__, "Registered", code)
            yield "extension %d, protocol %d" % (code, protocol), pickle.dumps({"k": Registered}, protocol)
            copyreg.remove_extension(Registered.__module__, "Registered", code)
        cycle, loop = [], {}
        cycle.append(cycle)
        loop["loop"] = loop
        ring = ([],)
        ring[0].append(ring)
        yield "a list in itself, protocol %d" % protocol, pickle.dumps({"k": cycle}, protocol)
        yield "a dict in itself, protocol %d" % protocol, pickle.dumps(loop, protocol)
        yield "a tuple in its own list, protocol %d" % protocol, pickle.dumps({"k": ring}, protocol)
        for wide in (2, 10):
            laugh = "lol"
            for _ in range(30 if wide == 2 else 9):
                laugh = [laugh] * wide
            yield "laughter, %d wide, protocol %d" % (wide, protocol), pickle.dumps({"k": laugh}, protocol)
        for key in (1, 1.5, None, True, b"k", (), ("k", 1)):
            yield "the key %r, protocol %d" % (key, protocol), pickle.dumps({key: 1}, protocol)
            yield "the key %r inside, protocol %d" % (key, protocol), pickle.dumps({"k": {key: 1}}, protocol)
        for value in (None, True, 0, 7, 2**40, 1.5, "text", "", [], [{}], (), ({},)):
            yield "%r alone, protocol %d" % (value, protocol), pickle.dumps(value, protocol)
    for protocol in (0, 1):
        for value in ({}, {"k": 1}, {"k": [1.5, "x", None, True, 2**70]}):
            yield "protocol %d of %r" % (protocol, value), pickle.dumps(value, protocol)
    buffers = []
    yield "a buffer out of band", pickle.dumps({"k": pickle.PickleBuffer(bytearray(b"x"))}, 5, buffer_callback=buffers.append)
    yield "a read-only buffer out of band", pickle.dumps({"k": pickle.PickleBuffer(b"x")}, 5, buffer_callback=buffers.append)
    yield from hand_made()


def hand_made():
    key = text("k")
    call = b"cos\nsystem\n" + text("touch /tmp/sessiongate-pickle-ran") + b"\x85R"
    cases = [
        ("nothing behind PROTO", b""),
        ("no STOP", b"}"),
        ("STOP alone", b"."),
        ("a call of os.system beside a session", call + b"0}."),
        ("a call of os.system below a session", call + b"}."),
        ("GLOBAL below a session", b"cos\nsystem\n}."),
        ("INST", b"}" + key + b"(ios\nsystem\ns."),
        ("OBJ", b"}" + key + b"(cbuiltins\nlist\nos."),
        ("BUILD on a dict", b"}}b."),
        ("PERSID", b"}" + key + b"Pid\ns."),
        ("NEXT_BUFFER", b"}" + key + b"\x97s."),
        ("the text of protocol 0: INT", b"}" + key + b"I1\ns."),
        ("the text of protocol 0: LONG", b"}" + key + b"L1L\ns."),
        ("the text of protocol 0: FLOAT", b"}" + key + b"F1.5\ns."),
        ("the text of protocol 0: STRING", b"}" + key + b"S'x'\ns."),
        ("the text of protocol 0: UNICODE", b"}" + key + b"Vx\ns."),
        ("the text of protocol 0: PUT and GET", b"}p0\n" + key + b"g0\ns."),
        ("DICT of protocol 0", b"(" + key + b"Nd."),
        ("LIST of protocol 0", b"}" + key + b"(Nls."),
        ("a string of Python 2", b"}U\x01kNs."),
        ("a long string of Python 2", b"}T\x01\x00\x00\x00kNs."),
        ("bytes as a key", b"}C\x01kNs."),
        ("DUP", b"}" + key + b"2s."),
        ("POP", b"}" + key + b"N0Ns."),
        ("POP_MARK", b"}" + key + b"N(1s."),
        ("a second PROTO", b"\x80\x05}."),
        ("a value left over", b"N}."),
        ("a MARK left over", b"(}."),
        ("SETITEM below a MARK", b"}" + key + b"N(s."),
        ("SETITEM on nothing", key + b"Ns."),
        ("SETITEM on a list", b"}" + key + b"]K\x00Nss."),
        ("SETITEM without a key", b"}Ns."),
        ("SETITEMS without a MARK", b"}" + key + b"Nu."),
        ("SETITEMS with half a pair", b"}(" + key + b"u."),
        ("SETITEMS with a MARK below all", b"(" + key + b"Nu."),
        ("APPEND to a dict", b"}Na."),
        ("APPEND to a tuple", b"}" + key + b")Nas."),
        ("APPEND to nothing", b"Na."),
        ("APPEND below a MARK", b"}" + key + b"](Nas."),
        ("APPENDS to a tuple", b"}" + key + b")(Nes."),
        ("APPENDS without a MARK", b"}" + key + b"]Nes."),
        ("TUPLE without a MARK", b"}" + key + b"Nts."),
        ("TUPLE2 of one", b"}" + key + b"(N\x86us."),
        ("GET of nothing", b"}" + key + b"h\x00s."),
        ("GET of four bytes of nothing", b"}" + key + b"j\xff\xff\xff\xffs."),
        ("PUT of nothing", b"q\x00}."),
        ("PUT below a MARK", b"}(q\x00u."),
        ("MEMOIZE of nothing", b"\x94}."),
        ("a memo of four thousand million places", b"}r\xff\xff\xff\xff."),
        ("a frame in a frame", b"\x95" + struct.pack("<Q", 15) + b"}\x95" + struct.pack("<Q", 5) + key + b"Ns."),
        ("a frame that ends in a text", b"\x95" + struct.pack("<Q", 3) + b"}" + key + b"Ns."),
        ("a frame that ends behind an opcode", b"\x95" + struct.pack("<Q", 2) + b"}" + key + b"Ns."),
        ("a frame longer than the pickle", b"\x95" + struct.pack("<Q", 3) + b"}."),
        ("a frame longer than all memory", b"\x95" + b"\xff" * 8 + b"}."),
        ("a text longer than the pickle", b"}\x8c\x20kNs."),
        ("a text longer than all memory", b"}X\xff\xff\xff\xffkNs."),
        ("a text longer than the world", b"}\x8d" + b"\xff" * 8 + b"kNs."),
        ("a LONG4 of a negative length", b"}" + key + b"\x8b\xff\xff\xff\xffs."),
        ("a LONG4 longer than the pickle", b"}" + key + b"\x8b\x00\x01\x00\x00\x01s."),
        ("an integer of 4301 digits", b"}" + key + pickle.dumps(10**4300, 2)[2:-1] + b"s."),
        ("an integer of 4301 digits below zero", b"}" + key + pickle.dumps(-(10**4300), 2)[2:-1] + b"s."),
        ("an integer of a million bits", b"}" + key + b"\x8b" + struct.pack("<i", 5000) + b"\x01" * 5000 + b"s."),
        ("33 levels", b"}" + key + b"]" * 32 + b"a" * 31 + b"s."),
        ("a thousand levels", b"}" + key + b"]" * 1000 + b"a" * 999 + b"s."),
        ("33 levels of tuples", b"}" + key + b")" + b"\x85" * 31 + b"s."),
        ("text that is not UTF-8", b"}" + key + b"\x8c\x02\xc3\x28s."),
        ("text cut in a character", b"}" + key + b"\x8c\x02\xe2\x82s."),
        ("overlong UTF-8", b"}" + key + b"\x8c\x02\xc0\x80s."),
        ("UTF-8 beyond Unicode", b"}" + key + b"\x8c\x04\xf4\x90\x80\x80s."),
        ("half a surrogate", b"}" + key + b"\x8c\x02\xed\xa0s."),
        ("a key that is not UTF-8", b"}\x8c\x01\xffNs."),
        ("a dict as a key", b"}}Ns."),
        ("a list as a key", b"}]Ns."),
    ]
    for why, body in cases:
        yield why, bare(body)
    for operand in (b"\x8c", b"X\x01\x00", b"\x8d\x01", b"K", b"M\x01", b"J\x01\x02", b"G\x00", b"\x8a", b"\x8a\x02\x01", b"\x8b\x01", b"h", b"q", b"j\x00", b"r\x00", b"\x95\x00"):
        yield "cut after %s" % operand.hex(), bare(b"}" + key + operand)
    for protocol in (0, 1, 6, 7, 255):
        yield "PROTO %d" % protocol, bare(b"}.", protocol)
    for why, data in (("no bytes at all", b""), ("PROTO alone", b"\x80"), ("JSON", b"{}"), ("an integer as RedisCache has it", b"42"), ("no PROTO", b"}."), ("text", b"hello")):
        yield why, data


put("sessions.json", session_rows())
put("plain.json", read_alike(plain_rows()))
put("refused.json", ({"why": why, "hex": data.hex()} for why, data in refused_rows()))
