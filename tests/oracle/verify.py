"""Checks signed tokens with two libraries that have nothing to do with fnox: PyJWT and joserfc.

    verify.py FILE

FILE is JSON: {"now", "leeway", "issuer", "audience", "cases": [{"token", "jwk", "algorithm"}]}. Prints a list with
[verdict of PyJWT, verdict of joserfc] per case. Both get the same constraints: one algorithm, issuer, audience, leeway,
and the claims that must be there. They know no longest life of a token.
"""

import datetime
import json
import sys
import warnings

import joserfc.jwk
import joserfc.jwt
import jwt
import jwt.api_jwt

REQUIRED = ["iss", "sub", "aud", "exp", "iat"]


def stop_clock(now):
    class Stopped(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime.fromtimestamp(now, tz)

    jwt.api_jwt.datetime = Stopped


def says_pyjwt(case, given):
    try:
        jwt.decode(
            case["token"],
            key=jwt.PyJWK(case["jwk"]),
            algorithms=[case["algorithm"]],
            audience=given["audience"],
            issuer=given["issuer"],
            leeway=given["leeway"],
            options={"require": REQUIRED},
        )
    except jwt.PyJWTError:
        return False
    return True


def says_joserfc(case, given):
    rules = joserfc.jwt.JWTClaimsRegistry(
        now=given["now"],
        leeway=given["leeway"],
        iss={"essential": True, "value": given["issuer"]},
        aud={"essential": True, "value": given["audience"]},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    )
    try:
        key = joserfc.jwk.import_key(case["jwk"])
        token = joserfc.jwt.decode(case["token"], key, algorithms=[case["algorithm"]])
        rules.validate(token.claims)
    # It lets errors of Python through for some malformed tokens; those are refusals too.
    except Exception:
        return False
    return True


def main():
    warnings.simplefilter("ignore")
    with open(sys.argv[1], encoding="utf-8") as file:
        given = json.load(file)
    stop_clock(given["now"])
    verdicts = [[says_pyjwt(case, given), says_joserfc(case, given)] for case in given["cases"]]
    json.dump(verdicts, sys.stdout)


main()
