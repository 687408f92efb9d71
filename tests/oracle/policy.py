"""Decides by a team server's policy file, independently of fnox: from its reference page, with `tomllib` and `re`.

    policy.py FILE

FILE is JSON: a list of {"policy": TOML text, "tokens": [{"claims": {...}, "ask": [project, profile, key]}]}. Prints a
list with one verdict per token. Knows issuers of the kind `github` only.
"""

import json
import re
import sys
import tomllib

SAFE_EVENTS = ["push", "workflow_dispatch", "schedule", "release", "deployment"]

# Key of a rule, and the claim that it is about.
IDS = {"repository_id": "repository_id", "repository_owner_id": "repository_owner_id"}
PATTERNS = {
    "refs": "ref",
    "environments": "environment",
    "workflows": "job_workflow_ref",
    "events": "event_name",
}


def fits_pattern(pattern, text):
    expression = ""
    for piece in re.split(r"(\*\*|\*)", pattern):
        if piece == "**":
            expression += r"(?:.|\n)*"
        elif piece == "*":
            expression += r"[^/]*"
        else:
            expression += re.escape(piece)
    return re.fullmatch(expression, text) is not None


def fits_one(patterns, text):
    return isinstance(text, str) and any(fits_pattern(pattern, text) for pattern in patterns)


def fits_value(wanted, value):
    # In Python True == 1, and a policy must not think so.
    if type(wanted) is not type(value):
        return False
    return fits_pattern(wanted, value) if isinstance(wanted, str) else wanted == value


def fits_who(rule, claims):
    for key, claim in IDS.items():
        if key in rule:
            value = claims.get(claim)
            if not isinstance(value, str) or value != rule[key]:
                return False
    for key, claim in PATTERNS.items():
        patterns = rule.get(key, SAFE_EVENTS if key == "events" else None)
        if patterns is not None and not fits_one(patterns, claims.get(claim)):
            return False
    for claim, wanted in rule.get("claims", {}).items():
        if not any(fits_value(one, claims.get(claim)) for one in wanted):
            return False
    return True


def fits_ask(rule, project, profile, key):
    return (
        fits_one(rule["projects"], project)
        and fits_one(rule.get("profiles", ["default"]), profile)
        and fits_one(rule["keys"], key)
    )


def same_name(rule, claims):
    name = claims.get("repository")
    if "repository" not in rule or not isinstance(name, str):
        return None
    return rule["repository"].lower() == name.lower()


def verdict(rules, claims, ask):
    admitting = [rule for rule in rules if fits_who(rule, claims)]
    permit = None
    for number, rule in enumerate(rules, 1):
        if fits_who(rule, claims) and fits_ask(rule, *ask):
            permit = (f"rule {number}", rule)
            break
    is_known = any(claims.get("repository_id") == rule["repository_id"] for rule in rules)
    is_taken_over = any(same_name(rule, claims) for rule in rules) and isinstance(claims.get("repository_id"), str)
    return {
        "rule": permit and permit[0],
        "require_approval": permit
        and (permit[1].get("require_approval", True) or claims["event_name"] not in SAFE_EVENTS),
        "admitted": bool(admitting),
        "renamed": any(same_name(rule, claims) is False for rule in admitting),
        "resurrection": not admitting and not is_known and is_taken_over,
    }


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        cases = json.load(file)
    verdicts = []
    for case in cases:
        rules = tomllib.loads(case["policy"]).get("rule", [])
        for token in case["tokens"]:
            verdicts.append(verdict(rules, token["claims"], token["ask"]))
    json.dump(verdicts, sys.stdout)


if __name__ == "__main__":
    main()
