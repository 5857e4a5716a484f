"""What an app behind sessiongate does with the session that it is sent. Python 3.8 or newer, no packages.

The rules are in docs/header-contract.md. This one knows HS256.
"""
import base64
import hashlib
import hmac
import json
import sys
import time

SKEW_SECONDS = 30


class Refused(Exception):
    """The gateway did not sign this for this app, now."""


def verify_session(headers, keys, issuer, audience, now=None):
    """The claims of a request and the plain session headers that they vouch for.

    headers: (name, value) of every line, so that a header that came twice is seen twice.
    keys: {kid: key}, the keys as bytes. Read plain session headers from the result, nowhere else.
    """
    now = time.time() if now is None else now

    def one(name):
        values = [value for other, value in headers if other.lower() == name]
        return values[0] if len(values) == 1 else refuse(f"{name} is there {len(values)} times")

    parts = one("x-session-assertion").encode().split(b".")
    heads = {encode(b'{"alg":"HS256","kid":"%s","typ":"sessiongate+jwt"}' % kid.encode()): key for kid, key in keys.items()}
    if len(parts) != 3 or parts[0] not in heads:
        refuse("unsigned, or signed by an unknown key or algorithm")
    wanted = hmac.new(heads[parts[0]], parts[0] + b"." + parts[1], hashlib.sha256).digest()
    if not hmac.compare_digest(encode(wanted), parts[2]):
        refuse("the signature is wrong")
    claims = json.loads(base64.urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
    if claims["iss"] != issuer or claims["aud"] != audience:
        refuse("it is for somebody else")
    if not (claims["iat"] <= now + SKEW_SECONDS and now < claims["exp"] + SKEW_SECONDS):
        refuse("it is not valid now")
    plain = {name: one(name) for name in claims.get("hdn", [])}
    lines = "".join(f"{name}:{value}\n" for name, value in plain.items())
    if plain and encode(hashlib.sha256(lines.encode()).digest()) != claims["hdr"].encode():
        refuse("a plain header was changed")
    return claims, plain


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def refuse(why):
    raise Refused(why)


if __name__ == "__main__":
    # By hand: verify.py KID KEY ISSUER AUDIENCE [NOW] < heads, KEY as `sessiongate keys derive` prints it.
    # Heads are lines "Name: value", one head from the next by an empty line.
    kid, key, issuer, audience, *at = sys.argv[1:]
    keys = {kid: base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))}
    for head in sys.stdin.read().strip().split("\n\n"):
        pairs = [tuple(part.strip() for part in line.split(":", 1)) for line in head.split("\n")]
        try:
            claims, _ = verify_session(pairs, keys, issuer, audience, float(at[0]) if at else None)
            print("ok " + json.dumps(claims))
        except Refused as why:
            print(f"refused: {why}")
