"""The pages of the team server's API, as data, and what they say about an answer."""

import json
import pathlib
import re

from json_schema import Schemas

ROOT = pathlib.Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs/reference"
PAGE = (REFERENCE / "server-api.md").read_text()
DOCUMENT = json.loads((REFERENCE / "openapi.json").read_text())
PROBLEMS = {
    code: int(status)
    for code, status in re.findall(r"^\| `(\w+)` \| (\d{3}) \|", (REFERENCE / "problems.md").read_text(), re.MULTILINE)
}
FENCE = re.compile(r"^```(\S+) (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What `default` of an operation stands for: what any request may meet on its way, whatever it is about.
COMMON = {400, 401, 404, 405, 413, 415, 429, 500, 503, 504}

_schemas = Schemas(DOCUMENT)


def examples(language):
    """(schema, text) of the fenced blocks of a language."""
    return [(name, text) for found, name, text in FENCE.findall(PAGE) if found == language]


def events():
    """The events that the page lists."""
    (listed,) = re.findall(r"^Events of the audit log: (.*?)\. `outcome`", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(r"`(\w+)`", listed)


def schema_flaws(value, name):
    """What is wrong with a value of a schema of the document."""
    return list(_schemas.flaws(value, DOCUMENT["components"]["schemas"][name]))


def operations():
    """Yields (method, path, operation)."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def operation_of(method, path):
    """The operation that a request is, or None."""
    for candidate, template, operation in operations():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if candidate == method and re.fullmatch(pattern, path):
            return operation
    return None


def answer_flaws(answer):
    """What the pages do not say about an answer of the server."""
    flaws = [] if answer.headers.get("X-Request-Id") else ["X-Request-Id is missing"]
    if answer.status in (429, 503) and not re.fullmatch(r"\d+", answer.headers.get("Retry-After", "")):
        flaws.append("Retry-After is missing")
    if "Set-Cookie" in answer.headers or any(name.lower().startswith("access-control-") for name in answer.headers):
        flaws.append("cookies or CORS outside the pages")
    if answer.status >= 400 and answer.kind == "application/problem+json":
        flaws += problem_flaws(answer)
    operation = operation_of(answer.method, answer.path)
    if operation is None:
        return flaws
    listed = operation["responses"].get(str(answer.status))
    if listed is None:
        listed = operation["responses"]["default"]
        if answer.status not in COMMON:
            flaws.append(f"{answer.status} is not listed")
    content = listed.get("content")
    if not content:
        return [*flaws, "a body where there is none"] if answer.body else flaws
    if answer.kind not in content:
        return [*flaws, f"{answer.kind!r} is none of {list(content)}"]
    return flaws + list(_schemas.flaws(answer.json, content[answer.kind]["schema"]))


def problem_flaws(answer):
    """What is wrong with a problem document."""
    problem = answer.json
    flaws = schema_flaws(problem, "Problem")
    if problem["status"] != answer.status or PROBLEMS.get(problem["code"]) != answer.status:
        flaws.append(f"{problem['code']} with {problem['status']} in an answer with {answer.status}")
    if problem["type"] != f"https://fnox.dev/problems/{problem['code']}":
        flaws.append(f"another type: {problem['type']}")
    if problem.get("request_id") != answer.headers.get("X-Request-Id"):
        flaws.append("another request id")
    return flaws
