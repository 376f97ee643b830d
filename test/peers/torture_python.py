"""A peer for the torture test: MSAL's real token cache and extensions for Python (file and lock)
write to one cache.

Arguments: cache file, name. Prints "ready", writes until it reads a line from standard input,
and prints the tokens it wrote as JSON.
"""

import base64
import json
import logging
import random
import sys
import threading
import time

from msal_extensions import FilePersistence, PersistedTokenCache

PATH, NAME = sys.argv[1:]
CLIENT_INFO = base64.urlsafe_b64encode(b'{"uid": "uid", "utid": "home"}').decode().rstrip("=")
cache = PersistedTokenCache(FilePersistence(PATH))
is_over = threading.Event()
written = []
failures = 0
starved = 0


class Counter(logging.Handler):
    """Counts how often the lock file could not be created within 5 s. Then it locks any existing
    file, even a deleted one.
    """

    def emit(self, record):
        global starved
        starved += "failed to create lock file" in record.getMessage()


logging.getLogger("msal_extensions").addHandler(Counter())


def wait_for_end():
    sys.stdin.readline()
    is_over.set()


threading.Thread(target=wait_for_end, daemon=True).start()
print("ready", flush=True)
while not is_over.is_set():
    number = len(written) + failures
    secret = f"fake-{NAME}-{number}"
    try:
        cache.add({
            "client_id": NAME,
            "scope": [f"scope-{number}"],
            "token_endpoint": "https://login.microsoftonline.com/organizations/oauth2/v2.0/token",
            # Includes the user, so that the account is written each time, as after any token
            # request.
            "response": {
                "access_token": secret, "expires_in": 3600, "token_type": "Bearer", "client_info": CLIENT_INFO,
            },
        })
        written.append(secret)
    except Exception:  # The lock was not available within 5 s, or another process was writing the file.
        failures += 1
    time.sleep(0.01 + random.random() * 0.05)

print(json.dumps({"written": written, "failures": failures, "starved": starved}), flush=True)
