"""As much of JSON Schema (draft 2020-12) as vault-protocol.schema.json and openapi.json use.

A keyword that is not known here is an error: a check that quietly checks nothing would be worse than none.
"""

import base64
import datetime
import re

ANNOTATIONS = {"$schema", "title", "description", "default", "contentEncoding", "examples"}
TYPES = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def same(one, other):
    """Equality as JSON has it: true is not 1."""
    return type(one) is type(other) and one == other


def is_time(text):
    """Whether a text is a time as RFC 3339 has it, in UTC."""
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        return False
    return bool(TIME.fullmatch(text))


def is_base64(text):
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except ValueError:
        return False


class Schemas:
    """The document that `$ref` points into."""

    def __init__(self, document):
        self.document = document

    def flaws(self, value, schema, place="$"):
        """Yields what does not fit."""
        if schema is True:
            return
        if schema is False:
            yield f"{place}: nothing may stand here"
            return
        for keyword, wanted in schema.items():
            if keyword in ANNOTATIONS:
                continue
            check = getattr(self, "check_" + keyword.replace("$", ""), None)
            if check is None:
                raise NotImplementedError(f"{place}: the keyword {keyword} is not known")
            yield from check(value, wanted, schema, place)

    def fits(self, value, schema):
        return not any(True for _ in self.flaws(value, schema))

    def check_ref(self, value, wanted, _, place):
        target = self.document
        for part in wanted.removeprefix("#/").split("/"):
            target = target[part]
        yield from self.flaws(value, target, place)

    def check_type(self, value, wanted, _, place):
        names = [wanted] if isinstance(wanted, str) else wanted
        if not any(TYPES[name](value) for name in names):
            yield f"{place}: {type(value).__name__} is not {' or '.join(names)}"

    def check_enum(self, value, wanted, _, place):
        if not any(same(value, one) for one in wanted):
            yield f"{place}: {value!r} is not one of {wanted}"

    def check_const(self, value, wanted, _, place):
        if not same(value, wanted):
            yield f"{place}: {value!r} is not {wanted!r}"

    def check_required(self, value, wanted, _, place):
        if isinstance(value, dict):
            for key in wanted:
                if key not in value:
                    yield f"{place}: {key} is missing"

    def check_properties(self, value, wanted, _, place):
        if isinstance(value, dict):
            for key, schema in wanted.items():
                if key in value:
                    yield from self.flaws(value[key], schema, f"{place}.{key}")

    def check_additionalProperties(self, value, wanted, schema, place):
        if isinstance(value, dict):
            for key in value.keys() - schema.get("properties", {}).keys():
                yield from self.flaws(value[key], wanted, f"{place}.{key}")

    def check_prefixItems(self, value, wanted, _, place):
        if isinstance(value, list):
            for index, (item, schema) in enumerate(zip(value, wanted)):
                yield from self.flaws(item, schema, f"{place}[{index}]")

    def check_items(self, value, wanted, schema, place):
        if isinstance(value, list):
            first = len(schema.get("prefixItems", []))
            for index, item in enumerate(value[first:], first):
                yield from self.flaws(item, wanted, f"{place}[{index}]")

    def check_oneOf(self, value, wanted, _, place):
        count = sum(self.fits(value, schema) for schema in wanted)
        if count != 1:
            yield f"{place}: {count} of the alternatives fit instead of one"

    def check_anyOf(self, value, wanted, _, place):
        if not any(self.fits(value, schema) for schema in wanted):
            yield f"{place}: none of the alternatives fits"

    def check_allOf(self, value, wanted, _, place):
        for schema in wanted:
            yield from self.flaws(value, schema, place)

    def check_minimum(self, value, wanted, _, place):
        if TYPES["number"](value) and value < wanted:
            yield f"{place}: {value} is less than {wanted}"

    def check_maximum(self, value, wanted, _, place):
        if TYPES["number"](value) and value > wanted:
            yield f"{place}: {value} is more than {wanted}"

    def check_format(self, value, wanted, _, place):
        if not isinstance(value, str):
            return
        if wanted == "uuid" and not UUID.fullmatch(value):
            yield f"{place}: {value!r} is not a UUID"
        if wanted == "date-time" and not is_time(value):
            yield f"{place}: {value!r} is not a time in UTC (RFC 3339)"
        if wanted == "byte" and not is_base64(value):
            yield f"{place}: {value[:40]!r} is not base64 with padding"
