"""``webhook``, but each request that it sends says which life of a server it is of."""

from __future__ import annotations

import sys

from webhook.cli import main
from webhook.engine import request

if __name__ == "__main__":
    request.USER_AGENT += f" (life {sys.argv.pop(1)})"
    main()
