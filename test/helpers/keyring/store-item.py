"""Stores a keyring item with libsecret.

The argument is the attributes as JSON, including "xdg:schema". Standard input is the secret.
secret-tool is not used because it truncates secrets at 8 KiB.
"""

import json
import sys

import gi

gi.require_version("Secret", "1")
from gi.repository import Secret  # noqa: E402  the version has to be named first

attributes = json.loads(sys.argv[1])
schema = Secret.Schema.new(
    attributes.pop("xdg:schema"),
    Secret.SchemaFlags.NONE,
    {name: Secret.SchemaAttributeType.STRING for name in attributes},
)
if not Secret.password_store_sync(schema, attributes, None, "MSALCache", sys.stdin.read(), None):
    sys.exit("the item was not stored")
