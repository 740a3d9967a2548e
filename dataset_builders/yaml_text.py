"""Parses untrusted YAML into JSON values."""

from typing import Any

import yaml

from dataset_builders.errors import InputError

_MAX_VALUES = 100_000
"""Maximum number of values of a document, with every alias replaced by its anchor's value."""

_JSON_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null")}

YAML_ERRORS = (yaml.YAMLError, RecursionError, ValueError, OverflowError, LookupError, AttributeError)
"""Errors of PyYAML for invalid documents; the last four are for values such as ``!!bool x``."""


class _JSONLoader(yaml.SafeLoader):
    """Reads mappings, lists, strings, numbers, true, false and null; a date is a string."""

    yaml_implicit_resolvers = {  # noqa: RUF012  a table of PyYAML's, which it never changes in place
        letter: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {  # noqa: RUF012  also a table of PyYAML's; None is for unknown tags
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag in _JSON_TAGS
    }

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None and _size(node, {}) > _MAX_VALUES:
            raise yaml.YAMLError(f"it has more than {_MAX_VALUES:,} values")
        return node


def parse_yaml(text: str, what: str) -> Any:
    """The value of a YAML document; None if it is empty.

    Args:
        text: the document.
        what: description of the document, which begins the error message.

    Raises:
        InputError: the text is not YAML, or contains values that JSON does not have or too many values.
    """
    try:
        return yaml.load(text, _JSONLoader)  # noqa: S506  a SafeLoader
    except YAML_ERRORS as error:
        raise InputError(f"{what} is not YAML ({' '.join(str(error).split())})") from None


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Number of values of a node, in which aliases count as often as they occur."""
    key = id(node)
    if key not in sizes:
        sizes[key] = _MAX_VALUES + 1  # a value that contains itself is infinite
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            parts = node.value
        elif isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        sizes[key] = 1 + sum(_size(part, sizes) for part in parts)
    return sizes[key]
